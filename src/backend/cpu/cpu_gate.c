/* cpu_gate.c - the gated residual with dropout (model.md section 2). The dropout mask is a function of the counter
 * alone (base_philox.h), so the backward pass draws it again instead of storing it. SPDX-License-Identifier: Apache-2.0
 */
#include "backend/cpu/cpu_rows.h"
#include "base/base_philox.h"

enum { PHILOX_BLOCKS = 16, CHUNK = PHILOX_BLOCKS * FLM_PHILOX_HALVES }; /* elements whose dropout is drawn together */

/* One site's dropout: an element is kept if its 16 bits are >= threshold, and then multiplied by factor. */
typedef struct drop {
    uint64_t stream;
    int64_t first_sample;
    uint32_t threshold;
    float factor;
} drop;

/* The argument has been checked. */
static drop drop_make(const flm_dropout *dropout)
{
    const uint32_t threshold = flm_dropout_threshold(dropout);
    return (drop){dropout->stream, dropout->first_sample, threshold, 65536.0f / (float)(65536 - threshold)};
}

/* Factors, 0 or p->factor, of components [at, at + CHUNK) of a position. */
FLM_INLINE void drop_factors(float *factor, const drop *p, int64_t sample, uint32_t position, int64_t at)
{
    uint32_t words[PHILOX_BLOCKS * 4];
    const uint32_t first = (uint32_t)(at / FLM_PHILOX_HALVES), threshold = p->threshold;
    const uint64_t stream = p->stream;
    const float kept = p->factor;
#pragma omp simd
    for (uint32_t k = 0; k < PHILOX_BLOCKS; k++) {
        flm_philox4 r = flm_philox_at(stream, (uint64_t)sample, position, first + k);
        words[4 * k] = r.v[0];
        words[4 * k + 1] = r.v[1];
        words[4 * k + 2] = r.v[2];
        words[4 * k + 3] = r.v[3];
    }
#pragma omp simd
    for (int k = 0; k < PHILOX_BLOCKS * 4; k++) {
        factor[2 * k] = (words[k] & 0xFFFF) >= threshold ? kept : 0;
        factor[2 * k + 1] = words[k] >> 16 >= threshold ? kept : 0;
    }
}

FLM_INLINE void forward_row(float *y, const float *x, const void *branch, bool bf16, const float *gate, int64_t d,
                            const drop *p, int64_t sample, uint32_t position)
{
    float factor[CHUNK];
    if (p->threshold == 0) {
#pragma omp simd
        for (int64_t j = 0; j < d; j++) y[j] = x[j] + gate[j] * flm_load(branch, bf16, j);
        return;
    }
    for (int64_t at = 0; at < d; at += CHUNK) {
        int64_t n = d - at < CHUNK ? d - at : CHUNK;
        drop_factors(factor, p, sample, position, at);
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            y[at + j] = x[at + j] + gate[at + j] * (flm_load(branch, bf16, at + j) * factor[j]);
    }
}

FLM_SIMD static void gate_row(float *y, const float *x, const void *branch, bool bf16, const float *gate, int64_t d,
                              const drop *p, int64_t sample, uint32_t position)
{
    if (bf16)
        forward_row(y, x, branch, true, gate, d, p, sample, position);
    else
        forward_row(y, x, branch, false, gate, d, p, sample, position);
}

flm_status flm_cpu_gate_residual(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch,
                                 const flm_tensor *mod, const flm_tensor *context, int64_t gate_at,
                                 const flm_dropout *dropout)
{
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    const drop p = drop_make(dropout);
    const bool bf16 = branch->dtype == FLM_DTYPE_BF16;
    const size_t size = flm_dtype_size(branch->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < B * L; row++)
        gate_row((float *)y->data + row * d, (const float *)x->data + row * d,
                 (const char *)branch->data + (size_t)(row * d) * size, bf16,
                 (const float *)mod->data + flm_cpu_condition(context, B, L, row) * mod->dim[1] + gate_at, d, &p,
                 p.first_sample + row / L, (uint32_t)(row % L));
    return FLM_OK;
}

FLM_INLINE void backward_row(void *grad_branch, float *sum, const float *grad_y, const void *branch, bool bf16,
                             const float *gate, int64_t d, const drop *p, int64_t sample, uint32_t position)
{
    float factor[CHUNK];
    for (int64_t j = 0; j < CHUNK; j++) factor[j] = 1;
    for (int64_t at = 0; at < d; at += CHUNK) {
        int64_t n = d - at < CHUNK ? d - at : CHUNK;
        if (p->threshold) drop_factors(factor, p, sample, position, at);
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            float g = grad_y[at + j] * factor[j];
            sum[at + j] += g * flm_load(branch, bf16, at + j);
            flm_store(grad_branch, bf16, at + j, g * gate[at + j]);
        }
    }
}

/* A gate of one sample, and its gradient's part from some rows, [d] both. */
typedef struct gate_block {
    float *sum;
    const float *gate;
} gate_block;

/* Rows [l, l + rows) of one sample. context: NULL, or which of two gates a row has. */
FLM_SIMD static void gate_block_backward(const gate_block *gates, const int32_t *context, char *grad_branch,
                                         const float *grad_y, const char *branch, bool bf16, int64_t d, const drop *p,
                                         int64_t sample, int64_t l, int64_t rows)
{
    const size_t row_bytes = (size_t)d * (bf16 ? sizeof(uint16_t) : sizeof(float));
    for (int k = 0; k < (context != NULL ? 2 : 1); k++)
        for (int64_t j = 0; j < d; j++) gates[k].sum[j] = 0;
    for (int64_t i = 0; i < rows; i++, grad_y += d, branch += row_bytes, grad_branch += row_bytes) {
        const gate_block *g = &gates[context != NULL && context[i] != 0];
        if (bf16)
            backward_row(grad_branch, g->sum, grad_y, branch, true, g->gate, d, p, sample, (uint32_t)(l + i));
        else
            backward_row(grad_branch, g->sum, grad_y, branch, false, g->gate, d, p, sample, (uint32_t)(l + i));
    }
}

flm_status flm_cpu_gate_residual_backward(flm_backend *be, const flm_tensor *grad_branch, const flm_tensor *grad_mod,
                                          const flm_tensor *grad_y, const flm_tensor *branch, const flm_tensor *mod,
                                          const flm_tensor *context, int64_t gate_at, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const int64_t B = grad_y->dim[0], L = grad_y->dim[1], d = grad_y->dim[2], blocks = flm_cpu_row_blocks(L);
    const int64_t mod_rows = mod->dim[0];
    void *scratch = NULL;
    const drop p = drop_make(dropout);
    FLM_TRY(flm_cpu_scratch(be, FLM_CPU_SUMS, (size_t)(mod_rows * blocks * d) * sizeof(float), &scratch));
    float *sums = scratch;
    const bool bf16 = branch->dtype == FLM_DTYPE_BF16;
    const size_t size = flm_dtype_size(branch->dtype);
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t task = 0; task < B * blocks; task++) {
        const int64_t b = task / blocks, l = task % blocks * FLM_ROW_BLOCK, at = (b * L + l) * d;
        const int32_t *own = context->data != NULL ? (const int32_t *)context->data + b * L + l : NULL;
        gate_block gates[2] = {{NULL}};
        for (int64_t k = 0; k < mod_rows / B; k++)
            gates[k] = (gate_block){sums + (k * B * blocks + task) * d,
                                    (const float *)mod->data + (k * B + b) * mod->dim[1] + gate_at};
        gate_block_backward(gates, own, (char *)grad_branch->data + (size_t)at * size, (const float *)grad_y->data + at,
                            (const char *)branch->data + (size_t)at * size, bf16, d, &p, p.first_sample + b, l,
                            L - l < FLM_ROW_BLOCK ? L - l : FLM_ROW_BLOCK);
    }
    for (int64_t b = 0; b < mod_rows; b++)
        flm_cpu_fold(be, (float *)grad_mod->data + b * mod->dim[1] + gate_at, sums + b * blocks * d, blocks, d, d,
                     false);
done:
    return rc;
}
