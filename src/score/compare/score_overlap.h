/* score_overlap.h - how much of texts is in the training data: the share of their 4-, 8- and 16-grams of tokens that
 * occur in the rows of shards. A high share of 8- and 16-grams means that texts were memorised.
 *
 * Exact: n-grams are found by a hash and then compared. Memory is that of the texts' n-grams, about 200 bytes a token
 * of the texts on every rank, whatever the size of the shards, which are read once, each row by one rank. Source:
 * Carlini et al., "Quantifying memorization across neural language models", 2023, section 3 (verbatim sequences of
 * training data); McCoy et al., "How much do language models copy from their training data?", 2023 (n-gram novelty, of
 * which this is the complement). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_OVERLAP_H
#define FLM_SCORE_OVERLAP_H

#include "comm/comm.h"
#include "io/io_shard.h"
#include "score/score_statistics.h"

enum { FLM_OVERLAP_ORDERS = 3 };
extern const int flm_overlap_orders[FLM_OVERLAP_ORDERS]; /* n: 4, 8, 16 */

/* flm_overlap_compute - share[s][k]: of all n-grams of a set, repeated ones included, the share that occurs in a row of
 * the shards; no n-gram spans two rows of either. NaN where a set has none. The same on every rank and on any number of
 * them. stop_requested is called once a block of rows.
 * in  sets [count], ids of the shards' vocabulary, the same on every rank. Collective.
 * Errors: FLM_E_ARG (2^31 ids or more), FLM_E_NOMEM, FLM_E_INTERRUPTED, those of flm_shards_read. */
flm_status flm_overlap_compute(flm_comm *comm, const flm_shards *shards, const flm_id_rows *sets, int count,
                               bool (*stop_requested)(void), double (*share)[FLM_OVERLAP_ORDERS]);

#endif
