/* conform_common.h - shared by the tests of all families of operations: operands with their values before the call,
 * calls repeated with 1, 2 and 3 threads that must give the same bits, and comparison with a reference in double.
 * Operands are in host memory; a call gets copies of them on the device. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CONFORM_COMMON_H
#define FLM_TESTS_CONFORM_COMMON_H

#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

enum { CONFORM_BACKENDS = 3, CONFORM_GUARD = 64, CONFORM_MAX = 12 };

/* The same device with 1, 2 and 3 threads (emulated: its threads in other orders). */
extern flm_backend *conform_be[CONFORM_BACKENDS];

/* The device under test: selected by FLM_TEST_DEVICE=cpu|cuda; if unset the CPU, or the emulated device if the test is
 * built for it. */
flm_device conform_device(void);

/* conform_open - that device with so many threads. */
flm_status conform_open(int threads, flm_backend **out);

/* How operand_rows lays out rows: contiguous; every operand padded with NaN, each with its own row stride; every second
 * one padded with numbers. The setting must not change between making and checking operands. */
typedef enum conform_padding { CONFORM_BARE, CONFORM_NAN, CONFORM_SOME, CONFORM_PADDINGS } conform_padding;
extern conform_padding conform_rows;
extern const char *const conform_paddings[]; /* for names: "" and what they are */

/* One argument of an op. */
typedef struct operand {
    flm_tensor t;
    double *before; /* its values before the call */
} operand;

typedef flm_status (*conform_call)(flm_backend *be, const operand *o, const void *arg);

bool conform_begin(void);

void conform_close_backends(void);

static inline int conform_end(void)
{
    conform_close_backends();
    return tap_end();
}

/* Uniform in [-1, 1): Marsaglia's xorshift64, "Xorshift RNGs", 2003. */
double draw(void);

/* Where element i of the tensor's own lies. */
static inline int64_t place(const flm_tensor *t, int64_t i)
{
    return t->row_stride == 0 ? i : i / flm_tensor_last(t) * t->row_stride + i % flm_tensor_last(t);
}

static inline double get(const flm_tensor *t, int64_t i)
{
    i = place(t, i);
    switch (t->dtype) {
    case FLM_DTYPE_F32: return (double)((const float *)t->data)[i];
    case FLM_DTYPE_BF16: return (double)flm_bf16_to_f32(((const uint16_t *)t->data)[i]);
    case FLM_DTYPE_F64: return ((const double *)t->data)[i];
    default: return (double)((const int32_t *)t->data)[i];
    }
}

static inline void put(const flm_tensor *t, int64_t i, double value)
{
    i = place(t, i);
    switch (t->dtype) {
    case FLM_DTYPE_F32: ((float *)t->data)[i] = (float)value; break;
    case FLM_DTYPE_BF16: ((uint16_t *)t->data)[i] = flm_bf16_from_f32((float)value); break;
    case FLM_DTYPE_F64: ((double *)t->data)[i] = value; break;
    default: ((int32_t *)t->data)[i] = (int32_t)value; break;
    }
}

/* The larger error; NaN once there was one. */
static inline double worse(double worst, double e) { return e > worst || isnan(e) ? e : worst; }

void operand_note(operand *o);

/* Random values in [-size, size), or all NaN if size is NaN, followed by guard bytes. */
operand operand_new(flm_dtype dtype, int ndim, const int64_t *dim, double size);

#define operand_1d(dtype, size, a)       operand_new((dtype), 1, (const int64_t[]){(a)}, (size))
#define operand_2d(dtype, size, a, b)    operand_new((dtype), 2, (const int64_t[]){(a), (b)}, (size))
#define operand_3d(dtype, size, a, b, c) operand_new((dtype), 3, (const int64_t[]){(a), (b), (c)}, (size))

/* The same for [a, b] with rows padded as conform_rows says. */
operand operand_rows(flm_dtype dtype, double size, int64_t a, int64_t b);

/* Tokens in 0..V-1. */
operand operand_tokens(int ndim, const int64_t *dim, int64_t V);

void operands_free(operand *o, int count);

/* conform_once - the call on copies of the operands in be's memory, guards included; the results are copied back. An
 * absent operand stays absent. */
flm_status conform_once(flm_backend *be, conform_call call, operand *o, int count, const void *arg);

/* What is wrong, or NULL. The counters of tap.h are per file, so that the verdict is given in this header. */
const char *conform_run_failure(conform_call call, operand *o, int count, const void *arg);

/* Call with 1, 2 and 3 threads from the same values: the same bits in every operand, no guard nor padding touched. */
static inline void conform_run(conform_call call, operand *o, int count, const void *arg, const char *name)
{
    const char *failure = conform_run_failure(call, o, count, arg);
    tap_ok(failure == NULL, "%s: 1, 2 and 3 threads, the same bits%s%s", name, failure ? ": " : "",
           failure ? failure : "");
}

/* The largest error of t in units of its tolerance: unit * size[i] for element i (size NULL: |ref[i]|), for fp32
 * arithmetic, plus the rounding of its dtype. NaN if any element is NaN. */
double conform_worst(const flm_tensor *t, const double *ref, const double *size, double unit);

static inline void conform_close(const flm_tensor *t, const double *ref, const double *size, double unit,
                                 const char *name)
{
    const double worst = conform_worst(t, ref, size, unit);
    tap_ok(worst <= 1, "%s: off by %.2f of what rounding explains", name, worst);
}

/* conform_same - the same elements to the bit, whatever the padding holds. */
bool conform_same(const flm_tensor *a, const flm_tensor *b);

double *doubles(int64_t n);

/* Operand k absent, of another dtype, of another number of axes, longer, with overlapping rows: each is refused with
 * FLM_E_SHAPE. conform_refused_padded - also if padded. */
bool conform_refused_padded(conform_call call, operand *o, int k, const void *arg);
bool conform_refused(conform_call call, operand *o, int k, const void *arg);

static inline void conform_refuses(conform_call call, operand *o, int count, const void *arg, const char *name)
{
    for (int k = 0; k < count; k++)
        tap_ok(conform_refused(call, o, k, arg), "%s: refuses argument %d absent, of another dtype, rank and size",
               name, k);
}

static inline void conform_refuses_padded(conform_call call, operand *o, int count, const void *arg, const char *name)
{
    for (int k = 0; k < count; k++)
        tap_ok(conform_refused_padded(call, o, k, arg), "%s: refuses argument %d with padded rows", name, k);
}

#endif
