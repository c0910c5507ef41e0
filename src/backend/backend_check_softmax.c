/* backend_check_softmax.c - arguments of what is made over the vocabulary. See backend_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

flm_status flm_check_softmax_xent(const flm_tensor *loss, const flm_tensor *grad, const flm_tensor *logits,
                                  const flm_tensor *target, float scale)
{
    flm_status rc = FLM_OK;
    const int64_t R = logits->dim[0], V = logits->dim[1];
    (void)scale;
    FLM_TRY(flm_tensor_expect(logits, "softmax_xent: logits", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
    FLM_TRY(flm_tensor_expect(target, "softmax_xent: target", FLM_DTYPE_I32, 1, &R));
    FLM_TRY(flm_tensor_expect(loss, "softmax_xent: loss", FLM_DTYPE_F32, 1, &R));
    if (grad->data) FLM_TRY(flm_check_act(grad, "softmax_xent: grad", 2, logits->dim));
done:
    return rc;
}

flm_status flm_check_softmax(const flm_tensor *p, const flm_tensor *logits)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(logits, "softmax: logits", FLM_DTYPE_F32, 2, logits->dim));
    FLM_TRY(flm_check_act(p, "softmax: p", 2, logits->dim));
done:
    return rc;
}

flm_status flm_check_argmax(const flm_tensor *index, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0], V = x->dim[1];
    FLM_TRY(flm_tensor_expect(x, "argmax: x", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
    FLM_TRY(flm_tensor_expect(index, "argmax: index", FLM_DTYPE_I32, 1, &R));
    if (R > 0 && (V < 1 || V > INT32_MAX))
        FLM_FAIL(FLM_E_SHAPE, "argmax: rows of %lld, must be of 1 to %ld", (long long)V, (long)INT32_MAX);
done:
    return rc;
}

flm_status flm_check_distill_error(const flm_distill_error *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->from->dim[0], V = p->from->dim[1];
    const int64_t logits[] = {R, V}, coefficients[] = {R, FLM_DISTILL_COEFFICIENTS};
    FLM_TRY(flm_tensor_expect(p->from, "distill_error: from", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect(p->to, "distill_error: to", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect(p->residual, "distill_error: residual", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect(p->bias, "distill_error: bias", FLM_DTYPE_F32, 1, &V));
    FLM_TRY(flm_tensor_expect(p->coefficient, "distill_error: coefficient", FLM_DTYPE_F32, 2, coefficients));
    FLM_TRY(flm_tensor_expect(p->loss, "distill_error: loss", FLM_DTYPE_F32, 1, &R));
    if (p->grad->data) FLM_TRY(flm_check_act(p->grad, "distill_error: grad", 2, logits));
    if (R > 0 && V < 1) FLM_FAIL(FLM_E_SHAPE, "distill_error: rows without entries");
done:
    return rc;
}
