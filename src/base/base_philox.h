/* base_philox.h - random numbers by counter: Philox4x32-10.
 *
 * Every random number of the suite is a function of (seed, purpose, step, site, sample, position, component)
 * only, never of rank, thread or batch layout (model.md section 4). (seed, purpose, step, site) are hashed
 * into a 64-bit stream key once; (sample, position, component) are the counter.
 * Header-only: the CPU backend inlines it in its loops, and it is C++ and CUDA as well.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (constants and the ten rounds).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_PHILOX_H
#define FLM_BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define FLM_PHILOX_INLINE static inline __host__ __device__
#else
#define FLM_PHILOX_INLINE static inline
#endif

typedef enum flm_random_purpose {
    FLM_RANDOM_INIT = 1,       /* initial weights; site = parameter index */
    FLM_RANDOM_TIME = 2,       /* stratified times; site 0 offsets, 1 permutation, 2 starts of jumps;
                                  of the one-network flow map also 3, 4 lengths of jumps, 5, 6 their starts */
    FLM_RANDOM_NOISE = 3,      /* xi of a training step */
    FLM_RANDOM_DROPOUT = 4,    /* site = 2^16 pass + 2 * layer + {0 attention, 1 MLP} */
    FLM_RANDOM_SHUFFLE = 5,    /* row permutation; step = epoch */
    FLM_RANDOM_VALIDATION = 6, /* noise and times of validation: step = batch index, the same at every evaluation */
    FLM_RANDOM_SAMPLE = 7,     /* initial noise of generated samples */
    FLM_RANDOM_BOOTSTRAP = 8,  /* which samples a bootstrap draws: sample = draw */
    FLM_RANDOM_BASELINE = 9,   /* tokens of null baselines: site = unigram, bigram; sample = text */
    FLM_RANDOM_CLUSTER = 10    /* first centers of k-means: step = start */
} flm_random_purpose;

typedef struct flm_philox4 {
    uint32_t v[4];
} flm_philox4;

/* flm_philox4x32 - the ten-round bijection of a 128-bit counter under a 64-bit key. */
FLM_PHILOX_INLINE flm_philox4 flm_philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    flm_philox4 block = {{c0, c1, c2, c3}};
    return block;
}

/* flm_philox_at - the block of components [4 block, 4 block + 4) of a sample's position, or with halves of words (the
 * low half first) of components [8 block, 8 block + 8). This is the counter's layout: sample low, sample high,
 * position, block. */
enum { FLM_PHILOX_WORDS = 4, FLM_PHILOX_HALVES = 8 };
FLM_PHILOX_INLINE flm_philox4 flm_philox_at(uint64_t stream, uint64_t sample, uint32_t position, uint32_t block)
{
    return flm_philox4x32(stream, (uint32_t)sample, (uint32_t)(sample >> 32), position, block);
}

/* flm_philox_stream - the key of one stream: a hash of (seed, purpose, step, site). */
FLM_PHILOX_INLINE uint64_t flm_philox_stream(uint64_t seed, flm_random_purpose purpose, uint64_t step, uint32_t site)
{
    flm_philox4 r = flm_philox4x32(seed, (uint32_t)step, (uint32_t)(step >> 32), site, (uint32_t)purpose);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

/* flm_philox_uniform - a double in (0, 1) from two words: (n + 1/2) / 2^52 with n of 52 bits. With 53 the sum would
 * need 54 bits, and the largest round to 1. */
FLM_PHILOX_INLINE double flm_philox_uniform(uint32_t hi, uint32_t lo)
{
    return ((double)(((uint64_t)hi << 32 | lo) >> 12) + 0.5) * 0x1p-52;
}

#endif
