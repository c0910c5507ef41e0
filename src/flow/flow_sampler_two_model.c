/* flow_sampler_two_model.c - the sampler of a flow map that is the residual of a frozen teacher: both states move by
 * z_j += k (p E_j - z_j) + (dg^2 / 2) (residual E_j); tokens are the argmax of k p + (dg^2 / 2) residual (docs/model.md
 * section 8). SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_sampler_internal.h"

#include <stdlib.h>

enum { TEACHER = 0, MAP = 1, NETWORKS = 2 };

typedef struct two_model {
    flm_tensor residual_E;                        /* f32 [max_batch, L, d]: residual E_j */
    flm_tensor y_teacher;                         /* act [max_batch, L, d], of the last step */
    flm_tensor map[NETWORKS], map_bias[NETWORKS]; /* act [d, d], f32 [1, d]: flm_dit_map_residual */
    flm_tensor residual;                          /* f32 [chunk, V], padded rows */
    double k, jump;                               /* of the last step */
    flm_arena arena;
} two_model;

static void layout(two_model *own, const flm_dit *dit)
{
    flm_arena *at = &own->arena;
    const int64_t B = dit->max_batch, L = dit->shape.L, d = dit->shape.d;
    for (int j = 0; j < NETWORKS; j++) {
        own->map[j] = flm_arena_2d(at, dit->act, d, d);
        own->map_bias[j] = flm_arena_2d(at, FLM_DTYPE_F32, 1, d);
    }
    own->residual_E = flm_arena_3d(at, FLM_DTYPE_F32, B, L, d);
    own->y_teacher = flm_arena_3d(at, dit->act, B, L, d);
    own->residual = flm_arena_rows(at, FLM_DTYPE_F32, dit->chunk, dit->shape.V);
}

static flm_status create(flm_sampler *s)
{
    flm_status rc = FLM_OK;
    two_model *own = s->state = calloc(1, sizeof *own);
    if (own == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the two-model sampler");
    own->arena = flm_arena_begin(s->be);
    layout(own, s->parts.dit);
    FLM_TRY(flm_arena_commit(&own->arena, "two-model sampler"));
    layout(own, s->parts.dit);
    for (int j = 0; j < NETWORKS; j++)
        FLM_TRY(flm_dit_map_residual(s->be, s->parts.weights, &s->network[j]->w.E, &s->E[j], &own->map[j],
                                     &own->map_bias[j]));
done:
    return rc;
}

static void destroy(flm_sampler *s)
{
    two_model *own = s->state;
    if (own == NULL) return;
    flm_arena_release(&own->arena);
    free(own);
    s->state = NULL;
}

static size_t bytes(const flm_sampler *s)
{
    const two_model *own = s->state;
    return own->arena.bytes;
}

/* After the map has been evaluated; s->mean has p E_j of the teacher. */
static flm_status move_state(flm_sampler *s, int j, int64_t B)
{
    flm_status rc = FLM_OK;
    const two_model *own = s->state;
    const flm_tensor z = flm_tensor_slice(&s->z[j], 0, B), mean = flm_tensor_slice(&s->mean[j], 0, B);
    const flm_tensor y = flm_tensor_slice(&s->parts.dit->y, 0, B);
    const flm_tensor residual = flm_tensor_slice(&own->residual_E, 0, B);
    const flm_tensor bias = flm_tensor_1d(own->map_bias[j].data, FLM_DTYPE_F32, s->parts.dit->shape.d);
    FLM_TRY(flm_op_axpby(s->be, &z, (float)own->k, &mean, (float)(1 - own->k)));
    FLM_TRY(flm_dit_matmul(s->be, &y, false, &own->map[j], false, &residual, false, &bias, NULL));
    FLM_TRY(flm_op_axpby(s->be, &z, (float)own->jump, &residual, 1.0f));
done:
    return rc;
}

static flm_status step(flm_sampler *s, int64_t B, const flm_sampler_step *at)
{
    flm_status rc = FLM_OK;
    two_model *own = s->state;
    const flm_tensor y = flm_tensor_slice(&s->parts.dit->y, 0, B);
    const double dg = at->g_end - at->g;
    own->k = dg / (1 - at->g);
    own->jump = dg * dg / 2;
    FLM_TRY(flm_sampler_evaluate(s, TEACHER, B, at));
    if (at->last)
        FLM_TRY(s->be->memory->copy(s->be, own->y_teacher.data, y.data, flm_tensor_bytes(&y)));
    else
        FLM_TRY(flm_dit_head_mean_embedding(s->parts.dit, s->network[TEACHER], NETWORKS, s->E, s->mean));
    FLM_TRY(flm_sampler_evaluate(s, MAP, B, at));
    for (int j = 0; j < NETWORKS && !at->last; j++) FLM_TRY(move_state(s, j, B));
done:
    return rc;
}

static flm_status scores(flm_sampler *s, int64_t first, int64_t rows)
{
    flm_status rc = FLM_OK;
    flm_backend *be = s->be;
    const two_model *own = s->state;
    const flm_weights *teacher = s->network[TEACHER];
    const flm_tensor logits = flm_tensor_slice(&s->parts.dit->logits, 0, rows);
    const flm_tensor residual = flm_tensor_slice(&own->residual, 0, rows);
    const flm_tensor flat = flm_tensor_flat(&own->y_teacher), y = flm_tensor_slice(&flat, first, rows);
    FLM_TRY(flm_dit_head_logits(s->parts.dit, s->parts.weights, first, rows));
    FLM_TRY(be->memory->copy(be, residual.data, logits.data, flm_tensor_bytes(&logits)));
    FLM_TRY(flm_dit_matmul(be, &y, false, &teacher->w.Wout, true, &logits, false, &teacher->w.bout, NULL));
    FLM_TRY(flm_op_softmax(be, &logits, &logits, (float)teacher->shape.logit_cap));
    FLM_TRY(flm_op_axpby(be, &logits, (float)own->jump, &residual, (float)own->k));
done:
    return rc;
}

const flm_sampler_ops flm_sampler_two_model = {.networks = {[FLM_ROLE_TEACHER] = {.kind = &flm_kinds[FLM_KIND_FLM]}},
                                               .linear = true,
                                               .create = create,
                                               .destroy = destroy,
                                               .bytes = bytes,
                                               .step = step,
                                               .scores = scores};
