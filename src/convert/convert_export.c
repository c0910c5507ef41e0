/* convert_export.c - checkpoints of the suite to safetensors, or to a folder of the hub, which gets its name when it is
 * complete. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_hub.h"
#include "convert/convert_safetensors.h"

#include "base/base_file.h"
#include "base/base_log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBER_BYTES = 24 };
static const double PUBLISHED_CAP = 30; /* a constant of the published code: model.md section 9.1 */

typedef struct weights_export {
    flm_checkpoint *from;
    flm_checkpoint_dataset *datasets; /* [count], named as in the output */
    const char **source;              /* [count] names in the checkpoint; NULL: the rotary frequencies */
    int count;
} weights_export;

static flm_status weight_source(void *context, int index, float *data)
{
    const weights_export *e = context;
    const int64_t n = e->datasets[index].dim[0];

    for (int64_t i = 0; !e->source[index] && i < n; i++) data[i] = (float)(1 / pow(10000, (double)i / (double)n));
    if (!e->source[index]) return FLM_OK;
    return flm_checkpoint_read(e->from, e->source[index], 0, flm_checkpoint_elements(&e->datasets[index]), data);
}

/* Selects the datasets and names them as in the output. */
static flm_status choose(weights_export *e, int weights, const char *path)
{
    static const char raw[] = "weights/", ema[] = "ema/";
    flm_status rc = FLM_OK;
    int count;
    const flm_checkpoint_dataset *all = flm_checkpoint_get_datasets(e->from, &count);
    e->datasets = calloc((size_t)count + 2, sizeof *e->datasets);
    e->source = calloc((size_t)count + 2, sizeof *e->source);
    if (!e->datasets || !e->source) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the table of its weights", path);
    for (int i = 0; i < count; i++) {
        const bool is_raw = strncmp(all[i].name, raw, strlen(raw)) == 0,
                   is_ema = strncmp(all[i].name, ema, strlen(ema)) == 0;
        flm_checkpoint_dataset *d = &e->datasets[e->count];
        if (!(is_raw && weights != 1) && !(is_ema && weights != 2)) continue;
        *d = all[i];
        snprintf(d->name, sizeof d->name, "%s%.90s", is_ema && weights == 0 ? "ema." : "",
                 all[i].name + (is_raw ? strlen(raw) : strlen(ema)));
        e->source[e->count++] = all[i].name;
    }
    if (e->count == 0) FLM_FAIL(FLM_E_MISMATCH, "%s: has no %s weights", path, weights == 1 ? "EMA" : "raw");
done:
    return rc;
}

/* Adds the buffer that the published code expects beside the weights: model.md section 2. */
static void add_frequencies(weights_export *e)
{
    const flm_checkpoint_info *info = flm_checkpoint_get_info(e->from);
    flm_checkpoint_dataset *d = &e->datasets[e->count++];

    *d = (flm_checkpoint_dataset){.ndim = 1, .dim = {info->d / info->H / 2}};
    snprintf(d->name, sizeof d->name, "rotary_emb.inv_freq");
}

static flm_status write_weights(weights_export *e, const char *path)
{
    const flm_checkpoint_info *info = flm_checkpoint_get_info(e->from);
    const int64_t numbers[] = {info->L, info->H, info->step};
    char number[4][NUMBER_BYTES];

    for (int i = 0; i < 3; i++) snprintf(number[i], NUMBER_BYTES, "%" PRId64, numbers[i]);
    snprintf(number[3], NUMBER_BYTES, "%.17g", info->logit_cap);
    const flm_setting metadata[] = {{"flm.kind", info->kind},    {"flm.tokenizer", info->vocabulary.name},
                                    {"flm.length", number[0]},   {"flm.heads", number[1]},
                                    {"flm.step", number[2]},     {"flm.parent", info->lineage},
                                    {"flm.logit_cap", number[3]}};
    return flm_safetensors_write(path, e->datasets, e->count, metadata, sizeof metadata / sizeof metadata[0],
                                 weight_source, e);
}

static flm_status write_folder(weights_export *e, const char *out)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *info = flm_checkpoint_get_info(e->from);
    char folder[FLM_PATH_BYTES], parent[FLM_PATH_BYTES], weights[FLM_PATH_BYTES] = "", config[FLM_PATH_BYTES] = "";

    if (rmdir(out) != 0 && errno != ENOENT)
        FLM_FAIL(FLM_E_USAGE, "%s: exists and is not an empty folder; choose another output", out);
    FLM_TRY(flm_path_format(folder, "%s.tmp", out));
    FLM_TRY(flm_path_directory(parent, out));
    FLM_TRY(flm_path_join(weights, folder, "model.safetensors"));
    FLM_TRY(flm_path_join(config, folder, "config.json"));
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) /* one is left after a kill */
        FLM_FAIL(flm_status_from_errno(errno), "%s: %s", folder, strerror(errno));
    FLM_TRY(write_weights(e, weights));
    FLM_TRY(flm_hub_config_write(info, config));
    FLM_TRY(flm_file_rename(folder, out));
    FLM_TRY(flm_file_sync_directory(parent));
    if (info->logit_cap != PUBLISHED_CAP && strcmp(info->kind, "fmlm-two-model") != 0)
        flm_log(FLM_LOG_WARN, "%s: the cap of the logits is %g, but the published code has the constant %g", out,
                info->logit_cap, PUBLISHED_CAP);
done:
    if (rc != FLM_OK && *weights) {
        unlink(weights);
        unlink(config);
        rmdir(folder);
    }
    return rc;
}

flm_status flm_convert_export(const flm_convert_options *options, const char *in, const char *out)
{
    flm_status rc = FLM_OK;
    weights_export e = {.from = NULL};
    const bool hub = options->format == 1;
    char path[FLM_CHECKPOINT_PATH_BYTES];

    FLM_TRY(flm_checkpoint_open_found(in, path, &e.from));
    FLM_TRY(choose(&e, hub && options->weights == 0 ? 1 : options->weights, in));
    if (hub) add_frequencies(&e);
    FLM_TRY(hub ? write_folder(&e, out) : write_weights(&e, out));
    printf("%s: %s, %d tensors from a checkpoint of kind %s\n", out, hub ? "folder of the model hub" : "safetensors",
           e.count, flm_checkpoint_get_info(e.from)->kind);
done:
    flm_checkpoint_close(&e.from);
    free(e.datasets);
    free(e.source);
    return rc;
}
