/* model_head.c - logits, loss and mean embedding over chunks of rows: no B x L x V array anywhere.
 * Source: model.md sections 5 and 8. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_internal.h"

/* Rows [first, first + rows) of y [B, L, d] seen as [B L, d]. */
static flm_tensor rows_of(const flm_dit *dit, const flm_tensor *t, int64_t first, int64_t rows)
{
    const flm_tensor batch = batch_of(dit, t), flat = flm_tensor_flat(&batch);
    return flm_tensor_slice(&flat, first, rows);
}

/* Rows of the chunk that begins at `first`, of `total` rows. */
static int64_t chunk_rows(const flm_dit *dit, int64_t first, int64_t total)
{
    const int64_t left = total - first;
    return left < dit->chunk ? left : dit->chunk;
}

flm_status flm_dit_head_logits(flm_dit *dit, const flm_weights *weights, int64_t first, int64_t rows)
{
    const flm_tensor y = rows_of(dit, &dit->y, first, rows), logits = flm_tensor_slice(&dit->logits, 0, rows);
    return flm_dit_matmul(dit->be, &y, false, &weights->w.Wout, true, &logits, false, &weights->w.bout, NULL);
}

flm_status flm_dit_head_backward(flm_dit *dit, const flm_weights *weights, const flm_tensor *grad, int64_t first)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const int64_t rows = grad->dim[0];
    const flm_tensor y = rows_of(dit, &dit->y, first, rows), grad_y = rows_of(dit, &dit->grad_y, first, rows);
    FLM_TRY(flm_dit_matmul(be, grad, true, &y, false, &weights->grad.Wout, true, NULL, NULL));
    FLM_TRY(flm_op_column_sum(be, &weights->grad.bout, grad));
    FLM_TRY(flm_dit_matmul(be, grad, false, &weights->w.Wout, false, &grad_y, false, NULL, NULL));
done:
    return rc;
}

flm_status flm_dit_head_loss(flm_dit *dit, const flm_weights *weights, const flm_tensor *tokens, float scale,
                             const flm_tensor *loss, bool backward)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const int64_t total = dit->B * dit->shape.L;
    const flm_tensor targets = flm_tensor_1d(tokens->data, FLM_DTYPE_I32, total);
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = chunk_rows(dit, first, total);
        const flm_tensor logits = flm_tensor_slice(&dit->logits, 0, rows);
        const flm_tensor target = flm_tensor_slice(&targets, first, rows), losses = flm_tensor_slice(loss, first, rows);
        const flm_tensor grad = backward ? flm_tensor_slice(&dit->probs, 0, rows) : flm_tensor_none();
        FLM_TRY(flm_dit_head_logits(dit, weights, first, rows));
        FLM_TRY(flm_op_softmax_xent(be, &losses, &grad, &logits, &target, scale, (float)weights->shape.logit_cap));
        if (backward) FLM_TRY(flm_dit_head_backward(dit, weights, &grad, first));
    }
done:
    return rc;
}

flm_status flm_dit_head_mean_embedding(flm_dit *dit, const flm_weights *weights, int count, const flm_tensor *E,
                                       const flm_tensor *mean)
{
    return flm_dit_head_mean_rows(dit, weights, dit->B * dit->shape.L, count, E, mean);
}

flm_status flm_dit_head_mean_rows(flm_dit *dit, const flm_weights *weights, int64_t total, int count,
                                  const flm_tensor *E, const flm_tensor *mean)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    flm_backend_hold(be, &weights->w.Wout);
    for (int k = 0; k < count; k++) flm_backend_hold(be, &E[k]);
    for (int64_t first = 0; first < total; first += dit->chunk) {
        const int64_t rows = chunk_rows(dit, first, total);
        const flm_tensor logits = flm_tensor_slice(&dit->logits, 0, rows), p = flm_tensor_slice(&dit->probs, 0, rows);
        FLM_TRY(flm_dit_head_logits(dit, weights, first, rows));
        FLM_TRY(flm_op_softmax(be, &p, &logits, (float)weights->shape.logit_cap));
        for (int k = 0; k < count; k++) {
            const flm_tensor to = rows_of(dit, &mean[k], first, rows);
            FLM_TRY(flm_dit_matmul(be, &p, false, &E[k], false, &to, false, NULL, NULL));
        }
    }
done:
    for (int k = 0; k < count; k++) flm_backend_let_go(be, &E[k]);
    flm_backend_let_go(be, &weights->w.Wout);
    return rc;
}

flm_status flm_dit_map_residual(flm_backend *be, const flm_weights *weights, const flm_tensor *E,
                                const flm_tensor *E_act, const flm_tensor *map, const flm_tensor *bias)
{
    flm_status rc = FLM_OK;
    const flm_tensor bout = flm_tensor_2d(weights->w.bout.data, FLM_DTYPE_F32, 1, weights->shape.V);
    FLM_TRY(flm_dit_matmul(be, &weights->w.Wout, true, E_act, false, map, false, NULL, NULL));
    FLM_TRY(flm_dit_matmul(be, &bout, false, E, false, bias, false, NULL, NULL));
done:
    return rc;
}
