/* train_resume.c - initial weights or a checkpoint to resume from, and writing checkpoints (train_internal.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "train/train_internal.h"

#include "base/base_log.h"
#include "io/io_lineage.h"
#include "model/model_load.h"
#include "train/train_checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Options that a resumed run cannot change: rows and random numbers depend on them. */
static const char *const fixed_settings[] = {"seed", "batch"};

static flm_status check_vocabulary(const flm_vocabulary *file, const flm_vocabulary *data, const char *path)
{
    flm_status rc = FLM_OK;
    if (strcmp(file->name, data->name) != 0 || file->V != data->V || strcmp(file->sha256, data->sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH,
                 "%s was trained with tokeniser %s (V = %lld, sha256 %.8s...), the shards have %s (V = %lld, sha256 "
                 "%.8s...)",
                 path, file->name, (long long)file->V, file->sha256, data->name, (long long)data->V, data->sha256);
done:
    return rc;
}

static flm_status check_shape(const flm_checkpoint_info *info, const flm_model_shape *shape, const char *path)
{
    flm_status rc = FLM_OK;
    const struct {
        const char *name;
        int64_t file, run;
    } sizes[] = {{"length L", info->L, shape->L},
                 {"hidden size d", info->d, shape->d},
                 {"heads H", info->H, shape->H},
                 {"condition size c", info->c, shape->c},
                 {"blocks N", info->N, shape->N}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].file != sizes[i].run)
            FLM_FAIL(FLM_E_MISMATCH, "%s has %s = %lld, but this run has %lld; a resumed run must have the same sizes",
                     path, sizes[i].name, (long long)sizes[i].file, (long long)sizes[i].run);
    if (info->logit_cap != shape->logit_cap)
        FLM_FAIL(FLM_E_MISMATCH, "%s has logit cap = %g, but this run has %g; a resumed run must have the same", path,
                 info->logit_cap, shape->logit_cap);
done:
    return rc;
}

/* Check by hash that the teachers are the same; their paths may differ. */
static flm_status check_lineage(const flm_run *run, const flm_checkpoint_info *info, const char *path)
{
    flm_status rc = FLM_OK;
    for (int r = 0; r < FLM_ROLE_FILES; r++) {
        const char *role = flm_role_name((flm_role)r);
        char then[FLM_SHA256_BYTES] = "", now[FLM_SHA256_BYTES] = "", from[FLM_CHECKPOINT_PATH_BYTES] = "",
             to[FLM_CHECKPOINT_PATH_BYTES];
        flm_lineage_get(info->lineage, role, then, from);
        flm_lineage_get(run->lineage, role, now, to);
        if (strcmp(then, now) != 0)
            FLM_FAIL(FLM_E_MISMATCH,
                     "%s was distilled from %s %s (sha256 %.12s...); --%s %s has changed or is another file", path,
                     role, from, then, role, to);
    }
done:
    return rc;
}

/* The rows that a run continues with follow from their numbers alone, so they must be the same rows as before. */
static flm_status check_data(const flm_run *run, const flm_checkpoint_info *info, const char *path)
{
    flm_status rc = FLM_OK;
    const bool is_root = flm_comm_rank(run->comm) == 0;
    const int64_t rows = flm_shards_get_rows(run->train);
    const uint32_t identity = flm_shards_get_identity(run->train);
    if (run->o->eval_only) goto done; /* reads no training row */
    if (info->data_rows == 0) {
        if (is_root)
            flm_log(FLM_LOG_INFO, "%s does not record its shards, so that %s holds the same rows cannot be checked",
                    path, run->o->data);
    } else if (info->data_rows != rows || info->data_identity != identity) {
        if (!run->o->allow_changed_data)
            FLM_FAIL(FLM_E_MISMATCH,
                     "%s was trained on other rows than --data %s has now (%lld rows, checksum %08llx; now %lld, "
                     "%08llx); restore the shards, or train on with --allow-changed-data",
                     path, run->o->data, (long long)info->data_rows, (unsigned long long)info->data_identity,
                     (long long)rows, (unsigned long long)identity);
        if (is_root)
            flm_log(FLM_LOG_WARN,
                    "%s was trained on other rows than --data %s has now, which --allow-changed-data permits", path,
                    run->o->data);
    }
    if (is_root && info->valid_rows > 0 && run->valid != NULL &&
        (info->valid_rows != flm_shards_get_rows(run->valid) ||
         info->valid_identity != flm_shards_get_identity(run->valid)))
        flm_log(FLM_LOG_WARN, "the validation rows of --data %s have changed: losses before and after differ",
                run->o->data);
done:
    return rc;
}

static flm_status check_fits(const flm_run *run, const flm_checkpoint *checkpoint, const char *path)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *info = flm_checkpoint_get_info(checkpoint);
    const flm_kind *kind = NULL;
    FLM_TRY(flm_err_prefix(flm_kind_find(info->kind, &kind), path));
    if (kind != run->kind)
        FLM_FAIL(FLM_E_MISMATCH, "%s is a checkpoint of kind %s; this run resumes from kind %s", path, kind->name,
                 run->kind->name);
    FLM_TRY(check_lineage(run, info, path));
    FLM_TRY(check_vocabulary(&info->vocabulary, &flm_shards_get_info(run->train)->vocabulary, path));
    FLM_TRY(check_shape(info, &run->trainer->settings.shape, path));
    for (size_t i = 0; i < sizeof fixed_settings / sizeof fixed_settings[0]; i++) {
        const char *name = fixed_settings[i], *then = flm_checkpoint_get_setting(checkpoint, name);
        const char *now = flm_options_value(run->given, name);
        if (then == NULL || strcmp(then, now) != 0)
            FLM_FAIL(FLM_E_MISMATCH, "%s was trained with --%s %s, which a resumed run cannot change to %s", path, name,
                     then != NULL ? then : "(not recorded)", now);
    }
    FLM_TRY(check_data(run, info, path));
    if (info->step > run->o->steps)
        FLM_FAIL(FLM_E_MISMATCH, "%s is at step %lld, beyond --steps %lld; increase --steps to resume", path,
                 (long long)info->step, (long long)run->o->steps);
done:
    return rc;
}

/* Log the options that differ from those of the checkpoint, apart from those without influence on the result. */
static void log_changed_options(const flm_run *run, const flm_checkpoint *checkpoint)
{
    static const char *const unimportant[] = {"resume",       "out",        "steps",         "threads",
                                              "log-every",    "eval-only",  "config",        "comm-timeout",
                                              "step-timeout", "share-gpus", "cuda-aware-mpi"};
    for (int i = 0; i < run->settings; i++) {
        const char *name = run->setting[i].name, *then = flm_checkpoint_get_setting(checkpoint, name);
        bool skip = then == NULL || strcmp(then, run->setting[i].value) == 0;
        for (size_t k = 0; k < sizeof unimportant / sizeof unimportant[0]; k++)
            skip |= strcmp(name, unimportant[k]) == 0;
        if (!skip) flm_log(FLM_LOG_INFO, "--%s changes from %s to %s", name, then, run->setting[i].value);
    }
}

/* The checkpoint to resume from is run->resumed, NULL for none. It is the run directory's own also with --resume FILE,
 * if the run was started from the same FILE, so that the same command again resumes the run. */
flm_status flm_run_find_checkpoint(flm_run *run)
{
    flm_status rc = FLM_OK;
    const char *resume = run->o->resume, *before;
    FLM_TRY(flm_checkpoint_resume(run->comm, run->checkpoints, &run->resumed));
    run->resumed_own = run->resumed != NULL;
    if (run->resumed_own && strcmp(resume, "no") == 0)
        FLM_FAIL(FLM_E_USAGE, "--resume no: %s already has checkpoints; use another --out, or --resume auto",
                 run->checkpoints);
    if (strcmp(resume, "auto") != 0) {
        before = run->resumed_own ? flm_checkpoint_get_setting(run->resumed, "resume") : NULL;
        if (run->resumed_own && (before == NULL || strcmp(before, resume) != 0))
            FLM_FAIL(FLM_E_USAGE, "--resume %s: %s has checkpoints of another run; use another --out or --resume auto",
                     resume, run->checkpoints);
        if (!run->resumed_own && strcmp(resume, "no") != 0)
            FLM_TRY(flm_checkpoint_open_collective(run->comm, resume, run->resumed_path, &run->resumed));
    }
    if (run->resumed_own)
        snprintf(run->resumed_path, sizeof run->resumed_path, "%s/step-%08" PRId64 ".h5", run->checkpoints,
                 flm_checkpoint_get_info(run->resumed)->step);
    if (run->resumed == NULL && run->o->eval_only)
        FLM_FAIL(FLM_E_USAGE, "--eval-only: %s has no checkpoint to evaluate", run->checkpoints);
done:
    return rc;
}

/* The cap of a student is its teacher's, and compared with the checkpoint's like the sizes. */
flm_status flm_run_take_settings(flm_run *run, flm_trainer_settings *settings)
{
    flm_status rc = FLM_OK;
    char text[32];
    if (run->resumed == NULL || run->frozen[FLM_ROLE_TEACHER].weights != NULL) goto done;
    const double cap = flm_checkpoint_get_info(run->resumed)->logit_cap;
    if (flm_options_given(run->given, "logit-cap") && run->o->logit_cap != cap)
        FLM_FAIL(FLM_E_MISMATCH, "%s was trained with --logit-cap %g, which a resumed run cannot change to %g",
                 run->resumed_path, cap, run->o->logit_cap);
    settings->shape.logit_cap = cap;
    if (flm_model_check(&settings->shape) != FLM_OK) {
        flm_err_clear();
        FLM_FAIL(FLM_E_FORMAT, "%s has logit cap %g, which is out of range", run->resumed_path, cap);
    }
    snprintf(text, sizeof text, "%.17g", cap);
    if (!flm_options_given(run->given, "logit-cap")) FLM_TRY(flm_options_replace(run->given, "logit-cap", text));
done:
    return rc;
}

static flm_status initialise(flm_run *run)
{
    flm_status rc = FLM_OK;
    const flm_frozen_network *teacher = &run->frozen[FLM_ROLE_TEACHER];
    FLM_TRY(flm_optimizer_initialise(run->trainer->optimizer, run->trainer->settings.seed));
    if (*run->o->init_from)
        FLM_TRY(flm_run_init_from(run));
    else if (teacher->checkpoint != NULL)
        FLM_TRY(flm_err_prefix(flm_train_checkpoint_init_student(run->trainer->optimizer, teacher->checkpoint,
                                                                 flm_run_teacher_set(run), false),
                               teacher->path));
done:
    return rc;
}

flm_status flm_run_resume(flm_run *run)
{
    flm_status rc = FLM_OK;
    run->saved_step = -1;
    if (run->resumed == NULL) return initialise(run);
    const int64_t step = flm_checkpoint_get_info(run->resumed)->step;
    FLM_TRY(flm_comm_agree(run->comm, check_fits(run, run->resumed, run->resumed_path)));
    FLM_TRY(flm_err_prefix(flm_train_checkpoint_read(run->trainer->optimizer, run->resumed), run->resumed_path));
    run->trainer->step = step;
    if (run->resumed_own) run->saved_step = step;
    log_changed_options(run, run->resumed);
    flm_log(FLM_LOG_INFO, "resuming from step %" PRId64 " (%s)", step,
            run->resumed_own ? run->checkpoints : run->o->resume);
done:
    flm_checkpoint_close(&run->resumed);
    return rc;
}

flm_status flm_run_save(flm_run *run)
{
    flm_status rc = FLM_OK;
    const flm_trainer *trainer = run->trainer;
    const flm_model_shape *shape = &trainer->settings.shape;
    const int64_t seen = trainer->step * trainer->settings.batch;
    if (trainer->step == run->saved_step) goto done;
    flm_checkpoint_info info = {.step = trainer->step,
                                .epoch = seen / flm_shards_get_rows(run->train),
                                .rows_read = seen,
                                .tokens_seen = seen * shape->L,
                                .seed = run->o->seed,
                                .data_rows = flm_shards_get_rows(run->train),
                                .data_identity = flm_shards_get_identity(run->train),
                                .vocabulary = flm_shards_get_info(run->train)->vocabulary,
                                .L = shape->L,
                                .d = shape->d,
                                .H = shape->H,
                                .c = shape->c,
                                .N = shape->N,
                                .logit_cap = shape->logit_cap};
    if (run->valid != NULL) {
        info.valid_rows = flm_shards_get_rows(run->valid);
        info.valid_identity = flm_shards_get_identity(run->valid);
    }
    snprintf(info.kind, sizeof info.kind, "%s", run->kind->name);
    snprintf(info.lineage, sizeof info.lineage, "%s", run->lineage);
    FLM_TRY(flm_train_checkpoint_write(trainer->optimizer, run->checkpoints, &info, run->setting, run->settings,
                                       (int)run->o->keep));
    run->saved_step = trainer->step;
done:
    return rc;
}
