/* io_internal.h - private: what the readers and writers of all kinds of files share. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef FLM_IO_INTERNAL_H
#define FLM_IO_INTERNAL_H

#include "base/base_file.h"
#include "base/base_path.h"
#include "h5/h5.h"
#include "io/io_vocabulary.h"

enum { FLM_IO_BLOCK_BYTES = 4 << 20 }; /* unit of reads and of checksums */

/* flm_vocabulary_write, flm_vocabulary_read - attributes tokenizer, tokenizer_sha256, V, begin_id, end_id of a file's
 * root. Errors: FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_vocabulary_write(hid_t root, const flm_vocabulary *vocabulary);
flm_status flm_vocabulary_read(hid_t root, flm_vocabulary *vocabulary);

#endif
