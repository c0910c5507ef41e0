/* markov.h - a first-order Markov source of 16 symbols whose likelihoods are known exactly.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_MARKOV_H
#define FLM_TESTS_MARKOV_H

#include <stdbool.h>
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

/* markov_blank - makes MARKOV_LENGTH / 2 symbols of a row unknown (negative): those of the second half, or as many
 * anywhere but at position 0, which a prompt always gives; a function of (seed, number). in, out ids [MARKOV_LENGTH].
 */
void markov_blank(uint64_t seed, int64_t number, bool anywhere, int32_t *ids);

/* markov_nll - negative log-likelihood of a row, nats. */
double markov_nll(const markov *source, const int32_t *ids);

/* markov_condition - for a row of which some symbols are known, exactly and in nats: nll, the negative log-likelihood
 * of the known symbols together, and entropy, that of the others given these. in known [MARKOV_LENGTH]: negative where
 * unknown. Source: Rabiner, "A tutorial on hidden Markov models", 1989 (forward-backward algorithm, scaled). */
void markov_condition(const markov *source, const int32_t *known, double *nll, double *entropy);

/* markov_entropy - the exact expected negative log-likelihood per symbol of the source's rows, nats. */
double markov_entropy(const markov *source);

#endif
