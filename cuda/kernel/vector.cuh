/* vector.cuh - several elements at once: one access of up to 16 bytes where the address allows it, else one by one.
 *
 * Which elements a thread takes never depends on the alignment, so neither do the results. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef FLM_CUDA_VECTOR_CUH
#define FLM_CUDA_VECTOR_CUH

#include "cuda/kernel/device.cuh"
#include "cuda/kernel/shape.h"

#include <string.h>

constexpr size_t flm_vector_align(size_t bytes) { return bytes < 16 ? bytes : 16; }

template <class T, int N> struct alignas(flm_vector_align(sizeof(T) * N)) flm_vector {
    T at[N];
};

/* The whole vector by its widest words. An ordinary assignment would be merged with the stores one by one of the other
 * branch, to those: hence the intrinsic. */
template <class T, int N> FLM_DEVICE void flm_store_words(T *p, const flm_vector<T, N> &v)
{
    if constexpr (sizeof v % sizeof(uint4) == 0) {
        uint4 word[sizeof v / sizeof(uint4)];
        memcpy(word, &v, sizeof v);
#pragma unroll
        for (size_t k = 0; k < sizeof v / sizeof(uint4); k++) __stwb(reinterpret_cast<uint4 *>(p) + k, word[k]);
    } else {
        static_assert(sizeof v == sizeof(uint2), "vectors of 8 bytes, or of whole 16");
        uint2 word;
        memcpy(&word, &v, sizeof v);
        __stwb(reinterpret_cast<uint2 *>(p), word);
    }
}

/* flm_load - elements p[0..N), of which `left` (perhaps none) are there: zeros behind. aligned: p is, to the vector.
 * flm_store - the same the other way: nothing is written behind. */
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

/* flm_read, flm_write - the same of activations, as fp32. */
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

/* flm_aligned - whether all are addresses of vectors of 16 bytes (or NULL), and all widths count whole fours. */
template <class... P> static inline bool flm_aligned(P... p)
{
    return ((reinterpret_cast<uintptr_t>(p) % 16 == 0) && ...);
}
template <class... N> static inline bool flm_divisible(int by, N... n) { return ((n % by == 0) && ...); }

/* Where a thread stands: its lane and warp within the block. */
FLM_DEVICE int flm_lane() { return (int)threadIdx.x % FLM_WARP; }
FLM_DEVICE int flm_warp() { return (int)threadIdx.x / FLM_WARP; }

/* flm_nan - what poisons a result that must not be used. */
FLM_DEVICE float flm_nan() { return __uint_as_float(0x7FFFFFFFu); }

#endif
