/* backend_check_model.c - arguments of the DiT's fused pieces. See backend_check.h. SPDX-License-Identifier: Apache-2.0 */
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
