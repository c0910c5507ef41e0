/* bench_operands.h - the operands of bench_ops: one tensor for each purpose, at the shapes of a training step.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BENCH_OPERANDS_H
#define FLM_BENCH_OPERANDS_H

#include "backend/backend_ops.h"
#include "bench/bench_common.h"

/* The options of bench_ops. */
typedef struct bench_ops_options {
    int64_t threads, runs, batch, length, width, heads, vocabulary, head_rows, parameters, copy;
    const char *json;
    int precision, device;
} bench_ops_options;

/* All operands, for one dtype of activations. act0..2 [B, L, d]; wide0, 1 [B L, 4d]; qkv0, 1 [B, L, 3d]. */
enum {
    X,
    X2,
    ACT0,
    ACT1,
    ACT2,
    WIDE0,
    WIDE1,
    QKV0,
    QKV1,
    LSE,
    ROPE,
    MEAN,
    RSTD,
    W,
    GRAD_W,
    MOD,
    GRAD_MOD,
    WIDE_SUM,
    TABLE,
    TOKENS,
    G,
    LOGITS,
    LOGITS_TO,
    RESIDUAL,
    COEFFICIENT,
    WEIGHT,
    PROBS,
    TARGET,
    LOSS,
    V_SUM,
    INDEX,
    AW,
    AM,
    AV,
    AEMA,
    AGRAD,
    ACAST,
    TOTAL,
    TENSORS
};

typedef struct bench_operands {
    flm_backend *be;
    const bench_ops_options *o;
    flm_tensor t[TENSORS];
    bool bf16;
} bench_operands;

/* bench_operands_shape - set dtypes and sizes from the options. bench_operands_fill - allocate all, with normal random
 * numbers in those of floating point. Errors: FLM_E_NOMEM, those of a device. */
void bench_operands_shape(bench_operands *b);
flm_status bench_operands_fill(bench_operands *b);

#endif
