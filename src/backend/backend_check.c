/* backend_check.c - see backend_check.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

flm_status flm_check_act(const flm_tensor *t, const char *what, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(t, what, t->dtype == FLM_DTYPE_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, ndim, dim));
done:
    return rc;
}

flm_status flm_check_act_rows(const flm_tensor *t, const char *what, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect_rows(t, what, t->dtype == FLM_DTYPE_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, ndim, dim));
done:
    return rc;
}

flm_status flm_check_columns(const flm_tensor *mod, const flm_tensor *context, const char *what, const flm_tensor *x,
                             int64_t at)
{
    flm_status rc = FLM_OK;
    const int64_t conditions = context->data != NULL ? 2 : 1, d = x->dim[2];
    if (context->data != NULL) FLM_TRY(flm_tensor_expect(context, "context", FLM_DTYPE_I32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(mod, what, FLM_DTYPE_F32, 2, (const int64_t[]){conditions * x->dim[0], -1}));
    if (at < 0 || at > mod->dim[1] - d)
        FLM_FAIL(FLM_E_SHAPE, "%s has %lld columns, not [%lld, %lld)", what, (long long)mod->dim[1], (long long)at,
                 (long long)(at + d));
done:
    return rc;
}
