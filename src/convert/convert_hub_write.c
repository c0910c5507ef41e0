/* convert_hub_write.c - see convert_hub.h: config.json as the hub's model mixin of the published code writes it, with
 * the settings that the constructor of the network reads. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_hub.h"

#include "base/base_file.h"
#include "flow/flow_kind.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The name of the published training that makes a kind. */
static const char *algorithm_of(const flm_kind *kind)
{
    static const char *const names[FLM_KINDS] = {[FLM_KIND_FLM] = "flm",
                                                 [FLM_KIND_FMLM_TWO_MODEL] = "fmlm_twomodel",
                                                 [FLM_KIND_FMLM_TWO_STAGE] = "fmlm",
                                                 [FLM_KIND_FMLM] = "fmlm",
                                                 [FLM_KIND_FMLM_ANY_ORDER] = "fmlm_plus"};
    return names[kind - flm_kinds];
}

flm_status flm_hub_config_write(const flm_checkpoint_info *info, const char *path)
{
    flm_status rc = FLM_OK;
    const flm_kind *kind = NULL;
    json_t *config = NULL;
    char *text = NULL;

    FLM_TRY(flm_kind_find(info->kind, &kind));
    config = json_pack(
        "{s{s{sssbsbsb}s{ss}s{sssssIsIsIsIsIsfsbsb}}sI}", "config", "algo", "name", algorithm_of(kind), "double_temb",
        kind->network != FLM_NETWORK_ONE_TIME, "causal_attention", 0, "learnable_loss_weighting",
        kind->network == FLM_NETWORK_RESIDUAL, "data", "tokenizer_name_or_path", info->vocabulary.name, "model", "name",
        "flm", "type", "ddit", "hidden_size", (json_int_t)info->d, "cond_dim", (json_int_t)info->c, "length",
        (json_int_t)info->L, "n_blocks", (json_int_t)info->N, "n_heads", (json_int_t)info->H, "dropout", 0.1,
        "scale_by_sigma", 1, "tie_word_embeddings", 0, "vocab_size", (json_int_t)info->vocabulary.V);
    text = config ? json_dumps(config, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    if (!text) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the settings", path);
    FLM_TRY(flm_file_replace(path, text, strlen(text)));
done:
    free(text);
    json_decref(config);
    return rc;
}
