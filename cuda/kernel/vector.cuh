/* vector.cuh - loads and stores of several elements: by accesses of up to 16 bytes if the address allows it, otherwise
 * one element at a time.
 *
 * Which elements a thread processes never depends on the alignment, so the results do not either.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_VECTOR_CUH
#define FLM_CUDA_VECTOR_CUH

#include "cuda/kernel/device.cuh"
#include "cuda/kernel/shape.h"

#include <string.h>

constexpr size_t flm_vector_align(size_t bytes) { return bytes < 16 ? bytes : 16; }

template <class T, int N> struct alignas(flm_vector_align(sizeof(T) * N)) flm_vector {
    T at[N];
};

/* Stores the vector by its widest words. It uses an intrinsic because the compiler would merge an ordinary assignment
 * with the element-by-element stores of the caller's other branch, and emit only those. */
template <class T, int N> FLM_DEVICE void flm_store_words(T *p, const flm_vector<T, N> &v)
{
    if constexpr (sizeof v % sizeof(uint4) == 0) {
        uint4 word[sizeof v / sizeof(uint4)];
        memcpy(word, &v, sizeof v);
#pragma unroll
        for (size_t k = 0; k < sizeof v / sizeof(uint4); k++) __stwb(reinterpret_cast<uint4 *>(p) + k, word[k]);
    } else {
        static_assert(sizeof v == sizeof(uint2), "vectors of 8 bytes, or of a multiple of 16");
        uint2 word;
        memcpy(&word, &v, sizeof v);
        __stwb(reinterpret_cast<uint2 *>(p), word);
    }
}

/* flm_load - elements p[0..N). Only the first `left` exist (left may be 0 or negative); the others are read as zeros.
 * aligned: p is aligned to the vector. flm_store - writes those of p[0..N) that exist. */
template <int N, class T> FLM_DEVICE flm_vector<T, N> flm_load(const T *p, int64_t left, bool aligned)
{
    flm_vector<T, N> v;
    if (aligned && left >= N) return *reinterpret_cast<const flm_vector<T, N> *>(p);
#pragma unroll
    for (int k = 0; k < N; k++) v.at[k] = k < left ? p[k] : T{};
    return v;
}

template <int N, class T> FLM_DEVICE void flm_store(T *p, const flm_vector<T, N> &v, int64_t left, bool aligned)
{
    if (aligned && left >= N) {
        flm_store_words(p, v);
        return;
    }
#pragma unroll
    for (int k = 0; k < N; k++)
        if (k < left) p[k] = v.at[k];
}

/* flm_read, flm_write - flm_load, flm_store of activations, converted from and to fp32. */
template <int N, class T> FLM_DEVICE void flm_read(float (&x)[N], const T *p, int64_t left, bool aligned)
{
    const flm_vector<T, N> v = flm_load<N>(p, left, aligned);
#pragma unroll
    for (int k = 0; k < N; k++) x[k] = flm_float(v.at[k]);
}

template <int N, class T> FLM_DEVICE void flm_write(T *p, const float (&x)[N], int64_t left, bool aligned)
{
    flm_vector<T, N> v;
#pragma unroll
    for (int k = 0; k < N; k++) v.at[k] = flm_act<T>(x[k]);
    flm_store<N>(p, v, left, aligned);
}

/* flm_aligned - whether all pointers are aligned to 16 bytes (NULL counts as aligned). flm_divisible - whether all
 * numbers are multiples of `by`. */
template <class... P> static inline bool flm_aligned(P... p)
{
    return ((reinterpret_cast<uintptr_t>(p) % 16 == 0) && ...);
}
template <class... N> static inline bool flm_divisible(int by, N... n) { return ((n % by == 0) && ...); }

/* The thread's lane, and its warp within the block. */
FLM_DEVICE int flm_lane() { return (int)threadIdx.x % FLM_WARP; }
FLM_DEVICE int flm_warp() { return (int)threadIdx.x / FLM_WARP; }

/* flm_nan - the NaN that marks a result which must not be used. */
FLM_DEVICE float flm_nan() { return __uint_as_float(0x7FFFFFFFu); }

#endif
