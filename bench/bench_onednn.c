/* bench_onednn.c - what oneDNN itself reaches on a matmul, with the operands in the layouts it prefers: the measured
 * peak of a CPU, independent of how the suite calls the library. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_dnnl.h"
#include "bench/bench_matmuls.h"

#include <omp.h>
#include <stdlib.h>

typedef struct matmul_run {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c;
    void *data[3];
} matmul_run;

/* Memory in the layout that the primitive requires, filled with bytes that are small numbers both as f32 and as bf16.
 */
static flm_status make_memory(matmul_run *m, dnnl_query_t what, dnnl_memory_t *memory, void **data)
{
    flm_status rc = FLM_OK;
    layout_ref layout = dnnl_primitive_desc_query_md(m->desc, what, 0);
    const size_t bytes = dnnl_memory_desc_get_size(layout), halves = bytes / sizeof(uint16_t);
    uint32_t x = 2463534242u; /* Marsaglia's xorshift32, "Xorshift RNGs", 2003 */

    *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!*data) FLM_FAIL(FLM_E_NOMEM, "oneDNN: no memory for %zu bytes", bytes);
    for (size_t i = 0; i < halves; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        ((uint16_t *)*data)[i] = (uint16_t)(0x3f00u | (x >> 16 & 0x807fu)); /* +-(0.5 .. 1) as bf16 */
    }
    FLM_DNNL(dnnl_memory_create(memory, layout, m->engine, *data));
done:
    return rc;
}

static flm_status make_run(matmul_run *m, const bench_matmul *p, flm_dtype dtype)
{
    flm_status rc = FLM_OK;
    const dnnl_data_type_t type = dtype == FLM_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_dims_t dims_a = {p->M, p->K}, dims_b = {p->K, p->N}, dims_c = {p->M, p->N};
    flm_dnnl_layouts layouts = {0};

    FLM_DNNL(dnnl_engine_create(&m->engine, dnnl_cpu, 0));
    FLM_DNNL(dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags));
    FLM_DNNL(layout_make(&layouts.a, dims_a, type, NULL));
    FLM_DNNL(layout_make(&layouts.b, dims_b, type, NULL));
    FLM_DNNL(layout_make(&layouts.c, dims_c, p->f32_out ? dnnl_f32 : type, NULL));
    FLM_DNNL(describe_matmul(&m->desc, m->engine, &layouts, NULL));
    FLM_DNNL(dnnl_primitive_create(&m->primitive, m->desc));
    FLM_TRY(make_memory(m, dnnl_query_src_md, &m->a, &m->data[0]));
    FLM_TRY(make_memory(m, dnnl_query_weights_md, &m->b, &m->data[1]));
    FLM_TRY(make_memory(m, dnnl_query_dst_md, &m->c, &m->data[2]));
done:
    layouts_release(&layouts);
    return rc;
}

static void release_run(matmul_run *m)
{
    const dnnl_memory_t memory[] = {m->a, m->b, m->c};
    for (int i = 0; i < 3; i++) {
        if (memory[i]) dnnl_memory_destroy(memory[i]);
        free(m->data[i]);
    }
    if (m->primitive) dnnl_primitive_destroy(m->primitive);
    if (m->desc) dnnl_primitive_desc_destroy(m->desc);
    if (m->stream) dnnl_stream_destroy(m->stream);
    if (m->engine) dnnl_engine_destroy(m->engine);
}

static flm_status execute(void *arg)
{
    flm_status rc = FLM_OK;
    matmul_run *m = arg;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, m->a}, {DNNL_ARG_WEIGHTS, m->b}, {DNNL_ARG_DST, m->c}};
    FLM_DNNL(dnnl_primitive_execute(m->primitive, m->stream, 3, args));
    FLM_DNNL(dnnl_stream_wait(m->stream));
done:
    return rc;
}

flm_status bench_onednn_measure(flm_backend *be, const bench_matmul *product, flm_dtype dtype, int runs,
                                bench_seconds *out)
{
    flm_status rc = FLM_OK;
    const int threads = omp_get_max_threads();
    matmul_run m = {0};

    omp_set_num_threads(bench_threads(be));
    FLM_TRY(make_run(&m, product, dtype));
    FLM_TRY(bench_measure(be, execute, &m, runs, out));
done:
    release_run(&m);
    omp_set_num_threads(threads);
    return rc;
}
