/* cuda_embed.c - states in embedded form, their gradients, combinations of samples, and normal random numbers. See
 * backend_ops.def. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "cuda/kernel/kernel_choose.h"
#include "cuda/kernel/shape.h"

/* Rows of x that share an element of g: the positions of a sequence, or 1. */
static int64_t rows_per(const flm_tensor *g, const flm_tensor *x) { return g->ndim == 1 ? x->dim[1] : 1; }

flm_status flm_cuda_embed_state(flm_backend *be, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                                const flm_tensor *tokens, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_embed_state(x->data, noise->data, E->data, tokens->data, g->data, flm_tensor_rows(x),
                                         rows_per(g, x), x->dim[2], E->dim[0], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_embed_known(flm_backend *be, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                                const flm_tensor *tokens, float g)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_embed_known(x->data, noise->data, E->data, tokens->data, g, flm_tensor_rows(x), x->dim[2],
                                         E->dim[0], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_embed_learned(flm_backend *be, const flm_tensor *x, const flm_tensor *E, const flm_tensor *P,
                                  const flm_tensor *tokens, const flm_tensor *positions)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_embed_learned(x->data, E->data, P->data, tokens->data, positions->data, x->dim[0],
                                           x->dim[1], E->dim[0], P->dim[0], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_embed_scatter(flm_backend *be, const flm_tensor *grad_E, const flm_tensor *grad_x,
                                  const flm_tensor *tokens, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    const int64_t rows = flm_tensor_rows(grad_x), d = flm_tensor_last(grad_x), V = grad_E->dim[0];
    size_t sort_bytes = 0;
    void *scratch = NULL;
    if (rows > INT32_MAX || V > INT32_MAX)
        FLM_FAIL(FLM_E_UNSUPPORTED,
                 "embed_scatter: %lld tokens of a vocabulary of %lld; the cuda backend takes at most %ld of each",
                 (long long)rows, (long long)V, (long)INT32_MAX);
    if (rows == 0 || d == 0 || V == 0) goto done;
    FLM_CUDA(flm_cuda_sort_scratch(&sort_bytes, rows, flm_cuda_bits(V)));
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS, flm_cuda_scatter_layout(rows, d, sort_bytes).bytes, &scratch));
    FLM_CUDA(flm_cuda_launch_embed_scatter(grad_E->data, grad_x->data, tokens->data, g->data, scratch, sort_bytes, rows,
                                           rows_per(g, grad_x), d, V, flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_sample_scale(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    const int64_t B = flm_tensor_elements(g);
    FLM_CUDA(flm_cuda_launch_sample_scale(y->data, x->data, g->data, B, B ? flm_tensor_elements(x) / B : 0,
                                          cuda->processors, cuda->stream));
done:
    return rc;
}

flm_status flm_cuda_sample_combine(flm_backend *be, const flm_tensor *y, const flm_tensor *coefficient,
                                   const flm_tensor *x, int count)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    const int64_t B = y->dim[0];
    const void *from[FLM_COMBINE_MAX] = {NULL};
    for (int k = 0; k < count; k++) from[k] = x[k].data;
    FLM_CUDA(flm_cuda_launch_sample_combine(y->data, y->dtype == FLM_DTYPE_BF16, coefficient->data, from, count, B,
                                            B ? flm_tensor_elements(y) / B : 0, cuda->processors, cuda->stream));
done:
    return rc;
}

flm_status flm_cuda_gather_rows(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *index)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_gather_rows(y->data, y->dtype == FLM_DTYPE_BF16, x->data, index->data, y->dim[0],
                                         x->dim[0], x->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_scatter_rows(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *index)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_scatter_rows(y->data, y->dtype == FLM_DTYPE_BF16, x->data, index->data, x->dim[0],
                                          y->dim[0], y->dim[1], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_normal(flm_backend *be, const flm_tensor *out, uint64_t stream, int64_t first_sample)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_normal(out->data, stream, first_sample, out->dim[0], out->dim[1], out->dim[2],
                                    flm_cuda_of(be)->stream));
done:
    return rc;
}
