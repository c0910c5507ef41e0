/* train_method.c - which kind of network a run trains, by its options and the checkpoint that it resumes from, and
 * initial weights from another checkpoint (train_internal.h). SPDX-License-Identifier: Apache-2.0 */
#include "train/train_internal.h"

#include "base/base_log.h"
#include "train/train_checkpoint.h"

#include <inttypes.h>
#include <string.h>

/* Settings that a resumed run takes from its checkpoint. */
static const char *const kept[] = {"objective", "method", "diagonal-fraction", "boundary", "target-weights"};

/* The recorded value of a setting, NULL if there is none. Version 0.1 had stages instead of methods. */
static const char *recorded(const flm_checkpoint *checkpoint, const char *name)
{
    const char *value = flm_checkpoint_get_setting(checkpoint, name);
    if (value != NULL || strcmp(name, "method") != 0) return value;
    const char *stage = flm_checkpoint_get_setting(checkpoint, "stage");
    if (stage == NULL) return NULL;
    return strcmp(stage, "1") == 0 ? "two-model" : strcmp(stage, "2") == 0 ? "two-stage" : NULL;
}

static flm_status take_setting(flm_run *run, const char *name)
{
    flm_status rc = FLM_OK;
    const char *then = recorded(run->resumed, name), *now = flm_options_value(run->given, name);
    if (then == NULL || *now == '\0' || strcmp(then, now) == 0) goto done; /* "": this program has no such option */
    if (flm_options_given(run->given, name))
        FLM_FAIL(FLM_E_MISMATCH, "%s was trained with --%s %s, which a resumed run cannot change to %s",
                 run->resumed_path, name, then, now);
    FLM_TRY(flm_err_prefix(flm_options_replace(run->given, name, then), run->resumed_path));
done:
    return rc;
}

static flm_status refuse(const flm_run *run, const char *const *names, const char *why)
{
    flm_status rc = FLM_OK;
    for (int i = 0; names[i] != NULL; i++)
        if (flm_options_changed(run->given, names[i])) FLM_FAIL(FLM_E_USAGE, "--%s needs %s", names[i], why);
done:
    return rc;
}

static flm_status choose_distilled(flm_run *run)
{
    static const flm_kind_id kinds[] = {[FLM_METHOD_PSD] = FLM_KIND_FMLM,
                                        [FLM_METHOD_TWO_MODEL] = FLM_KIND_FMLM_TWO_MODEL,
                                        [FLM_METHOD_TWO_STAGE] = FLM_KIND_FMLM_TWO_STAGE,
                                        [FLM_METHOD_ANY_ORDER] = FLM_KIND_FMLM_ANY_ORDER};
    static const char *const of_psd[] = {"diagonal-fraction", "boundary", "target-weights", "init-from", NULL};
    flm_status rc = FLM_OK;
    const flm_train_options *o = run->o;
    run->kind = &flm_kinds[kinds[o->method]];
    if (o->method != FLM_METHOD_PSD && o->method != FLM_METHOD_ANY_ORDER)
        FLM_TRY(refuse(run, of_psd, "--method psd or any-order"));
    if (o->method != FLM_METHOD_TWO_STAGE && *o->flow_map) FLM_FAIL(FLM_E_USAGE, "--flow-map needs --method two-stage");
    if (o->method == FLM_METHOD_TWO_STAGE && !*o->flow_map)
        FLM_FAIL(FLM_E_USAGE, "--method two-stage needs --flow-map, a checkpoint of kind %s",
                 flm_kinds[FLM_KIND_FMLM_TWO_MODEL].name);
done:
    return rc;
}

flm_status flm_run_choose_kind(flm_run *run)
{
    static const flm_kind_id kinds[] = {[FLM_TRAIN_FLM] = FLM_KIND_FLM,
                                        [FLM_TRAIN_FMLM] = FLM_KIND_FMLM,
                                        [FLM_TRAIN_ANY_ORDER] = FLM_KIND_FMLM_ANY_ORDER};
    static const char *const of_maps[] = {"diagonal-fraction", "boundary", "target-weights", NULL};
    flm_status rc = FLM_OK;
    for (size_t i = 0; run->resumed != NULL && i < sizeof kept / sizeof kept[0]; i++)
        FLM_TRY(take_setting(run, kept[i]));
    if (run->o->teacher != NULL) {
        FLM_TRY(choose_distilled(run));
    } else {
        run->kind = &flm_kinds[kinds[run->o->objective]];
        if (run->o->objective == FLM_TRAIN_FLM) FLM_TRY(refuse(run, of_maps, "--objective fmlm or any-order"));
    }
done:
    return rc;
}

/* Check that the checkpoint has all that the network needs, apart from emb_u: a softmax head, the same sizes. */
static flm_status check_source(const flm_run *run, const flm_model_shape *s, const flm_checkpoint *checkpoint,
                               const char *path, const flm_kind **kind)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *from = flm_checkpoint_get_info(checkpoint);
    const flm_vocabulary *vocabulary = &flm_shards_get_info(run->train)->vocabulary;
    if (flm_kind_find(from->kind, kind) != FLM_OK || (*kind)->network == FLM_NETWORK_RESIDUAL) {
        flm_err_clear();
        FLM_FAIL(FLM_E_MISMATCH, "--init-from %s is of kind %s; expected kind %s, %s, %s or %s", path, from->kind,
                 flm_kinds[FLM_KIND_FLM].name, flm_kinds[FLM_KIND_FMLM].name, flm_kinds[FLM_KIND_FMLM_ANY_ORDER].name,
                 flm_kinds[FLM_KIND_FMLM_TWO_STAGE].name);
    }
    if (strcmp(from->vocabulary.sha256, vocabulary->sha256) != 0 || from->vocabulary.V != vocabulary->V)
        FLM_FAIL(FLM_E_MISMATCH, "--init-from %s has tokeniser %s (V = %lld), the shards in %s have %s (V = %lld)",
                 path, from->vocabulary.name, (long long)from->vocabulary.V, run->o->data, vocabulary->name,
                 (long long)vocabulary->V);
    const struct {
        const char *name;
        int64_t file, run;
    } sizes[] = {
        {"L", from->L, s->L}, {"d", from->d, s->d}, {"H", from->H, s->H}, {"c", from->c, s->c}, {"N", from->N, s->N}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].file != sizes[i].run)
            FLM_FAIL(FLM_E_MISMATCH, "--init-from %s has a different shape: %s = %lld, but this run has %lld", path,
                     sizes[i].name, (long long)sizes[i].file, (long long)sizes[i].run);
    if (from->logit_cap != s->logit_cap)
        FLM_FAIL(FLM_E_MISMATCH, "--init-from %s has logit cap = %g, but this run has %g", path, from->logit_cap,
                 s->logit_cap);
done:
    return rc;
}

/* path [FLM_CHECKPOINT_PATH_BYTES] */
static flm_status open_source(const flm_run *run, const flm_model_shape *shape, char *path, flm_checkpoint **out,
                              const flm_kind **kind)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_checkpoint_open_collective(run->comm, run->o->init_from, path, out));
    FLM_TRY(flm_comm_agree(run->comm, check_source(run, shape, *out, path, kind)));
done:
    return rc;
}

flm_status flm_run_check_init(const flm_run *run, const flm_model_shape *shape)
{
    flm_checkpoint *checkpoint = NULL;
    const flm_kind *kind = NULL;
    char path[FLM_CHECKPOINT_PATH_BYTES];
    const flm_status rc = *run->o->init_from ? open_source(run, shape, path, &checkpoint, &kind) : FLM_OK;
    flm_checkpoint_close(&checkpoint);
    return rc;
}

flm_status flm_run_init_from(flm_run *run)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    const flm_kind *kind = NULL;
    char path[FLM_CHECKPOINT_PATH_BYTES];
    FLM_TRY(open_source(run, &run->trainer->settings.shape, path, &checkpoint, &kind));
    FLM_TRY(flm_err_prefix(flm_train_checkpoint_init_student(run->trainer->optimizer, checkpoint, "ema",
                                                             kind->network != FLM_NETWORK_ONE_TIME),
                           path));
    flm_log(FLM_LOG_INFO, "initial weights: %s, step %" PRId64 ", ema weights", path,
            flm_checkpoint_get_info(checkpoint)->step);
done:
    flm_checkpoint_close(&checkpoint);
    return rc;
}
