/* convert_torch.c - PyTorch's zip files: a pickle that lists the tensors, and a member of raw bytes for each storage.
 *
 * libzip checks the CRC-32 of each member. Members must not be compressed (torch.save does not), so that no member is
 * larger in memory than on disk. Tensors are taken from the top level (a bare state_dict), from the dict "state_dict"
 * or what other programs call it, and of EMA weights from a list, tuple or dict. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"
#include "convert/convert_pickle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum { MEMBER_BYTES = 512 };

struct flm_torch {
    zip_t *zip;
    char *pickle_bytes;
    flm_pickle *pickle;
    char folder[MEMBER_BYTES]; /* "archive/": the prefix of the members */
};

static flm_status zip_failure(const flm_external *f, const char *member)
{
    const zip_error_t *error = zip_get_error(f->torch->zip);
    const flm_status code = zip_error_code_zip(error) == ZIP_ER_CRC ? FLM_E_CHECKSUM : FLM_E_FORMAT;
    return flm_err_raise(code, __FILE__, __LINE__, "%s: %s: %s", f->path, member,
                         zip_error_strerror((zip_error_t *)error));
}

/* Bytes [offset, offset + bytes) of a member. All of the member is read, so that libzip checks its CRC. */
static flm_status member_read(flm_external *f, zip_uint64_t index, const char *name, int64_t offset, int64_t bytes,
                              char *data)
{
    flm_status rc = FLM_OK;
    char *rest = malloc(1 << 16);
    zip_file_t *member = zip_fopen_index(f->torch->zip, index, 0);
    int64_t at = 0;
    zip_int64_t got;

    if (!rest) FLM_FAIL(FLM_E_NOMEM, "%s: %s: no memory to read it", f->path, name);
    if (!member) FLM_TRY(zip_failure(f, name));
    do {
        const int64_t want = at < offset           ? (offset - at < 1 << 16 ? offset - at : 1 << 16)
                             : at - offset < bytes ? bytes - (at - offset)
                                                   : 1 << 16;
        const bool into = at >= offset && at - offset < bytes;
        got = zip_fread(member, into ? data + (at - offset) : rest, (zip_uint64_t)want);
        if (got < 0) {
            const zip_error_t *error = zip_file_get_error(member);
            FLM_FAIL(zip_error_code_zip(error) == ZIP_ER_CRC ? FLM_E_CHECKSUM : FLM_E_FORMAT, "%s: %s: %s", f->path,
                     name, zip_error_strerror((zip_error_t *)error));
        }
        at += got;
    } while (got > 0);
    if (at < offset + bytes)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: has %" PRId64 " bytes, %" PRId64 " are needed", f->path, name, at,
                 offset + bytes);
done:
    if (member) zip_fclose(member);
    free(rest);
    return rc;
}

/* A member by name: its index and size. */
static flm_status member_find(const flm_external *f, const char *name, zip_uint64_t *index, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    zip_stat_t st;
    const zip_int64_t at = zip_name_locate(f->torch->zip, name, 0);
    if (at < 0) FLM_FAIL(FLM_E_FORMAT, "%s: has no member %.200s", f->path, name);
    if (zip_stat_index(f->torch->zip, (zip_uint64_t)at, 0, &st) != 0) FLM_TRY(zip_failure(f, name));
    if (!(st.valid & ZIP_STAT_SIZE) || !(st.valid & ZIP_STAT_COMP_METHOD) || st.comp_method != ZIP_CM_STORE ||
        st.size > INT64_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: %.200s: is compressed, or its size is unknown", f->path, name);
    *index = (zip_uint64_t)at;
    *bytes = (int64_t)st.size;
done:
    return rc;
}

/* The pickle: the one member called FOLDER/data.pkl. */
static flm_status pickle_find(flm_external *f)
{
    flm_status rc = FLM_OK;
    struct flm_torch *t = f->torch;
    const zip_int64_t members = zip_get_num_entries(t->zip, 0);
    char name[MEMBER_BYTES] = "";
    zip_uint64_t index;
    int64_t bytes;

    for (zip_int64_t i = 0; i < members; i++) {
        const char *member = zip_get_name(t->zip, (zip_uint64_t)i, 0);
        const char *slash = member ? strchr(member, '/') : NULL;
        if (!slash || strcmp(slash, "/data.pkl") != 0) continue;
        if (name[0]) FLM_FAIL(FLM_E_FORMAT, "%s: has two members called data.pkl", f->path);
        if (strlen(member) >= sizeof name - 32) FLM_FAIL(FLM_E_FORMAT, "%s: a member's name is too long", f->path);
        snprintf(name, sizeof name, "%s", member);
    }
    if (!name[0])
        FLM_FAIL(FLM_E_FORMAT, "%s: is a zip file, but not PyTorch's: it has no member FOLDER/data.pkl", f->path);
    FLM_TRY(member_find(f, name, &index, &bytes));
    t->pickle_bytes = malloc((size_t)bytes + 1);
    if (!t->pickle_bytes) FLM_FAIL(FLM_E_NOMEM, "%s: %s: no memory for %" PRId64 " bytes", f->path, name, bytes);
    FLM_TRY(member_read(f, index, name, 0, bytes, t->pickle_bytes));
    FLM_TRY(flm_err_prefix(flm_pickle_parse(t->pickle_bytes, (size_t)bytes, &t->pickle), f->path));
    snprintf(t->folder, sizeof t->folder, "%.*s", (int)(strchr(name, '/') - name) + 1, name);
done:
    return rc;
}

/* Newer files record the byte order, which must be little-endian. */
static flm_status byte_order_check(flm_external *f)
{
    flm_status rc = FLM_OK;
    char name[MEMBER_BYTES + 16], order[8] = "";
    zip_uint64_t index;
    int64_t bytes;
    snprintf(name, sizeof name, "%sbyteorder", f->torch->folder);
    if (zip_name_locate(f->torch->zip, name, 0) < 0) goto done;
    FLM_TRY(member_find(f, name, &index, &bytes));
    if (bytes == 6) FLM_TRY(member_read(f, index, name, 0, bytes, order));
    if (memcmp(order, "little", 6) != 0) FLM_FAIL(FLM_E_FORMAT, "%s: the tensors are not little-endian", f->path);
done:
    return rc;
}

static int64_t storage_type_parse(const flm_pickle_value *type, flm_external_dtype *dtype)
{
    static const struct {
        const char *type;
        int64_t bytes;
        flm_external_dtype dtype;
    } known[] = {{"torch FloatStorage", 4, FLM_EXTERNAL_F32},     {"torch HalfStorage", 2, FLM_EXTERNAL_F16},
                 {"torch BFloat16Storage", 2, FLM_EXTERNAL_BF16}, {"torch DoubleStorage", 8, FLM_EXTERNAL_F64},
                 {"torch LongStorage", 8, FLM_EXTERNAL_OTHER},    {"torch IntStorage", 4, FLM_EXTERNAL_OTHER},
                 {"torch ShortStorage", 2, FLM_EXTERNAL_OTHER},   {"torch CharStorage", 1, FLM_EXTERNAL_OTHER},
                 {"torch ByteStorage", 1, FLM_EXTERNAL_OTHER},    {"torch BoolStorage", 1, FLM_EXTERNAL_OTHER}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (flm_pickle_value_equals(type, known[i].type)) {
            *dtype = known[i].dtype;
            return known[i].bytes;
        }
    return 0;
}

/* Finds the member of ('storage', torch.FloatStorage, '17', 'cpu', elements), whose size must match. Sets t->part, and
 * t->offset to the bytes per element, from which tensor_parse makes the offset. */
static flm_status storage_parse(const flm_external *f, const flm_pickle_value *persistent, flm_external_tensor *t,
                                int64_t *elements)
{
    flm_status rc = FLM_OK;
    const flm_pickle *p = f->torch->pickle;
    const flm_pickle_value *id = flm_pickle_get_item(p, persistent, 0), *key;
    char name[MEMBER_BYTES + 64];
    zip_uint64_t index;
    int64_t size, bytes;

    if (id->kind != FLM_PICKLE_TUPLE || id->count != 5 ||
        !flm_pickle_value_equals(flm_pickle_get_item(p, id, 0), "storage") ||
        flm_pickle_get_item(p, id, 4)->kind != FLM_PICKLE_INT)
        FLM_FAIL(FLM_E_FORMAT, "the description of its storage is not supported");
    size = storage_type_parse(flm_pickle_get_item(p, id, 1), &t->dtype);
    key = flm_pickle_get_item(p, id, 2);
    *elements = flm_pickle_get_item(p, id, 4)->integer;
    if (size == 0 || key->kind != FLM_PICKLE_TEXT || key->bytes == 0 || key->bytes > 32)
        FLM_FAIL(FLM_E_FORMAT, "the type or key of its storage is not supported");
    snprintf(name, sizeof name, "%sdata/%.*s", f->torch->folder, (int)key->bytes, key->text);
    FLM_TRY(member_find(f, name, &index, &bytes));
    if (*elements < 0 || *elements > bytes / size || bytes != *elements * size)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s has %" PRId64 " bytes, but the storage has %" PRId64 " elements of %" PRId64 " bytes", name, bytes,
                 *elements, size);
    t->part = (int64_t)index;
    t->offset = size;
done:
    return rc;
}

/* Sizes and strides are two tuples of the same length. A tensor whose elements share their place in the storage (an
 * expanded one) is refused, so that no file makes more elements than it has. */
static flm_status shape_parse(const flm_pickle *p, const flm_pickle_value *sizes, const flm_pickle_value *strides,
                              flm_external_tensor *t)
{
    flm_status rc = FLM_OK;
    int64_t stride = 1, span = 1;
    if (sizes->kind != FLM_PICKLE_TUPLE || strides->kind != FLM_PICKLE_TUPLE || sizes->count != strides->count ||
        sizes->count > FLM_EXTERNAL_DIMS)
        FLM_FAIL(FLM_E_FORMAT, "the sizes and strides are missing or have more than %d axes", FLM_EXTERNAL_DIMS);
    t->ndim = (int)sizes->count;
    for (uint32_t k = 0; k < sizes->count; k++) {
        if (flm_pickle_get_item(p, sizes, k)->kind != FLM_PICKLE_INT ||
            flm_pickle_get_item(p, strides, k)->kind != FLM_PICKLE_INT)
            FLM_FAIL(FLM_E_FORMAT, "a size or stride is not an integer");
        t->dim[k] = flm_pickle_get_item(p, sizes, k)->integer;
    }
    FLM_TRY(flm_external_count_elements(t));
    for (int k = t->ndim - 1; k >= 0 && t->elements > 0; stride *= t->dim[k--]) {
        const int64_t given = flm_pickle_get_item(p, strides, (uint32_t)k)->integer;
        t->stride[k] = t->dim[k] == 1 ? 0 : given;
        t->strided = t->strided || (t->dim[k] != 1 && given != stride);
        if (t->dim[k] != 1 && given == 0) FLM_FAIL(FLM_E_FORMAT, "is an expanded tensor: save it after .contiguous()");
        if (t->dim[k] != 1 &&
            (given < 0 || given > (INT64_MAX / 16 - span) / t->dim[k])) /* 16: over an element's bytes */
            FLM_FAIL(FLM_E_FORMAT, "the stride %" PRId64 " of axis %d is not supported", given, k);
        span += (t->dim[k] - 1) * t->stride[k];
    }
    if (t->elements > span) FLM_FAIL(FLM_E_FORMAT, "its elements overlap: save it after .contiguous()");
done:
    return rc;
}

/* Adds the tensor if value is a CALL of _rebuild_tensor_v2, or of _rebuild_parameter around one; *is: whether it is. */
static flm_status tensor_parse(flm_external *f, const flm_pickle_value *value, const char *name, bool *is)
{
    flm_status rc = FLM_OK;
    const flm_pickle *p = f->torch->pickle;
    const flm_pickle_value *arguments = NULL, *offset;
    flm_external_tensor *t;
    int64_t stored, size;

    *is = false;
    for (int depth = 0; depth < 2 && value->kind == FLM_PICKLE_CALL; depth++) {
        arguments = flm_pickle_get_item(p, value, 1);
        if (!flm_pickle_value_equals(flm_pickle_get_item(p, value, 0), "torch._utils _rebuild_parameter") ||
            arguments->count < 1)
            break;
        value = flm_pickle_get_item(p, arguments, 0);
    }
    if (value->kind != FLM_PICKLE_CALL ||
        !flm_pickle_value_equals(flm_pickle_get_item(p, value, 0), "torch._utils _rebuild_tensor_v2"))
        goto done;
    *is = true;
    arguments = flm_pickle_get_item(p, value, 1);
    FLM_TRY(flm_external_add(f, name, &t));
    if (arguments->count < 6 || flm_pickle_get_item(p, arguments, 0)->kind != FLM_PICKLE_PERSISTENT ||
        flm_pickle_get_item(p, arguments, 1)->kind != FLM_PICKLE_INT)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: the arguments of _rebuild_tensor_v2 are not supported", f->path, name);
    FLM_TRY(flm_err_prefix(storage_parse(f, flm_pickle_get_item(p, arguments, 0), t, &stored), name));
    FLM_TRY(flm_err_prefix(
        shape_parse(p, flm_pickle_get_item(p, arguments, 2), flm_pickle_get_item(p, arguments, 3), t), name));
    offset = flm_pickle_get_item(p, arguments, 1);
    size = t->offset;
    if (offset->integer < 0 || offset->integer > stored || flm_external_span(t) > stored - offset->integer)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: %" PRId64 " elements from element %" PRId64 " on are not inside its storage of %" PRId64, name,
                 flm_external_span(t), offset->integer, stored);
    t->offset = offset->integer * size;
done:
    return rc == FLM_OK ? rc : flm_err_prefix(rc, f->path);
}

/* Adds every tensor among the values of a dict; other values are settings and skipped. */
static flm_status dict_parse(flm_external *f, const flm_pickle_value *dict, const char *prefix)
{
    flm_status rc = FLM_OK;
    const flm_pickle *p = f->torch->pickle;
    char name[FLM_EXTERNAL_NAME_BYTES];
    bool is;
    for (uint32_t i = 0; i + 1 < dict->count; i += 2) {
        const flm_pickle_value *key = flm_pickle_get_item(p, dict, i);
        if (key->kind != FLM_PICKLE_TEXT) continue;
        if (memchr(key->text, '\0', key->bytes) || key->bytes + strlen(prefix) >= sizeof name)
            FLM_FAIL(FLM_E_FORMAT, "%s: a key of %zu bytes is too long or not a text", f->path, key->bytes);
        snprintf(name, sizeof name, "%s%.*s", prefix, (int)key->bytes, key->text);
        FLM_TRY(tensor_parse(f, flm_pickle_get_item(p, dict, i + 1), name, &is));
    }
done:
    return rc;
}

/* EMA weights without names: entry k is the k-th parameter of the network. */
static flm_status list_parse(flm_external *f, const flm_pickle_value *list)
{
    flm_status rc = FLM_OK;
    char name[FLM_EXTERNAL_NAME_BYTES];
    bool is;
    for (uint32_t i = 0; i < list->count; i++) {
        snprintf(name, sizeof name, "ema.shadow_params.%" PRIu32, i);
        FLM_TRY(tensor_parse(f, flm_pickle_get_item(f->torch->pickle, list, i), name, &is));
        if (!is) FLM_FAIL(FLM_E_FORMAT, "%s: %s: is not a tensor", f->path, name);
    }
done:
    return rc;
}

/* EMA weights: a list, a tuple or a dict of tensors, or one of these under a key of a dict. */
static flm_status ema_parse(flm_external *f, const flm_pickle_value *ema, int depth)
{
    static const char *const keys[] = {"shadow_params", "shadow", "state_dict", "module", "model", "params"};
    flm_status rc = FLM_OK;
    const int before = f->count;
    if (ema->kind == FLM_PICKLE_LIST || ema->kind == FLM_PICKLE_TUPLE) {
        FLM_TRY(list_parse(f, ema));
        goto done;
    }
    if (ema->kind != FLM_PICKLE_DICT)
        FLM_FAIL(FLM_E_FORMAT, "%s: the EMA weights are neither a list, a tuple nor a dict", f->path);
    for (size_t i = 0; depth < 2 && f->count == before && i < sizeof keys / sizeof keys[0]; i++) {
        const flm_pickle_value *inner = flm_pickle_find(f->torch->pickle, ema, keys[i]);
        if (inner &&
            (inner->kind == FLM_PICKLE_DICT || inner->kind == FLM_PICKLE_LIST || inner->kind == FLM_PICKLE_TUPLE))
            FLM_TRY(ema_parse(f, inner, depth + 1));
    }
    if (f->count == before) FLM_TRY(dict_parse(f, ema, "ema."));
done:
    return rc;
}

/* All tensors: of the top level, of the network's dict and of the EMA weights, under any of the names that programs
 * use. */
static flm_status tensors_parse(flm_external *f)
{
    static const char *const states[] = {"state_dict", "model_state_dict", "module", "model", "network", "net"};
    static const char *const emas[] = {"ema",       "ema_state_dict", "state_dict_ema",
                                       "model_ema", "ema_model",      "ema_weights"};
    flm_status rc = FLM_OK;
    const flm_pickle *p = f->torch->pickle;
    const flm_pickle_value *root = flm_pickle_get_root(p), *part;
    bool state = false;
    if (root->kind != FLM_PICKLE_DICT) FLM_FAIL(FLM_E_FORMAT, "%s: the pickled value is not a dict", f->path);
    FLM_TRY(dict_parse(f, root, ""));
    for (size_t i = 0; i < sizeof states / sizeof states[0] && !state; i++) {
        const int before = f->count;
        part = flm_pickle_find(p, root, states[i]);
        if (part && part->kind == FLM_PICKLE_DICT) FLM_TRY(dict_parse(f, part, "state_dict."));
        state = f->count > before;
    }
    for (size_t i = 0; i < sizeof emas / sizeof emas[0]; i++) {
        part = flm_pickle_find(p, root, emas[i]);
        if (!part || part->kind == FLM_PICKLE_NONE || part->kind == FLM_PICKLE_FLOAT) continue;
        FLM_TRY(ema_parse(f, part, 0));
        break;
    }
    if (f->count == 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: has no tensors, neither at the top level nor in state_dict", f->path);
done:
    return rc;
}

flm_status flm_torch_open(flm_external *f)
{
    flm_status rc = FLM_OK;
    zip_error_t error;
    int code = 0;

    f->torch = calloc(1, sizeof *f->torch);
    if (!f->torch) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to open it", f->path);
    f->torch->zip = zip_open(f->path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    if (!f->torch->zip) {
        zip_error_init_with_code(&error, code);
        rc = flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "%s: is not a complete zip file: %s", f->path,
                           zip_error_strerror(&error));
        zip_error_fini(&error);
        goto done;
    }
    FLM_TRY(pickle_find(f));
    FLM_TRY(byte_order_check(f));
    FLM_TRY(tensors_parse(f));
done:
    return rc;
}

bool flm_torch_get_integer(const struct flm_torch *torch, const char *name, int64_t *value)
{
    const flm_pickle_value *v = flm_pickle_find(torch->pickle, flm_pickle_get_root(torch->pickle), name);
    if (!v || v->kind != FLM_PICKLE_INT) return false;
    *value = v->integer;
    return true;
}

const flm_pickle *flm_torch_get_pickle(const struct flm_torch *torch) { return torch->pickle; }

flm_status flm_torch_read(flm_external *f, const flm_external_tensor *t, void *data)
{
    return member_read(f, (zip_uint64_t)t->part, t->name, t->offset,
                       flm_external_span(t) * flm_external_element_size(t->dtype), data);
}

void flm_torch_close(struct flm_torch **torch)
{
    struct flm_torch *t = *torch;
    if (!t) return;
    *torch = NULL;
    if (t->zip) zip_discard(t->zip);
    flm_pickle_destroy(&t->pickle);
    free(t->pickle_bytes);
    free(t);
}
