/* sample_load.c - checkpoint, teacher and networks of a generation. SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_internal.h"

#include "base/base_log.h"
#include "model/model_load.h"
#include "sample/sample_prompts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static flm_dtype compute_dtype(const flm_generation *g)
{
    const flm_precision precision = flm_backend_precision(g->be, (flm_precision)g->o->precision);
    return precision == FLM_PRECISION_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
}

static flm_status fill_info(flm_generation *g)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *from = flm_checkpoint_get_info(g->checkpoint);
    g->info = (flm_samples_info){.vocabulary = from->vocabulary,
                                 .old_kind = g->kind->old_name,
                                 .samples =
                                     g->prompts.count > 0 ? g->prompts.count * g->o->samples_per_prompt : g->o->samples,
                                 .L = from->L,
                                 .seed = g->o->seed,
                                 .checkpoint_step = from->step,
                                 .checkpoint_identity = flm_checkpoint_get_identity(g->checkpoint)};
    snprintf(g->info.kind, sizeof g->info.kind, "%s", g->kind->name);
    snprintf(g->info.weights, sizeof g->info.weights, "%s", g->o->weights == 0 ? "ema" : "raw");
    const bool bf16 = compute_dtype(g) == FLM_DTYPE_BF16;
    snprintf(g->info.precision, sizeof g->info.precision, "%s", bf16 ? "bf16" : "fp32");
    snprintf(g->info.matmul, sizeof g->info.matmul, "%s",
             flm_backend_name_matmul(bf16 ? flm_backend_get_matmul(g->be) : FLM_MATMUL_FP32));
    if (strlen(g->o->checkpoint) >= sizeof g->info.checkpoint)
        FLM_FAIL(FLM_E_USAGE, "--checkpoint: the path has %zu bytes; the samples file can record %zu",
                 strlen(g->o->checkpoint), sizeof g->info.checkpoint - 1);
    snprintf(g->info.checkpoint, sizeof g->info.checkpoint, "%s", g->o->checkpoint);
done:
    return rc;
}

/* The teacher must be of the kind that the sampler needs, with the checkpoint's shape and vocabulary. */
static flm_status check_teacher(const flm_generation *g, const char *path)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *t = flm_checkpoint_get_info(g->teacher_checkpoint);
    const flm_checkpoint_info *m = flm_checkpoint_get_info(g->checkpoint);
    const flm_kind *kind = NULL, *want = g->kind->sampler->networks[FLM_ROLE_TEACHER].kind;
    if (flm_kind_find(t->kind, &kind) != FLM_OK || kind != want) {
        flm_err_clear();
        FLM_FAIL(FLM_E_MISMATCH, "teacher %s: expected kind %s, found kind %s", path, want->name, t->kind);
    }
    const struct {
        const char *name;
        int64_t teacher, student;
    } sizes[] = {{"L", t->L, m->L}, {"d", t->d, m->d}, {"H", t->H, m->H},
                 {"c", t->c, m->c}, {"N", t->N, m->N}, {"V", t->vocabulary.V, m->vocabulary.V}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].teacher != sizes[i].student)
            FLM_FAIL(FLM_E_MISMATCH, "teacher %s and %s have different shapes (%s = %" PRId64 " and %" PRId64 ")", path,
                     g->path, sizes[i].name, sizes[i].teacher, sizes[i].student);
    if (strcmp(t->vocabulary.sha256, m->vocabulary.sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "teacher %s and %s have different vocabularies (%s and %s)", path, g->path,
                 t->vocabulary.name, m->vocabulary.name);
done:
    return rc;
}

/* The teacher is the file that the checkpoint was distilled from, wherever it is now. */
static flm_status open_teacher(flm_generation *g)
{
    flm_status rc = FLM_OK;
    char wanted[FLM_SHA256_BYTES], found[FLM_SHA256_BYTES], recorded[FLM_CHECKPOINT_PATH_BYTES],
        path[FLM_CHECKPOINT_PATH_BYTES];
    const char *lineage = flm_checkpoint_get_info(g->checkpoint)->lineage;
    const bool known = flm_lineage_get(lineage, "teacher", wanted, recorded);
    if (!known && !*g->o->teacher) FLM_FAIL(FLM_E_MISMATCH, "%s does not record its teacher; set --teacher", g->path);
    if (*g->o->teacher) {
        FLM_TRY(flm_checkpoint_open_found(g->o->teacher, path, &g->teacher_checkpoint));
    } else if (flm_checkpoint_open_found(recorded, path, &g->teacher_checkpoint) != FLM_OK) {
        FLM_FAIL(FLM_E_MISSING,
                 "the teacher of %s is no longer at %s (sha256 %.12s...); set its new path with --teacher", g->path,
                 recorded, wanted);
    }
    if (known) FLM_TRY(flm_lineage_hash(g->teacher_checkpoint, found));
    if (known && strcmp(found, wanted) != 0)
        FLM_FAIL(FLM_E_MISMATCH,
                 "%s was distilled from a teacher with sha256 %.12s..., but %s has %.12s...; set --teacher to the "
                 "original file",
                 g->path, wanted, path, found);
    if (!known && flm_comm_rank(g->comm) == 0)
        flm_log(FLM_LOG_WARN, "%s does not record its teacher; assuming that it is %s", g->path, path);
    FLM_TRY(check_teacher(g, path));
done:
    return rc;
}

static flm_status load_weights(flm_generation *g, const flm_checkpoint *checkpoint, const flm_kind *kind,
                               const char *path, flm_weights **out)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape;
    FLM_TRY(flm_model_load_shape(flm_checkpoint_get_info(checkpoint), kind->network, &shape));
    FLM_TRY(flm_weights_create(g->be, &shape, compute_dtype(g), 1, false, out));
    FLM_TRY(flm_model_load_weights(*out, checkpoint, g->o->weights == 0 ? "ema" : "weights"));
done:
    return flm_err_prefix(rc, path);
}

static flm_status load_all(flm_generation *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_err_prefix(flm_kind_find(flm_checkpoint_get_info(g->checkpoint)->kind, &g->kind), g->path));
    FLM_TRY(flm_generation_make_settings(g));
    const flm_checkpoint_info *from = flm_checkpoint_get_info(g->checkpoint);
    if (g->o->prompts[0]) FLM_TRY(flm_prompts_read(g->o->prompts, g->o->mask, &from->vocabulary, from->L, &g->prompts));
    FLM_TRY(flm_generation_check_prompts(g));
    FLM_TRY(fill_info(g));
    FLM_TRY(load_weights(g, g->checkpoint, g->kind, g->path, &g->weights));
    const flm_kind *teacher = g->kind->sampler->networks[FLM_ROLE_TEACHER].kind;
    g->info.logit_cap = g->weights->shape.logit_cap;
    if (teacher != NULL) {
        FLM_TRY(open_teacher(g));
        FLM_TRY(load_weights(g, g->teacher_checkpoint, teacher, "the teacher", &g->teacher));
        g->info.logit_cap = g->teacher->shape.logit_cap; /* whose softmax it is */
    } else if (*g->o->teacher) {
        FLM_FAIL(FLM_E_USAGE, "--teacher: %s is of kind %s, which has no teacher", g->path, g->info.kind);
    }
done:
    return rc;
}

static flm_status create_sampler(flm_generation *g)
{
    const flm_sampler_parts parts = {.kind = g->kind,
                                     .dit = g->dit,
                                     .weights = g->weights,
                                     .frozen = {[FLM_ROLE_TEACHER] = g->teacher},
                                     .basis = g->basis,
                                     .gamma = g->gamma,
                                     .known = g->prompts.count > 0};
    return flm_sampler_create(&parts, &g->sampler);
}

static flm_status create_sampling(flm_generation *g)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *shape = &g->weights->shape;
    const int64_t batch = g->o->batch < g->info.samples ? g->o->batch : g->info.samples;
    int64_t chunk = g->o->chunk ? g->o->chunk : flm_backend_chunk(g->be, shape->V);
    if (chunk > batch * shape->L) chunk = batch * shape->L;
    FLM_TRY(flm_kind_make_gamma(g->kind, shape->V, &g->gamma));
    const flm_weights *const frozen[FLM_ROLES] = {[FLM_ROLE_TEACHER] = g->teacher};
    flm_tensor E[FLM_ROLES];
    FLM_TRY(flm_noise_create(g->be, shape->V, shape->d, flm_kind_embeddings(frozen, E), E, &g->basis));
    FLM_TRY(flm_dit_create(g->be, shape, compute_dtype(g), batch, chunk, FLM_DIT_INFERENCE, &g->dit));
    g->ids = malloc((size_t)(batch * shape->L) * sizeof *g->ids);
    g->present = malloc((size_t)batch * sizeof *g->present);
    if (g->prompts.count > 0) g->known = malloc((size_t)(batch * shape->L) * sizeof *g->known);
    if (g->ids == NULL || g->present == NULL || (g->prompts.count > 0 && g->known == NULL))
        FLM_FAIL(FLM_E_NOMEM, "no memory for %lld samples", (long long)batch);
done:
    return rc;
}

flm_status flm_generation_name_weights(const flm_generation *g, flm_status rc)
{
    char weights[FLM_CHECKPOINT_PATH_BYTES + 32];
    if (rc != FLM_E_NUMERIC) return rc;
    snprintf(weights, sizeof weights, "%s, %s weights", g->path, g->info.weights);
    return flm_err_prefix(rc, weights);
}

flm_status flm_generation_load(flm_generation *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_checkpoint_open_collective(g->comm, g->o->checkpoint, g->path, &g->checkpoint));
    FLM_TRY(flm_comm_agree(g->comm, load_all(g)));
    flm_log(FLM_LOG_INFO, "%s: kind %s, step %" PRId64 ", %s weights", g->path, g->info.kind, g->info.checkpoint_step,
            g->info.weights);
    FLM_TRY(flm_comm_agree(g->comm, create_sampling(g)));
    FLM_TRY(flm_generation_name_weights(g, flm_noise_update(g->basis, g->comm, &g->weights->w.E)));
    FLM_TRY(flm_comm_agree(g->comm, create_sampler(g)));
done:
    return rc;
}

void flm_generation_release_network(flm_generation *g)
{
    flm_sampler_destroy(&g->sampler);
    flm_dit_destroy(&g->dit);
    flm_noise_destroy(&g->basis);
    flm_weights_destroy(&g->weights);
    flm_weights_destroy(&g->teacher);
    flm_gamma_destroy(&g->gamma);
}

void flm_generation_release(flm_generation *g)
{
    flm_samples_close(&g->file);
    flm_generation_release_network(g);
    flm_checkpoint_close(&g->checkpoint);
    flm_checkpoint_close(&g->teacher_checkpoint);
    free(g->settings);
    free(g->sets);
    flm_prompts_free(&g->prompts);
    free(g->ids);
    free(g->known);
    free(g->present);
}
