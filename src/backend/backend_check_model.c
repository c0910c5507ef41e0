/* backend_check_model.c - arguments of the fused operations of the DiT. See backend_check.h. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "backend/backend_check.h"

flm_status flm_check_layernorm_modulate(const flm_tensor *y, const flm_tensor *mean, const flm_tensor *rstd,
                                        const flm_tensor *x, const flm_tensor *w, const flm_tensor *mod,
                                        const flm_tensor *context, int64_t shift_at, int64_t scale_at)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_check_act(y, "y", 3, x->dim));
    FLM_TRY(flm_tensor_expect(mean, "mean", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(rstd, "rstd", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(w, "w", FLM_DTYPE_F32, 1, &d));
    FLM_TRY(flm_check_columns(mod, context, "shift", x, shift_at));
    FLM_TRY(flm_check_columns(mod, context, "scale", x, scale_at));
done:
    return rc;
}

flm_status flm_check_layernorm_modulate_backward(const flm_tensor *grad_x, const flm_tensor *grad_w,
                                                 const flm_tensor *grad_mod, const flm_tensor *grad_y,
                                                 const flm_tensor *x, const flm_tensor *mean, const flm_tensor *rstd,
                                                 const flm_tensor *w, const flm_tensor *mod, const flm_tensor *context,
                                                 int64_t shift_at, int64_t scale_at)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(grad_x, "grad_x", FLM_DTYPE_F32, 3, x->dim));
    FLM_TRY(flm_check_act(grad_y, "grad_y", 3, x->dim));
    FLM_TRY(flm_tensor_expect(mean, "mean", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(rstd, "rstd", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(w, "w", FLM_DTYPE_F32, 1, &d));
    FLM_TRY(flm_tensor_expect(grad_w, "grad_w", FLM_DTYPE_F32, 1, &d));
    FLM_TRY(flm_check_columns(mod, context, "shift", x, shift_at));
    FLM_TRY(flm_check_columns(mod, context, "scale", x, scale_at));
    FLM_TRY(flm_tensor_expect(grad_mod, "grad_mod", FLM_DTYPE_F32, 2, mod->dim));
done:
    return rc;
}

static flm_status check_dropout(const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    if (flm_dropout_threshold(dropout) > 65535)
        FLM_FAIL(FLM_E_ARG, "dropout %g must be at least 0 and below 1", (double)dropout->p);
done:
    return rc;
}

flm_status flm_check_gate_residual(const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch,
                                   const flm_tensor *mod, const flm_tensor *context, int64_t gate_at,
                                   const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(y, "y", FLM_DTYPE_F32, 3, x->dim));
    FLM_TRY(flm_check_act(branch, "branch", 3, x->dim));
    FLM_TRY(flm_check_columns(mod, context, "gate", x, gate_at));
    FLM_TRY(check_dropout(dropout));
done:
    return rc;
}

flm_status flm_check_gate_residual_backward(const flm_tensor *grad_branch, const flm_tensor *grad_mod,
                                            const flm_tensor *grad_y, const flm_tensor *branch, const flm_tensor *mod,
                                            const flm_tensor *context, int64_t gate_at, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const int64_t B = grad_y->dim[0], L = grad_y->dim[1], d = grad_y->dim[2];
    FLM_TRY(flm_tensor_expect(grad_y, "grad_y", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_check_act(branch, "branch", 3, grad_y->dim));
    FLM_TRY(flm_tensor_expect(grad_branch, "grad_branch", branch->dtype, 3, grad_y->dim));
    FLM_TRY(flm_check_columns(mod, context, "gate", grad_y, gate_at));
    FLM_TRY(flm_tensor_expect(grad_mod, "grad_mod", FLM_DTYPE_F32, 2, mod->dim));
    FLM_TRY(check_dropout(dropout));
done:
    return rc;
}

flm_status flm_check_gelu_backward(const flm_tensor *grad_x, const flm_tensor *grad_b, const flm_tensor *x,
                                   const flm_tensor *grad_y)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_check_act(x, "x", 2, x->dim));
    FLM_TRY(flm_tensor_expect(grad_y, "grad_y", x->dtype, 2, x->dim));
    FLM_TRY(flm_tensor_expect(grad_x, "grad_x", x->dtype, 2, x->dim));
    FLM_TRY(flm_tensor_expect(grad_b, "grad_b", FLM_DTYPE_F32, 1, &x->dim[1]));
done:
    return rc;
}

/* y = f(x) and its backward pass, element by element in f32. */
static flm_status check_activation(const flm_tensor *y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(y, "y", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

static flm_status check_activation_backward(const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(grad_y, "grad_y", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(grad_x, "grad_x", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_silu(const flm_tensor *y, const flm_tensor *x) { return check_activation(y, x); }

flm_status flm_check_silu_backward(const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)
{
    return check_activation_backward(grad_x, grad_y, x);
}

flm_status flm_check_gelu(const flm_tensor *y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const flm_dtype act = x->dtype == FLM_DTYPE_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
    FLM_TRY(flm_tensor_expect(x, "x", act, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(y, "y", act, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_gelu_erf(const flm_tensor *y, const flm_tensor *x) { return check_activation(y, x); }

flm_status flm_check_gelu_erf_backward(const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)
{
    return check_activation_backward(grad_x, grad_y, x);
}

flm_status flm_check_timestep_features(const flm_tensor *out, const flm_tensor *t)
{
    flm_status rc = FLM_OK;
    const int64_t B = t->dim[0], F = out->dim[1];
    FLM_TRY(flm_tensor_expect(t, "t", FLM_DTYPE_F32, 1, &B));
    FLM_TRY(flm_tensor_expect(out, "out", FLM_DTYPE_F32, 2, (const int64_t[]){B, F}));
    if (F % 2 != 0) FLM_FAIL(FLM_E_SHAPE, "%lld features, must be even", (long long)F);
done:
    return rc;
}
