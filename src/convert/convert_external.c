/* convert_external.c - see convert_external.h: the choice of the format, the list of tensors, and the conversion to
 * f32. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"

#include "backend/backend_tensor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t flm_external_element_size(flm_external_dtype dtype) { return dtype == FLM_EXTERNAL_F32 ? 4 : 2; }

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

flm_status flm_external_count_elements(flm_external_tensor *tensor)
{
    flm_status rc = FLM_OK;
    int64_t bytes = sizeof(double),
            elements = 1; /* of the largest dtype, so that no product of a dtype's size overflows later */
    for (int k = 0; k < tensor->ndim; k++)
        if (tensor->dim[k] < 0 || __builtin_mul_overflow(bytes, tensor->dim[k], &bytes))
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

void flm_external_widen(flm_external_dtype dtype, const void *from, int64_t count, float *to)
{
    const uint16_t *x = from;
    if (dtype == FLM_EXTERNAL_BF16)
        for (int64_t i = 0; i < count; i++) to[i] = flm_bf16_to_f32(x[i]);
    else
        for (int64_t i = 0; i < count; i++) to[i] = half_value(x[i]);
}

flm_status flm_external_open(const char *path, flm_external **out)
{
    flm_status rc = FLM_OK;
    unsigned char head[4];
    flm_external *f = calloc(1, sizeof *f);

    if (!f) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to open it", path);
    FLM_TRY(flm_path_format(f->path, "%s", path));
    FLM_TRY(flm_file_read_head(path, head, sizeof head, NULL));
    if (memcmp(head, "PK\3\4", 4) == 0)
        FLM_TRY(flm_torch_open(f));
    else if (memcmp(head, "\x80\2", 2) == 0 && head[2] != 0)
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
    for (int i = 0; i < f->files; i++) {
        if (f->fd[i] >= 0) close(f->fd[i]);
        free(f->file[i]);
    }
    free(f->fd);
    free(f->file);
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

int flm_external_find(const flm_external *external, const char *name)
{
    for (int i = 0; i < external->count; i++)
        if (strcmp(external->tensors[i].name, name) == 0) return i;
    return -1;
}

const char *flm_external_get_metadata(const flm_external *external, const char *name)
{
    return json_string_value(json_object_get(external->metadata, name));
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

flm_status flm_external_read(flm_external *external, int index, float *data)
{
    flm_status rc = FLM_OK;
    const flm_external_tensor *t = &external->tensors[index];
    void *narrow = NULL, *to = data;

    if (t->dtype == FLM_EXTERNAL_OTHER)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: the dtype must be f32, f16 or bf16", external->path, t->name);
    if (t->dtype != FLM_EXTERNAL_F32) {
        to = narrow = malloc((size_t)t->elements * 2 + 1);
        if (!narrow) FLM_FAIL(FLM_E_NOMEM, "%s: %s: no memory to read it", external->path, t->name);
    }
    FLM_TRY(external->torch ? flm_torch_read(external, t, to) : flm_safetensors_read(external, t, to));
    if (narrow) flm_external_widen(t->dtype, narrow, t->elements, data);
done:
    free(narrow);
    return rc;
}
