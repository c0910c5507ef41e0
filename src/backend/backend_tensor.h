/* backend_tensor.h - a typed, shaped view of row-major memory, contiguous except that rows of the last axis may be
 * padded. A view owns nothing: whoever allocated the memory frees it. Whether it is host or device memory follows from
 * the backend that the tensor is used with. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_TENSOR_H
#define FLM_BACKEND_TENSOR_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum flm_dtype { FLM_DTYPE_F32, FLM_DTYPE_BF16, FLM_DTYPE_F64, FLM_DTYPE_I32 } flm_dtype;

enum {
    FLM_TENSOR_DIMS = 4,
    /* Padded rows are rounded up to a multiple of this: 128 bytes of bf16, 256 of f32, whole cache lines of a GPU. Its
     * fast matmuls need rows that begin at multiples of 16 bytes (cuBLAS manual, "Tensor Core Usage"), which rows of
     * a vocabulary of 50258 do not. */
    FLM_TENSOR_PAD = 64
};

typedef struct flm_tensor {
    void *data;
    flm_dtype dtype;
    int ndim;                     /* 1..4; data == NULL: the tensor is absent, where a prototype allows it */
    int64_t dim[FLM_TENSOR_DIMS]; /* elements; unused entries are 1 */
    int64_t row_stride;           /* elements from one row of the last axis to the next; 0: rows are contiguous */
} flm_tensor;

/* flm_dtype_size - bytes per element. */
size_t flm_dtype_size(flm_dtype dtype);

/* flm_dtype_name - "f32", "bf16", "f64", "i32". */
const char *flm_dtype_name(flm_dtype dtype);

/* flm_tensor_make - a view of data with the ndim sizes in dim; the macros below take the sizes as arguments. */
flm_tensor flm_tensor_make(void *data, flm_dtype dtype, int ndim, const int64_t *dim);

#define flm_tensor_1d(data, dtype, a)       flm_tensor_make((data), (dtype), 1, (const int64_t[]){(a)})
#define flm_tensor_2d(data, dtype, a, b)    flm_tensor_make((data), (dtype), 2, (const int64_t[]){(a), (b)})
#define flm_tensor_3d(data, dtype, a, b, c) flm_tensor_make((data), (dtype), 3, (const int64_t[]){(a), (b), (c)})
#define flm_tensor_4d(data, dtype, a, b, c, d) \
    flm_tensor_make((data), (dtype), 4, (const int64_t[]){(a), (b), (c), (d)})

/* flm_tensor_2d_padded - a view [a, b] whose rows are padded to a multiple of FLM_TENSOR_PAD elements; contiguous where
 * b is one. The contents of the padding have no meaning. */
flm_tensor flm_tensor_2d_padded(void *data, flm_dtype dtype, int64_t a, int64_t b);

/* flm_tensor_none - the absent tensor. */
flm_tensor flm_tensor_none(void);

/* flm_tensor_elements - number of elements. flm_tensor_bytes - bytes, padding included (the last row's too). Both 0 for
 * the absent tensor. */
int64_t flm_tensor_elements(const flm_tensor *t);
size_t flm_tensor_bytes(const flm_tensor *t);

/* flm_tensor_last - size of the last axis; flm_tensor_rows - product of all others. */
int64_t flm_tensor_last(const flm_tensor *t);
int64_t flm_tensor_rows(const flm_tensor *t);

/* flm_tensor_row_stride - elements from one row of the last axis to the next. flm_tensor_padded - whether that is more
 * than a row has. */
int64_t flm_tensor_row_stride(const flm_tensor *t);
bool flm_tensor_padded(const flm_tensor *t);

/* flm_tensor_runs - two tensors of one shape as *count runs of *n elements that are contiguous in both: one run of all
 * elements, or one for each row if either is padded, each tensor with its own row stride between runs. */
void flm_tensor_runs(const flm_tensor *a, const flm_tensor *b, int64_t *count, int64_t *n);

/* flm_tensor_slice - entries [first, first + count) of the first axis, which must not be the padded one. Asserts that
 * and the range. */
flm_tensor flm_tensor_slice(const flm_tensor *t, int64_t first, int64_t count);

/* flm_tensor_flat - the same elements as [rows, last], with the same padding. */
flm_tensor flm_tensor_flat(const flm_tensor *t);

/* flm_tensor_describe - "f32[2, 3, 4]", or "f32[2, 5; row stride 64]" if padded, into text (at most size bytes);
 * returns text. */
const char *flm_tensor_describe(const flm_tensor *t, char *text, size_t size);

/* flm_tensor_expect - FLM_E_SHAPE, naming what, unless t has this dtype, these sizes (-1: any size) and rows side by
 * side. flm_tensor_expect_rows - the same of rows that may be padded. */
flm_status flm_tensor_expect(const flm_tensor *t, const char *what, flm_dtype dtype, int ndim, const int64_t *dim);
flm_status flm_tensor_expect_rows(const flm_tensor *t, const char *what, flm_dtype dtype, int ndim, const int64_t *dim);

/* flm_bf16_from_f32 (round to nearest even; NaN stays NaN), flm_bf16_to_f32 (exact). */
static inline uint16_t flm_bf16_from_f32(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    uint32_t rounded = (v.u + 0x7FFFu + (v.u >> 16 & 1)) >> 16;
    return (uint16_t)((v.u & 0x7FFFFFFFu) > 0x7F800000u ? (v.u >> 16 | 64) : rounded);
}

static inline float flm_bf16_to_f32(uint16_t x)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)x << 16};
    return v.f;
}

#endif
