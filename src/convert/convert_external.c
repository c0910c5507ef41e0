/* convert_external.c - see convert_external.h: which kind of file it is, its list of tensors, and their values as f32.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"

#include "backend/backend_tensor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t flm_external_element_size(flm_external_dtype dtype) { return dtype == FLM_EXTERNAL_F32 ? 4 : 2; }

flm_status flm_external_add(flm_external *foreign, const char *name, flm_external_tensor **out)
{
    flm_status rc = FLM_OK;
    if (foreign->count == FLM_EXTERNAL_TENSORS_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: has more than %d tensors", foreign->path, FLM_EXTERNAL_TENSORS_MAX);
    if (!name[0] || strlen(name) >= FLM_EXTERNAL_NAME_BYTES)
        FLM_FAIL(FLM_E_FORMAT, "%s: tensor \"%.80s\": the name is empty or too long", foreign->path, name);
    if (foreign->count == foreign->capacity) {
        const int capacity = foreign->capacity ? 2 * foreign->capacity : 64;
        void *grown = realloc(foreign->tensors, (size_t)capacity * sizeof *foreign->tensors);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the table of its tensors", foreign->path);
        foreign->tensors = grown;
        foreign->capacity = capacity;
    }
    *out = &foreign->tensors[foreign->count++];
    memset(*out, 0, sizeof **out);
    memcpy((*out)->name, name, strlen(name) + 1);
done:
    return rc;
}

flm_status flm_external_count_elements(flm_external_tensor *tensor)
{
    flm_status rc = FLM_OK;
    int64_t bytes = sizeof(double), elements = 1; /* of the largest dtype, so that any size fits afterwards */
    for (int k = 0; k < tensor->ndim; k++)
        if (tensor->dim[k] < 0 || __builtin_mul_overflow(bytes, tensor->dim[k], &bytes))
            FLM_FAIL(FLM_E_FORMAT, "axis %d has %" PRId64 " elements", k, tensor->dim[k]);
    for (int k = 0; k < tensor->ndim; k++) elements *= tensor->dim[k];
    tensor->elements = elements;
done:
    return rc;
}

/* IEEE 754 half precision; exact in fp32. */
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
        FLM_FAIL(FLM_E_FORMAT, "%s: is a bare pickle, as PyTorch wrote before 1.6; save it again with a newer one",
                 path);
    else
        FLM_TRY(flm_safetensors_open(f));
    *out = f;
    f = NULL;
done:
    flm_external_close(&f);
    return rc;
}

void flm_external_close(flm_external **foreign)
{
    flm_external *f = *foreign;
    if (!f) return;
    *foreign = NULL;
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

const flm_external_tensor *flm_external_tensors(const flm_external *foreign, int *count)
{
    *count = foreign->count;
    return foreign->tensors;
}

int flm_external_find(const flm_external *foreign, const char *name)
{
    for (int i = 0; i < foreign->count; i++)
        if (strcmp(foreign->tensors[i].name, name) == 0) return i;
    return -1;
}

const char *flm_external_get_metadata(const flm_external *foreign, const char *name)
{
    return json_string_value(json_object_get(foreign->metadata, name));
}

bool flm_external_get_integer(const flm_external *foreign, const char *name, int64_t *value)
{
    return foreign->torch && flm_torch_get_integer(foreign->torch, name, value);
}

flm_status flm_external_read(flm_external *foreign, int index, float *data)
{
    flm_status rc = FLM_OK;
    const flm_external_tensor *t = &foreign->tensors[index];
    void *narrow = NULL, *to = data;

    if (t->dtype == FLM_EXTERNAL_OTHER)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: is neither f32, f16 nor bf16", foreign->path, t->name);
    if (t->dtype != FLM_EXTERNAL_F32) {
        to = narrow = malloc((size_t)t->elements * 2 + 1);
        if (!narrow) FLM_FAIL(FLM_E_NOMEM, "%s: %s: no memory to read it", foreign->path, t->name);
    }
    FLM_TRY(foreign->torch ? flm_torch_read(foreign, t, to) : flm_safetensors_read(foreign, t, to));
    if (narrow) flm_external_widen(t->dtype, narrow, t->elements, data);
done:
    free(narrow);
    return rc;
}
