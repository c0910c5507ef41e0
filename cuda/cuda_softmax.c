/* cuda_softmax.c - operations over the vocabulary: softmax, cross entropies, argmax, drawn tokens, the error of a
 * distillation. See backend_ops.def. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "cuda/kernel/kernel_choose.h"

flm_status flm_cuda_softmax_xent(flm_backend *be, const flm_tensor *loss, const flm_tensor *grad,
                                 const flm_tensor *logits, const flm_tensor *target, float scale, float logit_cap)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_softmax_xent(loss->data, grad->data, grad->dtype == FLM_DTYPE_BF16,
                                          flm_tensor_row_stride(grad), logits->data, flm_tensor_row_stride(logits),
                                          target->data, scale, logit_cap, logits->dim[0], logits->dim[1],
                                          flm_cuda_of(be)->max_shared, flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_softmax(flm_backend *be, const flm_tensor *p, const flm_tensor *logits, float logit_cap)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_softmax(p->data, p->dtype == FLM_DTYPE_BF16, flm_tensor_row_stride(p), logits->data,
                                     flm_tensor_row_stride(logits), logit_cap, logits->dim[0], logits->dim[1],
                                     flm_cuda_of(be)->max_shared, flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_argmax(flm_backend *be, const flm_tensor *index, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_argmax(index->data, x->data, flm_tensor_row_stride(x), x->dim[0], x->dim[1],
                                    flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_choose(flm_backend *be, const flm_choose *p)
{
    flm_status rc = FLM_OK;
    const flm_cuda_choice rows = {.index = p->index->data,
                                  .place = p->place->data,
                                  .confidence = p->confidence->data,
                                  .x = p->x->data,
                                  .cap = p->logit_cap,
                                  .linear = p->linear,
                                  .temperature = p->temperature,
                                  .top_p = p->top_p,
                                  .top_k = p->top_k,
                                  .first_sample = p->first_sample,
                                  .first_row = p->first_row,
                                  .L = p->L,
                                  .stream = p->stream,
                                  .R = p->x->dim[0],
                                  .V = p->x->dim[1],
                                  .row_stride = flm_tensor_row_stride(p->x)};
    FLM_CUDA(flm_cuda_launch_choose(&rows, flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_distill_error(flm_backend *be, const flm_distill_error *p)
{
    flm_status rc = FLM_OK;
    const flm_cuda_distill rows = {.loss = p->loss->data,
                                   .residual = p->residual->data,
                                   .from = p->from->data,
                                   .to = p->to->data,
                                   .bias = p->bias->data,
                                   .coefficient = p->coefficient->data,
                                   .cap = p->logit_cap,
                                   .R = p->from->dim[0],
                                   .V = p->from->dim[1],
                                   .residual_row_stride = flm_tensor_row_stride(p->residual),
                                   .from_row_stride = flm_tensor_row_stride(p->from),
                                   .to_row_stride = flm_tensor_row_stride(p->to),
                                   .grad_row_stride = flm_tensor_row_stride(p->grad)};
    FLM_CUDA(flm_cuda_launch_distill_error(&rows, p->grad->data, p->grad->dtype == FLM_DTYPE_BF16, p->softmax_backward,
                                           flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_distill_weigh(flm_backend *be, const flm_tensor *coefficient, const flm_tensor *l,
                                  const flm_tensor *factor, double scale)
{
    flm_status rc = FLM_OK;
    FLM_CUDA(flm_cuda_launch_distill_weigh(coefficient->data, l->data, factor->data, scale, coefficient->dim[0],
                                           l->dim[0], flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_distill_loss(flm_backend *be, const flm_tensor *total, const flm_tensor *grad_l,
                                 const flm_tensor *loss, const flm_tensor *l, double scale)
{
    flm_status rc = FLM_OK;
    const int64_t B = l->dim[0];
    void *sums = NULL;
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_SUMS, (size_t)B * sizeof(double), &sums));
    FLM_CUDA(flm_cuda_launch_distill_loss(total->data, grad_l->data, sums, loss->data, l->data, scale, loss->dim[0], B,
                                          flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_mixture_xent(flm_backend *be, const flm_mixture_xent *p)
{
    flm_status rc = FLM_OK;
    const flm_cuda_mixture rows = {.loss = p->loss->data,
                                   .logits = p->logits->data,
                                   .first = p->first->data,
                                   .second = p->second->data,
                                   .weight = p->weight->data,
                                   .scale = p->scale,
                                   .cap = p->logit_cap,
                                   .R = p->logits->dim[0],
                                   .V = p->logits->dim[1],
                                   .logits_row_stride = flm_tensor_row_stride(p->logits),
                                   .first_row_stride = flm_tensor_row_stride(p->first),
                                   .second_row_stride = flm_tensor_row_stride(p->second),
                                   .grad_row_stride = flm_tensor_row_stride(p->grad)};
    FLM_CUDA(
        flm_cuda_launch_mixture_xent(&rows, p->grad->data, p->grad->dtype == FLM_DTYPE_BF16, flm_cuda_of(be)->stream));
done:
    return rc;
}
