/* cpu_amx.c - see cpu_amx.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_amx.h"

#include "backend/cpu/cpu_pair.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX_TARGET  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))
#define PACK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define PAIR_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

/* Linux, arch/x86/include/uapi/asm/prctl.h and Documentation/arch/x86/xstate.rst. */
enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

/* Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID leaf 7. */
static bool has_instructions(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d & AMX_BF16 && d & AMX_TILE && flm_pair_supported();
}

bool flm_amx_supported(void)
{
    static int known; /* 0: not yet; the answer never changes */
    if (known == 0) known = has_instructions() && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? 1 : -1;
    return known > 0;
}

/* The memory operand of LDTILECFG: the same manual. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Static: gcc's intrinsic names only the first bytes of the structure as its operand. */
static const tile_config config = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {FLM_AMX_ROWS, FLM_AMX_ROWS, FLM_AMX_ROWS, FLM_AMX_ROWS, FLM_AMX_ROWS, FLM_AMX_ROWS, FLM_AMX_ROWS,
             FLM_AMX_ROWS},
};

AMX_TARGET void flm_amx_begin(void) { _tile_loadconfig(&config); }

AMX_TARGET void flm_amx_end(void) { _tile_release(); }

/* ---- results ---- */

PAIR_TARGET static inline void store_half(const flm_amx_result *to, char *row, const float *sums, int64_t column,
                                          __mmask16 mask)
{
    __m512 v = _mm512_load_ps(sums + column);
    if (to->bias) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, to->bias + column));
    if (to->accumulate) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, (float *)(void *)row + column));
    if (to->bf16)
        _mm256_mask_storeu_epi16((uint16_t *)(void *)row + column, mask, (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_mask_storeu_ps((float *)(void *)row + column, mask, v);
}

/* A whole row of bf16, one cache line. */
PAIR_TARGET static inline void store_line(const flm_amx_result *to, char *row, const float *sums)
{
    __m512 low = _mm512_load_ps(sums), high = _mm512_load_ps(sums + FLM_AMX_ROWS);
    if (to->bias) {
        low = _mm512_add_ps(low, _mm512_loadu_ps(to->bias));
        high = _mm512_add_ps(high, _mm512_loadu_ps(to->bias + FLM_AMX_ROWS));
    }
    _mm512_storeu_si512(row, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

PAIR_TARGET static inline void store_row(const flm_amx_result *to, const float *sums, int64_t i)
{
    const uint32_t mask = to->columns < FLM_AMX_STRIP ? (1u << to->columns) - 1 : ~0u;
    char *row = (char *)to->at + (size_t)i * to->row_bytes;
    sums += i * FLM_AMX_STRIP;
    if (to->bf16 && to->columns == FLM_AMX_STRIP) {
        store_line(to, row, sums);
    } else {
        store_half(to, row, sums, 0, (__mmask16)mask);
        store_half(to, row, sums, FLM_AMX_ROWS, (__mmask16)(mask >> FLM_AMX_ROWS));
    }
}

void flm_amx_store(const flm_amx_result *to, const float *sums)
{
    for (int64_t i = 0; i < to->rows; i++) store_row(to, sums, i);
}

/* ---- products ---- */

/* The part of `aside` that belongs to a step: two rows, two lines. */
PAIR_TARGET static inline void do_aside(const flm_amx_aside *aside, int64_t step)
{
    enum { LINE = 64, EACH = 2 };
    for (int64_t i = EACH * step; i < EACH * (step + 1); i++) {
        if (aside->to && i < aside->to->rows) store_row(aside->to, aside->sums, i);
        if (i < aside->lines) __builtin_prefetch(aside->ahead + i * LINE, 0, 2);
        if (aside->next && i < aside->next->rows) {
            const char *row = (const char *)aside->next->at + (size_t)i * aside->next->row_bytes;
            __builtin_prefetch(row, 1, 2);
            if (!aside->next->bf16) __builtin_prefetch(row + LINE, 1, 2);
        }
    }
}

AMX_TARGET void flm_amx_multiply(float *c, const flm_amx_strip *a, const flm_amx_strip *b, int64_t steps,
                                 bool accumulate, const flm_amx_aside *aside)
{
    const int64_t row = FLM_AMX_STRIP * (int64_t)sizeof *c, down = FLM_AMX_ROWS * FLM_AMX_STRIP;
    const char *a0 = a->data, *a1 = a->data + a->group_step, *b0 = b->data, *b1 = b->data + b->group_step;
    const int64_t a_row = (int64_t)a->row_step, b_row = (int64_t)b->row_step;
    const flm_amx_aside other = *aside;
    __asm__ volatile("" ::: "memory"); /* the intrinsics do not name the memory that they load */
    if (accumulate) {
        _tile_loadd(0, c, row);
        _tile_loadd(1, c + FLM_AMX_ROWS, row);
        _tile_loadd(2, c + down, row);
        _tile_loadd(3, c + down + FLM_AMX_ROWS, row);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t s = 0; s < steps; s++) {
        /* a passes once, so that it should not push b out of the L1 cache */
        _tile_stream_loadd(4, a0, a_row);
        _tile_loadd(6, b0, b_row);
        _tile_loadd(7, b1, b_row);
        _tile_dpbf16ps(0, 4, 6);
        _tile_stream_loadd(5, a1, a_row);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        a0 += a->step_step;
        a1 += a->step_step;
        b0 += b->step_step;
        b1 += b->step_step;
        do_aside(&other, s);
    }
    _tile_stored(0, c, row);
    _tile_stored(1, c + FLM_AMX_ROWS, row);
    _tile_stored(2, c + down, row);
    _tile_stored(3, c + down + FLM_AMX_ROWS, row);
    for (int64_t s = steps; s < FLM_AMX_STRIP / 2; s++) do_aside(&other, s);
}

/* 32 x 32 of c, with strides in bytes. */
AMX_TARGET static void multiply_pairs(char *c, int64_t c_row, const char *a, int64_t a_row, const char *b,
                                      int64_t b_row, int64_t K, bool accumulate)
{
    enum { PAIRS = FLM_AMX_DEPTH / 2, RIGHT = FLM_AMX_ROWS * sizeof(float) };
    char *low = c + FLM_AMX_ROWS * c_row;
    if (accumulate) {
        _tile_loadd(0, c, c_row);
        _tile_loadd(1, c + RIGHT, c_row);
        _tile_loadd(2, low, c_row);
        _tile_loadd(3, low + RIGHT, c_row);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t k = 0; k < K; k += PAIRS, a += RIGHT, b += PAIRS * b_row) {
        _tile_loadd(4, a, a_row);
        _tile_loadd(5, a + FLM_AMX_ROWS * a_row, a_row);
        _tile_loadd(6, b, b_row);
        _tile_loadd(7, b + RIGHT, b_row);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, c_row);
    _tile_stored(1, c + RIGHT, c_row);
    _tile_stored(2, low, c_row);
    _tile_stored(3, low + RIGHT, c_row);
}

void flm_amx_multiply_pairs(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, const uint32_t *b, int64_t ldb,
                            int64_t M, int64_t N, int64_t K, bool accumulate)
{
    const int64_t size = (int64_t)sizeof *c;
    __asm__ volatile("" ::: "memory"); /* as in flm_amx_multiply */
    for (int64_t n = 0; n < N; n += FLM_AMX_STRIP)
        for (int64_t m = 0; m < M; m += FLM_AMX_STRIP)
            multiply_pairs((char *)(c + m * ldc + n), ldc * size, (const char *)(a + m * row_step), row_step * size,
                           (const char *)(b + n), ldb * size, K, accumulate);
}

/* ---- packing ---- */

/* 16 x 16 elements of 32 bits. */
PACK_TARGET static inline void transpose(__m512i r[16])
{
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512i low = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88),
                      high = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88),
                      high2 = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
        t[i] = _mm512_shuffle_i32x4(low, low2, 0x88);
        t[i + 8] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        t[i + 4] = _mm512_shuffle_i32x4(high, high2, 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

PACK_TARGET static inline void store(char *to, const __m512i r[16])
{
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) _mm512_store_si512(to + 64 * i, r[i]);
}

/* 16 rows of 32 k, of which rows and depth are there. */
PACK_TARGET static inline void pack_rows(char *to, const uint16_t *from, int64_t stride, int64_t rows, int64_t depth,
                                         bool transposed)
{
    const __mmask32 mask = depth < FLM_AMX_DEPTH ? (1u << depth) - 1 : ~0u;
    __m512i r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = i < rows ? _mm512_maskz_loadu_epi16(mask, from + i * stride) : _mm512_setzero_si512();
    if (transposed) transpose(r);
    store(to, r);
}

PACK_TARGET static inline __m512i pair_of(const uint16_t *low, const uint16_t *high, __mmask16 mask)
{
    const __m512i x = low ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, low)) : _mm512_setzero_si512();
    const __m512i y = high ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, high)) : _mm512_setzero_si512();
    return _mm512_or_si512(x, _mm512_slli_epi32(y, 16));
}

/* The same of a matrix stored [k, rows]. */
PACK_TARGET static inline void pack_columns(char *to, const uint16_t *from, int64_t stride, int64_t rows, int64_t depth,
                                            bool transposed)
{
    const __mmask16 mask = (__mmask16)(rows < FLM_AMX_ROWS ? (1u << (rows > 0 ? rows : 0)) - 1 : 0xFFFFu);
    __m512i r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = pair_of(2 * i < depth ? from + 2 * i * stride : NULL,
                       2 * i + 1 < depth ? from + (2 * i + 1) * stride : NULL, mask);
    if (transposed) transpose(r);
    store(to, r);
}

PACK_TARGET void flm_amx_pack(char *to, size_t group_step, size_t step_step, const flm_amx_source *from, bool is_b,
                              int64_t i, int64_t count, int64_t k, int64_t depth)
{
    const bool transposed = from->k_contiguous == is_b;
    const int64_t padded = (count + FLM_AMX_STRIP - 1) / FLM_AMX_STRIP * FLM_AMX_STRIP;
    for (int64_t at = 0; at < depth; at += FLM_AMX_DEPTH)
        for (int64_t row = 0; row < padded; row += FLM_AMX_ROWS) {
            char *tile = to + (size_t)(row / FLM_AMX_ROWS) * group_step + (size_t)(at / FLM_AMX_DEPTH) * step_step;
            const int64_t rows = count - row < FLM_AMX_ROWS ? count - row : FLM_AMX_ROWS; /* below 0: none */
            const int64_t here = depth - at < FLM_AMX_DEPTH ? depth - at : FLM_AMX_DEPTH;
            if (from->k_contiguous) {
                const uint16_t *data = from->data + (i + row) * from->stride + k + at;
                if (rows == FLM_AMX_ROWS && here == FLM_AMX_DEPTH && transposed)
                    pack_rows(tile, data, from->stride, FLM_AMX_ROWS, FLM_AMX_DEPTH, true);
                else
                    pack_rows(tile, data, from->stride, rows, here, transposed);
            } else {
                const uint16_t *data = from->data + (k + at) * from->stride + i + row;
                if (rows == FLM_AMX_ROWS && here == FLM_AMX_DEPTH && !transposed)
                    pack_columns(tile, data, from->stride, FLM_AMX_ROWS, FLM_AMX_DEPTH, false);
                else
                    pack_columns(tile, data, from->stride, rows, here, transposed);
            }
        }
}

#else

bool flm_amx_supported(void) { return false; }
void flm_amx_begin(void) {}
void flm_amx_end(void) {}

void flm_amx_multiply(float *c, const flm_amx_strip *a, const flm_amx_strip *b, int64_t steps, bool accumulate,
                      const flm_amx_aside *aside)
{
    (void)c, (void)a, (void)b, (void)steps, (void)accumulate, (void)aside;
}

void flm_amx_pack(char *to, size_t group_step, size_t step_step, const flm_amx_source *from, bool is_b, int64_t i,
                  int64_t count, int64_t k, int64_t depth)
{
    (void)to, (void)group_step, (void)step_step, (void)from, (void)is_b, (void)i, (void)count, (void)k, (void)depth;
}

void flm_amx_store(const flm_amx_result *to, const float *sums) { (void)to, (void)sums; }

void flm_amx_multiply_pairs(float *c, int64_t ldc, const uint32_t *a, int64_t row_step, const uint32_t *b, int64_t ldb,
                            int64_t M, int64_t N, int64_t K, bool accumulate)
{
    (void)c, (void)ldc, (void)a, (void)row_step, (void)b, (void)ldb, (void)M, (void)N, (void)K, (void)accumulate;
}

#endif
