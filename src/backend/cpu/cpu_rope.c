/* cpu_rope.c - rotary positions, half-split (model.md section 2): components i and i + h/2 of every query and key head
 * are rotated by the angle of (position, i). SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"

enum { CHUNK = 64 }; /* pairs whose cosines and sines are separated at a time */

/* The q and k heads of one position: row [heads, 2, half], with cos and sin of pairs [at, at + count). */
FLM_SIMD static void rotate_f32(float *row, const float *cosine, const float *sine, int64_t heads, int64_t half,
                                int64_t at, int64_t count)
{
    for (int64_t head = 0; head < heads; head++) {
        float *x = row + head * 2 * half + at, *y = x + half;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            float a = x[i], b = y[i];
            x[i] = a * cosine[i] - b * sine[i];
            y[i] = b * cosine[i] + a * sine[i];
        }
    }
}

FLM_SIMD static void rotate_bf16(uint16_t *row, const float *cosine, const float *sine, int64_t heads, int64_t half,
                                 int64_t at, int64_t count)
{
    for (int64_t head = 0; head < heads; head++) {
        uint16_t *x = row + head * 2 * half + at, *y = x + half;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            float a = flm_bf16_to_f32(x[i]), b = flm_bf16_to_f32(y[i]);
            x[i] = flm_bf16_from_f32(a * cosine[i] - b * sine[i]);
            y[i] = flm_bf16_from_f32(b * cosine[i] + a * sine[i]);
        }
    }
}

static void rotate_position(const flm_tensor *qkv, int64_t row, const float *pairs, int64_t half)
{
    int64_t columns = qkv->dim[2], heads = columns / 3 * 2 / (2 * half);
    for (int64_t at = 0; at < half; at += CHUNK) {
        float cosine[CHUNK], sine[CHUNK];
        int64_t count = half - at < CHUNK ? half - at : CHUNK;
        for (int64_t i = 0; i < count; i++) {
            cosine[i] = pairs[2 * (at + i)];
            sine[i] = pairs[2 * (at + i) + 1];
        }
        if (qkv->dtype == FLM_DTYPE_BF16)
            rotate_bf16((uint16_t *)qkv->data + row * columns, cosine, sine, heads, half, at, count);
        else
            rotate_f32((float *)qkv->data + row * columns, cosine, sine, heads, half, at, count);
    }
}

flm_status flm_cpu_rope(flm_backend *be, const flm_tensor *qkv, const flm_tensor *table)
{
    const int64_t B = qkv->dim[0], L = qkv->dim[1], half = table->dim[1];
#pragma omp parallel for num_threads(flm_cpu_threads(be))
    for (int64_t row = 0; row < B * L; row++)
        rotate_position(qkv, row, (const float *)table->data + row % L * half * 2, half);
    return FLM_OK;
}
