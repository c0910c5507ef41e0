/* convert_safetensors.h - safetensors files written; convert_external.h reads them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_SAFETENSORS_H
#define FLM_CONVERT_SAFETENSORS_H

#include "convert/convert_external.h"

/* flm_safetensors_write - write f32 tensors, named by datasets [count], and metadata texts ("format" = "pt" is added)
 * to path, which is replaced once all is written. source is called once for each dataset, in order. Not collective.
 * Errors: FLM_E_IO with errno, FLM_E_NOMEM, FLM_E_ARG (datasets), FLM_E_INTERRUPTED (flm_process_poll), those of
 * source.
 */
flm_status flm_safetensors_write(const char *path, const flm_checkpoint_dataset *datasets, int count,
                                 const flm_setting *metadata, int metadata_count, flm_checkpoint_source source,
                                 void *context);

#endif
