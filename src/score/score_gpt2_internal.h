/* score_gpt2_internal.h - private to score_gpt2*.c: the loaded network. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_GPT2_INTERNAL_H
#define FLM_SCORE_GPT2_INTERNAL_H

#include "backend/backend_arena.h"
#include "score/score_gpt2.h"

/* The weights of a block, in the order of the checkpoint. */
enum {
    FLM_GPT2_LN1_W,
    FLM_GPT2_LN1_B, /* f32 [1, 2d]: the bias, then zeros */
    FLM_GPT2_QKV_W,
    FLM_GPT2_QKV_B,
    FLM_GPT2_PROJ_W,
    FLM_GPT2_PROJ_B,
    FLM_GPT2_LN2_W,
    FLM_GPT2_LN2_B,
    FLM_GPT2_FC_W,
    FLM_GPT2_FC_B,
    FLM_GPT2_OUT_W,
    FLM_GPT2_OUT_B,
    FLM_GPT2_BLOCK_PARTS
};
enum { FLM_GPT2_OUTER_PARTS = 4 };

typedef struct gpt2_block {
    flm_tensor part[FLM_GPT2_BLOCK_PARTS]; /* matrices act [in, out], vectors f32 */
} gpt2_block;

struct flm_gpt2 {
    flm_backend *be;
    flm_gpt2_shape shape;
    flm_dtype act;
    int64_t max_rows, chunk;
    flm_tensor E, head, P;                        /* f32 [V, d], act [V, d] (E itself in f32), f32 [L, d] */
    flm_tensor final_w, final_mod;                /* f32 [d], [1, 2d] */
    gpt2_block *block;                            /* [N] */
    flm_arena arena;                              /* of the weights */
    flm_tensor tokens, positions, starts, target; /* i32 [rows], [rows], [rows + 1], [rows] */
    flm_tensor x, mean, rstd;                     /* f32 [rows, d], [rows] */
    flm_tensor y, wide, wide_act;                 /* act [rows, d | 4d | 4d]; wide: also qkv and o */
    flm_tensor logits, loss;                      /* f32 [chunk, V], padded rows; [rows] */
    flm_arena work;                               /* of tokens .. loss */
    int32_t *host; /* [4 rows + 1 or d], pinned: staging of tokens, positions, target, starts, of the loss, of a row */
};

/* flm_gpt2_load - allocate and fill the weights; be, shape and act are set. Errors: as flm_gpt2_create. */
flm_status flm_gpt2_load(flm_gpt2 *gpt2, const flm_checkpoint *checkpoint);

#endif
