/* model_condition.c - the timestep embedding, the condition and the modulations, forward and backward. All f32.
 * Source: model.md section 2. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_internal.h"

flm_status flm_dit_condition(flm_dit *dit, const flm_dit_weights *w)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const flm_tensor t = batch_of(dit, &dit->t), features = batch_of(dit, &dit->features);
    const flm_tensor h = batch_of(dit, &dit->time_h), act = batch_of(dit, &dit->time_act);
    const flm_tensor out = batch_of(dit, &dit->time_out), cond = batch_of(dit, &dit->cond);
    FLM_TRY(be->ops->timestep_features(be, &features, &t));
    FLM_TRY(flm_dit_product(be, &features, false, &w->time_W1, true, &h, false, &w->time_b1, NULL));
    FLM_TRY(be->ops->silu(be, &act, &h));
    FLM_TRY(flm_dit_product(be, &act, false, &w->time_W2, true, &out, false, &w->time_b2, NULL));
    FLM_TRY(be->ops->silu(be, &cond, &out));
done:
    return rc;
}

flm_status flm_dit_condition_backward(flm_dit *dit, const flm_dit_weights *w, const flm_dit_weights *grad)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const flm_tensor features = batch_of(dit, &dit->features), h = batch_of(dit, &dit->time_h);
    const flm_tensor act = batch_of(dit, &dit->time_act), out = batch_of(dit, &dit->time_out);
    const flm_tensor grad_cond = batch_of(dit, &dit->grad_cond);
    const flm_tensor grad_out = batch_of(dit, &dit->grad_c1), grad_h = batch_of(dit, &dit->grad_c2);
    FLM_TRY(be->ops->silu_backward(be, &grad_out, &grad_cond, &out));
    FLM_TRY(flm_dit_product(be, &grad_out, true, &act, false, &grad->time_W2, true, NULL, NULL));
    FLM_TRY(be->ops->column_sum(be, &grad->time_b2, &grad_out));
    FLM_TRY(flm_dit_product(be, &grad_out, false, &w->time_W2, false, &grad_h, false, NULL, NULL));
    FLM_TRY(be->ops->silu_backward(be, &grad_h, &grad_h, &h));
    FLM_TRY(flm_dit_product(be, &grad_h, true, &features, false, &grad->time_W1, true, NULL, NULL));
    FLM_TRY(be->ops->column_sum(be, &grad->time_b1, &grad_h));
done:
    return rc;
}

flm_status flm_dit_modulation(flm_dit *dit, const flm_tensor *mod, const flm_tensor *A, const flm_tensor *a)
{
    const flm_tensor cond = batch_of(dit, &dit->cond);
    return flm_dit_product(dit->be, &cond, false, A, true, mod, false, a, NULL);
}

flm_status flm_dit_modulation_backward(flm_dit *dit, const flm_tensor *grad_mod, const flm_tensor *A,
                                       const flm_tensor *grad_A, const flm_tensor *grad_a)
{
    flm_status rc = FLM_OK;
    const flm_tensor cond = batch_of(dit, &dit->cond), grad_cond = batch_of(dit, &dit->grad_cond);
    FLM_TRY(flm_dit_product(dit->be, grad_mod, true, &cond, false, grad_A, true, NULL, NULL));
    FLM_TRY(dit->be->ops->column_sum(dit->be, grad_a, grad_mod));
    FLM_TRY(flm_dit_product(dit->be, grad_mod, false, A, false, &grad_cond, true, NULL, NULL));
done:
    return rc;
}
