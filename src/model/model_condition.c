/* model_condition.c - timestep embedding, condition and modulation, forward and backward, all f32.
 * Source: model.md section 2. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_internal.h"

flm_status flm_dit_embed_time(flm_backend *be, const flm_tensor *t, const flm_tensor *features, const flm_tensor *h,
                              const flm_tensor *act, const flm_tensor *const w[4], const flm_tensor *out,
                              bool accumulate)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_op_timestep_features(be, features, t));
    FLM_TRY(flm_dit_matmul(be, features, false, w[0], true, h, false, w[1], NULL));
    FLM_TRY(flm_op_silu(be, act, h));
    FLM_TRY(flm_dit_matmul(be, act, false, w[2], true, out, accumulate, w[3], NULL));
done:
    return rc;
}

/* Context tokens are known: their times are (1, 1), in the conditions behind those of the active tokens (section 10).
 */
static flm_status set_context_times(flm_dit *dit)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const size_t bytes = (size_t)dit->B * sizeof(float);
    FLM_TRY(be->memory->copy(be, (float *)dit->t.data + dit->B, dit->ones.data, bytes));
    FLM_TRY(be->memory->copy(be, (float *)dit->t_end.data + dit->B, dit->ones.data, bytes));
done:
    return rc;
}

flm_status flm_dit_condition(flm_dit *dit, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const flm_dit_weights *w = &weights->w;
    const flm_tensor t = conditions_of(dit, &dit->t), features = conditions_of(dit, &dit->features);
    const flm_tensor h = conditions_of(dit, &dit->time_h), act = conditions_of(dit, &dit->time_act);
    const flm_tensor out = conditions_of(dit, &dit->time_out), cond = conditions_of(dit, &dit->cond);
    const flm_tensor *const time[] = {&w->time_W1, &w->time_b1, &w->time_W2, &w->time_b2};
    const flm_tensor *const t_end[] = {&w->t_end_W1, &w->t_end_b1, &w->t_end_W2, &w->t_end_b2};
    if (dit->conditions > dit->B) FLM_TRY(set_context_times(dit));
    FLM_TRY(flm_dit_embed_time(be, &t, &features, &h, &act, time, &out, false));
    if (weights->shape.network != FLM_NETWORK_ONE_TIME) {
        const flm_tensor u = conditions_of(dit, &dit->t_end), u_features = conditions_of(dit, &dit->t_end_features);
        const flm_tensor u_h = conditions_of(dit, &dit->t_end_h), u_act = conditions_of(dit, &dit->t_end_act);
        FLM_TRY(flm_dit_embed_time(be, &u, &u_features, &u_h, &u_act, t_end, &out, true));
    }
    FLM_TRY(flm_op_silu(be, &cond, &out));
done:
    return rc;
}

flm_status flm_dit_embed_time_backward(flm_backend *be, const flm_tensor *grad_out, const flm_tensor *features,
                                       const flm_tensor *h, const flm_tensor *act, const flm_tensor *W2,
                                       const flm_tensor *const grad[4], const flm_tensor *grad_h)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_dit_matmul(be, grad_out, true, act, false, grad[2], true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(be, grad[3], grad_out));
    FLM_TRY(flm_dit_matmul(be, grad_out, false, W2, false, grad_h, false, NULL, NULL));
    FLM_TRY(flm_op_silu_backward(be, grad_h, grad_h, h));
    FLM_TRY(flm_dit_matmul(be, grad_h, true, features, false, grad[0], true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(be, grad[1], grad_h));
done:
    return rc;
}

flm_status flm_dit_condition_backward(flm_dit *dit, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const flm_dit_weights *w = &weights->w, *grad = &weights->grad;
    const flm_tensor features = conditions_of(dit, &dit->features), h = conditions_of(dit, &dit->time_h);
    const flm_tensor act = conditions_of(dit, &dit->time_act), out = conditions_of(dit, &dit->time_out);
    const flm_tensor grad_cond = conditions_of(dit, &dit->grad_cond);
    const flm_tensor grad_out = conditions_of(dit, &dit->grad_c1), grad_h = conditions_of(dit, &dit->grad_c2);
    const flm_tensor *const time[] = {&grad->time_W1, &grad->time_b1, &grad->time_W2, &grad->time_b2};
    const flm_tensor *const t_end[] = {&grad->t_end_W1, &grad->t_end_b1, &grad->t_end_W2, &grad->t_end_b2};
    FLM_TRY(flm_op_silu_backward(be, &grad_out, &grad_cond, &out));
    FLM_TRY(flm_dit_embed_time_backward(be, &grad_out, &features, &h, &act, &w->time_W2, time, &grad_h));
    if (weights->shape.network != FLM_NETWORK_ONE_TIME) {
        const flm_tensor u_features = conditions_of(dit, &dit->t_end_features), u_h = conditions_of(dit, &dit->t_end_h);
        const flm_tensor u_act = conditions_of(dit, &dit->t_end_act);
        FLM_TRY(flm_dit_embed_time_backward(be, &grad_out, &u_features, &u_h, &u_act, &w->t_end_W2, t_end, &grad_h));
    }
done:
    return rc;
}

flm_status flm_dit_modulation(flm_dit *dit, const flm_tensor *mod, const flm_tensor *A, const flm_tensor *a)
{
    const flm_tensor cond = conditions_of(dit, &dit->cond);
    return flm_dit_matmul(dit->be, &cond, false, A, true, mod, false, a, NULL);
}

flm_status flm_dit_modulation_backward(flm_dit *dit, const flm_tensor *grad_mod, const flm_tensor *A,
                                       const flm_tensor *grad_A, const flm_tensor *grad_a)
{
    flm_status rc = FLM_OK;
    const flm_tensor cond = conditions_of(dit, &dit->cond), grad_cond = conditions_of(dit, &dit->grad_cond);
    FLM_TRY(flm_dit_matmul(dit->be, grad_mod, true, &cond, false, grad_A, true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(dit->be, grad_a, grad_mod));
    FLM_TRY(flm_dit_matmul(dit->be, grad_mod, false, A, false, &grad_cond, true, NULL, NULL));
done:
    return rc;
}
