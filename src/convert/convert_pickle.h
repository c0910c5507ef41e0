/* convert_pickle.h - private to the io room and its fuzz driver: what a pickle says, read as data.
 *
 * Pickles are programs: Python runs whatever they name. This reader runs nothing. It knows the opcodes that torch.save
 * writes (protocol 2, and those that newer protocols add for the same values), builds plain values from them, and takes
 * a list of constructors that checkpoints use as names alone (convert_pickle.c: known); anything else is refused.
 * Source: Python's Lib/pickletools.py. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CONVERT_PICKLE_H
#define FLM_CONVERT_PICKLE_H

#include "base/base_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum flm_pickle_kind {
    FLM_PICKLE_NONE,
    FLM_PICKLE_BOOL,       /* integer: 0 or 1 */
    FLM_PICKLE_INT,        /* integer */
    FLM_PICKLE_FLOAT,      /* its value is of no use here */
    FLM_PICKLE_TEXT,       /* text [bytes] inside the pickle, not NUL-terminated */
    FLM_PICKLE_TUPLE,      /* items */
    FLM_PICKLE_LIST,       /* items; sets too */
    FLM_PICKLE_DICT,       /* items: key, value, key, value, ... */
    FLM_PICKLE_GLOBAL,     /* text: "module name" */
    FLM_PICKLE_PERSISTENT, /* items: one, the persistent id */
    FLM_PICKLE_CALL,       /* items: a global and a tuple of its arguments; never called */
    FLM_PICKLE_MARK        /* private */
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

/* flm_pickle_parse - the whole pickle [bytes], which must outlive the result. Memory is bounded by a multiple of bytes.
 * Values may contain themselves: whoever follows items bounds the depth.
 * Errors: FLM_E_FORMAT naming the byte (truncated, an opcode or constructor that is not taken, nonsense); FLM_E_NOMEM.
 */
flm_status flm_pickle_parse(const void *pickle, size_t bytes, flm_pickle **out);

/* flm_pickle_destroy - accepts NULL, nulls it. */
void flm_pickle_destroy(flm_pickle **pickle);

/* flm_pickle_root - the value that the pickle is of; flm_pickle_item - item i of a value. Never NULL; i < count. */
const flm_pickle_value *flm_pickle_root(const flm_pickle *pickle);
const flm_pickle_value *flm_pickle_item(const flm_pickle *pickle, const flm_pickle_value *value, uint32_t i);

/* flm_pickle_get - the value of a text key of a dict, NULL where value is no dict or has none; the last one counts. */
const flm_pickle_value *flm_pickle_get(const flm_pickle *pickle, const flm_pickle_value *value, const char *key);

/* flm_pickle_is - whether a TEXT or GLOBAL value is exactly this text. */
bool flm_pickle_is(const flm_pickle_value *value, const char *text);

#endif
