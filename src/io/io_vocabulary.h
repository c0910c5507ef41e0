/* io_vocabulary.h - the vocabulary of token ids, as recorded in shards, checkpoints and samples files.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_VOCABULARY_H
#define FLM_IO_VOCABULARY_H

#include <stdint.h>

typedef struct flm_vocabulary {
    char name[32];   /* "bytes", "gpt2", "bert-base-uncased" */
    char sha256[65]; /* of the vocabulary file, lower-case hex; of the name for "bytes" */
    int64_t V;       /* vocabulary size, padding ids included */
    int64_t begin_id, end_id;
} flm_vocabulary;

#endif
