/* backend_check_model.c - arguments of the DiT's fused pieces. See backend_check.h. SPDX-License-Identifier: Apache-2.0
 */
#include "backend/backend_check.h"

flm_status flm_check_layernorm_modulate(const flm_tensor *y, const flm_tensor *mean, const flm_tensor *rstd,
                                        const flm_tensor *x, const flm_tensor *w, const flm_tensor *mod,
                                        int64_t shift_at, int64_t scale_at)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "layernorm_modulate: x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_check_act(y, "layernorm_modulate: y", 3, x->dim));
    FLM_TRY(flm_tensor_expect(mean, "layernorm_modulate: mean", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(rstd, "layernorm_modulate: rstd", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(w, "layernorm_modulate: w", FLM_DTYPE_F32, 1, &d));
    FLM_TRY(flm_check_columns(mod, "layernorm_modulate: shift", B, shift_at, d));
    FLM_TRY(flm_check_columns(mod, "layernorm_modulate: scale", B, scale_at, d));
done:
    return rc;
}

flm_status flm_check_layernorm_modulate_backward(const flm_tensor *grad_x, const flm_tensor *grad_w,
                                                 const flm_tensor *grad_mod, const flm_tensor *grad_y,
                                                 const flm_tensor *x, const flm_tensor *mean, const flm_tensor *rstd,
                                                 const flm_tensor *w, const flm_tensor *mod, int64_t shift_at,
                                                 int64_t scale_at)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "layernorm_modulate_backward: x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(grad_x, "layernorm_modulate_backward: grad_x", FLM_DTYPE_F32, 3, x->dim));
    FLM_TRY(flm_check_act(grad_y, "layernorm_modulate_backward: grad_y", 3, x->dim));
    FLM_TRY(flm_tensor_expect(mean, "layernorm_modulate_backward: mean", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(rstd, "layernorm_modulate_backward: rstd", FLM_DTYPE_F32, 2, x->dim));
    FLM_TRY(flm_tensor_expect(w, "layernorm_modulate_backward: w", FLM_DTYPE_F32, 1, &d));
    FLM_TRY(flm_tensor_expect(grad_w, "layernorm_modulate_backward: grad_w", FLM_DTYPE_F32, 1, &d));
    FLM_TRY(flm_check_columns(mod, "layernorm_modulate_backward: shift", B, shift_at, d));
    FLM_TRY(flm_check_columns(mod, "layernorm_modulate_backward: scale", B, scale_at, d));
    FLM_TRY(flm_tensor_expect(grad_mod, "layernorm_modulate_backward: grad_mod", FLM_DTYPE_F32, 2, mod->dim));
done:
    return rc;
}

static flm_status check_dropout(const flm_dropout *dropout, const char *what)
{
    flm_status rc = FLM_OK;
    if (flm_dropout_threshold(dropout) > 65535)
        FLM_FAIL(FLM_E_ARG, "%s: dropout %g is not at least 0 and below 1", what, (double)dropout->p);
done:
    return rc;
}

flm_status flm_check_gate_residual(const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch,
                                   const flm_tensor *mod, int64_t gate_at, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "gate_residual: x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(y, "gate_residual: y", FLM_DTYPE_F32, 3, x->dim));
    FLM_TRY(flm_check_act(branch, "gate_residual: branch", 3, x->dim));
    FLM_TRY(flm_check_columns(mod, "gate_residual: gate", B, gate_at, d));
    FLM_TRY(check_dropout(dropout, "gate_residual"));
done:
    return rc;
}

flm_status flm_check_gate_residual_backward(const flm_tensor *grad_branch, const flm_tensor *grad_mod,
                                            const flm_tensor *grad_y, const flm_tensor *branch, const flm_tensor *mod,
                                            int64_t gate_at, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const char *op = "gate_residual_backward";
    const int64_t B = grad_y->dim[0], L = grad_y->dim[1], d = grad_y->dim[2];
    FLM_TRY(flm_tensor_expect(grad_y, op, FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_check_act(branch, "gate_residual_backward: branch", 3, grad_y->dim));
    FLM_TRY(flm_tensor_expect(grad_branch, "gate_residual_backward: grad_branch", branch->dtype, 3, grad_y->dim));
    FLM_TRY(flm_check_columns(mod, "gate_residual_backward: gate", B, gate_at, d));
    FLM_TRY(flm_tensor_expect(grad_mod, "gate_residual_backward: grad_mod", FLM_DTYPE_F32, 2, mod->dim));
    FLM_TRY(check_dropout(dropout, op));
done:
    return rc;
}

flm_status flm_check_gelu_backward(const flm_tensor *grad_x, const flm_tensor *grad_b, const flm_tensor *x,
                                   const flm_tensor *grad_y)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_check_act(x, "gelu_backward: x", 2, x->dim));
    FLM_TRY(flm_tensor_expect(grad_y, "gelu_backward: grad_y", x->dtype, 2, x->dim));
    FLM_TRY(flm_tensor_expect(grad_x, "gelu_backward: grad_x", x->dtype, 2, x->dim));
    FLM_TRY(flm_tensor_expect(grad_b, "gelu_backward: grad_b", FLM_DTYPE_F32, 1, &x->dim[1]));
done:
    return rc;
}

flm_status flm_check_silu(const flm_tensor *y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "silu: x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(y, "silu: y", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_silu_backward(const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "silu_backward: x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(grad_y, "silu_backward: grad_y", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(grad_x, "silu_backward: grad_x", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_gelu_erf(const flm_tensor *y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "gelu_erf: x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(y, "gelu_erf: y", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_gelu_erf_backward(const flm_tensor *grad_x, const flm_tensor *grad_y, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "gelu_erf_backward: x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(grad_y, "gelu_erf_backward: grad_y", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(grad_x, "gelu_erf_backward: grad_x", FLM_DTYPE_F32, x->ndim, x->dim));
done:
    return rc;
}

flm_status flm_check_timestep_features(const flm_tensor *out, const flm_tensor *t)
{
    flm_status rc = FLM_OK;
    const int64_t B = t->dim[0], F = out->dim[1];
    FLM_TRY(flm_tensor_expect(t, "timestep_features: t", FLM_DTYPE_F32, 1, &B));
    FLM_TRY(flm_tensor_expect(out, "timestep_features: out", FLM_DTYPE_F32, 2, (const int64_t[]){B, F}));
    if (F % 2 != 0) FLM_FAIL(FLM_E_SHAPE, "timestep_features: %lld features, must be even", (long long)F);
done:
    return rc;
}
