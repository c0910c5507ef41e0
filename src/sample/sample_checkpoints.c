/* sample_checkpoints.c - see sample_checkpoints.h. The samples are those that flm_generate makes with the same options.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_checkpoints.h"

#include "base/base_log.h"
#include "base/base_path.h"
#include "h5/h5_format.h"
#include "sample/sample_generate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 200 };

/* Whether a path is a checkpoint, or a directory, which can only be a run directory. */
static flm_status detect_checkpoint(const char *path, bool *checkpoint)
{
    flm_status rc = FLM_OK;
    struct stat st;
    const char *kind = NULL;
    bool hdf5 = false;
    *checkpoint = false;
    if (stat(path, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        *checkpoint = true;
        goto done;
    }
    FLM_TRY(flm_format_is_hdf5(path, &hdf5));
    if (!hdf5) goto done;
    FLM_TRY(flm_format_identify(path, &kind));
    *checkpoint = strcmp(kind, "checkpoint") == 0;
done:
    return rc;
}

/* The name of a checkpoint's samples file: the path with '-' for '/', so that different checkpoints have different
 * names. Of a longer path the end is used. */
static void make_name(const char *path, char *name, size_t size)
{
    const size_t length = strlen(path), skip = length >= size ? length - size + 1 : 0;
    snprintf(name, size, "%s", path + skip);
    for (char *c = name; *c; c++)
        if (*c == '/') *c = '-';
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static flm_status checkpoint_sample(flm_comm *comm, flm_backend *be, const flm_score_options *o, const char *path,
                                    char **samples, bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    char name[NAME_BYTES], out[FLM_PATH_BYTES];
    if (!o->compare && is_folder(path))
        FLM_FAIL(FLM_E_USAGE,
                 "%s: is a directory; list the text or samples files in it instead (--compare scores a run directory)",
                 path);
    if (!o->compare)
        FLM_FAIL(
            FLM_E_USAGE,
            "%s: is neither samples nor text; generate samples from a checkpoint with flm_generate, or use --compare",
            path);
    if (!o->samples_dir[0] || !o->gpt2[0] || !o->steps[0])
        FLM_FAIL(FLM_E_USAGE,
                 "%s: is neither samples nor text; to compare a checkpoint, set --gpt2, --steps and --samples-dir",
                 path);
    make_name(path, name, sizeof name);
    FLM_TRY(flm_path_format(out, "%s/%s.samples.h5", o->samples_dir, name));
    const flm_generate_options generate = {.checkpoint = path,
                                           .teacher = "",
                                           .out = out,
                                           .steps = o->steps,
                                           .noise_level = o->noise_level,
                                           .temperature = o->temperature,
                                           .samples = o->samples,
                                           .sampler = FLM_GENERATE_AUTO,
                                           .block_length = 32,
                                           .rounds = 8,
                                           .budget = "uniform",
                                           .threshold = 0.999,
                                           .fresh_noise = true,
                                           .top_p = 1,
                                           .prompts = "",
                                           .mask = "",
                                           .samples_per_prompt = 1,
                                           .batch = o->sample_batch,
                                           .score = "",
                                           .protocol = {.batch = 1},
                                           .json = "",
                                           .device = o->device,
                                           .precision = o->precision,
                                           .seed = o->seed,
                                           .threads = o->threads};
    flm_log(FLM_LOG_INFO, "%s: writing samples to %s", path, out);
    FLM_TRY(flm_generate_run(comm, be, &generate, stop_requested));
    *samples = strdup(out);
done:
    return rc;
}

flm_status flm_sample_checkpoints_generate(flm_comm *comm, flm_backend *be, const flm_score_options *o,
                                           const char *const *paths, int count, char **files,
                                           bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < count; i++) {
        bool checkpoint = false;
        FLM_TRY(flm_comm_agree(comm, detect_checkpoint(paths[i], &checkpoint)));
        if (checkpoint)
            FLM_TRY(checkpoint_sample(comm, be, o, paths[i], &files[i], stop_requested));
        else
            files[i] = strdup(paths[i]);
        if (!files[i]) FLM_FAIL(FLM_E_NOMEM, "no memory for a path");
    }
done:
    return rc;
}
