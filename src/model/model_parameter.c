/* model_parameter.c - see model_parameter.h. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_parameter.h"

#include "base/base_philox.h"
#include "model/model_weights.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Elements of f32 in 64 bytes; parameters of a block, outside of blocks, of emb_u and of the weighting network. */
enum { ALIGN = 16, PER_BLOCK = 10, OUTSIDE = 10, TWO_TIME = 4, WEIGHTING = 8 };

/* A table as it grows; block: that of the parameters added now, -1 outside of blocks. */
typedef struct table {
    const flm_model_shape *shape;
    flm_parameter *list;
    int count, block;
} table;

#define OUTER(member) offsetof(flm_dit_weights, member)
#define INNER(member) offsetof(flm_block_weights, member)

static void add(table *t, size_t view, int bucket, flm_parameter_init init, double bound, int64_t rows, int64_t columns,
                const char *fmt, ...) __attribute__((format(printf, 8, 9)));

/* columns 0: a vector of `rows`. Appends the parameter at the end of its bucket. */
static void add(table *t, size_t view, int bucket, flm_parameter_init init, double bound, int64_t rows, int64_t columns,
                const char *fmt, ...)
{
    flm_parameter *p = &t->list[t->count];
    va_list ap;
    *p = (flm_parameter){.ndim = columns ? 2 : 1,
                         .dim = {rows, columns ? columns : 1},
                         .count = columns ? rows * columns : rows,
                         .init = init,
                         .bound = bound,
                         .bucket = bucket,
                         .block = t->block,
                         .view = view};
    va_start(ap, fmt);
    vsnprintf(p->name, sizeof p->name, fmt, ap);
    va_end(ap);
    if (t->count > 0 && p[-1].bucket == bucket) p->offset = p[-1].offset + (p[-1].count + ALIGN - 1) / ALIGN * ALIGN;
    t->count++;
}

static void add_block(table *t, int i)
{
    const flm_model_shape *s = t->shape;
    const int64_t d = s->d, wide = s->mlp_ratio * s->d;
    const int matrices = flm_bucket_block_matrices(i), small = flm_bucket_block_small(i);
    const double in_d = 1 / sqrt((double)d), in_wide = 1 / sqrt((double)wide);
    t->block = i;
    add(t, INNER(Wqkv), matrices, FLM_INIT_UNIFORM, in_d, 3 * d, d, "blocks.%d.attn_qkv.weight", i);
    add(t, INNER(Wo), matrices, FLM_INIT_UNIFORM, in_d, d, d, "blocks.%d.attn_out.weight", i);
    add(t, INNER(W1), matrices, FLM_INIT_UNIFORM, in_d, wide, d, "blocks.%d.mlp.0.weight", i);
    add(t, INNER(W2), matrices, FLM_INIT_UNIFORM, in_wide, d, wide, "blocks.%d.mlp.2.weight", i);
    add(t, INNER(w1), small, FLM_INIT_ONE, 0, d, 0, "blocks.%d.norm1.weight", i);
    add(t, INNER(w2), small, FLM_INIT_ONE, 0, d, 0, "blocks.%d.norm2.weight", i);
    add(t, INNER(b1), small, FLM_INIT_UNIFORM, in_d, wide, 0, "blocks.%d.mlp.0.bias", i);
    add(t, INNER(b2), small, FLM_INIT_UNIFORM, in_wide, d, 0, "blocks.%d.mlp.2.bias", i);
    add(t, INNER(A), small, FLM_INIT_ZERO, 0, 6 * d, s->c, "blocks.%d.adaLN_modulation.weight", i);
    add(t, INNER(a), small, FLM_INIT_ZERO, 0, 6 * d, 0, "blocks.%d.adaLN_modulation.bias", i);
    t->block = -1;
}

/* A residual begins at zero: its head's linear layers are not the teacher's. */
static void add_head(table *t)
{
    const flm_model_shape *s = t->shape;
    const int Wout = flm_bucket_head_matrix(s->N), head = flm_bucket_head_small(s->N), first = t->count;
    add(t, OUTER(Wout), Wout, FLM_INIT_ZERO, 0, s->V, s->d, "output_layer.linear.weight");
    add(t, OUTER(bout), head, FLM_INIT_ZERO, 0, s->V, 0, "output_layer.linear.bias");
    add(t, OUTER(wf), head, FLM_INIT_ONE, 0, s->d, 0, "output_layer.norm_final.weight");
    add(t, OUTER(Af), head, FLM_INIT_ZERO, 0, 2 * s->d, s->c, "output_layer.adaLN_modulation.weight");
    add(t, OUTER(af), head, FLM_INIT_ZERO, 0, 2 * s->d, 0, "output_layer.adaLN_modulation.bias");
    for (int i = first; i < t->count; i++)
        t->list[i].reinit = s->network == FLM_NETWORK_RESIDUAL && t->list[i].init == FLM_INIT_ZERO;
}

/* Linear(F->c), Linear(c->c); the second one zero where the embedding must not change the teacher's condition. */
static void add_embedding(table *t, int bucket, const size_t view[4], flm_parameter_init second, const char *name)
{
    const flm_model_shape *s = t->shape;
    const double in_F = 1 / sqrt((double)s->F), in_c = 1 / sqrt((double)s->c);
    add(t, view[0], bucket, FLM_INIT_UNIFORM, in_F, s->c, s->F, "%s.mlp.0.weight", name);
    add(t, view[1], bucket, FLM_INIT_UNIFORM, in_F, s->c, 0, "%s.mlp.0.bias", name);
    add(t, view[2], bucket, second, in_c, s->c, s->c, "%s.mlp.2.weight", name);
    add(t, view[3], bucket, second, in_c, s->c, 0, "%s.mlp.2.bias", name);
}

/* What a one-time network does not have: model.md sections 6 and 7. */
static void add_two_time(table *t)
{
    static const size_t t_end[] = {OUTER(t_end_W1), OUTER(t_end_b1), OUTER(t_end_W2), OUTER(t_end_b2)};
    static const size_t embed[] = {OUTER(weighting_time_W1), OUTER(weighting_time_b1), OUTER(weighting_time_W2),
                                   OUTER(weighting_time_b2)};
    const flm_model_shape *s = t->shape;
    const int bucket = flm_bucket_two_time(s->N), first = t->count, width = FLM_WEIGHTING_WIDTH;
    const double in_c = 1 / sqrt((double)s->c);
    add_embedding(t, bucket, t_end, FLM_INIT_ZERO, "sigma_map_prime");
    if (s->network == FLM_NETWORK_RESIDUAL) {
        add_embedding(t, bucket, embed, FLM_INIT_UNIFORM, "learnable_loss_weighting.s_embed");
        add(t, OUTER(weighting_W1), bucket, FLM_INIT_UNIFORM, in_c, width, s->c,
            "learnable_loss_weighting.mlp.0.weight");
        add(t, OUTER(weighting_b1), bucket, FLM_INIT_UNIFORM, in_c, width, 0, "learnable_loss_weighting.mlp.0.bias");
        add(t, OUTER(weighting_W2), bucket, FLM_INIT_ZERO, 0, 1, width, "learnable_loss_weighting.mlp.2.weight");
        add(t, OUTER(weighting_b2), bucket, FLM_INIT_ZERO, 0, 1, 0, "learnable_loss_weighting.mlp.2.bias");
    }
    for (int i = first; i < t->count; i++) t->list[i].reinit = true;
}

flm_status flm_parameter_make_table(const flm_model_shape *s, flm_parameter **list, int *count)
{
    static const size_t time[] = {OUTER(time_W1), OUTER(time_b1), OUTER(time_W2), OUTER(time_b2)};
    flm_status rc = FLM_OK;
    const double in_d = 1 / sqrt((double)s->d);
    const int64_t max = OUTSIDE + PER_BLOCK * s->N + (s->network != FLM_NETWORK_ONE_TIME ? TWO_TIME : 0) +
                        (s->network == FLM_NETWORK_RESIDUAL ? WEIGHTING : 0);
    table t = {.shape = s, .list = calloc((size_t)max, sizeof *t.list), .block = -1};
    if (t.list == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a table of %lld parameters", (long long)max);
    add(&t, OUTER(E), FLM_BUCKET_EMBEDDING, FLM_INIT_UNIFORM, in_d, s->V, s->d, "vocab_embed.embedding");
    add_embedding(&t, FLM_BUCKET_TIME, time, FLM_INIT_UNIFORM, "sigma_map");
    for (int i = 0; i < s->N; i++) add_block(&t, i);
    add_head(&t);
    if (s->network != FLM_NETWORK_ONE_TIME) add_two_time(&t);
    assert(t.count == max);
    *list = t.list;
    *count = t.count;
done:
    return rc;
}

int flm_parameter_find(const flm_parameter *list, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) return i;
    return -1;
}

void flm_parameter_initial(const flm_parameter *p, int index, uint64_t seed, int64_t first, int64_t count,
                           float *values)
{
    const uint64_t stream = flm_philox_stream(seed, FLM_RANDOM_INIT, 0, (uint32_t)index);
    for (int64_t i = 0; i < count; i++) {
        if (p->init != FLM_INIT_UNIFORM) {
            values[i] = p->init == FLM_INIT_ONE ? 1.0f : 0.0f;
            continue;
        }
        const uint64_t pair = (uint64_t)(first + i) / 2; /* two words a value, two values a counter */
        const int at = (int)((first + i) % 2) * 2;
        const flm_philox4 r = flm_philox4x32(stream, (uint32_t)pair, (uint32_t)(pair >> 32), 0, 0);
        values[i] = (float)(p->bound * (2 * flm_philox_uniform(r.v[at], r.v[at + 1]) - 1));
    }
}
