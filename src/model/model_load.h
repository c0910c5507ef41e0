/* model_load.h - shape and weights of a network from a checkpoint, for inference. The optimiser's state is read by
 * train_checkpoint.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_MODEL_LOAD_H
#define FLM_MODEL_LOAD_H

#include "io/io_checkpoint.h"
#include "model/model_weights.h"

/* flm_model_load_shape - the shape of a network of this form from what a checkpoint records, checked.
 * Errors: FLM_E_FORMAT naming the size. */
flm_status flm_model_load_shape(const flm_checkpoint_info *info, flm_network network, flm_model_shape *out);

/* flm_model_load_weights - read every parameter from set "weights" or "ema" and convert it to the compute dtype.
 * Not collective: each rank reads everything. Errors: FLM_E_MISMATCH (a tensor is missing or has another shape),
 * FLM_E_CHECKSUM, FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_model_load_weights(flm_weights *weights, const flm_checkpoint *checkpoint, const char *set);

#endif
