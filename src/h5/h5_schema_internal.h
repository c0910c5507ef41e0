/* h5_schema_internal.h - a schema in memory: what h5_schema.c parses and h5_schema_check.c follows.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_H5_SCHEMA_INTERNAL_H
#define FLM_H5_SCHEMA_INTERNAL_H

#include "h5/h5_schema.h"

enum { SCHEMA_DIMS = 4, SCHEMA_CHOICES = 2, SCHEMA_NAME_BYTES = 32, SCHEMA_PATH_BYTES = 128, SCHEMA_RULE_BYTES = 128 };

typedef enum schema_type {
    SCHEMA_I32,
    SCHEMA_I64,
    SCHEMA_U16,
    SCHEMA_U32,
    SCHEMA_F32,
    SCHEMA_F64,
    SCHEMA_STRING, /* of `size` bytes, 0: any */
    SCHEMA_SHA256
} schema_type;

typedef struct schema_element {
    schema_type type;
    size_t size;
} schema_element;

typedef enum schema_dim_kind { SCHEMA_DIM_ANY, SCHEMA_DIM_NUMBER, SCHEMA_DIM_NAME, SCHEMA_DIM_BLOCKS } schema_dim_kind;

typedef struct schema_dim {
    schema_dim_kind kind;
    int64_t number; /* the size, or what the name is multiplied by */
    char name[SCHEMA_NAME_BYTES];
} schema_dim;

typedef struct schema_shape {
    int ndim; /* 0: a scalar */
    schema_dim dim[SCHEMA_DIMS];
} schema_shape;

typedef struct schema_attribute {
    char name[SCHEMA_NAME_BYTES]; /* "*": any */
    schema_element element;
    schema_shape shape;
    char allowed[SCHEMA_RULE_BYTES]; /* values between blanks, "" for any */
    bool ranged, optional;
    int64_t min, max;
} schema_attribute;

typedef struct schema_object {
    bool dataset, optional;
    char path[SCHEMA_PATH_BYTES];
    schema_element element[SCHEMA_CHOICES];
    schema_shape shape[SCHEMA_CHOICES];
    int elements, shapes;
    char like[SCHEMA_PATH_BYTES]; /* the group whose dataset of the same name has the same shape, or "" */
    schema_attribute *attributes;
    int attributes_count;
} schema_object;

struct flm_schema {
    char name[SCHEMA_NAME_BYTES];
    schema_object *objects;
    int count;
};

/* flm_schema_element_name - "f32", "a string of 64 bytes", ... into text; for messages. */
const char *flm_schema_element_name(const schema_element *element, char *text, size_t size);

/* flm_schema_allows - whether value is one of the blank-separated words. */
bool flm_schema_allows(const char *words, const char *value);

#endif
