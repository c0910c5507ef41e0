/* convert.h - what flm_convert does: weights of other programs to checkpoints of the suite, and back. Owns the mapping
 * of names and sizes; leaves the external formats to convert_external.h and convert_safetensors.h. Each call holds one
 * tensor at a time; none is collective. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_H
#define FLM_CONVERT_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct flm_convert_options {
    const char *tokenizer, *lineage;
    const char *kind; /* "auto", or the name of a kind */
    int weights;      /* 0 all, 1 ema, 2 raw */
    int format;       /* of what a checkpoint becomes: 0 a safetensors file, 1 a folder of the hub */
    int64_t length, heads;
    double logit_cap;
    bool logit_cap_given; /* on the command line; else logit_cap is for files of others alone */
} flm_convert_options;

struct flm_hub_config;

/* flm_convert_run - convert in either direction: a checkpoint of the suite with flm_convert_export, a Hugging Face
 * folder of GPT-2 or a file in one with flm_convert_gpt2, anything else with flm_convert_flm.
 * Errors: theirs, and FLM_E_USAGE (options->kind). */
flm_status flm_convert_run(const flm_convert_options *options, const char *in, const char *out);

/* flm_convert_gpt2 - convert a Hugging Face folder of GPT-2 (config.json with model.safetensors, or with its shards and
 * model.safetensors.index.json, or the same of pytorch_model.bin) to a checkpoint of kind gpt2.
 * Errors: FLM_E_FORMAT (also a model that is not a plain GPT-2), FLM_E_MISMATCH (a tensor is missing or has another
 * shape), FLM_E_IO; naming the file. */
flm_status flm_convert_gpt2(const char *directory, const char *out);

/* flm_convert_flm - convert a published checkpoint (.ckpt of PyTorch Lightning, or safetensors): "state_dict" goes to
 * /weights, the EMA weights to /ema. "backbone." and "_orig_mod." are removed from names. In a .ckpt the EMA weights
 * are a list in the order of its state_dict without buffers. Values that neither the file nor its settings hold come
 * from the options.
 * config: NULL, or that of a released folder (convert_hub.h), whose weights are EMA weights and go to both. The cap of
 * the logits is the option's unless the file records one: model.md section 9.1.
 * Errors: FLM_E_USAGE (names an option that is needed), FLM_E_MISMATCH (tensors are missing or have another shape; the
 * EMA list has another length; an option or config contradicts the file), FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_convert_flm(const flm_convert_options *options, const struct flm_hub_config *config, const char *in,
                           const char *out);

/* flm_convert_export - write the weights of a checkpoint of the suite to safetensors, bit for bit, under the published
 * names. With options->weights 0 both sets, EMA weights as "ema.NAME"; else one set under the plain names. The metadata
 * hold what flm_convert_flm needs to convert the file back. With options->format 1, out is a new folder as released
 * networks have it: config.json, and one set, by default the EMA weights, in model.safetensors.
 * Errors: FLM_E_MISMATCH (the checkpoint lacks the weights, or is no FLM), FLM_E_USAGE (the folder exists and is not
 * empty), those of files. */
flm_status flm_convert_export(const flm_convert_options *options, const char *in, const char *out);

#endif
