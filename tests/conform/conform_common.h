/* conform_common.h - what the tests of a family of ops share: operands with their values before the call, calls that
 * are repeated with 1, 2 and 3 threads and must give the same bits, and comparison with a reference in double. For
 * backends in host memory. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CONFORM_COMMON_H
#define FLM_TESTS_CONFORM_COMMON_H

#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

enum { CONFORM_BACKENDS = 3, CONFORM_GUARD = 64, CONFORM_MOST = 12 };

/* The same device with 1, 2 and 3 threads. */
static flm_backend *conform_be[CONFORM_BACKENDS];

/* One argument of an op. */
typedef struct operand {
    flm_tensor t;
    double *before; /* its values before the call */
} operand;

typedef flm_status (*conform_call)(flm_backend *be, const operand *o, const void *arg);

static inline bool conform_begin(void)
{
    for (int i = 0; i < CONFORM_BACKENDS; i++)
        if (flm_backend_create(FLM_DEVICE_CPU, i + 1, 0, &conform_be[i]) != FLM_OK) return false;
    return true;
}

static inline int conform_end(void)
{
    for (int i = 0; i < CONFORM_BACKENDS; i++) flm_backend_destroy(&conform_be[i]);
    return tap_end();
}

/* Uniform in [-1, 1): Marsaglia's xorshift64, "Xorshift RNGs", 2003. */
static inline double draw(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63;
}

static inline double get(const flm_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case FLM_DTYPE_F32: return (double)((const float *)t->data)[i];
    case FLM_DTYPE_BF16: return (double)flm_bf16_to_f32(((const uint16_t *)t->data)[i]);
    case FLM_DTYPE_F64: return ((const double *)t->data)[i];
    default: return (double)((const int32_t *)t->data)[i];
    }
}

static inline void put(const flm_tensor *t, int64_t i, double value)
{
    switch (t->dtype) {
    case FLM_DTYPE_F32: ((float *)t->data)[i] = (float)value; break;
    case FLM_DTYPE_BF16: ((uint16_t *)t->data)[i] = flm_bf16_from_f32((float)value); break;
    case FLM_DTYPE_F64: ((double *)t->data)[i] = value; break;
    default: ((int32_t *)t->data)[i] = (int32_t)value; break;
    }
}

static inline void operand_note(operand *o)
{
    for (int64_t i = 0; i < flm_tensor_elements(&o->t); i++) o->before[i] = get(&o->t, i);
}

/* Random values in [-size, size), or NaN everywhere when size is NaN, and guard bytes behind. */
static inline operand operand_new(flm_dtype dtype, int ndim, const int64_t *dim, double size)
{
    operand o = {flm_tensor_make(NULL, dtype, ndim, dim), NULL};
    const int64_t n = flm_tensor_elements(&o.t);
    const size_t bytes = flm_tensor_bytes(&o.t);
    if (conform_be[0]->memory->alloc(conform_be[0], bytes + CONFORM_GUARD, &o.t.data) != FLM_OK) abort();
    if ((o.before = malloc((size_t)(n + 1) * sizeof(double))) == NULL) abort();
    for (int64_t i = 0; i < n; i++) put(&o.t, i, isnan(size) ? size : size * draw());
    memset((char *)o.t.data + bytes, 0xA5, CONFORM_GUARD);
    operand_note(&o);
    return o;
}

#define operand_1d(dtype, size, a)       operand_new((dtype), 1, (const int64_t[]){(a)}, (size))
#define operand_2d(dtype, size, a, b)    operand_new((dtype), 2, (const int64_t[]){(a), (b)}, (size))
#define operand_3d(dtype, size, a, b, c) operand_new((dtype), 3, (const int64_t[]){(a), (b), (c)}, (size))

/* Tokens in 0..V-1. */
static inline operand operand_tokens(int ndim, const int64_t *dim, int64_t V)
{
    operand o = operand_new(FLM_DTYPE_I32, ndim, dim, 0);
    for (int64_t i = 0; i < flm_tensor_elements(&o.t); i++)
        put(&o.t, i, floor((draw() + 1) / 2 * (double)V * (1 - 0x1p-40)));
    operand_note(&o);
    return o;
}

static inline void operands_free(operand *o, int count)
{
    for (int k = 0; k < count; k++) {
        conform_be[0]->memory->release(conform_be[0], o[k].t.data);
        free(o[k].before);
    }
}

static inline bool operand_guarded(const operand *o)
{
    const unsigned char *guard = (const unsigned char *)o->t.data + flm_tensor_bytes(&o->t);
    bool whole = true;
    for (int i = 0; i < CONFORM_GUARD; i++) whole = whole && guard[i] == 0xA5;
    return whole;
}

/* Call with 1, 2 and 3 threads from the same values: the same bits in every operand, and no guard touched. */
static inline void conform_run(conform_call call, operand *o, int count, const void *arg, const char *name)
{
    void *first[CONFORM_MOST];
    bool done = true, same = true, guarded = true;
    for (int k = 0; k < count; k++) {
        first[k] = malloc(flm_tensor_bytes(&o[k].t) + 1);
        if (first[k] == NULL) abort();
        operand_note(&o[k]);
    }
    for (int time = 0; time < CONFORM_BACKENDS; time++) {
        for (int k = 0; k < count; k++)
            for (int64_t i = 0; time > 0 && i < flm_tensor_elements(&o[k].t); i++) put(&o[k].t, i, o[k].before[i]);
        done = done && call(conform_be[time], o, arg) == FLM_OK;
        for (int k = 0; k < count; k++) {
            const size_t bytes = flm_tensor_bytes(&o[k].t);
            if (time == 0 && bytes) memcpy(first[k], o[k].t.data, bytes);
            same = same && (bytes == 0 || memcmp(first[k], o[k].t.data, bytes) == 0);
            guarded = guarded && operand_guarded(&o[k]);
        }
    }
    tap_ok(done && same && guarded, "%s: 1, 2 and 3 threads, the same bits%s%s", name, done ? "" : ": ",
           done ? "" : flm_err_message());
    flm_err_clear();
    for (int k = 0; k < count; k++) free(first[k]);
}

/* Half a unit of the last place, relative to the value; slightly more for the tie that the reference's own rounding
 * moves. */
static inline double conform_rounding(flm_dtype dtype)
{
    return dtype == FLM_DTYPE_BF16 ? 0x1.02p-8 : dtype == FLM_DTYPE_F32 ? 0x1.02p-24 : 0x1.02p-53;
}

/* Element i may be off by unit * size[i] (size NULL: |ref[i]|), what fp32 arithmetic may do, and its dtype's rounding.
 */
static inline void conform_close(const flm_tensor *t, const double *ref, const double *size, double unit,
                                 const char *name)
{
    double worst = 0;
    for (int64_t i = 0; i < flm_tensor_elements(t); i++) {
        double may = unit * (size ? size[i] : fabs(ref[i])) + conform_rounding(t->dtype) * fabs(ref[i]) + 1e-36;
        double e = fabs(get(t, i) - ref[i]) / may;
        if (!(e <= worst)) worst = e;
    }
    tap_ok(worst <= 1, "%s: off by %.2f of what rounding explains", name, worst);
}

static inline double *doubles(int64_t n)
{
    double *x = calloc((size_t)(n + 1), sizeof *x);
    if (x == NULL) abort();
    return x;
}

/* One operand taken away, of another dtype, or longer: the call must refuse it with FLM_E_SHAPE. */
static inline void conform_refuses(conform_call call, operand *o, int count, const void *arg, const char *name)
{
    for (int k = 0; k < count; k++) {
        const flm_tensor good = o[k].t;
        bool refused = true;
        o[k].t.data = NULL;
        refused = refused && call(conform_be[0], o, arg) == FLM_E_SHAPE;
        o[k].t = good;
        o[k].t.dtype = good.dtype == FLM_DTYPE_I32 ? FLM_DTYPE_F32 : FLM_DTYPE_I32;
        refused = refused && call(conform_be[0], o, arg) == FLM_E_SHAPE;
        o[k].t = good;
        o[k].t.ndim = good.ndim + 1;
        refused = refused && call(conform_be[0], o, arg) == FLM_E_SHAPE;
        o[k].t = good;
        o[k].t.dim[0] += 1;
        refused = refused && call(conform_be[0], o, arg) == FLM_E_SHAPE;
        o[k].t = good;
        tap_ok(refused, "%s: refuses argument %d absent, of another dtype, rank and size", name, k);
    }
    flm_err_clear();
}

#endif
