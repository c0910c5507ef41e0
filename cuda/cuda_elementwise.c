/* cuda_elementwise.c - a x + b y, casts, sums in fp64, the scaling of Gram matrices. See backend_ops.def.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "cuda/kernel/shape.h"

/* b_at: NULL, or where the factor of y is on the device. */
static flm_status add(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, float b, const float *b_at)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    flm_cuda_axpby_rows rows = {.y = y->data,
                                .x = x->data,
                                .b_at = b_at,
                                .a = a,
                                .b = b,
                                .y_row_stride = flm_tensor_row_stride(y),
                                .x_row_stride = flm_tensor_row_stride(x)};
    flm_tensor_runs(y, x, &rows.rows, &rows.n);
    FLM_CUDA(flm_cuda_launch_axpby(&rows, cuda->processors, cuda->stream));
done:
    return rc;
}

flm_status flm_cuda_axpby(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, float b)
{
    return add(be, y, a, x, b, NULL);
}

flm_status flm_cuda_axpby_scaled(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x,
                                 const flm_tensor *b)
{
    return add(be, y, a, x, 0, b->data);
}

/* The kind of a dtype that cast supports. */
static flm_cuda_kind kind_of(flm_dtype dtype)
{
    return dtype == FLM_DTYPE_F32 ? FLM_CUDA_F32 : dtype == FLM_DTYPE_BF16 ? FLM_CUDA_BF16 : FLM_CUDA_F64;
}

flm_status flm_cuda_cast(flm_backend *be, const flm_tensor *to, const flm_tensor *from)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    flm_cuda_cast_rows rows = {.to = to->data,
                               .from = from->data,
                               .to_kind = kind_of(to->dtype),
                               .from_kind = kind_of(from->dtype),
                               .to_row_stride = flm_tensor_row_stride(to),
                               .from_row_stride = flm_tensor_row_stride(from)};
    flm_tensor_runs(to, from, &rows.rows, &rows.n);
    FLM_CUDA(flm_cuda_launch_cast(&rows, cuda->processors, cuda->stream));
done:
    return rc;
}

/* sum and sum_squares. */
static flm_status sum_all(flm_backend *be, const flm_tensor *out, const flm_tensor *x, bool squares)
{
    flm_status rc = FLM_OK;
    const int64_t n = flm_tensor_elements(x);
    void *scratch = NULL;
    FLM_TRY(
        flm_cuda_scratch(be, FLM_CUDA_SUMS, (size_t)flm_cuda_parts(n, FLM_CUDA_SUM_BLOCK) * sizeof(double), &scratch));
    FLM_CUDA(flm_cuda_launch_sum(out->data, scratch, x->data, n, squares, flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_sum(flm_backend *be, const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(sum_all(be, out, x, false));
done:
    return rc;
}

flm_status flm_cuda_sum_squares(flm_backend *be, const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(sum_all(be, out, x, true));
done:
    return rc;
}

flm_status flm_cuda_gram_scale(flm_backend *be, const flm_gram_scale *p)
{
    flm_status rc = FLM_OK;
    const int64_t k = p->scale->dim[0], d = p->gram->dim[1];
    void *scratch = NULL;
    if (d == 0) goto done;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS, (size_t)(k + 1) * sizeof(double), &scratch));
    FLM_CUDA(flm_cuda_launch_gram_scale(&(flm_cuda_gram_blocks){.R = p->R->data,
                                                                .scales = scratch,
                                                                .scale = p->scale->data,
                                                                .gram = p->gram->data,
                                                                .k = k,
                                                                .d = d,
                                                                .ridge = p->ridge,
                                                                .last_ridge = p->last_ridge,
                                                                .min_scale = FLM_GRAM_SCALE_MIN},
                                        flm_cuda_of(be)->stream));
done:
    return rc;
}
