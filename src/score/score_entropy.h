/* score_entropy.h - the entropy of a sample's own histogram of ids. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_ENTROPY_H
#define FLM_SCORE_ENTROPY_H

#include "base/base_status.h"

#include <stdint.h>

/* flm_score_entropy - sum over rows of -sum_k p_k ln p_k, in nats, p the shares of the ids in the row.
 * in  ids i32 [rows, L], any values. Not collective. Errors: FLM_E_NOMEM. Source: data.md section 6. */
flm_status flm_score_entropy(const int32_t *ids, int64_t rows, int64_t L, double *sum);

#endif
