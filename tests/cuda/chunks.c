/* chunks.c - a bf16 product with an f32 bias and GELU whose epilogue the library refuses, of more rows than a chunk
 * has; with the stand-ins of fake.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

enum { M = 19001, N = 701 }; /* two chunks of 24 MiB and a rest */

static flm_backend *be;

static void must(flm_status rc)
{
    if (rc == FLM_OK) return;
    fprintf(stderr, "# %s\n", flm_err_message());
    exit(1);
}

static flm_tensor device(const void *host, flm_dtype dtype, int64_t rows, int64_t columns)
{
    flm_tensor t = flm_tensor_2d(NULL, dtype, rows, columns);
    must(be->memory->alloc(be, flm_tensor_bytes(&t), &t.data));
    if (host) must(be->memory->to_device(be, t.data, host, flm_tensor_bytes(&t)));
    return t;
}

int main(void)
{
    uint16_t *a = malloc(M * sizeof *a), *b = malloc(N * sizeof *b), *c = malloc((size_t)M * N * sizeof *c);
    float *bias = malloc(N * sizeof *bias);
    int64_t wrong = 0;
    if (!a || !b || !c || !bias) return 1;
    must(flm_backend_create(FLM_DEVICE_CUDA, 0, 3, &be));
    for (int64_t i = 0; i < M; i++) a[i] = flm_bf16_from_f32((float)(i % 251) - 125);
    for (int64_t j = 0; j < N; j++) b[j] = flm_bf16_from_f32((float)(j % 13) / 8);
    for (int64_t j = 0; j < N; j++) bias[j] = (float)j / 1024;
    flm_tensor da = device(a, FLM_DTYPE_BF16, M, 1), db = device(b, FLM_DTYPE_BF16, 1, N);
    flm_tensor dbias = device(bias, FLM_DTYPE_F32, 1, N), dc = device(NULL, FLM_DTYPE_BF16, M, N), dg = dc;
    dbias = flm_tensor_1d(dbias.data, FLM_DTYPE_F32, N);
    dg = device(NULL, FLM_DTYPE_BF16, M, N);
    must(flm_op_matmul(be, &(flm_matmul){.a = &da, .b = &db, .c = &dc, .bias = &dbias, .gelu = &dg}));
    must(be->memory->to_host(be, c, dc.data, flm_tensor_bytes(&dc)));
    must(be->stream->sync(be));
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) /* one rounding, of the sum with the bias */
            wrong += c[i * N + j] != flm_bf16_from_f32(flm_bf16_to_f32(a[i]) * flm_bf16_to_f32(b[j]) + bias[j]);
    tap_ok(wrong == 0, "c: %lld of %d wrong", (long long)wrong, M * N);
    must(be->memory->to_host(be, c, dg.data, flm_tensor_bytes(&dg)));
    must(be->stream->sync(be));
    wrong = 0;
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            const double x =
                flm_bf16_to_f32(flm_bf16_from_f32(flm_bf16_to_f32(a[i]) * flm_bf16_to_f32(b[j]) + bias[j]));
            const double y = 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
            wrong += !(fabs(flm_bf16_to_f32(c[i * N + j]) - y) <= 0x1p-8 * fabs(y) + 1e-6);
        }
    tap_ok(wrong == 0, "gelu: %lld of %d wrong", (long long)wrong, M * N);
    const flm_tensor *const all[] = {&da, &db, &dbias, &dc, &dg};
    for (int i = 0; i < 5; i++) be->memory->release(be, all[i]->data);
    flm_backend_destroy(&be);
    free(a);
    free(b);
    free(c);
    free(bias);
    return tap_end();
}
