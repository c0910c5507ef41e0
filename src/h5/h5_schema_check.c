/* h5_schema_check.c - checks a file against a schema. The file is untrusted: counts, names and sizes are bounded before
 * they are used, links other than hard ones are never followed. SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5_format.h"
#include "h5/h5_schema_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINKS_MAX = 100000, ATTRIBUTES_MAX = 4096, STRING_MAX = 65536, PATH_BYTES = 256, NAME_MAX_BYTES = 128 };

static const int64_t BLOCK_BYTES = 4 << 20; /* blocks4M */

/* A name in a shape and its value, valid in a group and below. */
typedef struct binding {
    char group[PATH_BYTES], name[FLM_SCHEMA_NAME_BYTES];
    int64_t value;
} binding;

typedef struct check {
    const flm_schema *schema;
    hid_t file;
    int64_t file_bytes;
    binding *bindings;
    int bindings_count;
    int *seen;             /* [schema->count] objects that matched a line */
    int64_t dataset_bytes; /* of the dataset whose attributes are being checked */
} check;

static flm_status bind(check *c, const char *group, const char *name, int64_t value)
{
    flm_status rc = FLM_OK;
    binding *grown = realloc(c->bindings, (size_t)(c->bindings_count + 1) * sizeof *grown);

    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory to check the file");
    c->bindings = grown;
    snprintf(grown[c->bindings_count].group, PATH_BYTES, "%s", group);
    snprintf(grown[c->bindings_count].name, FLM_SCHEMA_NAME_BYTES, "%s", name);
    grown[c->bindings_count++].value = value;
done:
    return rc;
}

/* The nearest binding of name in the group of the object at path or above, NULL: none. */
static const binding *bound(const check *c, const char *path, const char *name)
{
    const binding *best = NULL;
    size_t best_length = 0;

    for (int i = 0; i < c->bindings_count; i++) {
        const binding *b = &c->bindings[i];
        size_t length = strlen(b->group);
        if (strcmp(b->name, name) != 0) continue;
        if (length == 1) length = 0; /* the root is above everything */
        if (strncmp(path, b->group, length) != 0 || path[length] != '/') continue;
        if (!best || length > best_length) best = b, best_length = length;
    }
    return best;
}

static void group_of(const char *path, char *group)
{
    const char *slash = strrchr(path, '/');
    snprintf(group, PATH_BYTES, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Whether path matches the pattern: `*` any characters but "/", `<n>` a number without leading zeros. */
static bool path_matches(const char *pattern, const char *path)
{
    if (*pattern == '*') {
        for (;; path++) {
            if (path_matches(pattern + 1, path)) return true;
            if (!*path || *path == '/') return false;
        }
    }
    if (strncmp(pattern, "<n>", 3) == 0) {
        size_t digits = strspn(path, "0123456789");
        if (digits == 0 || digits > 18 || (*path == '0' && digits > 1)) return false;
        return path_matches(pattern + 3, path + digits);
    }
    if (*pattern != *path) return false;
    return !*pattern || path_matches(pattern + 1, path + 1);
}

static bool type_matches(hid_t type, const flm_schema_element *element)
{
    switch (element->type) {
    case FLM_SCHEMA_I32: return H5Tequal(type, H5T_STD_I32LE) > 0;
    case FLM_SCHEMA_I64: return H5Tequal(type, H5T_STD_I64LE) > 0;
    case FLM_SCHEMA_U16: return H5Tequal(type, H5T_STD_U16LE) > 0;
    case FLM_SCHEMA_U32: return H5Tequal(type, H5T_STD_U32LE) > 0;
    case FLM_SCHEMA_F32: return H5Tequal(type, H5T_IEEE_F32LE) > 0;
    case FLM_SCHEMA_F64: return H5Tequal(type, H5T_IEEE_F64LE) > 0;
    case FLM_SCHEMA_STRING:
    case FLM_SCHEMA_SHA256:
        if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) return false;
        return element->size ? H5Tget_size(type) == element->size : H5Tget_size(type) <= STRING_MAX;
    }
    return false;
}

/* Check sizes against a shape; bind new names. path is the object's, for the names. */
static flm_status shape_check(check *c, const char *path, const flm_schema_shape *shape, const int64_t *dim)
{
    flm_status rc = FLM_OK;

    for (int k = 0; k < shape->ndim; k++) {
        const flm_schema_dim *want = &shape->dim[k];
        const binding *b = want->kind == FLM_SCHEMA_DIM_NAME ? bound(c, path, want->name) : NULL;
        char group[PATH_BYTES];
        int64_t size;
        switch (want->kind) {
        case FLM_SCHEMA_DIM_ANY: continue;
        case FLM_SCHEMA_DIM_NUMBER: size = want->number; break;
        case FLM_SCHEMA_DIM_BLOCKS:
            size = c->dataset_bytes / BLOCK_BYTES + (c->dataset_bytes % BLOCK_BYTES != 0);
            break;
        default:
            if (!b) {
                group_of(path, group);
                FLM_TRY(bind(c, group, want->name, dim[k] / want->number));
                b = bound(c, path, want->name);
            }
            if (__builtin_mul_overflow(b->value, want->number, &size)) size = -1;
        }
        if (dim[k] != size)
            FLM_FAIL(FLM_E_FORMAT, "axis %d has %" PRId64 " elements, expected %" PRId64 "%s%s", k, dim[k], size,
                     want->kind == FLM_SCHEMA_DIM_NAME ? " = " : "",
                     want->kind == FLM_SCHEMA_DIM_NAME ? want->name : "");
    }
done:
    return rc;
}

static flm_status value_check(check *c, hid_t object, const char *path, const flm_schema_attribute *want,
                              const char *name)
{
    flm_status rc = FLM_OK;
    char text[FLM_SCHEMA_RULE_BYTES];
    int64_t number;
    double real;

    if (want->element.type == FLM_SCHEMA_SHA256) {
        FLM_TRY(flm_h5_get_string(object, name, text, sizeof text));
        if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
            FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is not a SHA-256 digest of 64 lower-case hex digits", name);
    } else if (want->element.type == FLM_SCHEMA_STRING && want->allowed[0]) {
        FLM_TRY(flm_h5_get_string(object, name, text, sizeof text));
        if (!flm_schema_attribute_allows(want->allowed, text))
            FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" has an unknown value; expected one of: %s", name, want->allowed);
    } else if (want->element.type == FLM_SCHEMA_I64 && want->shape.ndim == 0) {
        FLM_TRY(flm_h5_get_i64(object, name, &number));
        snprintf(text, sizeof text, "%" PRId64, number);
        if (want->allowed[0] && !flm_schema_attribute_allows(want->allowed, text))
            FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is %s; expected one of: %s", name, text, want->allowed);
        if (want->ranged && (number < want->min || number > want->max))
            FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is %s; expected a value from %" PRId64 " to %" PRId64, name, text,
                     want->min, want->max);
        if (H5Iget_type(object) == H5I_GROUP) FLM_TRY(bind(c, path, name, number));
    } else if (want->element.type == FLM_SCHEMA_F64 && want->shape.ndim == 0 && want->ranged) {
        FLM_TRY(flm_h5_get_f64(object, name, &real));
        if (!(real >= (double)want->min && real <= (double)want->max))
            FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is %g, must be from %" PRId64 " to %" PRId64, name, real,
                     want->min, want->max);
    }
done:
    return rc;
}

/* One attribute: type, shape, value. */
static flm_status attribute_check(check *c, hid_t object, const char *path, hid_t attribute, const char *name,
                                  const flm_schema_attribute *want)
{
    flm_status rc = FLM_OK;
    hid_t type = H5I_INVALID_HID, space = H5I_INVALID_HID;
    hsize_t extent[FLM_SCHEMA_DIMS] = {0};
    int64_t dim[FLM_SCHEMA_DIMS];
    char text[64];
    int ndim;

    FLM_H5(type = H5Aget_type(attribute));
    if (!type_matches(type, &want->element))
        FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" has the wrong type; expected %s", name,
                 flm_schema_element_describe(&want->element, text, sizeof text));
    FLM_H5(space = H5Aget_space(attribute));
    FLM_H5(ndim = H5Sget_simple_extent_ndims(space));
    if (ndim != want->shape.ndim || H5Sget_simple_extent_type(space) == H5S_NULL)
        FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" has %d dimensions, expected %d", name, ndim, want->shape.ndim);
    if (ndim > 0) FLM_H5(H5Sget_simple_extent_dims(space, extent, NULL));
    for (int k = 0; k < ndim; k++) dim[k] = extent[k] > INT64_MAX ? -1 : (int64_t)extent[k];
    rc = shape_check(c, path, &want->shape, dim);
    if (rc != FLM_OK) {
        snprintf(text, sizeof text, "attribute \"%.48s\"", name);
        FLM_TRY(flm_err_prefix(rc, text));
    }
    FLM_TRY(value_check(c, object, path, want, name));
done:
    flm_h5_close(&space);
    flm_h5_close(&type);
    return rc;
}

/* A name from a file, checked before it is printed or compared: no control characters, not too long. */
static flm_status name_check(const char *name, ssize_t length, const char *what)
{
    flm_status rc = FLM_OK;
    if (length < 1 || length >= NAME_MAX_BYTES) FLM_FAIL(FLM_E_FORMAT, "%s has a name of %zd bytes", what, length);
    for (const char *p = name; *p; p++)
        if (iscntrl((unsigned char)*p)) FLM_FAIL(FLM_E_FORMAT, "%s has control characters in its name", what);
done:
    return rc;
}

/* Check that every attribute is in the schema, and that every required one exists. */
static flm_status attributes_check(check *c, hid_t object, const char *path, const flm_schema_object *want)
{
    flm_status rc = FLM_OK;
    hid_t attribute = H5I_INVALID_HID;
    H5O_info_t info;
    char name[NAME_MAX_BYTES] = "";

    FLM_H5(H5Oget_info(object, &info));
    if (info.num_attrs > ATTRIBUTES_MAX) FLM_FAIL(FLM_E_FORMAT, "has more than %d attributes", ATTRIBUTES_MAX);
    for (hsize_t i = 0; i < info.num_attrs; i++) {
        const flm_schema_attribute *match = NULL;
        FLM_H5(attribute = H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT));
        FLM_TRY(name_check(name, H5Aget_name(attribute, sizeof name, name), "an attribute"));
        for (int k = 0; k < want->attributes_count && !match; k++)
            if (strcmp(want->attributes[k].name, "*") == 0 || strcmp(want->attributes[k].name, name) == 0)
                match = &want->attributes[k];
        if (!match) FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is not in the schema", name);
        FLM_TRY(attribute_check(c, object, path, attribute, name, match));
        flm_h5_close(&attribute);
    }
    for (int k = 0; k < want->attributes_count; k++)
        if (!want->attributes[k].optional && H5Aexists(object, want->attributes[k].name) <= 0)
            FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is missing", want->attributes[k].name);
done:
    flm_h5_close(&attribute);
    return rc;
}

/* The dataset of the same name in another group has the same sizes. */
static flm_status like_check(check *c, const char *path, const char *like, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    hid_t other = H5I_INVALID_HID;
    char name[2 * PATH_BYTES];
    int other_ndim = 0;
    int64_t other_dim[FLM_SCHEMA_DIMS], offset, bytes;

    snprintf(name, sizeof name, "%s%s", like, strrchr(path, '/') + 1);
    if (H5Lexists(c->file, name, H5P_DEFAULT) <= 0) FLM_FAIL(FLM_E_FORMAT, "has no counterpart %s", name);
    FLM_H5(other = H5Dopen2(c->file, name, H5P_DEFAULT));
    FLM_TRY(flm_h5_locate(other, 0, c->file_bytes, &other_ndim, other_dim, &offset, &bytes));
    if (ndim != other_ndim || memcmp(dim, other_dim, (size_t)ndim * sizeof *dim) != 0)
        FLM_FAIL(FLM_E_FORMAT, "has a different shape than %s", name);
done:
    flm_h5_close(&other);
    return rc;
}

static flm_status dataset_check(check *c, hid_t dataset, const char *path, const flm_schema_object *want)
{
    flm_status rc = FLM_OK;
    hid_t type = H5I_INVALID_HID;
    const flm_schema_shape *shape = NULL;
    int64_t dim[FLM_SCHEMA_DIMS], offset;
    int ndim = 0;
    bool typed = false;
    char text[64];

    FLM_H5(type = H5Dget_type(dataset));
    for (int k = 0; k < want->elements; k++) typed = typed || type_matches(type, &want->element[k]);
    if (!typed)
        FLM_FAIL(FLM_E_FORMAT, "has the wrong type; expected %s%s",
                 flm_schema_element_describe(&want->element[0], text, sizeof text),
                 want->elements > 1 ? " (or the other type of the schema)" : "");
    FLM_TRY(flm_h5_locate(dataset, 0, c->file_bytes, &ndim, dim, &offset, &c->dataset_bytes));
    for (int k = 0; k < want->shapes && !shape; k++)
        if (want->shape[k].ndim == ndim) shape = &want->shape[k];
    if (shape)
        FLM_TRY(shape_check(c, path, shape, dim));
    else if (!want->like[0])
        FLM_FAIL(FLM_E_FORMAT, "has %d dimensions, which the schema does not allow", ndim);
    if (want->like[0]) FLM_TRY(like_check(c, path, want->like, ndim, dim));
    FLM_TRY(attributes_check(c, dataset, path, want));
done:
    flm_h5_close(&type);
    return rc;
}

static flm_status object_check(check *c, hid_t object, const char *path, bool dataset);

/* Check every link of a group, and its target. */
static flm_status links_check(check *c, hid_t group, const char *path)
{
    flm_status rc = FLM_OK;
    hid_t object = H5I_INVALID_HID;
    H5G_info_t info;
    H5L_info_t link;
    char name[NAME_MAX_BYTES] = "", below[PATH_BYTES] = "";

    FLM_H5(H5Gget_info(group, &info));
    if (info.nlinks > LINKS_MAX) FLM_FAIL(FLM_E_FORMAT, "contains more than %d objects", LINKS_MAX);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        H5I_type_t is;
        FLM_TRY(name_check(
            name, H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT),
            "an object"));
        if (snprintf(below, sizeof below, "%s/%s", path[1] ? path : "", name) >= (int)sizeof below)
            FLM_FAIL(FLM_E_FORMAT, "%s: the path is too long", name);
        FLM_H5(H5Lget_info(group, name, &link, H5P_DEFAULT));
        if (link.type != H5L_TYPE_HARD) FLM_FAIL(FLM_E_FORMAT, "%s: is a soft or external link", below);
        FLM_H5(object = H5Oopen(group, name, H5P_DEFAULT));
        is = H5Iget_type(object);
        if (is != H5I_GROUP && is != H5I_DATASET) FLM_FAIL(FLM_E_FORMAT, "%s: is neither a group nor a dataset", below);
        FLM_TRY(object_check(c, object, below, is == H5I_DATASET));
        flm_h5_close(&object);
    }
done:
    flm_h5_close(&object);
    return rc;
}

/* The first line of the schema that matches the path counts. Failures of an object are prefixed with its path here. */
static flm_status object_check(check *c, hid_t object, const char *path, bool dataset)
{
    flm_status rc = FLM_OK;
    const flm_schema_object *want = NULL;

    for (int i = 0; i < c->schema->count && !want; i++)
        if (path_matches(c->schema->objects[i].path, path)) {
            want = &c->schema->objects[i];
            c->seen[i]++;
        }
    if (!want) FLM_FAIL(FLM_E_FORMAT, "%s: is not in the schema \"%s\"", path, c->schema->name);
    if (want->dataset != dataset) FLM_FAIL(FLM_E_FORMAT, "%s: is not a %s", path, want->dataset ? "dataset" : "group");
    FLM_TRY(dataset ? dataset_check(c, object, path, want) : attributes_check(c, object, path, want));
    if (!dataset) FLM_TRY(links_check(c, object, path));
done:
    return rc == FLM_OK || flm_err_message()[0] == '/' ? rc : flm_err_prefix(rc, path);
}

flm_status flm_schema_check(const flm_schema *schema, hid_t file, int64_t bytes, const char *path)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    check c = {.schema = schema, .file = file, .file_bytes = bytes};

    c.seen = calloc((size_t)schema->count, sizeof *c.seen);
    if (!c.seen) FLM_FAIL(FLM_E_NOMEM, "no memory to check the file");
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(object_check(&c, root, "/", false));
    for (int i = 0; i < schema->count; i++) {
        const flm_schema_object *object = &schema->objects[i];
        if (object->optional || c.seen[i] > 0) continue;
        if (strpbrk(object->path, "*<")) FLM_FAIL(FLM_E_FORMAT, "has no object that matches %s", object->path);
        FLM_FAIL(FLM_E_FORMAT, "%s: is missing", object->path);
    }
done:
    flm_h5_close(&root);
    free(c.bindings);
    free(c.seen);
    return flm_err_prefix(rc, path);
}

flm_status flm_schema_open(const char *path, const char *name, hid_t *file, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    hid_t opened = H5I_INVALID_HID;
    flm_schema *schema = NULL;
    const char *text = flm_schema_text(name), *kind = NULL;

    if (!text) FLM_FAIL(FLM_E_ARG, "there is no schema \"%s\"", name);
    FLM_TRY(flm_format_identify(path, &kind));
    if (strcmp(kind, name) != 0) FLM_FAIL(FLM_E_FORMAT, "%s: is a file of kind %s, expected %s", path, kind, name);
    FLM_TRY(flm_schema_parse(name, text, strlen(text), &schema));
    FLM_TRY(flm_h5_open(path, false, &opened, bytes));
    FLM_TRY(flm_schema_check(schema, opened, *bytes, path));
    *file = opened;
    opened = H5I_INVALID_HID;
done:
    flm_h5_close(&opened);
    flm_schema_destroy(&schema);
    return rc;
}

flm_status flm_format_identify(const char *path, const char **kind)
{
    static const char *const kinds[] = {"checkpoint", "shard", "index", "samples"};
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, root = H5I_INVALID_HID;
    char format[32];
    const char *found = NULL;

    FLM_TRY(flm_h5_open(path, false, &file, NULL));
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    if (flm_h5_get_string(root, "format", format, sizeof format) == FLM_OK && strncmp(format, "flm-", 4) == 0)
        for (int i = 0; i < 4; i++)
            if (strcmp(format + 4, kinds[i]) == 0) found = kinds[i];
    if (!found)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is an HDF5 file, but not one of this suite (attribute \"format\" is missing or unknown)", path);
    *kind = found;
done:
    flm_h5_close(&root);
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}
