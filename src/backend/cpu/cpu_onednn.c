/* cpu_onednn.c - matmul through oneDNN's C API, 2.6 and newer or 3.x (cpu_dnnl.h has what differs).
 *
 * A primitive and its memory objects are created once for each shape, dtype and set of flags, and cached; a call only
 * sets their data pointers. Operands stay in the suite's row-major layout; transposes and padded rows are strides.
 * Where it pays, b is first reordered into the layout that oneDNN prefers (is_packed). Where oneDNN has no
 * implementation (bf16 on processors without AVX-512), the matmul is computed in fp32, which is logged once. Not
 * thread-safe: one call at a time on a backend. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_dnnl.h"
#include "backend/cpu/cpu_internal.h"

#include "base/base_log.h"
#include "base/base_table.h"

#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLAG_BF16 = 1,        /* a and b are bf16, else f32 */
    FLAG_BF16_C = 2,      /* c is bf16, else f32 */
    FLAG_TRANSPOSE_A = 4, /* a is stored [K, M] */
    FLAG_TRANSPOSE_B = 8, /* b is stored [N, K] */
    FLAG_ACCUMULATE = 16,
    FLAG_BIAS = 32
};

/* Rows of c from which on b is reordered first: the gain grows with the rows, the cost does not (bench/speed-log.md).
 */
enum { PACKED_ROWS_MIN = 768, PACKED_MIN = 64, PACKED_PLAIN_MAX = 1 << 23 };

typedef struct product_key {
    int64_t M, N, K;
    int64_t step_a, step_b, step_c; /* elements from one stored row to the next */
    unsigned flags;
} product_key;

/* A cached matmul: its primitive, or none (`missing`) if oneDNN has no implementation for these dtypes. */
typedef struct product {
    product_key key;
    bool missing;
    dnnl_primitive_t primitive, pack; /* pack: b to packed; none where b is used as it is */
    dnnl_memory_t a, b, packed, bias, c, scratch;
    size_t scratch_bytes, packed_bytes;
    const void *layout; /* of packed: the first product that has it */
} product;

typedef struct flm_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    product **products; /* [by_key.count] */
    flm_table by_key;   /* indices of products, by a hash of their keys */
    bool told[2];       /* by dtype of the operands: whether the fallback to fp32 has been logged */
} flm_onednn;

/* ---- the library ---- */

static void product_destroy(product *p)
{
    dnnl_memory_t memory[] = {p->a, p->b, p->packed, p->bias, p->c, p->scratch};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        if (memory[i]) dnnl_memory_destroy(memory[i]);
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->pack) dnnl_primitive_destroy(p->pack);
    free(p);
}

flm_status flm_cpu_onednn_create(flm_onednn **out)
{
    flm_status rc = FLM_OK;
    flm_onednn *dnn = calloc(1, sizeof *dnn);

    if (!dnn) FLM_FAIL(FLM_E_NOMEM, "oneDNN: out of memory (%zu bytes)", sizeof *dnn);
    FLM_DNNL(dnnl_engine_create(&dnn->engine, dnnl_cpu, 0));
    FLM_DNNL(dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags));
    *out = dnn;
    dnn = NULL;
done:
    flm_cpu_onednn_destroy(&dnn);
    return rc;
}

void flm_cpu_onednn_destroy(flm_onednn **dnn)
{
    if (!*dnn) return;
    for (size_t i = 0; i < (*dnn)->by_key.count; i++) product_destroy((*dnn)->products[i]);
    free((*dnn)->products);
    flm_table_free(&(*dnn)->by_key);
    if ((*dnn)->stream) dnnl_stream_destroy((*dnn)->stream);
    if ((*dnn)->engine) dnnl_engine_destroy((*dnn)->engine);
    free(*dnn);
    *dnn = NULL;
}

const char *flm_cpu_onednn_describe(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    const char *isa = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());
    const char *prefix = "cpu_isa_";
    if (strncmp(isa, prefix, strlen(prefix)) == 0) isa += strlen(prefix);
    snprintf(text, size, "oneDNN %d.%d.%d (%s)", v->major, v->minor, v->patch, isa);
    return text;
}

/* ---- the cache ---- */

/* Whether oneDNN chooses the layout of b. With fp32 and a transposed a it is no faster so; a b of the head (V rows)
 * that is not transposed is reordered at a third of the speed, which takes as long as it saves. */
static bool is_packed(const product_key *k)
{
    return k->M >= PACKED_ROWS_MIN && k->N >= PACKED_MIN && k->K >= PACKED_MIN &&
           (k->flags & FLAG_BF16 || !(k->flags & FLAG_TRANSPOSE_A)) &&
           (k->flags & FLAG_TRANSPOSE_B || k->N * k->K <= PACKED_PLAIN_MAX);
}

/* packed: b in the layout that oneDNN prefers, else as it is stored. */
static flm_status layouts_make(const product_key *k, bool packed, flm_dnnl_layouts *l)
{
    flm_status rc = FLM_OK;
    dnnl_data_type_t type = k->flags & FLAG_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_data_type_t type_c = k->flags & FLAG_BF16_C ? dnnl_bf16 : dnnl_f32;
    dnnl_dims_t dims_a = {k->M, k->K}, dims_b = {k->K, k->N}, dims_bias = {1, k->N}, dims_c = {k->M, k->N};
    dnnl_dims_t rows_a = {k->step_a, 1}, columns_a = {1, k->step_a}, rows_b = {k->step_b, 1},
                columns_b = {1, k->step_b}, rows_bias = {k->N, 1}, rows_c = {k->step_c, 1};

    FLM_DNNL(layout_make(&l->a, dims_a, type, k->flags & FLAG_TRANSPOSE_A ? columns_a : rows_a));
    const dnnl_dim_t *stored_b = k->flags & FLAG_TRANSPOSE_B ? columns_b : rows_b;
    FLM_DNNL(layout_make(&l->b, dims_b, type, packed ? NULL : stored_b));
    if (k->flags & FLAG_BIAS) FLM_DNNL(layout_make(&l->bias, dims_bias, dnnl_f32, rows_bias));
    FLM_DNNL(layout_make(&l->c, dims_c, type_c, rows_c));
done:
    return rc;
}

/* The primitive descriptor of a matmul; NULL if oneDNN has no implementation. */
static flm_status product_describe(flm_onednn *dnn, const product_key *k, dnnl_primitive_desc_t *desc)
{
    flm_status rc = FLM_OK;
    flm_dnnl_layouts layouts = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t status;

    FLM_TRY(layouts_make(k, is_packed(k), &layouts));
    FLM_DNNL(dnnl_primitive_attr_create(&attr));
    FLM_DNNL(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    if (k->flags & FLAG_ACCUMULATE) {
        FLM_DNNL(dnnl_post_ops_create(&ops));
        FLM_DNNL(append_sum(ops));
        FLM_DNNL(dnnl_primitive_attr_set_post_ops(attr, ops));
    }
    *desc = NULL;
    status = describe_matmul(desc, dnn->engine, &layouts, attr);
    if (status != dnnl_unimplemented) FLM_DNNL(status);
done:
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    layouts_release(&layouts);
    return rc;
}

/* A memory object without data, in the layout that the primitive expects for one of its arguments. */
static flm_status product_memory(flm_onednn *dnn, const_dnnl_primitive_desc_t desc, dnnl_query_t what, int index,
                                 dnnl_memory_t *memory, size_t *bytes)
{
    flm_status rc = FLM_OK;
    layout_ref layout = dnnl_primitive_desc_query_md(desc, what, index);

    *bytes = dnnl_memory_desc_get_size(layout);
    FLM_DNNL(dnnl_memory_create(memory, layout, dnn->engine, DNNL_MEMORY_NONE));
done:
    return rc;
}

/* Sets p->layout: products that differ in M alone often expect the same. */
static flm_status product_layout(const flm_onednn *dnn, layout_ref expected, product *p)
{
    flm_status rc = FLM_OK;
    p->layout = p;
    for (size_t i = 0; i < dnn->by_key.count && p->layout == p; i++) {
        const product *other = dnn->products[i];
        layout_ref layout;
        if (!other->packed) continue;
        FLM_DNNL(dnnl_memory_get_memory_desc(other->packed, &layout));
        if (dnnl_memory_desc_equal(layout, expected) &&
            (other->key.flags & FLAG_TRANSPOSE_B) == (p->key.flags & FLAG_TRANSPOSE_B))
            p->layout = other->layout;
    }
done:
    return rc;
}

/* The reordering of b into the layout that the primitive expects, unless it is stored so. */
static flm_status product_pack(flm_onednn *dnn, const_dnnl_primitive_desc_t desc, product *p)
{
    flm_status rc = FLM_OK;
    flm_dnnl_layouts stored = {0};
    dnnl_primitive_desc_t pack = NULL;
    layout_ref expected = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);

    FLM_TRY(layouts_make(&p->key, false, &stored));
    FLM_DNNL(dnnl_memory_create(&p->b, layout_of(&stored.b), dnn->engine, DNNL_MEMORY_NONE));
    if (dnnl_memory_desc_equal(layout_of(&stored.b), expected)) goto done;
    p->packed_bytes = dnnl_memory_desc_get_size(expected);
    FLM_DNNL(dnnl_memory_create(&p->packed, expected, dnn->engine, DNNL_MEMORY_NONE));
    FLM_TRY(product_layout(dnn, expected, p));
    FLM_DNNL(dnnl_reorder_primitive_desc_create(&pack, layout_of(&stored.b), dnn->engine, expected, dnn->engine, NULL));
    FLM_DNNL(dnnl_primitive_create(&p->pack, pack));
done:
    if (pack) dnnl_primitive_desc_destroy(pack);
    layouts_release(&stored);
    return rc;
}

static flm_status product_create(flm_onednn *dnn, const product_key *k, product **out)
{
    flm_status rc = FLM_OK;
    product *p = calloc(1, sizeof *p);
    dnnl_primitive_desc_t desc = NULL;
    size_t bytes[3] = {0};

    if (!p) FLM_FAIL(FLM_E_NOMEM, "out of memory (%zu bytes)", sizeof *p);
    p->key = *k;
    FLM_TRY(product_describe(dnn, k, &desc));
    p->missing = !desc;
    if (desc) {
        FLM_DNNL(dnnl_primitive_create(&p->primitive, desc));
        FLM_TRY(product_memory(dnn, desc, dnnl_query_src_md, 0, &p->a, &bytes[0]));
        FLM_TRY(product_pack(dnn, desc, p));
        if (k->flags & FLAG_BIAS) FLM_TRY(product_memory(dnn, desc, dnnl_query_weights_md, 1, &p->bias, &bytes[1]));
        FLM_TRY(product_memory(dnn, desc, dnnl_query_dst_md, 0, &p->c, &bytes[2]));
        FLM_TRY(product_memory(dnn, desc, dnnl_query_scratchpad_md, 0, &p->scratch, &p->scratch_bytes));
    }
    *out = p;
    p = NULL;
done:
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (p) product_destroy(p);
    return rc;
}

/* Keeps a matmul under the hash of its key. */
static flm_status product_add(flm_onednn *dnn, uint64_t hash, product *p)
{
    flm_status rc = FLM_OK;
    const size_t count = dnn->by_key.count;
    product **grown = realloc(dnn->products, (count + 1) * sizeof(product *));

    if (!grown) FLM_FAIL(FLM_E_NOMEM, "matmul: no memory for %zu kept primitives", count + 1);
    dnn->products = grown;
    grown[count] = p;
    FLM_TRY(flm_table_add(&dnn->by_key, hash, (int32_t)count));
done:
    return rc;
}

static flm_status product_find(flm_onednn *dnn, const product_key *k, product **out)
{
    flm_status rc = FLM_OK;
    /* Distinct odd multipliers keep the three sizes apart. */
    const uint64_t hash = (uint64_t)k->M * 3 + (uint64_t)k->N * 5 + (uint64_t)k->K * 7 + k->flags;
    product *created = NULL;

    for (flm_table_cursor c = {0}; flm_table_next(&dnn->by_key, hash, &c);) {
        product *p = dnn->products[c.value];
        if (p->key.M == k->M && p->key.N == k->N && p->key.K == k->K && p->key.flags == k->flags &&
            p->key.step_a == k->step_a && p->key.step_b == k->step_b && p->key.step_c == k->step_c) {
            *out = p;
            return FLM_OK;
        }
    }
    FLM_TRY(product_create(dnn, k, &created));
    FLM_TRY(product_add(dnn, hash, created));
    *out = created;
    created = NULL;
done:
    if (created) product_destroy(created);
    return rc;
}

static flm_status product_execute(flm_backend *be, const product *p, const flm_tensor *b)
{
    flm_status rc = FLM_OK;
    flm_onednn *dnn = ((flm_cpu *)be->state)->onednn;
    void *scratch = NULL;
    dnnl_exec_arg_t pack[2] = {{DNNL_ARG_FROM, p->b}, {DNNL_ARG_TO, p->packed}};
    dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, p->a},
                               {DNNL_ARG_WEIGHTS, p->pack ? p->packed : p->b},
                               {DNNL_ARG_DST, p->c},
                               {DNNL_ARG_SCRATCHPAD, p->scratch}};
    int count = 4;

    if (p->pack) {
        bool packed;
        FLM_TRY(flm_cpu_packed(be, b, p->layout, p->packed_bytes, &scratch, &packed));
        FLM_DNNL(dnnl_memory_set_data_handle(p->packed, scratch));
        if (!packed) {
            FLM_DNNL(dnnl_primitive_execute(p->pack, dnn->stream, 2, pack));
            flm_cpu_keep_packed(be, scratch);
        }
    }

    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_ONEDNN, p->scratch_bytes, &scratch));
    FLM_DNNL(dnnl_memory_set_data_handle(p->scratch, scratch));
    if (p->bias) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, p->bias};
    FLM_DNNL(dnnl_primitive_execute(p->primitive, dnn->stream, count, args));
    FLM_DNNL(dnnl_stream_wait(dnn->stream));
done:
    return rc;
}

flm_status flm_cpu_onednn_has_bf16(flm_backend *be, bool *has)
{
    flm_status rc = FLM_OK;
    const product_key k = {64, 64, 64, 64, 64, 64, FLAG_BF16 | FLAG_BF16_C};
    dnnl_primitive_desc_t desc = NULL;

    FLM_TRY(product_describe(((flm_cpu *)be->state)->onednn, &k, &desc));
    *has = desc != NULL;
done:
    if (desc) dnnl_primitive_desc_destroy(desc);
    return rc;
}

/* ---- the op ---- */

/* The row stride of a stored operand; sets flag if it is transposed and the strides must say so. A matrix of one row,
 * or of one contiguous column, has the same bytes either way, and strides of 1 in both axes would be ambiguous. */
static int64_t describe_rows(const flm_tensor *t, bool transposed, unsigned flag, unsigned *flags)
{
    const int64_t rows = t->dim[0], columns = t->dim[1];
    if (transposed && (rows == 1 || (columns == 1 && !flm_tensor_padded(t)))) return rows;
    if (transposed) *flags |= flag;
    return rows > 1 ? flm_tensor_row_stride(t) : columns;
}

/* The arguments have been checked. */
static void describe_key(const flm_matmul *p, product_key *k)
{
    const flm_tensor *a = p->a, *b = p->b, *c = p->c;
    k->M = a->dim[p->transpose_a ? 1 : 0];
    k->K = a->dim[p->transpose_a ? 0 : 1];
    k->N = b->dim[p->transpose_b ? 0 : 1];
    k->flags = (a->dtype == FLM_DTYPE_BF16 ? FLAG_BF16 : 0u) | (c->dtype == FLM_DTYPE_BF16 ? FLAG_BF16_C : 0u) |
               (p->accumulate ? FLAG_ACCUMULATE : 0u) | (p->bias ? FLAG_BIAS : 0u);
    k->step_a = describe_rows(a, p->transpose_a, FLAG_TRANSPOSE_A, &k->flags);
    k->step_b = describe_rows(b, p->transpose_b, FLAG_TRANSPOSE_B, &k->flags);
    k->step_c = describe_rows(c, false, 0, &k->flags);
}

/* K = 0: c = bias or zeros, or c += bias. */
static void multiply_nothing(const flm_matmul *p, int64_t M, int64_t N)
{
    const float *bias = p->bias ? p->bias->data : NULL;
    const int64_t step = flm_tensor_row_stride(p->c);
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            float value = bias ? bias[j] : 0.0f;
            const int64_t at = i * step + j;
            if (p->c->dtype == FLM_DTYPE_BF16)
                ((uint16_t *)p->c->data)[at] = flm_bf16_from_f32(value);
            else
                ((float *)p->c->data)[at] = p->accumulate ? ((float *)p->c->data)[at] + value : value;
        }
}

static flm_status multiply(flm_backend *be, const flm_matmul *p, const product_key *k);

/* Below this size, converting the operands costs more than it saves. */
enum { CONVERTED_MIN = 64 };

/* Whether a bf16 matmul is computed in fp32 (FLM_MATMUL_FP32). */
static bool is_converted(const flm_backend *be, const product_key *k)
{
    return ((const flm_cpu *)be->state)->matmul == FLM_MATMUL_FP32 && k->flags & FLAG_BF16 && k->M >= CONVERTED_MIN &&
           k->N >= CONVERTED_MIN && k->K >= CONVERTED_MIN;
}

/* The matmul of operands converted to fp32, for dtypes of which oneDNN has no implementation, or a slow one. */
static flm_status multiply_converted(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    const flm_tensor *from[3] = {p->a, p->b, p->c};
    flm_tensor to[3];
    size_t at[4] = {0};
    void *scratch = NULL;
    flm_matmul q = *p;
    product_key k;

    for (int i = 0; i < 3; i++) {
        size_t bytes = from[i]->dtype == FLM_DTYPE_F32 ? 0 : (size_t)flm_tensor_elements(from[i]) * sizeof(float);
        at[i + 1] = at[i] + (bytes + 63) / 64 * 64;
    }
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_CONVERTED, at[3], &scratch));
    for (int i = 0; i < 3; i++) {
        to[i] = *from[i];
        if (from[i]->dtype == FLM_DTYPE_F32) continue;
        to[i].dtype = FLM_DTYPE_F32;
        to[i].row_stride = 0;
        to[i].data = (char *)scratch + at[i];
        if (i < 2) FLM_TRY(flm_cpu_cast(be, &to[i], from[i]));
    }
    q.a = &to[0];
    q.b = &to[1];
    q.c = &to[2];
    q.gelu = NULL;
    describe_key(&q, &k);
    FLM_TRY(multiply(be, &q, &k));
    if (p->c->dtype != FLM_DTYPE_F32) FLM_TRY(flm_cpu_cast(be, p->c, &to[2]));
done:
    return rc;
}

static flm_status multiply(flm_backend *be, const flm_matmul *p, const product_key *k)
{
    flm_status rc = FLM_OK;
    flm_onednn *dnn = ((flm_cpu *)be->state)->onednn;
    product *found = NULL;

    if (is_converted(be, k)) return multiply_converted(be, p);
    FLM_TRY(product_find(dnn, k, &found));
    if (found->missing) {
        if (!(k->flags & (FLAG_BF16 | FLAG_BF16_C)))
            FLM_FAIL(FLM_E_UNSUPPORTED, "oneDNN has no f32 matmul of %" PRId64 " x %" PRId64 " x %" PRId64, k->M, k->N,
                     k->K);
        if (!dnn->told[p->a->dtype])
            flm_log(FLM_LOG_WARN, "oneDNN has no %s matmul with %s results on this processor; computing in fp32",
                    flm_dtype_name(p->a->dtype), flm_dtype_name(p->c->dtype));
        dnn->told[p->a->dtype] = true;
        FLM_TRY(multiply_converted(be, p));
    } else {
        FLM_DNNL(dnnl_memory_set_data_handle(found->a, p->a->data));
        FLM_DNNL(dnnl_memory_set_data_handle(found->b, p->b->data));
        FLM_DNNL(dnnl_memory_set_data_handle(found->c, p->c->data));
        if (found->bias) FLM_DNNL(dnnl_memory_set_data_handle(found->bias, p->bias->data));
        FLM_TRY(product_execute(be, found, p->b));
    }
done:
    return rc;
}

/* Below these sizes, packing costs more than tiles save. */
enum { AMX_ROWS_MIN = 64, AMX_MIN = 32 };

/* Whether a matmul of bf16 operands, or of their parts, is computed by tiles (FLM_MATMUL_AMX). */
static bool is_amx(const flm_backend *be, const product_key *k)
{
    return ((const flm_cpu *)be->state)->matmul == FLM_MATMUL_AMX && k->M >= AMX_ROWS_MIN && k->N >= AMX_MIN &&
           k->K >= AMX_MIN;
}

flm_status flm_cpu_matmul(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    product_key k;
    /* oneDNN uses the calling thread's OpenMP setting, both when it creates a primitive and when it runs it. */
    int threads = omp_get_max_threads();

    omp_set_num_threads(flm_cpu_threads(be));
    describe_key(p, &k);
    if (k.M > 0 && k.N > 0) {
        if (k.K == 0)
            multiply_nothing(p, k.M, k.N);
        else if (is_amx(be, &k) && k.flags & FLAG_BF16)
            FLM_TRY(flm_cpu_amx_matmul(be, p));
        else if (is_amx(be, &k) && p->in_parts && p->c->dtype == FLM_DTYPE_F32)
            FLM_TRY(flm_cpu_amx_parts(be, p));
        else
            FLM_TRY(multiply(be, p, &k));
        if (p->gelu) FLM_TRY(flm_cpu_gelu(be, p->gelu, p->c));
    }
done:
    omp_set_num_threads(threads);
    return rc;
}
