/* convert_pickle.c - see convert_pickle.h: a stack machine over indices of values. SPDX-License-Identifier: Apache-2.0
 */
#include "convert/convert_pickle.h"

#include "convert/convert_pickle_internal.h"

#include <stdlib.h>
#include <string.h>

struct flm_pickle {
    const unsigned char *in;
    size_t bytes, at;
    flm_pickle_value *values;
    uint32_t count, capacity;
    uint32_t *stack, *memo; /* [depth], [memo_count] */
    uint32_t depth, stack_capacity, memo_count, memo_capacity;
    uint32_t root;
};

enum { EMPTY = UINT32_MAX, BYTES_MAX = 1 << 26 }; /* EMPTY: a free slot of the memo */

static flm_status refuse(const flm_pickle *p, const char *what)
{
    return flm_err_raise(FLM_E_FORMAT, __FILE__, __LINE__, "pickle, byte %zu: %s", p->at, what);
}

/* Makes space for one more element of `size` bytes. */
static flm_status grow(void **array, uint32_t count, uint32_t *capacity, size_t size)
{
    flm_status rc = FLM_OK;
    if (count < *capacity) goto done;
    const uint32_t wanted = *capacity ? *capacity * 2 : 4;
    void *grown = realloc(*array, (size_t)wanted * size);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "pickle: no memory for its values");
    *array = grown;
    *capacity = wanted;
done:
    return rc;
}

static flm_status push(flm_pickle *p, uint32_t index)
{
    flm_status rc = FLM_OK;
    FLM_TRY(grow((void **)&p->stack, p->depth, &p->stack_capacity, sizeof *p->stack));
    p->stack[p->depth++] = index;
done:
    return rc;
}

/* Adds a value and pushes it. */
static flm_status push_value(flm_pickle *p, flm_pickle_value value)
{
    flm_status rc = FLM_OK;
    FLM_TRY(grow((void **)&p->values, p->count, &p->capacity, sizeof *p->values));
    p->values[p->count] = value;
    FLM_TRY(push(p, p->count++));
done:
    return rc;
}

static flm_status push_kind(flm_pickle *p, flm_pickle_kind kind, int64_t integer)
{
    return push_value(p, (flm_pickle_value){.kind = kind, .integer = integer});
}

static flm_status pop(flm_pickle *p, uint32_t *index)
{
    if (p->depth == 0 || p->values[p->stack[p->depth - 1]].kind == FLM_PICKLE_MARK)
        return refuse(p, "takes a value, but the stack is empty");
    *index = p->stack[--p->depth];
    return FLM_OK;
}

/* The value on top, which must be of a kind. */
static flm_status top(flm_pickle *p, flm_pickle_kind kind, uint32_t *index)
{
    if (p->depth == 0 || p->values[p->stack[p->depth - 1]].kind != kind)
        return refuse(p, "adds items to a value of another kind");
    *index = p->stack[p->depth - 1];
    return FLM_OK;
}

static flm_status item_add(flm_pickle *p, uint32_t to, uint32_t item)
{
    flm_status rc = FLM_OK;
    flm_pickle_value *v = &p->values[to];
    FLM_TRY(grow((void **)&v->items, v->count, &v->capacity, sizeof *v->items));
    v->items[v->count++] = item;
done:
    return rc;
}

/* The stack slot after the last mark, which is at *at - 1. */
static flm_status mark_find(flm_pickle *p, uint32_t *at)
{
    for (uint32_t i = p->depth; i > 0; i--)
        if (p->values[p->stack[i - 1]].kind == FLM_PICKLE_MARK) {
            *at = i;
            return FLM_OK;
        }
    return refuse(p, "no MARK on the stack");
}

/* Little-endian, of 1, 2, 4 or 8 bytes. */
static flm_status number(flm_pickle *p, size_t size, uint64_t *value)
{
    if (p->bytes - p->at < size) return refuse(p, "truncated inside a number");
    *value = 0;
    for (size_t i = 0; i < size; i++) *value |= (uint64_t)p->in[p->at + i] << 8 * i;
    p->at += size;
    return FLM_OK;
}

static flm_status text(flm_pickle *p, size_t size)
{
    flm_status rc = FLM_OK;
    uint64_t length = 0;
    FLM_TRY(number(p, size, &length));
    if (length > p->bytes - p->at) FLM_TRY(refuse(p, "truncated inside a text"));
    FLM_TRY(push_value(
        p, (flm_pickle_value){.kind = FLM_PICKLE_TEXT, .text = (const char *)p->in + p->at, .bytes = (size_t)length}));
    p->at += (size_t)length;
done:
    return rc;
}

/* LONG1: two's complement of any length. The value of one of more than 64 bits (a tokeniser's "no limit") is not kept.
 */
static flm_status long_integer(flm_pickle *p)
{
    flm_status rc = FLM_OK;
    uint64_t length = 0, value = 0;
    FLM_TRY(number(p, 1, &length));
    if (length > 8) {
        if (length > p->bytes - p->at) FLM_TRY(refuse(p, "truncated inside a number"));
        p->at += (size_t)length;
        FLM_TRY(push_kind(p, FLM_PICKLE_FLOAT, 0));
        goto done;
    }
    FLM_TRY(number(p, (size_t)length, &value));
    if (length > 0 && length < 8 && value >> (8 * length - 1) & 1) value |= ~(uint64_t)0 << 8 * length;
    FLM_TRY(push_kind(p, FLM_PICKLE_INT, (int64_t)value));
done:
    return rc;
}

/* A global is stored as "module name" in malloc'd memory, which flm_pickle_destroy frees. */
static flm_status push_global(flm_pickle *p, const char *module, size_t module_bytes, const char *name, size_t bytes)
{
    flm_status rc = FLM_OK;
    const size_t length = module_bytes + 1 + bytes;
    char *both = NULL;
    if (length > 200) FLM_TRY(refuse(p, "the name of a constructor is too long"));
    both = malloc(length + 1);
    if (!both) FLM_FAIL(FLM_E_NOMEM, "pickle: no memory for its values");
    memcpy(both, module, module_bytes);
    both[module_bytes] = ' ';
    memcpy(both + module_bytes + 1, name, bytes);
    both[length] = '\0';
    if (strlen(both) != length || !flm_pickle_name_is_allowed(both, length)) {
        for (char *c = both; *c; c++)
            if (*c < ' ' || *c > '~') *c = '?';
        FLM_FAIL(FLM_E_FORMAT, "pickle, byte %zu: refused: it names the constructor \"%s\", which no checkpoint needs",
                 p->at, both);
    }
    FLM_TRY(push_value(p, (flm_pickle_value){.kind = FLM_PICKLE_GLOBAL, .text = both, .bytes = length, .capacity = 1}));
    both = NULL;
done:
    free(both);
    return rc;
}

/* GLOBAL: two lines. */
static flm_status global(flm_pickle *p)
{
    flm_status rc = FLM_OK;
    const char *line[2] = {NULL, NULL};
    size_t length[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        const unsigned char *end = memchr(p->in + p->at, '\n', p->bytes - p->at);
        if (!end) FLM_TRY(refuse(p, "truncated inside a name"));
        line[i] = (const char *)p->in + p->at;
        length[i] = (size_t)(end - p->in) - p->at;
        p->at += length[i] + 1;
    }
    FLM_TRY(push_global(p, line[0], length[0], line[1], length[1]));
done:
    return rc;
}

static flm_status stack_global(flm_pickle *p)
{
    flm_status rc = FLM_OK;
    uint32_t name = 0, module = 0;
    FLM_TRY(pop(p, &name));
    FLM_TRY(pop(p, &module));
    const flm_pickle_value *m = &p->values[module], *n = &p->values[name];
    if (m->kind != FLM_PICKLE_TEXT || n->kind != FLM_PICKLE_TEXT)
        FLM_TRY(refuse(p, "the name of a constructor is not a text"));
    FLM_TRY(push_global(p, m->text, m->bytes, n->text, n->bytes));
done:
    return rc;
}

/* Subclasses of dict that are filled by SETITEMS. */
static bool is_dict(const flm_pickle_value *global)
{
    return flm_pickle_value_equals(global, "collections OrderedDict") ||
           flm_pickle_value_equals(global, "collections defaultdict") ||
           flm_pickle_value_equals(global, "lightning.fabric.utilities.data AttributeDict") ||
           flm_pickle_value_equals(global, "lightning_fabric.utilities.data AttributeDict");
}

/* REDUCE and NEWOBJ: a global and its arguments. Subclasses of dict become a DICT. */
static flm_status call(flm_pickle *p)
{
    flm_status rc = FLM_OK;
    uint32_t arguments = 0, function = 0;
    FLM_TRY(pop(p, &arguments));
    FLM_TRY(pop(p, &function));
    if (p->values[function].kind != FLM_PICKLE_GLOBAL || p->values[arguments].kind != FLM_PICKLE_TUPLE)
        FLM_TRY(refuse(p, "calls a value that is not a constructor"));
    if (is_dict(&p->values[function])) {
        if (flm_pickle_value_equals(&p->values[function], "collections OrderedDict") && p->values[arguments].count > 0)
            FLM_TRY(refuse(p, "an OrderedDict has constructor arguments"));
        FLM_TRY(push_kind(p, FLM_PICKLE_DICT, 0));
    } else {
        FLM_TRY(push_kind(p, FLM_PICKLE_CALL, 0));
        FLM_TRY(item_add(p, p->count - 1, function));
        FLM_TRY(item_add(p, p->count - 1, arguments));
    }
done:
    return rc;
}

/* Replaces the values from stack slot `at` on, and `drop` slots below them, by a tuple of those values. */
static flm_status tuple(flm_pickle *p, uint32_t at, uint32_t drop)
{
    flm_status rc = FLM_OK;
    flm_pickle_value v = {.kind = FLM_PICKLE_TUPLE};
    const uint32_t count = p->depth - at;
    if (count > 0) {
        v.items = malloc(count * sizeof *v.items);
        if (!v.items) FLM_FAIL(FLM_E_NOMEM, "pickle: no memory for its values");
        memcpy(v.items, p->stack + at, count * sizeof *v.items);
        v.count = v.capacity = count;
    }
    p->depth = at - drop;
    rc = push_value(p, v);
    if (rc != FLM_OK && (p->count == 0 || p->values[p->count - 1].items != v.items)) free(v.items);
done:
    return rc;
}

static flm_status tuple_of(flm_pickle *p, uint32_t count)
{
    if (p->depth < count) return refuse(p, "takes a value, but the stack is empty");
    for (uint32_t i = 0; i < count; i++)
        if (p->values[p->stack[p->depth - 1 - i]].kind == FLM_PICKLE_MARK)
            return refuse(p, "takes a value, but the stack is empty");
    return tuple(p, p->depth - count, 0);
}

/* APPEND(S), ADDITEMS, SETITEM(S): moves the values from stack slot `at` on into the list or dict below; `drop` marks
 * lie between them. */
static flm_status items_add(flm_pickle *p, uint32_t at, uint32_t drop, flm_pickle_kind kind)
{
    flm_status rc = FLM_OK;
    const uint32_t count = p->depth - at, from = at;
    uint32_t to = 0;
    if (kind == FLM_PICKLE_DICT && count % 2 != 0) FLM_TRY(refuse(p, "a dict has a key without a value"));
    p->depth = at - drop;
    /* Objects that are skipped may be filled like lists and dicts. */
    if (p->depth > 0 && p->values[p->stack[p->depth - 1]].kind == FLM_PICKLE_CALL) goto done;
    FLM_TRY(top(p, kind, &to));
    for (uint32_t i = 0; i < count; i++) FLM_TRY(item_add(p, to, p->stack[from + i]));
done:
    return rc;
}

static flm_status memo_put(flm_pickle *p, uint64_t at)
{
    flm_status rc = FLM_OK;
    if (p->depth == 0 || p->values[p->stack[p->depth - 1]].kind == FLM_PICKLE_MARK)
        FLM_TRY(refuse(p, "memoizes a value, but the stack is empty"));
    if (at > p->bytes) FLM_TRY(refuse(p, "a memo index is too large"));
    while (p->memo_count <= at) {
        FLM_TRY(grow((void **)&p->memo, p->memo_count, &p->memo_capacity, sizeof *p->memo));
        p->memo[p->memo_count++] = EMPTY;
    }
    p->memo[at] = p->stack[p->depth - 1];
done:
    return rc;
}

static flm_status memo_get(flm_pickle *p, uint64_t at)
{
    if (at >= p->memo_count || p->memo[at] == EMPTY) return refuse(p, "reads a memo slot that is empty");
    return push(p, p->memo[at]);
}

static flm_status persistent(flm_pickle *p)
{
    flm_status rc = FLM_OK;
    uint32_t id = 0;
    FLM_TRY(pop(p, &id));
    FLM_TRY(push_kind(p, FLM_PICKLE_PERSISTENT, 0));
    FLM_TRY(item_add(p, p->count - 1, id));
done:
    return rc;
}

/* BUILD: an object's state becomes the third item of its CALL (the fields of settings); that of a dict is dropped (the
 * attributes of a state_dict). */
static flm_status build(flm_pickle *p)
{
    flm_status rc = FLM_OK;
    uint32_t state = 0;
    FLM_TRY(pop(p, &state));
    if (p->depth == 0 || (p->values[p->stack[p->depth - 1]].kind != FLM_PICKLE_DICT &&
                          p->values[p->stack[p->depth - 1]].kind != FLM_PICKLE_CALL))
        FLM_TRY(refuse(p, "sets the state of a value that is not an object"));
    const uint32_t object = p->stack[p->depth - 1];
    if (p->values[object].kind == FLM_PICKLE_CALL && p->values[object].count == 2) FLM_TRY(item_add(p, object, state));
done:
    return rc;
}

/* Opcodes followed by a number, a text or a name; *taken: op is one of them. */
static flm_status step_literal(flm_pickle *p, unsigned char op, bool *taken)
{
    flm_status rc = FLM_OK;
    uint64_t value = 0;
    *taken = true;
    switch (op) {
    case 0x80: FLM_TRY(number(p, 1, &value)); break; /* PROTO */
    case 0x95: FLM_TRY(number(p, 8, &value)); break; /* FRAME */
    case 'J':                                        /* BININT */
        FLM_TRY(number(p, 4, &value));
        FLM_TRY(push_kind(p, FLM_PICKLE_INT, (int32_t)(uint32_t)value));
        break;
    case 'K': /* BININT1 */
    case 'M': /* BININT2 */
        FLM_TRY(number(p, op == 'K' ? 1 : 2, &value));
        FLM_TRY(push_kind(p, FLM_PICKLE_INT, (int64_t)value));
        break;
    case 0x8a: FLM_TRY(long_integer(p)); break; /* LONG1 */
    case 'G':                                   /* BINFLOAT */
        FLM_TRY(number(p, 8, &value));
        FLM_TRY(push_kind(p, FLM_PICKLE_FLOAT, 0));
        break;
    case 'U':                              /* SHORT_BINSTRING */
    case 'C':                              /* SHORT_BINBYTES */
    case 0x8c: FLM_TRY(text(p, 1)); break; /* SHORT_BINUNICODE */
    case 'T':                              /* BINSTRING */
    case 'B':                              /* BINBYTES */
    case 'X': FLM_TRY(text(p, 4)); break;  /* BINUNICODE */
    case 0x8d: FLM_TRY(text(p, 8)); break; /* BINUNICODE8 */
    case 'c': FLM_TRY(global(p)); break;
    case 'q': /* BINPUT */
    case 'r': /* LONG_BINPUT */
        FLM_TRY(number(p, op == 'q' ? 1 : 4, &value));
        FLM_TRY(memo_put(p, value));
        break;
    case 'h': /* BINGET */
    case 'j': /* LONG_BINGET */
        FLM_TRY(number(p, op == 'h' ? 1 : 4, &value));
        FLM_TRY(memo_get(p, value));
        break;
    default: *taken = false;
    }
done:
    return rc;
}

/* Opcodes that work on the stack alone. */
static flm_status step_stack(flm_pickle *p, unsigned char op)
{
    flm_status rc = FLM_OK;
    uint32_t at = 0;
    switch (op) {
    case 'N': FLM_TRY(push_kind(p, FLM_PICKLE_NONE, 0)); break;
    case 0x88: FLM_TRY(push_kind(p, FLM_PICKLE_BOOL, 1)); break;
    case 0x89: FLM_TRY(push_kind(p, FLM_PICKLE_BOOL, 0)); break;
    case '(': FLM_TRY(push_kind(p, FLM_PICKLE_MARK, 0)); break;
    case ')': FLM_TRY(push_kind(p, FLM_PICKLE_TUPLE, 0)); break;
    case ']':                                                    /* EMPTY_LIST */
    case 0x8f: FLM_TRY(push_kind(p, FLM_PICKLE_LIST, 0)); break; /* EMPTY_SET */
    case '}': FLM_TRY(push_kind(p, FLM_PICKLE_DICT, 0)); break;
    case 0x85: FLM_TRY(tuple_of(p, 1)); break;
    case 0x86: FLM_TRY(tuple_of(p, 2)); break;
    case 0x87: FLM_TRY(tuple_of(p, 3)); break;
    case 't': /* TUPLE */
        FLM_TRY(mark_find(p, &at));
        FLM_TRY(tuple(p, at, 1));
        break;
    case 'a': /* APPEND */
        FLM_TRY(p->depth < 2 ? refuse(p, "takes a value, but the stack is empty") : FLM_OK);
        FLM_TRY(items_add(p, p->depth - 1, 0, FLM_PICKLE_LIST));
        break;
    case 's': /* SETITEM */
        FLM_TRY(p->depth < 3 ? refuse(p, "takes a value, but the stack is empty") : FLM_OK);
        FLM_TRY(items_add(p, p->depth - 2, 0, FLM_PICKLE_DICT));
        break;
    case 'e':  /* APPENDS */
    case 0x90: /* ADDITEMS */
    case 'u':  /* SETITEMS */
        FLM_TRY(mark_find(p, &at));
        FLM_TRY(items_add(p, at, 1, op == 'u' ? FLM_PICKLE_DICT : FLM_PICKLE_LIST));
        break;
    case 'R':                           /* REDUCE */
    case 0x81: FLM_TRY(call(p)); break; /* NEWOBJ */
    case 'b': FLM_TRY(build(p)); break;
    case 'Q': FLM_TRY(persistent(p)); break; /* BINPERSID */
    case 0x93: FLM_TRY(stack_global(p)); break;
    case 0x94: FLM_TRY(memo_put(p, p->memo_count)); break; /* MEMOIZE */
    case '0': FLM_TRY(pop(p, &at)); break;
    default:
        FLM_FAIL(FLM_E_FORMAT, "pickle, byte %zu: refused: opcode 0x%02x, which no checkpoint needs", p->at - 1, op);
    }
done:
    return rc;
}

flm_status flm_pickle_parse(const void *pickle, size_t bytes, flm_pickle **out)
{
    flm_status rc = FLM_OK;
    flm_pickle *p = calloc(1, sizeof *p);

    if (!p) FLM_FAIL(FLM_E_NOMEM, "pickle: no memory to read it");
    p->in = pickle;
    p->bytes = bytes;
    if (bytes > BYTES_MAX) FLM_FAIL(FLM_E_FORMAT, "pickle: %zu bytes, at most %d are accepted", bytes, BYTES_MAX);
    if (bytes < 2 || p->in[0] != 0x80 || p->in[1] < 2 || p->in[1] > 5)
        FLM_FAIL(FLM_E_FORMAT, "pickle: not of protocol 2 to 5");
    for (;;) {
        bool taken;
        if (p->at == bytes) FLM_TRY(refuse(p, "truncated: there is no STOP opcode"));
        const unsigned char op = p->in[p->at++];
        if (op == '.') break;
        FLM_TRY(step_literal(p, op, &taken));
        if (!taken) FLM_TRY(step_stack(p, op));
    }
    FLM_TRY(pop(p, &p->root));
    *out = p;
    p = NULL;
done:
    flm_pickle_destroy(&p);
    return rc;
}

void flm_pickle_destroy(flm_pickle **pickle)
{
    flm_pickle *p = *pickle;
    if (!p) return;
    *pickle = NULL;
    for (uint32_t i = 0; i < p->count; i++) {
        free(p->values[i].items);
        if (p->values[i].kind == FLM_PICKLE_GLOBAL) free((char *)p->values[i].text);
    }
    free(p->values);
    free(p->stack);
    free(p->memo);
    free(p);
}

const flm_pickle_value *flm_pickle_get_root(const flm_pickle *pickle) { return &pickle->values[pickle->root]; }

const flm_pickle_value *flm_pickle_get_item(const flm_pickle *pickle, const flm_pickle_value *value, uint32_t i)
{
    return &pickle->values[value->items[i]];
}

bool flm_pickle_value_equals(const flm_pickle_value *value, const char *text)
{
    return (value->kind == FLM_PICKLE_TEXT || value->kind == FLM_PICKLE_GLOBAL) && value->bytes == strlen(text) &&
           memcmp(value->text, text, value->bytes) == 0;
}

const flm_pickle_value *flm_pickle_find(const flm_pickle *pickle, const flm_pickle_value *value, const char *key)
{
    if (value->kind != FLM_PICKLE_DICT) return NULL;
    for (uint32_t i = value->count; i >= 2; i -= 2)
        if (flm_pickle_value_equals(flm_pickle_get_item(pickle, value, i - 2), key))
            return flm_pickle_get_item(pickle, value, i - 1);
    return NULL;
}
