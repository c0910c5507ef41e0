/* cpu_rows.c - see cpu_rows.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_rows.h"

enum { FOLD = 256 }; /* columns folded together */

flm_status flm_cpu_expect_act(const flm_tensor *t, const char *what, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(t, what, t->dtype == FLM_DTYPE_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, ndim, dim));
done:
    return rc;
}

flm_status flm_cpu_expect_columns(const flm_tensor *mod, const char *what, int64_t B, int64_t at, int64_t d)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(mod, what, FLM_DTYPE_F32, 2, (const int64_t[]){B, -1}));
    if (at < 0 || at > mod->dim[1] - d)
        FLM_FAIL(FLM_E_SHAPE, "%s has %lld columns, not [%lld, %lld)", what, (long long)mod->dim[1], (long long)at,
                 (long long)(at + d));
done:
    return rc;
}

FLM_SIMD static void fold_columns(float *to, const float *from, int64_t count, int64_t stride, int64_t n,
                                  bool accumulate)
{
    double total[FOLD];
    for (int64_t j = 0; j < n; j++) total[j] = accumulate ? (double)to[j] : 0.0;
    for (int64_t k = 0; k < count; k++)
#pragma omp simd
        for (int64_t j = 0; j < n; j++) total[j] += (double)from[k * stride + j];
    for (int64_t j = 0; j < n; j++) to[j] = (float)total[j];
}

void flm_cpu_fold(const flm_backend *be, float *to, const float *from, int64_t count, int64_t stride, int64_t n,
                  bool accumulate)
{
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t at = 0; at < n; at += FOLD)
        fold_columns(to + at, from + at, count, stride, n - at < FOLD ? n - at : FOLD, accumulate);
}
