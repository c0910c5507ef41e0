/* convert_hub.h - FLM and FMLM networks as released on the Hugging Face hub: a folder with the config.json of the hub's
 * model mixin, which holds the configuration of the training, and averaged weights in model.safetensors.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_HUB_H
#define FLM_CONVERT_HUB_H

#include "base/base_path.h"
#include "convert/convert.h"
#include "io/io_checkpoint.h"

#include <stdbool.h>

struct json_t; /* of jansson.h */

/* What config.json records, or the settings in a checkpoint; numbers 0 and texts "" where they do not. */
typedef struct flm_hub_config {
    char path[FLM_PATH_BYTES]; /* for messages */
    bool released;             /* from the config.json of a released folder */
    char algorithm[64], tokenizer[64];
    int two_times;            /* 1: two time embeddings, 0: one, -1: not recorded */
    int64_t V, L, d, H, c, N; /* as in flm_model_shape */
} flm_hub_config;

/* flm_hub_config_is - whether config.json is that of a released FLM or FMLM: it has settings of the training, or none
 * by which Transformers knows a model (GPT-2). False also if it cannot be read. */
bool flm_hub_config_is(const char *path);

/* flm_hub_config_parse - the settings by their names in the training configuration ("model.length"), nested or joined
 * by dots, at the top or under "config", or by their last part. One that is not a positive integer, a text or a boolean
 * counts as not recorded, with a warning.   in path: for messages. Errors: FLM_E_ARG (a long path). */
flm_status flm_hub_config_parse(const struct json_t *config, const char *path, flm_hub_config *out);

/* flm_hub_config_read - the same of config.json. Not collective. Errors: FLM_E_IO, FLM_E_FORMAT (not JSON). */
flm_status flm_hub_config_read(const char *path, flm_hub_config *out);

/* flm_hub_find_weights - the file of the weights in a folder: model.safetensors, the index of its shards, or
 * the same of pytorch_model.bin.   out path [FLM_PATH_BYTES]. Errors: FLM_E_MISSING. */
flm_status flm_hub_find_weights(const char *folder, char *path);

/* flm_hub_config_write - write the config.json of a network to path, so that the published code makes a network of its
 * sizes, and flm_hub_config_read finds them. Errors: FLM_E_MISMATCH (not a kind of FLM), those of files. */
flm_status flm_hub_config_write(const flm_checkpoint_info *info, const char *path);

#endif
