/* backend_tensor.c - see backend_tensor.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t flm_dtype_size(flm_dtype dtype)
{
    static const size_t sizes[] = {[FLM_DTYPE_F32] = 4, [FLM_DTYPE_BF16] = 2, [FLM_DTYPE_F64] = 8, [FLM_DTYPE_I32] = 4};
    return sizes[dtype];
}

const char *flm_dtype_name(flm_dtype dtype)
{
    static const char *const names[] = {
        [FLM_DTYPE_F32] = "f32", [FLM_DTYPE_BF16] = "bf16", [FLM_DTYPE_F64] = "f64", [FLM_DTYPE_I32] = "i32"};
    return names[dtype];
}

flm_tensor flm_tensor_make(void *data, flm_dtype dtype, int ndim, const int64_t *dim)
{
    flm_tensor t = {data, dtype, ndim, {1, 1, 1, 1}, 0};
    assert(ndim >= 1 && ndim <= FLM_TENSOR_DIMS);
    for (int i = 0; i < ndim; i++) t.dim[i] = dim[i];
    return t;
}

flm_tensor flm_tensor_2d_padded(void *data, flm_dtype dtype, int64_t a, int64_t b)
{
    flm_tensor t = flm_tensor_2d(data, dtype, a, b);
    if (b % FLM_TENSOR_PAD != 0) t.row_stride = b + FLM_TENSOR_PAD - b % FLM_TENSOR_PAD;
    return t;
}

flm_tensor flm_tensor_none(void) { return (flm_tensor){NULL, FLM_DTYPE_F32, 1, {0, 1, 1, 1}, 0}; }

int64_t flm_tensor_elements(const flm_tensor *t) { return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]; }
int64_t flm_tensor_last(const flm_tensor *t) { return t->dim[t->ndim - 1]; }
int64_t flm_tensor_row_stride(const flm_tensor *t) { return t->row_stride ? t->row_stride : flm_tensor_last(t); }
bool flm_tensor_padded(const flm_tensor *t) { return flm_tensor_row_stride(t) != flm_tensor_last(t); }

size_t flm_tensor_bytes(const flm_tensor *t)
{
    return (size_t)(flm_tensor_rows(t) * flm_tensor_row_stride(t)) * flm_dtype_size(t->dtype);
}

int64_t flm_tensor_rows(const flm_tensor *t)
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < t->ndim; i++) rows *= t->dim[i];
    return rows;
}

void flm_tensor_runs(const flm_tensor *a, const flm_tensor *b, int64_t *count, int64_t *n)
{
    const bool rows = flm_tensor_padded(a) || flm_tensor_padded(b);
    *count = rows ? flm_tensor_rows(a) : 1;
    *n = rows ? flm_tensor_last(a) : flm_tensor_elements(a);
}

flm_tensor flm_tensor_slice(const flm_tensor *t, int64_t first, int64_t count)
{
    flm_tensor s = *t;
    int64_t row = t->ndim == 1 ? 1 : t->dim[0] ? flm_tensor_rows(t) / t->dim[0] * flm_tensor_row_stride(t) : 0;
    assert(first >= 0 && count >= 0 && first + count <= t->dim[0]);
    assert(t->ndim > 1 || t->row_stride == 0);
    s.data = (char *)t->data + (size_t)(first * row) * flm_dtype_size(t->dtype);
    s.dim[0] = count;
    return s;
}

flm_tensor flm_tensor_flat(const flm_tensor *t)
{
    flm_tensor flat = flm_tensor_2d(t->data, t->dtype, flm_tensor_rows(t), flm_tensor_last(t));
    flat.row_stride = t->row_stride;
    return flat;
}

const char *flm_tensor_describe(const flm_tensor *t, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "%s[", flm_dtype_name(t->dtype));
    for (int i = 0; i < t->ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    if (used < size && flm_tensor_padded(t))
        used += (size_t)snprintf(text + used, size - used, "; row stride %" PRId64, t->row_stride);
    if (used < size) snprintf(text + used, size - used, "]");
    return text;
}

flm_status flm_tensor_expect_rows(const flm_tensor *t, const char *what, flm_dtype dtype, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    char have[128], want[128];
    flm_tensor w = flm_tensor_make(NULL, dtype, ndim, dim);
    bool same = t->data != NULL && t->dtype == dtype && t->ndim == ndim;

    for (int i = 0; same && i < ndim; i++) same = dim[i] < 0 || dim[i] == t->dim[i];
    if (!same)
        FLM_FAIL(FLM_E_SHAPE, "%s is %s, expected %s", what,
                 t->data ? flm_tensor_describe(t, have, sizeof have) : "absent",
                 flm_tensor_describe(&w, want, sizeof want));
    if (flm_tensor_row_stride(t) < flm_tensor_last(t))
        FLM_FAIL(FLM_E_SHAPE, "%s is %s: its rows overlap", what, flm_tensor_describe(t, have, sizeof have));
done:
    return rc;
}

flm_status flm_tensor_expect(const flm_tensor *t, const char *what, flm_dtype dtype, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    char have[128];

    FLM_TRY(flm_tensor_expect_rows(t, what, dtype, ndim, dim));
    if (flm_tensor_padded(t))
        FLM_FAIL(FLM_E_SHAPE, "%s is %s: its rows must be contiguous", what, flm_tensor_describe(t, have, sizeof have));
done:
    return rc;
}
