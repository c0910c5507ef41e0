/* h5_schema_internal.h - a schema in memory: parsed by h5_schema.c, used by h5_schema_check.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_H5_SCHEMA_INTERNAL_H
#define FLM_H5_SCHEMA_INTERNAL_H

#include "h5/h5_schema.h"

enum {
    FLM_SCHEMA_DIMS = 4,
    FLM_SCHEMA_CHOICES = 2,
    FLM_SCHEMA_NAME_BYTES = 32,
    FLM_SCHEMA_PATH_BYTES = 128,
    FLM_SCHEMA_RULE_BYTES = 128
};

typedef enum flm_schema_type {
    FLM_SCHEMA_I32,
    FLM_SCHEMA_I64,
    FLM_SCHEMA_U16,
    FLM_SCHEMA_U32,
    FLM_SCHEMA_F32,
    FLM_SCHEMA_F64,
    FLM_SCHEMA_STRING, /* of `size` bytes, 0: any */
    FLM_SCHEMA_SHA256
} flm_schema_type;

typedef struct flm_schema_element {
    flm_schema_type type;
    size_t size;
} flm_schema_element;

typedef enum flm_schema_dim_kind {
    FLM_SCHEMA_DIM_ANY,
    FLM_SCHEMA_DIM_NUMBER,
    FLM_SCHEMA_DIM_NAME,
    FLM_SCHEMA_DIM_BLOCKS
} flm_schema_dim_kind;

typedef struct flm_schema_dim {
    flm_schema_dim_kind kind;
    int64_t number; /* the size, or what the name is multiplied by */
    char name[FLM_SCHEMA_NAME_BYTES];
} flm_schema_dim;

typedef struct flm_schema_shape {
    int ndim; /* 0: a scalar */
    flm_schema_dim dim[FLM_SCHEMA_DIMS];
} flm_schema_shape;

typedef struct flm_schema_attribute {
    char name[FLM_SCHEMA_NAME_BYTES]; /* "*": any */
    flm_schema_element element;
    flm_schema_shape shape;
    char allowed[FLM_SCHEMA_RULE_BYTES]; /* values between blanks, "" for any */
    bool ranged, optional;
    int64_t min, max;
} flm_schema_attribute;

typedef struct flm_schema_object {
    bool dataset, optional;
    char path[FLM_SCHEMA_PATH_BYTES];
    flm_schema_element element[FLM_SCHEMA_CHOICES];
    flm_schema_shape shape[FLM_SCHEMA_CHOICES];
    int elements, shapes;
    char like[FLM_SCHEMA_PATH_BYTES]; /* the group whose dataset of the same name has the same shape, or "" */
    flm_schema_attribute *attributes;
    int attributes_count;
} flm_schema_object;

struct flm_schema {
    char name[FLM_SCHEMA_NAME_BYTES];
    flm_schema_object *objects;
    int count;
};

/* flm_schema_element_describe - "f32", "a string of 64 bytes", ... into text; for messages. */
const char *flm_schema_element_describe(const flm_schema_element *element, char *text, size_t size);

/* flm_schema_attribute_allows - whether value is one of the blank-separated words. */
bool flm_schema_attribute_allows(const char *words, const char *value);

#endif
