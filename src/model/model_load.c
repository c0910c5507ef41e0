/* model_load.c - see model_load.h. SPDX-License-Identifier: Apache-2.0 */
#include "model/model_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

flm_status flm_model_load_shape(const flm_checkpoint_info *info, flm_network network, flm_model_shape *out)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape;
    FLM_TRY(flm_model_preset("small", &shape)); /* sizes that no checkpoint records are the same in every preset */
    shape.L = info->L;
    shape.V = info->vocabulary.V;
    shape.d = info->d;
    shape.H = info->H;
    shape.c = info->c;
    shape.N = info->N;
    shape.logit_cap = info->logit_cap;
    shape.network = network;
    if (flm_model_check(&shape) != FLM_OK) {
        char why[256];
        snprintf(why, sizeof why, "%s", flm_err_message());
        FLM_FAIL(FLM_E_FORMAT, "the checkpoint's %s", why);
    }
    *out = shape;
done:
    return rc;
}

static flm_status load_parameter(flm_weights *weights, int index, const flm_checkpoint *checkpoint, const char *set,
                                 float *values)
{
    flm_status rc = FLM_OK;
    const flm_parameter *p = &weights->parameter[index];
    char name[FLM_DATASET_NAME_BYTES];
    snprintf(name, sizeof name, "%s/%s", set, p->name);
    FLM_TRY(flm_checkpoint_expect(checkpoint, name, p->ndim, p->dim));
    FLM_TRY(flm_checkpoint_read(checkpoint, name, 0, p->count, values));
    FLM_TRY(flm_weights_set(weights, index, values));
done:
    return rc;
}

/* Whether the checkpoint has any dataset of this set. */
static bool has_set(const flm_checkpoint *checkpoint, const char *set)
{
    int count;
    const flm_checkpoint_dataset *datasets = flm_checkpoint_get_datasets(checkpoint, &count);
    const size_t n = strlen(set);
    for (int i = 0; i < count; i++)
        if (strncmp(datasets[i].name, set, n) == 0 && datasets[i].name[n] == '/') return true;
    return false;
}

flm_status flm_model_load_weights(flm_weights *weights, const flm_checkpoint *checkpoint, const char *set)
{
    flm_status rc = FLM_OK;
    int64_t max = 0;
    float *values = NULL;
    if (strcmp(set, "ema") == 0 && !has_set(checkpoint, set))
        FLM_FAIL(FLM_E_MISMATCH,
                 "has no EMA weights; use its raw ones with --weights raw (--teacher-weights raw for a teacher)");
    for (int i = 0; i < weights->parameters; i++)
        if (weights->parameter[i].count > max) max = weights->parameter[i].count;
    values = malloc((size_t)max * sizeof *values);
    if (values == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a tensor of %lld elements", (long long)max);
    for (int i = 0; i < weights->parameters; i++) FLM_TRY(load_parameter(weights, i, checkpoint, set, values));
done:
    free(values);
    return rc;
}
