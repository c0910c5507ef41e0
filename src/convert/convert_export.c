/* convert_export.c - checkpoints of the suite to safetensors. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert.h"
#include "convert/convert_safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 24 };

typedef struct weights_export {
    flm_checkpoint *from;
    flm_checkpoint_dataset *datasets; /* [count], named as in the output */
    const char **source;              /* [count] names in the checkpoint */
    int count;
} weights_export;

static flm_status weight_source(void *context, int index, float *data)
{
    const weights_export *e = context;
    return flm_checkpoint_read(e->from, e->source[index], 0, flm_checkpoint_elements(&e->datasets[index]), data);
}

/* Selects the datasets and names them as in the output. */
static flm_status choose(weights_export *e, int weights, const char *path)
{
    static const char raw[] = "weights/", ema[] = "ema/";
    flm_status rc = FLM_OK;
    int count;
    const flm_checkpoint_dataset *all = flm_checkpoint_get_datasets(e->from, &count);
    e->datasets = calloc((size_t)count + 1, sizeof *e->datasets);
    e->source = calloc((size_t)count + 1, sizeof *e->source);
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

flm_status flm_convert_export(const flm_convert_options *options, const char *in, const char *out)
{
    flm_status rc = FLM_OK;
    weights_export e = {.from = NULL};
    char number[4][NUMBER_BYTES], path[FLM_CHECKPOINT_PATH_BYTES];

    FLM_TRY(flm_checkpoint_open_found(in, path, &e.from));
    FLM_TRY(choose(&e, options->weights, in));
    const flm_checkpoint_info *info = flm_checkpoint_get_info(e.from);
    const int64_t numbers[] = {info->L, info->H, info->step};
    for (int i = 0; i < 3; i++) snprintf(number[i], NUMBER_BYTES, "%" PRId64, numbers[i]);
    snprintf(number[3], NUMBER_BYTES, "%.17g", info->logit_cap);
    const flm_setting metadata[] = {{"flm.kind", info->kind},    {"flm.tokenizer", info->vocabulary.name},
                                    {"flm.length", number[0]},   {"flm.heads", number[1]},
                                    {"flm.step", number[2]},     {"flm.parent", info->lineage},
                                    {"flm.logit_cap", number[3]}};
    FLM_TRY(flm_safetensors_write(out, e.datasets, e.count, metadata, sizeof metadata / sizeof metadata[0],
                                  weight_source, &e));
    printf("%s: safetensors, %d tensors from a checkpoint of kind %s\n", out, e.count, info->kind);
done:
    flm_checkpoint_close(&e.from);
    free(e.datasets);
    free(e.source);
    return rc;
}
