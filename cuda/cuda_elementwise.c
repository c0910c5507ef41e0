/* cuda_elementwise.c - a x + b y, casts, and sums in fp64. See backend_ops.def. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "cuda/kernel/shape.h"

flm_status flm_cuda_axpby(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, float b)
{
    flm_status rc = FLM_OK;
    const flm_cuda *cuda = flm_cuda_of(be);
    int64_t rows, n;
    flm_tensor_runs(y, x, &rows, &n);
    FLM_CUDA(flm_cuda_launch_axpby(y->data, flm_tensor_row_stride(y), a, x->data, flm_tensor_row_stride(x), b, rows, n,
                                   cuda->processors, cuda->stream));
done:
    return rc;
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
