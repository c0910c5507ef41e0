/* convert.c - see convert.h: which conversion an input needs. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert.h"
#include "convert/convert_hub.h"

#include "base/base_file.h"
#include "base/base_path.h"
#include "flow/flow_kind.h"
#include "h5/h5_format.h"
#include "io/io_checkpoint.h"
#include "io/io_lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static flm_status check_kind(const char *name)
{
    flm_status rc = FLM_OK;
    const flm_kind *kind = NULL;

    if (strcmp(name, "auto") == 0) goto done;
    if (flm_kind_find(name, &kind) != FLM_OK) {
        flm_err_clear();
        FLM_FAIL(FLM_E_USAGE, "--kind: unknown kind '%s'; flm_convert --help lists the kinds", name);
    }
    if (strcmp(name, kind->name) != 0) FLM_FAIL(FLM_E_USAGE, "--kind %s was renamed: use %s", name, kind->name);
done:
    return rc;
}

/* Whether path is a file of a Hugging Face folder; sets folder [FLM_PATH_BYTES]. */
static bool in_hugging_face_folder(const char *path, char *folder)
{
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};
    char config[FLM_PATH_BYTES];
    bool known = false;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) known |= strcmp(flm_path_name(path), names[i]) == 0;
    if (known && flm_path_directory(folder, path) == FLM_OK && flm_path_join(config, folder, names[0]) == FLM_OK)
        return access(config, F_OK) == 0;
    flm_err_clear();
    return false;
}

/* Whether a path is an existing file in a folder. */
static bool is_inside(const char *path, const char *folder)
{
    char directory[FLM_PATH_BYTES];
    const bool inside =
        access(path, F_OK) == 0 && flm_path_directory(directory, path) == FLM_OK && flm_file_is_same(directory, folder);
    flm_err_clear();
    return inside;
}

/* The output, and the name under which it is written first, must not be the input or part of it, or a run's. */
static flm_status check_output(const char *in, bool folder, const char *out)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES];

    FLM_TRY(flm_path_format(temporary, "%s.tmp", out));
    if (flm_file_is_same(in, out) || flm_file_is_same(in, temporary))
        FLM_FAIL(FLM_E_USAGE, "%s: input and output are the same file (%s); the output would replace the input", out,
                 in);
    FLM_TRY(flm_file_check_output(out));
    if (folder && is_inside(out, in))
        FLM_FAIL(FLM_E_USAGE, "%s: exists in the folder that is converted; choose another output", out);
    if (flm_checkpoint_is_of_run(out))
        FLM_FAIL(FLM_E_USAGE, "%s: the output would be a checkpoint of a run; choose a file outside of its directory",
                 out);
done:
    return rc;
}

static flm_status convert_hub(const flm_convert_options *options, const char *folder, const char *path, const char *out)
{
    flm_status rc = FLM_OK;
    flm_hub_config config;
    char weights[FLM_PATH_BYTES];
    FLM_TRY(flm_hub_config_read(path, &config));
    FLM_TRY(flm_hub_find_weights(folder, weights));
    FLM_TRY(flm_convert_flm(options, &config, weights, out));
done:
    return rc;
}

static flm_status convert(const flm_convert_options *options, const char *in, bool folder, const char *out)
{
    flm_status rc = FLM_OK;
    bool hdf5 = false;
    char config[FLM_PATH_BYTES];

    if (!folder) FLM_TRY(flm_format_is_hdf5(in, &hdf5));
    if (options->format != 0 && !hdf5)
        FLM_FAIL(FLM_E_USAGE, "--format hub: expected a checkpoint of the suite as INPUT, %s is %s", in,
                 folder ? "a folder" : "another kind of file");
    if (folder) {
        FLM_TRY(flm_path_join(config, in, "config.json"));
        if (access(config, F_OK) != 0)
            FLM_FAIL(
                FLM_E_MISSING,
                "%s: is a folder without config.json, so it is no GPT-2 of Hugging Face; of a run directory name a "
                "checkpoint, as checkpoints/latest",
                in);
        FLM_TRY(flm_hub_config_is(config) ? convert_hub(options, in, config, out) : flm_convert_gpt2(in, out));
    } else {
        FLM_TRY(hdf5 ? flm_convert_export(options, in, out) : flm_convert_flm(options, NULL, in, out));
    }
done:
    return rc;
}

flm_status flm_convert_run(const flm_convert_options *options, const char *in, const char *out)
{
    flm_status rc = FLM_OK;
    struct stat st;
    bool folder = false;
    char directory[FLM_PATH_BYTES];
    flm_lock *lock = NULL;

    FLM_TRY(check_kind(options->kind));
    if (stat(in, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", in, strerror(errno));
    folder = S_ISDIR(st.st_mode);
    if (!folder && in_hugging_face_folder(in, directory)) {
        folder = true;
        in = directory;
    }
    if (options->format == 0) FLM_TRY(check_output(in, folder, out)); /* a folder must be new */
    FLM_TRY(flm_lock_file(out, &lock));
    FLM_TRY(convert(options, in, folder, out));
done:
    flm_lock_release(&lock);
    return rc;
}
