/* convert_external.h - tensors out of other programs' files: safetensors (one file, or shards with their index) and
 * PyTorch's zip files (.ckpt, .pt); and safetensors written.
 *
 * The files are untrusted: every size, offset and name is checked before it is used; of a pickle nothing is ever run
 * (convert_pickle.h). A tensor is read when it is asked for, so that a file larger than memory can be converted.
 * Sources: the safetensors format, version 0.3 and later (huggingface/safetensors, README, "Format");
 * torch.save's zip format (PyTorch 1.6 and later: torch/serialization.py). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_EXTERNAL_H
#define FLM_CONVERT_EXTERNAL_H

#include "io/io_checkpoint.h"

enum { FLM_EXTERNAL_DIMS = 8, FLM_EXTERNAL_NAME_BYTES = 256, FLM_EXTERNAL_TENSORS_MAX = 65536 };

typedef enum flm_external_dtype {
    FLM_EXTERNAL_F32,
    FLM_EXTERNAL_F16,
    FLM_EXTERNAL_BF16,
    FLM_EXTERNAL_OTHER
} flm_external_dtype;

typedef struct flm_external_tensor {
    char
        name[FLM_EXTERNAL_NAME_BYTES]; /* of PyTorch's: keys joined by dots: "state_dict.NAME", "ema.shadow_params.0" */
    flm_external_dtype dtype;          /* OTHER (integers, ...): is listed and cannot be read */
    int ndim;                          /* 0: a scalar */
    int64_t dim[FLM_EXTERNAL_DIMS];
    int64_t elements;
    int64_t part, offset; /* private: which file or member, where the data begin in it */
} flm_external_tensor;

typedef struct flm_external flm_external;

/* flm_external_open - by what the file holds: a zip is PyTorch's, a name that ends in .json the index of safetensors
 * shards beside it, all else safetensors. Not collective.
 * Errors: FLM_E_IO; FLM_E_FORMAT naming path, tensor or member, and what is wrong, also files of PyTorch before 1.6;
 * FLM_E_NOMEM. */
flm_status flm_external_open(const char *path, flm_external **out);

/* flm_external_close - accepts NULL, nulls it. */
void flm_external_close(flm_external **foreign);

/* flm_external_tensors - all of them: safetensors by name, PyTorch's in the order of the file. */
const flm_external_tensor *flm_external_tensors(const flm_external *foreign, int *count);

/* flm_external_find - index by name, or -1. */
int flm_external_find(const flm_external *foreign, const char *name);

/* flm_external_get_metadata - a text of safetensors' "__metadata__", or NULL. Owned by the file. */
const char *flm_external_get_metadata(const flm_external *foreign, const char *name);

/* flm_external_get_integer - a whole number that stands beside the tensors of a PyTorch file ("global_step"); false:
 * none.
 */
bool flm_external_get_integer(const flm_external *foreign, const char *name, int64_t *value);

/* flm_external_read - tensor `index` as f32 [elements]; f16 and bf16 are widened, exactly. Not thread-safe.
 * Errors: FLM_E_FORMAT (dtype OTHER), FLM_E_IO, FLM_E_CHECKSUM (a member of a zip that changed), FLM_E_NOMEM. */
flm_status flm_external_read(flm_external *foreign, int index, float *data);

/* ---- writing, one tensor after the other ---- */

/* The values of dataset `index`, f32, into data. */
typedef flm_status (*flm_tensor_source)(void *context, int index, float *data);

/* flm_safetensors_write - f32 tensors and texts ("format" = "pt" is always there) to path, replacing it when all is
 * written. names: datasets[i].name as they stand. source is called once for each, in order. Not collective.
 * Errors: FLM_E_IO with errno, FLM_E_NOMEM, those of source. */
flm_status flm_safetensors_write(const char *path, const flm_checkpoint_dataset *datasets, int count,
                                 const flm_setting *metadata, int metadata_count, flm_tensor_source source,
                                 void *context);

/* flm_checkpoint_write_file - a checkpoint at path itself, without a directory's `latest`; replaced when all is
 * written. source is called twice for each dataset, in order, and must give the same both times: sums stand before
 * data. Not collective. Errors: FLM_E_IO, FLM_E_ARG (datasets), FLM_E_FORMAT (what the schema refuses), those of
 * source. */
flm_status flm_checkpoint_write_file(const char *path, const flm_checkpoint_info *info, const flm_setting *settings,
                                     int settings_count, const flm_checkpoint_dataset *datasets, int datasets_count,
                                     flm_tensor_source source, void *context);

#endif
