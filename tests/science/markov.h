/* markov.h - a first-order Markov source of 16 symbols whose likelihoods are known exactly.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_MARKOV_H
#define FLM_TESTS_MARKOV_H

#include <stdint.h>

enum { MARKOV_SYMBOLS = 16, MARKOV_LENGTH = 24 };

typedef struct markov {
    double next[MARKOV_SYMBOLS][MARKOV_SYMBOLS]; /* next[a][b]: probability of b after a */
    double first[MARKOV_SYMBOLS];                /* stationary distribution, that of a row's first symbol */
} markov;

/* markov_make - the source of a seed: transition rows are Dirichlet(0.25) mixed with 2 % uniform. */
void markov_make(uint64_t seed, markov *out);

/* markov_draw - row `number` of the corpus: ids [MARKOV_LENGTH], a function of (seed, number). */
void markov_draw(const markov *source, uint64_t seed, int64_t number, int32_t *ids);

/* markov_nll - negative log-likelihood of a row, nats. */
double markov_nll(const markov *source, const int32_t *ids);

/* markov_entropy - the exact expected negative log-likelihood per symbol of the source's rows, nats. */
double markov_entropy(const markov *source);

#endif
