/* published_probe.c - a program for published.t: flm_distill's notice of settings that differ from a published run,
 * without shards and a teacher of full size. Their properties are in --data: CORPUS,TOKENISER,LENGTH,CAP.
 * SPDX-License-Identifier: Apache-2.0 */
int flm_distill_main(int argc, char **argv);
#define main flm_distill_main /* its table of options is used, its main is not */
#include "cmd/flm_distill.c"
#undef main

#include "train/train_published.h"

#include <stdio.h>

static const flm_kind_id kinds[] = {FLM_KIND_FMLM, FLM_KIND_FMLM_TWO_MODEL, FLM_KIND_FMLM_TWO_STAGE,
                                    FLM_KIND_FMLM_ANY_ORDER};

int main(int argc, char **argv)
{
    int status = 1;
    long long L = 0;
    bool stop = false;
    flm_options *options = NULL;
    flm_train_options o = {0};
    flm_shard_info data = {0};
    flm_trainer_settings settings = {0};
    if (flm_options_parse(&spec, argc, argv, &o, true, &stop, &options) != FLM_OK ||
        flm_model_preset("small", &settings.shape) != FLM_OK) {
        fprintf(stderr, "%s\n", flm_err_message());
    } else if (sscanf(o.data, "%63[a-z0-9],%31[a-z0-9-],%lld,%lf", data.corpus, data.vocabulary.name, &L,
                      &settings.shape.logit_cap) != 4) {
        fprintf(stderr, "--data %s: expected CORPUS,TOKENISER,LENGTH,CAP\n", o.data);
    } else {
        data.L = L;
        settings.kind = &flm_kinds[kinds[o.method]];
        flm_published_warn(&data, &o, &settings);
        status = 0;
    }
    flm_options_destroy(&options);
    return status;
}
