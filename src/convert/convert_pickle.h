/* convert_pickle.h - a Python pickle parsed as data. Owns the pickle format; leaves what the values mean to
 * convert_torch.c.
 *
 * Pickles are programs: Python calls whatever they name. This parser calls nothing. It knows the opcodes that
 * torch.save writes (protocol 2, and those that newer protocols use for the same values) and builds plain values from
 * them. Constructors are recorded by name if convert_pickle_names.c lists them; any other name is refused.
 * Source: Python's Lib/pickletools.py. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_PICKLE_H
#define FLM_CONVERT_PICKLE_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum flm_pickle_kind {
    FLM_PICKLE_NONE,
    FLM_PICKLE_BOOL,       /* integer: 0 or 1 */
    FLM_PICKLE_INT,        /* integer */
    FLM_PICKLE_FLOAT,      /* the value is not kept, no checkpoint needs it; also integers of more than 64 bits */
    FLM_PICKLE_TEXT,       /* text [bytes] inside the pickle, not NUL-terminated */
    FLM_PICKLE_TUPLE,      /* items */
    FLM_PICKLE_LIST,       /* items; also a set */
    FLM_PICKLE_DICT,       /* items: key, value, key, value, ... */
    FLM_PICKLE_GLOBAL,     /* text: "module name" */
    FLM_PICKLE_PERSISTENT, /* items: the persistent id */
    FLM_PICKLE_CALL,       /* items: a global, a tuple of its arguments, and its state if it has one; never called */
    FLM_PICKLE_MARK        /* private to the parser */
} flm_pickle_kind;

typedef struct flm_pickle_value {
    flm_pickle_kind kind;
    int64_t integer;
    const char *text;
    size_t bytes;
    uint32_t *items; /* indices of values */
    uint32_t count, capacity;
} flm_pickle_value;

typedef struct flm_pickle flm_pickle;

/* flm_pickle_parse - parse a pickle [bytes], which must outlive the result. Memory is bounded by a multiple of bytes.
 * A value may contain itself, so callers that follow items must bound the depth. Not collective.
 * Errors: FLM_E_FORMAT naming the byte offset (truncated, an unknown opcode or constructor, a malformed value),
 * FLM_E_NOMEM. */
flm_status flm_pickle_parse(const void *pickle, size_t bytes, flm_pickle **out);

/* flm_pickle_destroy - accepts NULL, nulls it. */
void flm_pickle_destroy(flm_pickle **pickle);

/* flm_pickle_get_root - the pickled value. flm_pickle_get_item - item i of a value, i < count. Never NULL. */
const flm_pickle_value *flm_pickle_get_root(const flm_pickle *pickle);
const flm_pickle_value *flm_pickle_get_item(const flm_pickle *pickle, const flm_pickle_value *value, uint32_t i);

/* flm_pickle_find - the value under a text key of a dict, the last one if the key is repeated; NULL if there is none or
 * value is not a dict. */
const flm_pickle_value *flm_pickle_find(const flm_pickle *pickle, const flm_pickle_value *value, const char *key);

/* flm_pickle_value_equals - whether a TEXT or GLOBAL value is exactly this text. */
bool flm_pickle_value_equals(const flm_pickle_value *value, const char *text);

#endif
