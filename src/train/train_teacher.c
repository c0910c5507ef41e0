/* train_teacher.c - finds, checks and loads the frozen networks of a distillation (train_internal.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "train/train_internal.h"

#include "base/base_log.h"
#include "io/io_lineage.h"
#include "model/model_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *flm_run_teacher_set(const flm_run *run) { return run->o->teacher_weights == 0 ? "ema" : "weights"; }

/* Check that an open checkpoint has the kind that the option takes, and the vocabulary and length of the shards. */
static flm_status check_frozen(const flm_run *run, const flm_frozen_network *f, const char *option,
                               const flm_kind *want)
{
    flm_status rc = FLM_OK;
    const flm_kind *kind = NULL;
    const flm_checkpoint_info *info = flm_checkpoint_get_info(f->checkpoint);
    const flm_shard_info *data = flm_shards_get_info(run->train);
    if (flm_kind_find(info->kind, &kind) != FLM_OK || kind != want) {
        flm_err_clear();
        FLM_FAIL(FLM_E_MISMATCH, "--%s %s is a checkpoint of kind %s; expected kind %s", option, f->path, info->kind,
                 want->name);
    }
    if (strcmp(info->vocabulary.sha256, data->vocabulary.sha256) != 0 || info->vocabulary.V != data->vocabulary.V)
        FLM_FAIL(FLM_E_MISMATCH, "--%s %s has tokeniser %s (V = %lld), the shards in %s have %s (V = %lld)", option,
                 f->path, info->vocabulary.name, (long long)info->vocabulary.V, run->o->data, data->vocabulary.name,
                 (long long)data->vocabulary.V);
    if (info->L != data->L)
        FLM_FAIL(FLM_E_MISMATCH, "--%s %s has length L = %lld, the shards in %s have L = %lld", option, f->path,
                 (long long)info->L, run->o->data, (long long)data->L);
done:
    return rc;
}

static flm_status identify_frozen(const flm_run *run, flm_frozen_network *f, const char *option, const flm_kind *kind)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_frozen(run, f, option, kind));
    if (flm_comm_rank(run->comm) == 0) FLM_TRY(flm_lineage_hash(f->checkpoint, f->sha256));
done:
    return rc;
}

/* Check that the flow map was distilled from the teacher. */
static flm_status check_pair(const flm_run *run)
{
    flm_status rc = FLM_OK;
    const flm_frozen_network *teacher = &run->frozen[FLM_ROLE_TEACHER], *flow_map = &run->frozen[FLM_ROLE_FLOW_MAP];
    const flm_checkpoint_info *f = flm_checkpoint_get_info(teacher->checkpoint);
    const flm_checkpoint_info *g = flm_checkpoint_get_info(flow_map->checkpoint);
    char sha256[FLM_SHA256_BYTES], path[FLM_CHECKPOINT_PATH_BYTES];
    if (f->d != g->d || f->H != g->H || f->c != g->c || f->N != g->N)
        FLM_FAIL(FLM_E_MISMATCH,
                 "--flow-map %s (d = %lld, H = %lld, c = %lld, N = %lld) and --teacher %s (d = %lld, H = %lld, "
                 "c = %lld, N = %lld) have different shapes",
                 flow_map->path, (long long)g->d, (long long)g->H, (long long)g->c, (long long)g->N, teacher->path,
                 (long long)f->d, (long long)f->H, (long long)f->c, (long long)f->N);
    if (!flm_lineage_get(g->lineage, "teacher", sha256, path)) {
        if (flm_comm_rank(run->comm) == 0)
            flm_log(FLM_LOG_WARN, "--flow-map %s does not record its teacher; assuming that it is %s", flow_map->path,
                    teacher->path);
        goto done;
    }
    if (strcmp(sha256, teacher->sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH,
                 "--flow-map %s was distilled from %s (sha256 %.12s...), but --teacher %s is another file "
                 "(sha256 %.12s...)",
                 flow_map->path, path, sha256, teacher->path, teacher->sha256);
done:
    return rc;
}

static flm_status load_frozen(const flm_run *run, flm_frozen_network *f, flm_network network, flm_dtype act)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape;
    FLM_TRY(flm_model_load_shape(flm_checkpoint_get_info(f->checkpoint), network, &shape));
    FLM_TRY(flm_weights_create(run->be, &shape, act, 1, false, &f->weights));
    FLM_TRY(flm_model_load_weights(f->weights, f->checkpoint, flm_run_teacher_set(run)));
done:
    return flm_err_prefix(rc, f->path);
}

static flm_status add_lineage(flm_run *run, const flm_frozen_network *f, const char *role)
{
    const int64_t step = flm_checkpoint_get_info(f->checkpoint)->step;
    flm_log(FLM_LOG_INFO, "%s: %s, step %" PRId64 ", %s weights", role, f->path, step, flm_run_teacher_set(run));
    return flm_lineage_add(run->lineage, role, f->sha256, step, f->path);
}

/* Open, check, hash and load the frozen network of a role. */
static flm_status load_role(flm_run *run, flm_role r, const char *given, flm_dtype act)
{
    flm_status rc = FLM_OK;
    flm_frozen_network *f = &run->frozen[r];
    const flm_kind *kind = run->kind->objective->networks[r].kind;
    const char *role = flm_role_name(r);
    FLM_TRY(flm_checkpoint_open_collective(run->comm, given, f->path, &f->checkpoint));
    FLM_TRY(flm_comm_agree(run->comm, identify_frozen(run, f, role, kind)));
    FLM_TRY(flm_comm_broadcast(run->comm, f->sha256, sizeof f->sha256, 0));
    if (r == FLM_ROLE_FLOW_MAP) FLM_TRY(flm_comm_agree(run->comm, check_pair(run)));
    FLM_TRY(flm_comm_agree(run->comm, load_frozen(run, f, kind->network, act)));
    FLM_TRY(add_lineage(run, f, role));
done:
    return rc;
}

flm_status flm_run_load_teachers(flm_run *run, flm_dtype act)
{
    flm_status rc = FLM_OK;
    const flm_train_options *o = run->o;
    const char *const given[FLM_ROLE_FILES] = {[FLM_ROLE_TEACHER] = o->teacher, [FLM_ROLE_FLOW_MAP] = o->flow_map};
    for (int r = 0; r < FLM_ROLE_FILES; r++)
        if (run->kind->objective->networks[r].kind != NULL && given[r] != NULL && *given[r])
            FLM_TRY(load_role(run, (flm_role)r, given[r], act));
done:
    return rc;
}

static void release(flm_frozen_network *f)
{
    flm_weights_destroy(&f->weights);
    flm_checkpoint_close(&f->checkpoint);
}

void flm_run_release_teachers(flm_run *run)
{
    for (int r = 0; r < FLM_ROLE_FILES; r++) release(&run->frozen[r]);
}
