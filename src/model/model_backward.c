/* model_backward.c - the backward pass of the trunk, block by block, in the reverse order of model_dit.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/model_internal.h"

#include <assert.h>

static flm_status announce(const flm_dit_hook *hook, int bucket)
{
    return hook != NULL ? hook->ready(hook->context, bucket) : FLM_OK;
}

/* Of y = x W^T: grad_W += grad_y^T x, grad_x = grad_y W. */
static flm_status linear_backward(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_W,
                                  const flm_tensor *grad_y, const flm_tensor *x, const flm_tensor *W)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_dit_matmul(be, grad_y, true, x, false, grad_W, true, NULL, NULL));
    FLM_TRY(flm_dit_matmul(be, grad_y, false, W, false, grad_x, false, NULL, NULL));
done:
    return rc;
}

/* grad_wide as [B, L, last]. */
static flm_tensor wide_as(const flm_dit *dit, int64_t last)
{
    return flm_tensor_3d(dit->grad_wide.data, dit->act, dit->B, dit->shape.L, last);
}

static flm_status mlp_backward(flm_dit *dit, const flm_block_weights *w, const flm_block_weights *grad,
                               const flm_dit_block *b, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const int64_t d = dit->shape.d;
    const flm_tensor grad_x = batch_of(dit, &dit->grad_x), grad_mod = conditions_of(dit, &dit->grad_mod);
    const flm_tensor branch = batch_of(dit, &dit->grad_branch), wide = wide_as(dit, dit->shape.mlp_ratio * d);
    const flm_tensor wide2 = flm_tensor_flat(&wide), h_pre = flm_tensor_flat(&b->h_pre);
    const flm_tensor branch2 = flm_tensor_flat(&branch), context = context_of(dit);
    FLM_TRY(
        flm_op_gate_residual_backward(be, &branch, &grad_mod, &grad_x, &b->out, &b->mod, &context, GATE2 * d, dropout));
    FLM_TRY(flm_op_column_sum(be, &grad->b2, &branch2));
    FLM_TRY(linear_backward(be, &wide, &grad->W2, &branch, &b->h_act, &w->W2));
    FLM_TRY(flm_op_gelu_backward(be, &wide2, &grad->b1, &h_pre, &wide2));
    FLM_TRY(linear_backward(be, &branch, &grad->W1, &wide, &b->y2, &w->W1));
    FLM_TRY(flm_op_layernorm_modulate_backward(be, &grad_x, &grad->w2, &grad_mod, &branch, &b->x_mid, &b->mean2,
                                               &b->rstd2, &w->w2, &b->mod, &context, SHIFT2 * d, SCALE2 * d));
done:
    return rc;
}

static flm_status attention_backward(flm_dit *dit, const flm_block_weights *w, const flm_block_weights *grad,
                                     const flm_dit_block *b, const flm_dropout *dropout)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const int64_t d = dit->shape.d;
    const flm_tensor grad_x = batch_of(dit, &dit->grad_x), grad_mod = conditions_of(dit, &dit->grad_mod);
    const flm_tensor branch = batch_of(dit, &dit->grad_branch), grad_o = batch_of(dit, &dit->grad_y);
    const flm_tensor grad_qkv = wide_as(dit, 3 * d), rope = dit->rope, context = context_of(dit);
    FLM_TRY(flm_op_gate_residual_backward(be, &branch, &grad_mod, &grad_x, &b->proj, &b->mod, &context, GATE1 * d,
                                          dropout));
    FLM_TRY(linear_backward(be, &grad_o, &grad->Wo, &branch, &b->o, &w->Wo));
    FLM_TRY(flm_op_attention_backward(be, &grad_qkv, &grad_o, &b->o, &b->qkv, &b->lse, dit->shape.H,
                                      (float)dit->shape.softcap, &rope));
    FLM_TRY(linear_backward(be, &branch, &grad->Wqkv, &grad_qkv, &b->y1, &w->Wqkv));
    FLM_TRY(flm_op_layernorm_modulate_backward(be, &grad_x, &grad->w1, &grad_mod, &branch, &b->x, &b->mean1, &b->rstd1,
                                               &w->w1, &b->mod, &context, SHIFT1 * d, SCALE1 * d));
done:
    return rc;
}

static flm_status head_backward(flm_dit *dit, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const flm_dit_weights *w = &weights->w, *grad = &weights->grad;
    const flm_tensor grad_x = batch_of(dit, &dit->grad_x), grad_y = batch_of(dit, &dit->grad_y);
    const flm_tensor x = batch_of(dit, &dit->x_out), mod = conditions_of(dit, &dit->mod_out);
    const flm_tensor mean = batch_of(dit, &dit->mean_out), rstd = batch_of(dit, &dit->rstd_out);
    const flm_tensor grad_mod = conditions_of(dit, &dit->grad_mod_out), grad_cond = conditions_of(dit, &dit->grad_cond);
    const flm_tensor context = context_of(dit);
    FLM_TRY(be->memory->zero(be, grad_x.data, flm_tensor_bytes(&grad_x)));
    FLM_TRY(be->memory->zero(be, grad_cond.data, flm_tensor_bytes(&grad_cond)));
    FLM_TRY(flm_op_layernorm_modulate_backward(be, &grad_x, &grad->wf, &grad_mod, &grad_y, &x, &mean, &rstd, &w->wf,
                                               &mod, &context, 0, dit->shape.d));
    FLM_TRY(flm_dit_modulation_backward(dit, &grad_mod, &w->Af, &grad->Af, &grad->af));
done:
    return rc;
}

flm_status flm_dit_backward(flm_dit *dit, const flm_weights *weights, const flm_dit_dropout *dropout,
                            const flm_dit_hook *hook)
{
    flm_status rc = FLM_OK;
    assert(dit->memory != FLM_DIT_INFERENCE);
    const flm_tensor grad_mod = conditions_of(dit, &dit->grad_mod);
    FLM_TRY(announce(hook, flm_bucket_head_matrix(dit->shape.N)));
    FLM_TRY(head_backward(dit, weights));
    FLM_TRY(announce(hook, flm_bucket_head_small(dit->shape.N)));
    for (int64_t i = dit->shape.N - 1; i >= 0; i--) {
        const flm_dit_block b = flm_dit_block_view(dit, i);
        const flm_block_weights *w = &weights->w.block[i], *grad = &weights->grad.block[i];
        const flm_dropout first = flm_dit_site(dropout, i, 0), second = flm_dit_site(dropout, i, 1);
        /* The last block still has its activations from the forward pass. */
        if (dit->memory == FLM_DIT_RECOMPUTE && i + 1 < dit->shape.N)
            FLM_TRY(flm_dit_block_forward(dit, w, i, NULL, dropout));
        const bool again = dit->memory == FLM_DIT_STORE_PRODUCTS && i + 1 < dit->shape.N;
        if (again) FLM_TRY(flm_dit_block_mlp_input(dit, w, i, dropout));
        if (again) FLM_TRY(flm_op_gelu(dit->be, &b.h_act, &b.h_pre));
        FLM_TRY(mlp_backward(dit, w, grad, &b, &second));
        if (again) FLM_TRY(flm_dit_block_attention_input(dit, w, i));
        FLM_TRY(attention_backward(dit, w, grad, &b, &first));
        FLM_TRY(announce(hook, flm_bucket_block_matrices(i)));
        FLM_TRY(flm_dit_modulation_backward(dit, &grad_mod, &w->A, &grad->A, &grad->a));
        FLM_TRY(announce(hook, flm_bucket_block_small(i)));
    }
    FLM_TRY(flm_dit_condition_backward(dit, weights));
    FLM_TRY(announce(hook, FLM_BUCKET_TIME));
done:
    return rc;
}
