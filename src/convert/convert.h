/* convert.h - private to flm_convert: weights of other programs to the suite's files, and back.
 * None is collective; all read one tensor at a time. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_H
#define FLM_CONVERT_H

#include "convert/convert_external.h"

typedef struct flm_convert_options {
    const char *tokenizer, *lineage;
    const char *kind; /* "auto", or the name of a kind */
    int weights;      /* 0 all, 1 ema, 2 raw */
    int64_t length, heads;
} flm_convert_options;

/* flm_convert_gpt2 - a Hugging Face folder of GPT-2 (config.json with model.safetensors, or with its shards and
 * model.safetensors.index.json) to a checkpoint of kind gpt2. Errors: FLM_E_FORMAT (also: a model that is no
 * plain GPT-2), FLM_E_MISMATCH (a tensor is missing or has another shape), FLM_E_IO; naming the file. */
flm_status flm_convert_gpt2(const char *directory, const char *out);

/* flm_convert_flm - a published checkpoint (PyTorch Lightning's .ckpt, or safetensors) to a checkpoint: "state_dict" to
 * /weights, EMA to /ema. Of the names, "backbone." and "_orig_mod." go. EMA's values are a list in the order of the
 * same file's state_dict without its buffers: another count or shape is FLM_E_MISMATCH. What the file does not say must
 * stand in the options: FLM_E_USAGE naming the one that lacks. Errors also FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_convert_flm(const flm_convert_options *options, const char *in, const char *out);

/* flm_convert_export - weights of any checkpoint of the suite to safetensors, bit for bit, under the published names;
 * EMA weights as "ema.NAME", or alone under the plain names. What flm_convert_flm needs to know stands in the metadata.
 * Errors: FLM_E_MISMATCH (no such weights in it), those of files. */
flm_status flm_convert_export(const flm_convert_options *options, const char *in, const char *out);

#endif
