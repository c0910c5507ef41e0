/* convert_external.c - see convert_external.h: the choice of the format, the list of tensors, and the conversion to
 * f32. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"

#include "backend/backend_tensor.h"
#include "base/base_log.h"
#include "process/process.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t flm_external_element_size(flm_external_dtype dtype)
{
    return dtype == FLM_EXTERNAL_F64 ? 8 : dtype == FLM_EXTERNAL_F32 ? 4 : 2;
}

int64_t flm_external_span(const flm_external_tensor *tensor)
{
    int64_t span = 1;
    if (!tensor->strided || tensor->elements == 0) return tensor->elements;
    for (int k = 0; k < tensor->ndim; k++) span += (tensor->dim[k] - 1) * tensor->stride[k];
    return span;
}

flm_status flm_external_add(flm_external *external, const char *name, flm_external_tensor **out)
{
    flm_status rc = FLM_OK;
    if (external->count == FLM_EXTERNAL_TENSORS_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: has more than %d tensors", external->path, FLM_EXTERNAL_TENSORS_MAX);
    if (!name[0] || strlen(name) >= FLM_EXTERNAL_NAME_BYTES)
        FLM_FAIL(FLM_E_FORMAT, "%s: tensor \"%.80s\": the name is empty or too long", external->path, name);
    if (external->count == external->capacity) {
        const int capacity = external->capacity ? 2 * external->capacity : 64;
        void *grown = realloc(external->tensors, (size_t)capacity * sizeof *external->tensors);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the table of its tensors", external->path);
        external->tensors = grown;
        external->capacity = capacity;
    }
    *out = &external->tensors[external->count++];
    memset(*out, 0, sizeof **out);
    memcpy((*out)->name, name, strlen(name) + 1);
done:
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const flm_external_tensor *)a)->name, ((const flm_external_tensor *)b)->name);
}

flm_status flm_external_sort(flm_external *f)
{
    flm_status rc = FLM_OK;
    if (f->count == 0) FLM_FAIL(FLM_E_FORMAT, "%s: has no tensors", f->path);
    qsort(f->tensors, (size_t)f->count, sizeof *f->tensors, by_name);
    for (int i = 1; i < f->count; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: %s: is in more than one file", f->path, f->tensors[i].name);
done:
    return rc;
}

const flm_external_tensor *flm_external_find(const flm_external *f, const char *name)
{
    flm_external_tensor key;
    if (snprintf(key.name, sizeof key.name, "%s", name) >= (int)sizeof key.name) return NULL;
    return bsearch(&key, f->tensors, (size_t)f->count, sizeof key, by_name);
}

flm_status flm_external_count_elements(flm_external_tensor *tensor)
{
    flm_status rc = FLM_OK;
    int64_t bits = 64, elements = 1; /* of the largest dtype, so that no product of a dtype's size overflows later */
    for (int k = 0; k < tensor->ndim; k++)
        if (tensor->dim[k] < 0 || __builtin_mul_overflow(bits, tensor->dim[k], &bits))
            FLM_FAIL(FLM_E_FORMAT, "axis %d has %" PRId64 " elements", k, tensor->dim[k]);
    for (int k = 0; k < tensor->ndim; k++) elements *= tensor->dim[k];
    tensor->elements = elements;
done:
    return rc;
}

/* IEEE 754 half precision as fp32, exactly. */
static float half_value(uint16_t half)
{
    union {
        uint32_t u;
        float f;
    } v;
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, digits = half & 0x3FFu;
    if (exponent == 31)
        v.u = sign | 0x7F800000u | digits << 13;
    else if (exponent > 0)
        v.u = sign | (exponent + 112) << 23 | digits << 13;
    else {
        v.f = (float)digits * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

/* Elements [count] as f32. Returns whether every finite number is in the range of f32. */
static bool widen(flm_external_dtype dtype, const void *from, int64_t count, float *to)
{
    const uint16_t *x = from;
    const double *wide = from;
    bool inside = true;
    for (int64_t i = 0; i < count; i++) {
        if (dtype == FLM_EXTERNAL_F64) {
            to[i] = (float)wide[i];
            inside = inside && (!isfinite(wide[i]) || isfinite(to[i]));
        } else {
            to[i] = dtype == FLM_EXTERNAL_BF16 ? flm_bf16_to_f32(x[i]) : half_value(x[i]);
        }
    }
    return inside;
}

/* Gathers the elements of a strided tensor in order, from its span to `to`. */
static void gather(const flm_external_tensor *t, const char *span, char *to)
{
    const size_t size = (size_t)flm_external_element_size(t->dtype);
    int64_t at[FLM_EXTERNAL_DIMS] = {0}, from = 0;
    for (int64_t i = 0; i < t->elements; i++) {
        memcpy(to + (size_t)i * size, span + (size_t)from * size, size);
        for (int k = t->ndim - 1; k >= 0; k--) {
            from += t->stride[k];
            if (++at[k] < t->dim[k]) break;
            from -= t->dim[k] * t->stride[k];
            at[k] = 0;
        }
    }
}

/* Whether a file begins as the pickles of PyTorch before 1.6 do: PROTO and, from protocol 4 on, FRAME with the length
 * 13 of a number. A safetensors file has zeros in the bytes 5 to 7, the high ones of its header's length, which is no
 * such number. */
static bool is_bare_pickle(const unsigned char *head, size_t bytes)
{
    if (bytes < 4 || head[0] != 0x80 || head[1] < 2 || head[1] > 5) return false;
    if (head[1] >= 4 && head[2] == 0x95 && head[3] == 13) return true;
    return bytes < 8 || head[5] != 0 || head[6] != 0 || head[7] != 0;
}

flm_status flm_external_open(const char *path, flm_external **out)
{
    flm_status rc = FLM_OK;
    const size_t length = strlen(path);
    unsigned char head[8];
    size_t got = 0;
    flm_external *f = calloc(1, sizeof *f);

    if (!f) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to open it", path);
    f->fd = -1;
    FLM_TRY(flm_path_format(f->path, "%s", path));
    FLM_TRY(flm_file_read_head(path, head, sizeof head, &got));
    if (length > 5 && strcmp(path + length - 5, ".json") == 0)
        FLM_TRY(flm_index_open(f));
    else if (got >= 4 && memcmp(head, "PK\3\4", 4) == 0)
        FLM_TRY(flm_torch_open(f));
    else if (is_bare_pickle(head, got))
        FLM_FAIL(
            FLM_E_FORMAT,
            "%s: is a bare pickle, the format of PyTorch before 1.6: save it again with a newer version of PyTorch",
            path);
    else
        FLM_TRY(flm_safetensors_open(f));
    *out = f;
    f = NULL;
done:
    flm_external_close(&f);
    return rc;
}

void flm_external_close(flm_external **external)
{
    flm_external *f = *external;
    if (!f) return;
    *external = NULL;
    flm_index_close(f);
    if (f->fd >= 0) close(f->fd);
    free(f->tensors);
    json_decref(f->metadata);
    flm_torch_close(&f->torch);
    free(f);
}

const flm_external_tensor *flm_external_tensors(const flm_external *external, int *count)
{
    *count = external->count;
    return external->tensors;
}

const char *flm_external_get_metadata(const flm_external *external, const char *name)
{
    const char *text = json_string_value(json_object_get(external->metadata, name));
    for (int i = 0; i < external->parts_count && !text; i++) text = flm_external_get_metadata(external->parts[i], name);
    return text;
}

bool flm_external_get_integer(const flm_external *external, const char *name, int64_t *value)
{
    return external->torch && flm_torch_get_integer(external->torch, name, value);
}

/* "[2, 3]"; text has space for FLM_EXTERNAL_DIMS axes. */
static void shape_format(int ndim, const int64_t *dim, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int k = 0; k < ndim; k++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, k ? ", " : "", dim[k]);
    snprintf(text + used, size - used, "]");
}

flm_status flm_external_tensor_check_shape(const flm_external_tensor *t, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    char expected[FLM_EXTERNAL_DIMS * 24], found[FLM_EXTERNAL_DIMS * 24];
    if (t->ndim == ndim && memcmp(t->dim, dim, (size_t)ndim * sizeof *dim) == 0) goto done;
    shape_format(ndim, dim, expected, sizeof expected);
    shape_format(t->ndim, t->dim, found, sizeof found);
    FLM_FAIL(FLM_E_MISMATCH, "%s: expected shape %s, found %s", t->name, expected, found);
done:
    return rc;
}

void flm_external_log_notes(const flm_external *external, const int *index, int count)
{
    int wide = 0, narrow = 0, strided = 0;
    for (int i = 0; i < count; i++) {
        const flm_external_tensor *t = &external->tensors[index[i]];
        wide += t->dtype == FLM_EXTERNAL_F64;
        narrow += t->dtype == FLM_EXTERNAL_F16 || t->dtype == FLM_EXTERNAL_BF16;
        strided += t->strided;
    }
    if (wide) flm_log(FLM_LOG_INFO, "%s: %d tensors of fp64 are rounded to fp32", external->path, wide);
    if (narrow) flm_log(FLM_LOG_INFO, "%s: %d tensors of fp16 or bf16 are stored as fp32", external->path, narrow);
    if (strided) flm_log(FLM_LOG_INFO, "%s: %d tensors are not contiguous: stored in order", external->path, strided);
}

flm_status flm_external_read(flm_external *external, int index, float *data)
{
    flm_status rc = FLM_OK;
    const flm_external_tensor *t = &external->tensors[index];
    const size_t size = t->dtype == FLM_EXTERNAL_OTHER ? 0 : (size_t)flm_external_element_size(t->dtype);
    char *span = NULL, *packed = NULL;
    void *raw = data; /* the elements in order */

    if (external->parts) {
        FLM_TRY(flm_external_read(external->parts[t->part], (int)t->offset, data));
        goto done;
    }
    FLM_TRY(flm_process_poll());
    if (t->dtype == FLM_EXTERNAL_OTHER)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: the dtype must be f32, f64, f16 or bf16", external->path, t->name);
    if (t->dtype != FLM_EXTERNAL_F32) raw = packed = malloc((size_t)t->elements * size + 1);
    if (t->strided) span = malloc((size_t)flm_external_span(t) * size + 1);
    if (!raw || (t->strided && !span)) FLM_FAIL(FLM_E_NOMEM, "%s: %s: no memory to read it", external->path, t->name);
    FLM_TRY(external->torch ? flm_torch_read(external, t, span ? span : raw) : flm_safetensors_read(external, t, raw));
    if (span) gather(t, span, raw);
    if (packed && !widen(t->dtype, packed, t->elements, data))
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: has numbers beyond the range of fp32", external->path, t->name);
done:
    free(span);
    free(packed);
    return rc;
}
