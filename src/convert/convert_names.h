/* convert_names.h - names of tensors without what wrappers of PyTorch add to them: nn.DataParallel and DDP (module),
 * Lightning (model, _forward_module), FSDP (_fsdp_wrapped_module, _fpw_module), torch.compile (_orig_mod), activation
 * checkpoints (_checkpoint_wrapped_module), and what networks are called inside of modules (backbone, network, net,
 * dit, transformer). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_NAMES_H
#define FLM_CONVERT_NAMES_H

#include "convert/convert_external.h"

/* flm_external_name_strip - the name without wrappers, to out. *network: whether a prefix names the network, as
 * "backbone." does; other tensors of such a file are not the network's. */
void flm_external_name_strip(const char *name, char out[FLM_EXTERNAL_NAME_BYTES], bool *network);

#endif
