/* bench_operands.c - see bench_operands.h. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_operands.h"

void bench_operands_shape(bench_operands *b)
{
    const bench_ops_options *o = b->o;
    const int64_t B = o->batch, L = o->length, d = o->width, V = o->vocabulary, R = o->head_rows, n = o->parameters;
    const flm_dtype f = FLM_DTYPE_F32, a = b->bf16 ? FLM_DTYPE_BF16 : f, i = FLM_DTYPE_I32;
    flm_tensor *t = b->t;
    for (int k = X; k <= X2; k++) t[k] = flm_tensor_3d(NULL, f, B, L, d);
    for (int k = ACT0; k <= ACT2; k++) t[k] = flm_tensor_3d(NULL, a, B, L, d);
    for (int k = WIDE0; k <= WIDE1; k++) t[k] = flm_tensor_2d(NULL, a, B * L, 4 * d);
    for (int k = QKV0; k <= QKV1; k++) t[k] = flm_tensor_3d(NULL, a, B, L, 3 * d);
    t[LSE] = flm_tensor_3d(NULL, f, B, o->heads, L);
    t[ROPE] = flm_tensor_3d(NULL, f, L, d / o->heads / 2, 2);
    for (int k = MEAN; k <= RSTD; k++) t[k] = flm_tensor_2d(NULL, f, B, L);
    for (int k = W; k <= GRAD_W; k++) t[k] = flm_tensor_1d(NULL, f, d);
    for (int k = MOD; k <= GRAD_MOD; k++) t[k] = flm_tensor_2d(NULL, f, B, 6 * d);
    t[WIDE_SUM] = flm_tensor_1d(NULL, f, 4 * d);
    t[TABLE] = flm_tensor_2d(NULL, f, V, d);
    t[TOKENS] = flm_tensor_2d(NULL, i, B, L);
    t[G] = flm_tensor_1d(NULL, f, B);
    /* Rows as the network has them (model_dit.c): padded. */
    t[LOGITS] = t[LOGITS_TO] = t[RESIDUAL] = flm_tensor_2d_padded(NULL, f, R, V);
    t[COEFFICIENT] = flm_tensor_2d(NULL, f, R, FLM_DISTILL_COEFFICIENTS);
    t[PROBS] = flm_tensor_2d_padded(NULL, a, R, V);
    t[TARGET] = t[INDEX] = flm_tensor_1d(NULL, i, R);
    t[LOSS] = t[WEIGHT] = flm_tensor_1d(NULL, f, R);
    t[V_SUM] = flm_tensor_1d(NULL, f, V);
    for (int k = AW; k <= AGRAD; k++) t[k] = flm_tensor_1d(NULL, f, n);
    t[ACAST] = flm_tensor_1d(NULL, FLM_DTYPE_BF16, n);
    t[TOTAL] = flm_tensor_1d(NULL, FLM_DTYPE_F64, 1);
}

/* Values made by the host: tokens spread over the vocabulary, or a second moment, which is not negative. */
static flm_status fill_from_host(bench_operands *b, const flm_tensor *t)
{
    flm_status rc = FLM_OK;
    flm_backend *be = b->be;
    const int64_t n = flm_tensor_elements(t);
    void *host = NULL;
    FLM_TRY(be->memory->host_alloc(be, flm_tensor_bytes(t), &host));
    if (t->dtype == FLM_DTYPE_I32) {
        for (int64_t i = 0; i < n; i++) ((int32_t *)host)[i] = (int32_t)(i * 7919 % b->o->vocabulary);
    } else {
        FLM_TRY(be->memory->to_host(be, host, t->data, flm_tensor_bytes(t)));
        FLM_TRY(be->stream->sync(be));
        for (int64_t i = 0; i < n; i++) ((float *)host)[i] *= ((float *)host)[i];
    }
    FLM_TRY(be->memory->to_device(be, t->data, host, flm_tensor_bytes(t)));
    FLM_TRY(be->stream->sync(be));
done:
    be->memory->host_release(be, host);
    return rc;
}

flm_status bench_operands_fill(bench_operands *b)
{
    flm_status rc = FLM_OK;
    flm_backend *be = b->be;
    void *wide = NULL;
    enum { ROW = 1024 }; /* normal numbers are drawn in rows */
    for (int k = 0; k < TENSORS; k++) {
        flm_tensor *t = &b->t[k];
        const int64_t n = (int64_t)(flm_tensor_bytes(t) / flm_dtype_size(t->dtype)), rows = (n + ROW - 1) / ROW;
        FLM_TRY(be->memory->alloc(be, flm_tensor_bytes(t), &t->data));
        if (t->dtype == FLM_DTYPE_I32) {
            FLM_TRY(fill_from_host(b, t));
            continue;
        }
        FLM_TRY(be->memory->alloc(be, (size_t)rows * ROW * sizeof(float), &wide));
        const flm_tensor normal = flm_tensor_3d(wide, FLM_DTYPE_F32, 1, rows, ROW);
        const flm_tensor from = flm_tensor_1d(wide, FLM_DTYPE_F32, n), to = flm_tensor_1d(t->data, t->dtype, n);
        FLM_TRY(flm_op_normal(be, &normal, (uint64_t)k, 0));
        FLM_TRY(flm_op_cast(be, &to, &from));
        FLM_TRY(be->stream->sync(be));
        be->memory->release(be, wide);
        wide = NULL;
    }
    FLM_TRY(fill_from_host(b, &b->t[AV]));
done:
    be->memory->release(be, wide);
    return rc;
}
