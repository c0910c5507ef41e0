/* cpu_attention.h - what attention's forward and backward share. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_ATTENTION_H
#define FLM_CPU_ATTENTION_H

#include "backend/cpu/cpu_internal.h"
#include "backend/cpu/cpu_tile.h"

/* Scores exist a tile at a time: two of these, and a query's and a key's rows, fit the second-level cache. */
enum { FLM_ATTENTION_QUERIES = 64, FLM_ATTENTION_KEYS = 64 };

typedef struct flm_attention_sizes {
    int64_t B, L, H, h;
    int64_t ld;       /* h rounded up to FLM_TILE_COLUMNS: leading dimension of rows in tiles */
    int64_t padded_L; /* L rounded up to FLM_ATTENTION_KEYS */
    flm_dtype dtype;  /* of the activations */
    float scale;      /* 1 / sqrt(h) */
    float softcap;
} flm_attention_sizes;

/* flm_attention_check - sizes from qkv act [B, L, 3d] and H, and that o [B, L, d] and lse [B, H, L] fit; what names the
 * op in messages. Errors: FLM_E_SHAPE; FLM_E_UNSUPPORTED for a soft cap outside (0, 64]: the cap bounds the scores,
 * so that exp(score) neither overflows nor vanishes in fp32 and no running maximum is kept. */
flm_status flm_attention_check(const char *what, const flm_tensor *qkv, const flm_tensor *o, const flm_tensor *lse,
                               int64_t H, float softcap, flm_attention_sizes *sizes);

/* flm_attention_at - address of element (b, l, column) of an activation [B, L, columns]. */
static inline char *flm_attention_at(const flm_tensor *t, int64_t b, int64_t l, int64_t column)
{
    return (char *)t->data + (size_t)((b * t->dim[1] + l) * t->dim[2] + column) * flm_dtype_size(t->dtype);
}

/* flm_attention_tanh - relative error below 4e-7 (tests/conform/conform_attention.c); NaN stays NaN. x P(x^2) / Q(x^2),
 * fitted to the least largest relative error on [0, 8] (2e-8 before rounding); 1 - tanh(8) is 2e-7. */
static inline __attribute__((always_inline)) float flm_attention_tanh(float x)
{
    x = x > 8 ? 8 : x;
    x = x < -8 ? -8 : x;
    float y = x * x;
    float P = (((2.3508639e-11f * y - 1.47042336e-08f) * y + 9.8786647e-06f) * y + 0.00298586244f) * y + 0.129792239f;
    float Q = ((0.000237203305f * y + 0.0240279267f) * y + 0.463125399f) * y + 1;
    return x * (P * y + 0.999999981f) / Q;
}

/* flm_attention_exp - relative error below 3e-7 for x in [-87, 88], e^-87 below; NaN stays NaN. With n the integer next
 * to x / ln 2 and r = x - n ln 2: 2^n (1 + r + r^2 P(r)), P fitted on |r| <= ln 2 / 2 (3e-9 before rounding). */
static inline __attribute__((always_inline)) float flm_attention_exp(float x)
{
    const float magic = 0x1.8p23f; /* adding it leaves the nearest integer in the lowest bits */
    union {
        float f;
        uint32_t u;
    } shifted, power;
    x = x < -87 ? -87 : x;
    shifted.f = x * 1.44269504f + magic;
    float n = shifted.f - magic;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts, products with the first exact */
    float P = (((0.00138145985f * r + 0.00836871689f) * r + 0.041668388f) * r + 0.166665206f) * r + 0.499999934f;
    power.u = (shifted.u << 23) + 0x3F800000u;
    return (P * (r * r) + r + 1) * power.f;
}

#endif
