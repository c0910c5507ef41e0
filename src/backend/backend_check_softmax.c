/* backend_check_softmax.c - arguments of operations over the vocabulary. See backend_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

/* An output in place of its operand must have the operand's row stride. */
static flm_status check_in_place(const flm_tensor *to, const flm_tensor *from, const char *what)
{
    flm_status rc = FLM_OK;
    if (to->data != NULL && to->data == from->data && flm_tensor_row_stride(to) != flm_tensor_row_stride(from))
        FLM_FAIL(FLM_E_SHAPE, "%s has row stride %lld but shares memory with a tensor of row stride %lld", what,
                 (long long)flm_tensor_row_stride(to), (long long)flm_tensor_row_stride(from));
done:
    return rc;
}

static flm_status check_logit_cap(float cap)
{
    flm_status rc = FLM_OK;
    if (cap != 0 && !(cap >= (float)FLM_LOGIT_CAP_MIN && cap <= (float)FLM_LOGIT_CAP_MAX))
        FLM_FAIL(FLM_E_ARG, "the logit cap is %g, must be 0 (none) or from %g to %g", (double)cap, FLM_LOGIT_CAP_MIN,
                 FLM_LOGIT_CAP_MAX);
done:
    return rc;
}

flm_status flm_check_softmax_xent(const flm_tensor *loss, const flm_tensor *grad, const flm_tensor *logits,
                                  const flm_tensor *target, float scale, float logit_cap)
{
    flm_status rc = FLM_OK;
    const int64_t R = logits->dim[0], V = logits->dim[1];
    (void)scale;
    FLM_TRY(flm_tensor_expect_rows(logits, "logits", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
    FLM_TRY(flm_tensor_expect(target, "target", FLM_DTYPE_I32, 1, &R));
    FLM_TRY(flm_tensor_expect(loss, "loss", FLM_DTYPE_F32, 1, &R));
    if (grad->data) FLM_TRY(flm_check_act_rows(grad, "grad", 2, logits->dim));
    FLM_TRY(check_in_place(grad, logits, "grad"));
    FLM_TRY(check_logit_cap(logit_cap));
done:
    return rc;
}

flm_status flm_check_softmax(const flm_tensor *p, const flm_tensor *logits, float logit_cap)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect_rows(logits, "logits", FLM_DTYPE_F32, 2, logits->dim));
    FLM_TRY(flm_check_act_rows(p, "p", 2, logits->dim));
    FLM_TRY(check_in_place(p, logits, "p"));
    FLM_TRY(check_logit_cap(logit_cap));
done:
    return rc;
}

flm_status flm_check_argmax(const flm_tensor *index, const flm_tensor *x)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0], V = x->dim[1];
    FLM_TRY(flm_tensor_expect_rows(x, "x", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
    FLM_TRY(flm_tensor_expect(index, "index", FLM_DTYPE_I32, 1, &R));
    if (R > 0 && (V < 1 || V > INT32_MAX))
        FLM_FAIL(FLM_E_SHAPE, "rows have %lld entries, must have 1 to %ld", (long long)V, (long)INT32_MAX);
done:
    return rc;
}

static flm_status check_choice(const flm_choose *p)
{
    flm_status rc = FLM_OK;
    if (p->temperature != 0 && !(p->temperature >= FLM_TEMPERATURE_MIN && p->temperature <= FLM_TEMPERATURE_MAX))
        FLM_FAIL(FLM_E_ARG, "the temperature is %g, must be 0 or from %g to %g", p->temperature, FLM_TEMPERATURE_MIN,
                 FLM_TEMPERATURE_MAX);
    if (p->temperature != 0 && !(p->top_p > 0 && p->top_p <= 1))
        FLM_FAIL(FLM_E_ARG, "top-p is %g, must be above 0 and at most 1", p->top_p);
    if (p->temperature != 0 && p->top_k < 0)
        FLM_FAIL(FLM_E_ARG, "top-k is %lld, must not be negative", (long long)p->top_k);
    if (p->L < 1) FLM_FAIL(FLM_E_ARG, "a sample has %lld rows, must be at least 1", (long long)p->L);
done:
    return rc;
}

flm_status flm_check_choose(const flm_choose *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->x->dim[0], V = p->x->dim[1];
    FLM_TRY(flm_tensor_expect_rows(p->x, "x", FLM_DTYPE_F32, 2, (const int64_t[]){R, V}));
    FLM_TRY(flm_tensor_expect(p->index, "index", FLM_DTYPE_I32, 1, &R));
    if (p->confidence->data != NULL) FLM_TRY(flm_tensor_expect(p->confidence, "confidence", FLM_DTYPE_F32, 1, &R));
    if (p->place->data != NULL) FLM_TRY(flm_tensor_expect(p->place, "place", FLM_DTYPE_I32, 1, &R));
    if (R > 0 && (V < 1 || V > INT32_MAX))
        FLM_FAIL(FLM_E_SHAPE, "rows have %lld entries, must have 1 to %ld", (long long)V, (long)INT32_MAX);
    FLM_TRY(check_logit_cap(p->logit_cap));
    FLM_TRY(check_choice(p));
done:
    return rc;
}

flm_status flm_check_distill_error(const flm_distill_error *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->from->dim[0], V = p->from->dim[1];
    const int64_t logits[] = {R, V}, coefficients[] = {R, FLM_DISTILL_COEFFICIENTS};
    FLM_TRY(flm_tensor_expect_rows(p->from, "from", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect_rows(p->to, "to", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect_rows(p->residual, "residual", FLM_DTYPE_F32, 2, logits));
    FLM_TRY(flm_tensor_expect(p->bias, "bias", FLM_DTYPE_F32, 1, &V));
    FLM_TRY(flm_tensor_expect(p->coefficient, "coefficient", FLM_DTYPE_F32, 2, coefficients));
    FLM_TRY(flm_tensor_expect(p->loss, "loss", FLM_DTYPE_F32, 1, &R));
    if (p->grad->data) FLM_TRY(flm_check_act_rows(p->grad, "grad", 2, logits));
    FLM_TRY(check_in_place(p->grad, p->residual, "grad"));
    FLM_TRY(check_in_place(p->grad, p->from, "grad"));
    FLM_TRY(check_logit_cap(p->logit_cap));
    if (R > 0 && V < 1) FLM_FAIL(FLM_E_SHAPE, "V is 0");
done:
    return rc;
}

/* Rows of B sequences of the same length, B >= 1. */
static flm_status check_sequences(const flm_tensor *l, int64_t rows)
{
    flm_status rc = FLM_OK;
    const int64_t B = l->dim[0];
    FLM_TRY(flm_tensor_expect(l, "l", FLM_DTYPE_F32, 2, (const int64_t[]){B, 1}));
    if (B < 1 || rows % B != 0) FLM_FAIL(FLM_E_SHAPE, "%lld rows of %lld sequences", (long long)rows, (long long)B);
done:
    return rc;
}

flm_status flm_check_distill_weigh(const flm_tensor *coefficient, const flm_tensor *l, const flm_tensor *factor,
                                   double scale)
{
    flm_status rc = FLM_OK;
    const int64_t rows = coefficient->dim[0];
    (void)scale;
    FLM_TRY(flm_tensor_expect(coefficient, "coefficient", FLM_DTYPE_F32, 2,
                              (const int64_t[]){rows, FLM_DISTILL_COEFFICIENTS}));
    FLM_TRY(check_sequences(l, rows));
    FLM_TRY(flm_tensor_expect(factor, "factor", FLM_DTYPE_F64, 1, l->dim));
done:
    return rc;
}

flm_status flm_check_distill_loss(const flm_tensor *total, const flm_tensor *grad_l, const flm_tensor *loss,
                                  const flm_tensor *l, double scale)
{
    flm_status rc = FLM_OK;
    (void)scale;
    FLM_TRY(flm_tensor_expect(loss, "loss", FLM_DTYPE_F32, 1, loss->dim));
    FLM_TRY(check_sequences(l, loss->dim[0]));
    FLM_TRY(flm_tensor_expect(grad_l, "grad_l", FLM_DTYPE_F32, 2, l->dim));
    FLM_TRY(flm_tensor_expect(total, "total", FLM_DTYPE_F64, 1, (const int64_t[]){1}));
done:
    return rc;
}

flm_status flm_check_mixture_xent(const flm_mixture_xent *p)
{
    flm_status rc = FLM_OK;
    const int64_t R = p->logits->dim[0], V = p->logits->dim[1], rows[] = {R, V};
    FLM_TRY(flm_tensor_expect_rows(p->logits, "logits", FLM_DTYPE_F32, 2, rows));
    FLM_TRY(flm_tensor_expect_rows(p->first, "first", FLM_DTYPE_F32, 2, rows));
    if (p->second->data != NULL) {
        FLM_TRY(flm_tensor_expect_rows(p->second, "second", FLM_DTYPE_F32, 2, rows));
        FLM_TRY(flm_tensor_expect(p->weight, "weight", FLM_DTYPE_F32, 1, &R));
    }
    FLM_TRY(flm_tensor_expect(p->loss, "loss", FLM_DTYPE_F32, 1, &R));
    if (p->grad->data) FLM_TRY(flm_check_act_rows(p->grad, "grad", 2, rows));
    FLM_TRY(check_in_place(p->grad, p->logits, "grad"));
    FLM_TRY(check_logit_cap(p->logit_cap));
    if (R > 0 && V < 1) FLM_FAIL(FLM_E_SHAPE, "V is 0");
done:
    return rc;
}
