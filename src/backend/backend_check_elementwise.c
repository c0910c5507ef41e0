/* backend_check_elementwise.c - arguments of elementwise ops, reductions and the optimiser. See backend_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

flm_status flm_check_column_sum(const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_check_act_rows(x, "x", 2, x->dim));
    FLM_TRY(flm_tensor_expect(out, "out", FLM_DTYPE_F32, 1, &x->dim[1]));
done:
    return rc;
}

flm_status flm_check_axpby(const flm_tensor *y, float a, const flm_tensor *x, float b)
{
    flm_status rc = FLM_OK;
    (void)a;
    (void)b;
    FLM_TRY(flm_tensor_expect_rows(x, "x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect_rows(y, "y", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_axpby_scaled(const flm_tensor *y, float a, const flm_tensor *x, const flm_tensor *b)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_check_axpby(y, a, x, 0));
    FLM_TRY(flm_tensor_expect(b, "b", FLM_DTYPE_F32, 1, (const int64_t[]){1}));
done:
    return rc;
}

flm_status flm_check_cast(const flm_tensor *to, const flm_tensor *from)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect_rows(from, "from", from->dtype, from->ndim, from->dim));
    FLM_TRY(flm_tensor_expect_rows(to, "to", to->dtype, from->ndim, from->dim));
    if (from->dtype == FLM_DTYPE_I32 || to->dtype == FLM_DTYPE_I32)
        FLM_FAIL(FLM_E_UNSUPPORTED, "from %s to %s", flm_dtype_name(from->dtype), flm_dtype_name(to->dtype));
done:
    return rc;
}

static flm_status check_sum(const flm_tensor *out, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(out, "out", FLM_DTYPE_F64, 1, (const int64_t[]){1}));
done:
    return rc;
}

flm_status flm_check_sum(const flm_tensor *out, const flm_tensor *x) { return check_sum(out, x); }

flm_status flm_check_sum_squares(const flm_tensor *out, const flm_tensor *x) { return check_sum(out, x); }

flm_status flm_check_adamw(const flm_adamw *p)
{
    flm_status rc = FLM_OK;
    const int64_t n = p->w.dim[0];
    FLM_TRY(flm_tensor_expect(&p->w, "w", FLM_DTYPE_F32, 1, &n));
    FLM_TRY(flm_tensor_expect(&p->m, "m", FLM_DTYPE_F32, 1, &n));
    FLM_TRY(flm_tensor_expect(&p->v, "v", FLM_DTYPE_F32, 1, &n));
    FLM_TRY(flm_tensor_expect(&p->grad, "grad", FLM_DTYPE_F32, 1, &n));
    if (p->ema.data) FLM_TRY(flm_tensor_expect(&p->ema, "ema", FLM_DTYPE_F32, 1, &n));
    if (p->cast.data) FLM_TRY(flm_tensor_expect(&p->cast, "cast", FLM_DTYPE_BF16, 1, &n));
done:
    return rc;
}
