/* model_dit.c - the memory of the activations, and the forward pass. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_internal.h"

#include "base/base_philox.h"

#include <math.h>
#include <stdlib.h>

/* Base of the rotary frequencies: model.md section 2. */
static const double rope_base = 10000.0;

/* Conditions of a sequence: of its active and its context tokens, or one. */
static int64_t conditions_per_sequence(flm_network network) { return network == FLM_NETWORK_ANY_ORDER ? 2 : 1; }

/* A pass has two dropout sites in each block, fewer than 2^PASS_SHIFT with as many blocks as flm_model_check allows. */
enum { PASS_SHIFT = 16 };

/* Activations that the first block shares with the others where they are recomputed. */
static void layout_shared(flm_dit *dit, flm_dit_block *b, bool first)
{
    flm_arena *at = &dit->arena;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d;
    if (!first && dit->memory == FLM_DIT_STORE_PRODUCTS) {
        b->x_mid = dit->block[0].x_mid;
        b->y1 = dit->block[0].y1;
        b->y2 = dit->block[0].y2;
        b->h_act = dit->block[0].h_act;
        return;
    }
    b->x_mid = dit->memory != FLM_DIT_INFERENCE ? flm_arena_3d(at, FLM_DTYPE_F32, B, L, d) : b->x;
    b->y1 = flm_arena_3d(at, dit->act, B, L, d);
    b->y2 = flm_arena_3d(at, dit->act, B, L, d);
    b->h_act = flm_arena_3d(at, dit->act, B, L, dit->shape.mlp_ratio * d);
}

static void layout_block(flm_dit *dit, flm_dit_block *b, bool first)
{
    flm_arena *at = &dit->arena;
    const flm_dtype act = dit->act, f32 = FLM_DTYPE_F32;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d, wide = dit->shape.mlp_ratio * d;
    const int64_t conditions = conditions_per_sequence(dit->shape.network) * B;
    b->x = first ? dit->input : flm_arena_3d(at, f32, B, L, d);
    layout_shared(dit, b, first);
    b->mod = flm_arena_2d(at, f32, conditions, MODULATIONS * d);
    b->mean1 = flm_arena_2d(at, f32, B, L);
    b->rstd1 = flm_arena_2d(at, f32, B, L);
    b->mean2 = flm_arena_2d(at, f32, B, L);
    b->rstd2 = flm_arena_2d(at, f32, B, L);
    b->qkv = flm_arena_3d(at, act, B, L, 3 * d);
    b->o = flm_arena_3d(at, act, B, L, d);
    b->proj = flm_arena_3d(at, act, B, L, d);
    b->lse = flm_arena_3d(at, f32, B, dit->shape.H, L);
    b->h_pre = flm_arena_3d(at, act, B, L, wide);
    b->out = flm_arena_3d(at, act, B, L, d);
}

static void layout_head(flm_dit *dit)
{
    flm_arena *at = &dit->arena;
    const flm_dtype act = dit->act, f32 = FLM_DTYPE_F32;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d, V = dit->shape.V;
    dit->x_out = dit->memory != FLM_DIT_INFERENCE ? flm_arena_3d(at, f32, B, L, d) : dit->input;
    dit->mod_out = flm_arena_2d(at, f32, conditions_per_sequence(dit->shape.network) * B, 2 * d);
    dit->mean_out = flm_arena_2d(at, f32, B, L);
    dit->rstd_out = flm_arena_2d(at, f32, B, L);
    dit->y = flm_arena_3d(at, act, B, L, d);
    dit->logits = flm_arena_rows(at, f32, dit->chunk, V);
    dit->probs = act == f32 ? dit->logits : flm_arena_rows(at, act, dit->chunk, V);
}

static void layout_gradients(flm_dit *dit)
{
    flm_arena *at = &dit->arena;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d, c = dit->shape.c;
    const int64_t wide = dit->shape.mlp_ratio > 3 ? dit->shape.mlp_ratio * d : 3 * d;
    const int64_t conditions = conditions_per_sequence(dit->shape.network) * B;
    dit->grad_x = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    dit->grad_y = flm_arena_3d(at, dit->act, B, L, d);
    dit->grad_branch = flm_arena_3d(at, dit->act, B, L, d);
    dit->grad_wide = flm_arena_3d(at, dit->act, B, L, wide);
    dit->grad_mod = flm_arena_2d(at, FLM_DTYPE_F32, conditions, MODULATIONS * d);
    dit->grad_mod_out = flm_arena_2d(at, FLM_DTYPE_F32, conditions, 2 * d);
    dit->grad_cond = flm_arena_2d(at, FLM_DTYPE_F32, conditions, c);
    dit->grad_c1 = flm_arena_2d(at, FLM_DTYPE_F32, conditions, c);
    dit->grad_c2 = flm_arena_2d(at, FLM_DTYPE_F32, conditions, c);
}

static void layout(flm_dit *dit)
{
    flm_arena *at = &dit->arena;
    const flm_model_shape *s = &dit->shape;
    const int64_t B = dit->max_batch, conditions = conditions_per_sequence(s->network) * B;
    dit->input = flm_arena_3d(at, FLM_DTYPE_F32, B, s->L, s->d);
    dit->t = flm_arena_1d(at, FLM_DTYPE_F32, conditions);
    dit->t_end = flm_arena_1d(at, FLM_DTYPE_F32, conditions);
    if (s->network != FLM_NETWORK_ONE_TIME) {
        dit->t_end_features = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->F);
        dit->t_end_h = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->c);
        dit->t_end_act = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->c);
    }
    dit->features = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->F);
    dit->time_h = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->c);
    dit->time_act = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->c);
    dit->time_out = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->c);
    dit->cond = flm_arena_2d(at, FLM_DTYPE_F32, conditions, s->c);
    if (conditions > B) {
        dit->context = flm_arena_2d(at, FLM_DTYPE_I32, B, s->L);
        dit->ones = flm_arena_1d(at, FLM_DTYPE_F32, B);
    }
    dit->rope = flm_arena_3d(at, FLM_DTYPE_F32, s->L, s->d / s->H / 2, 2);
    for (int64_t i = 0; i < s->N; i++)
        if (i == 0 || dit->memory == FLM_DIT_STORE_ALL || dit->memory == FLM_DIT_STORE_PRODUCTS) {
            layout_block(dit, &dit->block[i], i == 0);
        } else {
            dit->block[i] = dit->block[0];
            if (dit->memory == FLM_DIT_RECOMPUTE) dit->block[i].x = flm_arena_3d(at, FLM_DTYPE_F32, B, s->L, s->d);
        }
    layout_head(dit);
    if (dit->memory != FLM_DIT_INFERENCE) layout_gradients(dit);
}

/* cos and sin of position l times rope_base^(-2 j / h), computed in double. */
static flm_status fill_rope(flm_dit *dit)
{
    flm_status rc = FLM_OK;
    const int64_t L = dit->shape.L, half = dit->shape.d / dit->shape.H / 2;
    float *table = malloc(flm_tensor_bytes(&dit->rope));
    if (table == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the rotary table");
    for (int64_t l = 0; l < L; l++)
        for (int64_t j = 0; j < half; j++) {
            const double angle = (double)l * pow(rope_base, -(double)j / (double)half);
            table[2 * (l * half + j)] = (float)cos(angle);
            table[2 * (l * half + j) + 1] = (float)sin(angle);
        }
    FLM_TRY(dit->be->memory->to_device(dit->be, dit->rope.data, table, flm_tensor_bytes(&dit->rope)));
    FLM_TRY(dit->be->stream->sync(dit->be));
done:
    free(table);
    return rc;
}

static flm_status fill_ones(flm_dit *dit)
{
    flm_status rc = FLM_OK;
    float *ones = malloc((size_t)dit->max_batch * sizeof *ones);
    if (ones == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the times of context tokens");
    for (int64_t b = 0; b < dit->max_batch; b++) ones[b] = 1;
    FLM_TRY(dit->be->memory->to_device(dit->be, dit->ones.data, ones, flm_tensor_bytes(&dit->ones)));
    FLM_TRY(dit->be->stream->sync(dit->be));
done:
    free(ones);
    return rc;
}

flm_status flm_dit_create(flm_backend *be, const flm_model_shape *shape, flm_dtype act, int64_t max_batch,
                          int64_t chunk, flm_dit_memory memory, flm_dit **out)
{
    flm_status rc = FLM_OK;
    flm_dit *dit = NULL;
    FLM_TRY(flm_model_check(shape));
    if (max_batch < 1) FLM_FAIL(FLM_E_ARG, "a batch of %lld sequences, must be at least 1", (long long)max_batch);
    if (chunk < 1) FLM_FAIL(FLM_E_ARG, "a chunk of %lld rows of logits, must be at least 1", (long long)chunk);
    dit = calloc(1, sizeof *dit);
    if (dit == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the activations of a network");
    *dit = (flm_dit){.be = be, .shape = *shape, .act = act, .memory = memory, .max_batch = max_batch};
    if (chunk > flm_backend_chunk_max(shape->V)) chunk = flm_backend_chunk_max(shape->V);
    dit->chunk = chunk < max_batch * shape->L ? chunk : max_batch * shape->L;
    dit->block = calloc((size_t)shape->N, sizeof *dit->block);
    if (dit->block == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld blocks", (long long)shape->N);
    dit->arena = flm_arena_begin(be);
    layout(dit);
    FLM_TRY(flm_arena_commit(&dit->arena, "activations"));
    layout(dit);
    FLM_TRY(fill_rope(dit));
    if (dit->ones.data != NULL) FLM_TRY(fill_ones(dit));
    *out = dit;
    dit = NULL;
done:
    flm_dit_destroy(&dit);
    return rc;
}

void flm_dit_destroy(flm_dit **dit)
{
    if (*dit == NULL) return;
    flm_arena_release(&(*dit)->arena);
    free((*dit)->block);
    free(*dit);
    *dit = NULL;
}

flm_status flm_dit_matmul(flm_backend *be, const flm_tensor *a, bool transpose_a, const flm_tensor *b, bool transpose_b,
                          const flm_tensor *c, bool accumulate, const flm_tensor *bias, const flm_tensor *gelu)
{
    const flm_tensor a2 = flm_tensor_flat(a), b2 = flm_tensor_flat(b), c2 = flm_tensor_flat(c);
    const flm_tensor gelu2 = gelu != NULL ? flm_tensor_flat(gelu) : flm_tensor_none();
    return flm_op_matmul(be, &(flm_matmul){.a = &a2,
                                           .b = &b2,
                                           .transpose_a = transpose_a,
                                           .transpose_b = transpose_b,
                                           .c = &c2,
                                           .accumulate = accumulate,
                                           .bias = bias,
                                           .gelu = gelu != NULL ? &gelu2 : NULL});
}

flm_dropout flm_dit_site(const flm_dit_dropout *dropout, int64_t block, int branch)
{
    if (dropout == NULL || dropout->p == 0) return (flm_dropout){0};
    return (flm_dropout){.p = dropout->p,
                         .stream = flm_philox_stream(dropout->seed, FLM_RANDOM_DROPOUT, dropout->step,
                                                     (dropout->pass << PASS_SHIFT) + (uint32_t)(2 * block + branch)),
                         .first_sample = dropout->first_sample};
}

flm_dit_block flm_dit_block_view(const flm_dit *dit, int64_t i)
{
    const flm_dit_block *b = &dit->block[i];
    return (flm_dit_block){
        .x = batch_of(dit, &b->x),
        .x_mid = batch_of(dit, &b->x_mid),
        .mod = conditions_of(dit, &b->mod),
        .mean1 = batch_of(dit, &b->mean1),
        .rstd1 = batch_of(dit, &b->rstd1),
        .mean2 = batch_of(dit, &b->mean2),
        .rstd2 = batch_of(dit, &b->rstd2),
        .y1 = batch_of(dit, &b->y1),
        .qkv = batch_of(dit, &b->qkv),
        .o = batch_of(dit, &b->o),
        .proj = batch_of(dit, &b->proj),
        .lse = batch_of(dit, &b->lse),
        .y2 = batch_of(dit, &b->y2),
        .h_pre = batch_of(dit, &b->h_pre),
        .h_act = batch_of(dit, &b->h_act),
        .out = batch_of(dit, &b->out),
    };
}

flm_status flm_dit_block_attention_input(flm_dit *dit, const flm_block_weights *w, int64_t i)
{
    const int64_t d = dit->shape.d;
    const flm_dit_block b = flm_dit_block_view(dit, i);
    const flm_tensor context = context_of(dit);
    return flm_op_layernorm_modulate(dit->be, &b.y1, &b.mean1, &b.rstd1, &b.x, &w->w1, &b.mod, &context, SHIFT1 * d,
                                     SCALE1 * d);
}

flm_status flm_dit_block_mlp_input(flm_dit *dit, const flm_block_weights *w, int64_t i, const flm_dit_dropout *dropout)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const int64_t d = dit->shape.d;
    const flm_dit_block b = flm_dit_block_view(dit, i);
    const flm_dropout site = flm_dit_site(dropout, i, 0);
    const flm_tensor context = context_of(dit);
    FLM_TRY(flm_op_gate_residual(be, &b.x_mid, &b.x, &b.proj, &b.mod, &context, GATE1 * d, &site));
    FLM_TRY(flm_op_layernorm_modulate(be, &b.y2, &b.mean2, &b.rstd2, &b.x_mid, &w->w2, &b.mod, &context, SHIFT2 * d,
                                      SCALE2 * d));
done:
    return rc;
}

/* x = x + gate1 dropout(attention(y)); x = x + gate2 dropout(MLP(y)): model.md section 2, "Block". */
flm_status flm_dit_block_forward(flm_dit *dit, const flm_block_weights *w, int64_t i, const flm_tensor *x_next,
                                 const flm_dit_dropout *dropout)
{
    flm_status rc = FLM_OK;
    flm_backend *be = dit->be;
    const int64_t d = dit->shape.d;
    const flm_dit_block b = flm_dit_block_view(dit, i);
    const flm_dropout second = flm_dit_site(dropout, i, 1);
    const flm_tensor rope = dit->rope, context = context_of(dit);
    FLM_TRY(flm_dit_modulation(dit, &b.mod, &w->A, &w->a));
    FLM_TRY(flm_dit_block_attention_input(dit, w, i));
    FLM_TRY(flm_dit_matmul(be, &b.y1, false, &w->Wqkv, true, &b.qkv, false, NULL, NULL));
    FLM_TRY(flm_op_rope(be, &b.qkv, &rope));
    FLM_TRY(flm_op_attention(be, &b.o, &b.lse, &b.qkv, dit->shape.H, (float)dit->shape.softcap));
    FLM_TRY(flm_dit_matmul(be, &b.o, false, &w->Wo, true, &b.proj, false, NULL, NULL));
    FLM_TRY(flm_dit_block_mlp_input(dit, w, i, dropout));
    FLM_TRY(flm_dit_matmul(be, &b.y2, false, &w->W1, true, &b.h_pre, false, &w->b1, &b.h_act));
    FLM_TRY(flm_dit_matmul(be, &b.h_act, false, &w->W2, true, &b.out, false, &w->b2, NULL));
    if (x_next != NULL)
        FLM_TRY(flm_op_gate_residual(be, x_next, &b.x_mid, &b.out, &b.mod, &context, GATE2 * d, &second));
done:
    return rc;
}

flm_status flm_dit_forward(flm_dit *dit, const flm_weights *weights, int64_t B, const flm_dit_dropout *dropout)
{
    flm_status rc = FLM_OK;
    const flm_dit_weights *w = &weights->w;
    const int64_t N = dit->shape.N, d = dit->shape.d;
    if (B < 1 || B > dit->max_batch)
        FLM_FAIL(FLM_E_ARG, "a batch of %lld sequences, must be in 1..%lld", (long long)B, (long long)dit->max_batch);
    if (weights->shape.network != FLM_NETWORK_ONE_TIME && dit->shape.network == FLM_NETWORK_ONE_TIME)
        FLM_FAIL(FLM_E_ARG, "weights of a two-time network in activations for one time");
    if (conditions_per_sequence(weights->shape.network) > conditions_per_sequence(dit->shape.network))
        FLM_FAIL(FLM_E_ARG, "weights of an any-order network in activations without context tokens");
    dit->B = B;
    dit->conditions = conditions_per_sequence(weights->shape.network) * B;
    FLM_TRY(flm_dit_condition(dit, weights));
    for (int64_t i = 0; i < N; i++) {
        const flm_tensor next = batch_of(dit, i + 1 < N ? &dit->block[i + 1].x : &dit->x_out);
        FLM_TRY(flm_dit_block_forward(dit, &w->block[i], i, &next, dropout));
    }
    const flm_tensor x = batch_of(dit, &dit->x_out), mod = conditions_of(dit, &dit->mod_out),
                     y = batch_of(dit, &dit->y);
    const flm_tensor mean = batch_of(dit, &dit->mean_out), rstd = batch_of(dit, &dit->rstd_out);
    const flm_tensor context = context_of(dit);
    FLM_TRY(flm_dit_modulation(dit, &mod, &w->Af, &w->af));
    FLM_TRY(flm_op_layernorm_modulate(dit->be, &y, &mean, &rstd, &x, &w->wf, &mod, &context, 0, d));
done:
    return rc;
}
