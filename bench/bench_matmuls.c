/* bench_matmuls.c - see bench_matmuls.h. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_matmuls.h"

#include "backend/backend_ops.h"

enum { LINEARS = 5 };

_Static_assert(3 * LINEARS + 1 <= BENCH_MATMULS, "room for every matmul");

/* Forward, input gradient and weight gradient of y = x W^T + b with W [out, in], as the model calls them. */
static int linear_cases(bench_matmul *c, const char *const names[3], int64_t rows, int64_t out, int64_t in, bool bias,
                        bool f32_out)
{
    c[0] = (bench_matmul){names[0], rows, out, in, .transpose_b = true, .bias = bias, .f32_out = f32_out};
    c[1] = (bench_matmul){names[1], rows, in, out, .f32_out = false};
    c[2] = (bench_matmul){names[2], out, in, rows, .transpose_a = true, .accumulate = true, .f32_out = true};
    return 3;
}

int bench_matmuls_make(int64_t tokens, int64_t d, int64_t V, int64_t head_rows, int64_t cube, bench_matmul *c)
{
    static const char *const names[LINEARS][3] = {
        {"qkv", "qkv grad x", "qkv grad W"},
        {"attention out", "attention out grad x", "attention out grad W"},
        {"mlp up", "mlp up grad x", "mlp up grad W"},
        {"mlp down", "mlp down grad x", "mlp down grad W"},
        {"head chunk", "head chunk grad x", "head chunk grad W"},
    };
    int count = 0;
    count += linear_cases(c + count, names[0], tokens, 3 * d, d, false, false);
    count += linear_cases(c + count, names[1], tokens, d, d, false, false);
    count += linear_cases(c + count, names[2], tokens, 4 * d, d, true, false);
    count += linear_cases(c + count, names[3], tokens, d, 4 * d, true, false);
    count += linear_cases(c + count, names[4], head_rows < tokens ? head_rows : tokens, V, d, true, true);
    c[count++] = (bench_matmul){"cube", cube, cube, cube, .f32_out = false};
    return count;
}

typedef struct work {
    flm_backend *be;
    flm_matmul p;
} work;

static flm_status run_plain(void *arg)
{
    work *w = arg;
    return flm_op_matmul(w->be, &w->p);
}

/* Memory for one operand, filled with normal numbers. Its rows are padded as the network pads those of logits, whose
 * length need not be a multiple of anything; the other lengths of a network are multiples already. */
static flm_status operand(flm_backend *be, flm_tensor *t, int64_t rows, int64_t columns, flm_dtype dtype, uint64_t key)
{
    flm_status rc = FLM_OK;
    void *wide = NULL, *data = NULL;
    *t = flm_tensor_2d_padded(NULL, dtype, rows, columns);
    const size_t elements = flm_tensor_bytes(t) / flm_dtype_size(dtype);
    flm_tensor normal;

    FLM_TRY(be->memory->alloc(be, elements * sizeof(float), &wide));
    normal = flm_tensor_3d(wide, FLM_DTYPE_F32, 1, 1, (int64_t)elements);
    FLM_TRY(flm_op_normal(be, &normal, key, 0));
    if (dtype == FLM_DTYPE_F32) {
        data = wide;
        wide = NULL;
    } else {
        flm_tensor from = flm_tensor_1d(wide, FLM_DTYPE_F32, (int64_t)elements);
        FLM_TRY(be->memory->alloc(be, elements * flm_dtype_size(dtype), &data));
        flm_tensor to = flm_tensor_1d(data, dtype, (int64_t)elements);
        FLM_TRY(flm_op_cast(be, &to, &from));
    }
    t->data = data;
    data = NULL;
done:
    be->memory->release(be, wide);
    be->memory->release(be, data);
    return rc;
}

flm_status bench_matmul_measure(flm_backend *be, const bench_matmul *c, flm_dtype dtype, int runs, bench_seconds *plain,
                                bench_seconds *preferred)
{
    flm_status rc = FLM_OK;
    flm_tensor a = flm_tensor_none(), b = a, out = a, bias = a;
    work w = {be, {0}};

    FLM_TRY(operand(be, &a, c->transpose_a ? c->K : c->M, c->transpose_a ? c->M : c->K, dtype, 1));
    FLM_TRY(operand(be, &b, c->transpose_b ? c->N : c->K, c->transpose_b ? c->K : c->N, dtype, 2));
    FLM_TRY(operand(be, &out, c->M, c->N, c->f32_out ? FLM_DTYPE_F32 : dtype, 3));
    FLM_TRY(operand(be, &bias, 1, c->N, FLM_DTYPE_F32, 4));
    bias = flm_tensor_1d(bias.data, FLM_DTYPE_F32, c->N);
    w.p = (flm_matmul){.a = &a,
                       .b = &b,
                       .c = &out,
                       .transpose_a = c->transpose_a,
                       .transpose_b = c->transpose_b,
                       .accumulate = c->accumulate,
                       .bias = c->bias ? &bias : NULL};
    if (be->kind != FLM_BACKEND_CPU) /* only oneDNN has layouts of its own */
        FLM_TRY(bench_measure(be, run_plain, &w, runs, preferred));
    else
        FLM_TRY(bench_onednn_measure(be, c, dtype, runs, preferred));
    if (plain) FLM_TRY(bench_measure(be, run_plain, &w, runs, plain));
done:
    be->memory->release(be, a.data);
    be->memory->release(be, b.data);
    be->memory->release(be, out.data);
    be->memory->release(be, bias.data);
    return rc;
}

double bench_matmul_flops(const bench_matmul *c) { return 2 * (double)c->M * (double)c->N * (double)c->K; }

flm_status bench_peak(flm_backend *be, const bench_matmul *products, int count, flm_dtype dtype, int runs, double *peak,
                      int *best)
{
    flm_status rc = FLM_OK;
    bench_seconds seconds;

    *peak = 0;
    for (int i = 0; i < count; i++) {
        FLM_TRY(bench_matmul_measure(be, &products[i], dtype, runs, NULL, &seconds));
        const double rate = bench_matmul_flops(&products[i]) / seconds.median;
        if (rate > *peak) {
            *peak = rate;
            *best = i;
        }
    }
done:
    return rc;
}
