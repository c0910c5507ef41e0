/* backend_check_softmax.c - arguments of what is made over the vocabulary. See backend_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

/* What is written over its operand has its rows where that has them. */
static flm_status check_in_place(const flm_tensor *to, const flm_tensor *from, const char *what)
{
    flm_status rc = FLM_OK;
    if (to->data != NULL && to->data == from->data && flm_tensor_row_stride(to) != flm_tensor_row_stride(from))
        FLM_FAIL(FLM_E_SHAPE, "%s has rows %lld apart, in place of rows %lld apart", what,
                 (long long)flm_tensor_row_stride(to), (long long)flm_tensor_row_stride(from));
done:
    return rc;
}

flm_status flm_check_softmax_xent(const flm_tensor *loss, const flm_tensor *grad, const flm_tensor *logits,
                                  const flm_tensor *target, float scale)
{
    flm_status rc = FLM_OK;
    const int64_t R = logits->dim[0], V = logits->dim[1];
    (void)scale;
    FLM_TRY(flm_tensor_expect_rows(logits, "softmax_xent: logits", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
    FLM_TRY(flm_tensor_expect(target, "softmax_xent: target", FLM_DTYPE_I32, 1, &R));
    FLM_TRY(flm_tensor_expect(loss, "softmax_xent: loss", FLM_DTYPE_F32, 1, &R));
    if (grad->data) FLM_TRY(flm_check_act_rows(grad, "softmax_xent: grad", 2, logits->dim));
    FLM_TRY(check_in_place(grad, logits, "softmax_xent: grad"));
done:
    return rc;
}

flm_status flm_check_softmax(const flm_tensor *p, const flm_tensor *logits)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect_rows(logits, "softmax: logits", FLM_DTYPE_F32, 2, logits->dim));
    FLM_TRY(flm_check_act_rows(p, "softmax: p", 2, logits->dim));
    FLM_TRY(check_in_place(p, logits, "softmax: p"));
done:
    return rc;
}

flm_status flm_check_argmax(const flm_tensor *index, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0], V = x->dim[1];
    FLM_TRY(flm_tensor_expect_rows(x, "argmax: x", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
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
    FLM_TRY(flm_tensor_expect_rows(p->from, "distill_error: from", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect_rows(p->to, "distill_error: to", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect_rows(p->residual, "distill_error: residual", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect(p->bias, "distill_error: bias", FLM_DTYPE_F32, 1, &V));
    FLM_TRY(flm_tensor_expect(p->coefficient, "distill_error: coefficient", FLM_DTYPE_F32, 2, coefficients));
    FLM_TRY(flm_tensor_expect(p->loss, "distill_error: loss", FLM_DTYPE_F32, 1, &R));
    if (p->grad->data) FLM_TRY(flm_check_act_rows(p->grad, "distill_error: grad", 2, logits));
    FLM_TRY(check_in_place(p->grad, p->residual, "distill_error: grad"));
    FLM_TRY(check_in_place(p->grad, p->from, "distill_error: grad"));
    if (R > 0 && V < 1) FLM_FAIL(FLM_E_SHAPE, "distill_error: rows without entries");
done:
    return rc;
}
