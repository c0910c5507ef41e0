/* convert_settings.c - the settings of the training that PyTorch Lightning keeps in a checkpoint, as a JSON object
 * (convert_external.h). They are dicts, or objects of omegaconf, whose state has the values of a dict in "_content" and
 * that of a value in "_val". SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"
#include "convert/convert_pickle.h"

#include <string.h>

/* A pickled value may contain itself: bounds of the depth, and of the number of values. */
enum { DEPTH_MAX = 16, VALUES_MAX = 10000 };

typedef struct reader {
    const flm_pickle *pickle;
    int values;
} reader;

static json_t *value_of(reader *r, const flm_pickle_value *value, int depth);

static json_t *dict_of(reader *r, const flm_pickle_value *dict, int depth)
{
    json_t *object = json_object();
    for (uint32_t i = 0; i + 1 < dict->count; i += 2) {
        const flm_pickle_value *key = flm_pickle_get_item(r->pickle, dict, i);
        char name[64];
        if (key->kind != FLM_PICKLE_TEXT || key->bytes >= sizeof name) continue;
        memcpy(name, key->text, key->bytes);
        name[key->bytes] = '\0';
        json_t *value = value_of(r, flm_pickle_get_item(r->pickle, dict, i + 1), depth + 1);
        if (value) json_object_set_new(object, name, value); /* refuses a name that is not UTF-8 */
    }
    return object;
}

/* The dict or the value that an object of omegaconf holds. */
static json_t *object_of(reader *r, const flm_pickle_value *call, int depth)
{
    static const char *const fields[] = {"_content", "_val"};
    const flm_pickle_value *state = call->count > 2 ? flm_pickle_get_item(r->pickle, call, 2) : NULL;
    for (size_t i = 0; state && i < sizeof fields / sizeof fields[0]; i++) {
        const flm_pickle_value *inner = flm_pickle_find(r->pickle, state, fields[i]);
        if (inner) return value_of(r, inner, depth + 1);
    }
    return NULL;
}

/* NULL for what no setting needs. */
static json_t *value_of(reader *r, const flm_pickle_value *value, int depth)
{
    if (depth > DEPTH_MAX || r->values++ > VALUES_MAX) return NULL;
    switch (value->kind) {
    case FLM_PICKLE_BOOL: return json_boolean(value->integer != 0);
    case FLM_PICKLE_INT: return json_integer(value->integer);
    case FLM_PICKLE_TEXT: return json_stringn(value->text, value->bytes);
    case FLM_PICKLE_DICT: return dict_of(r, value, depth);
    case FLM_PICKLE_CALL: return object_of(r, value, depth);
    default: return NULL;
    }
}

json_t *flm_torch_settings(const struct flm_pickle *pickle)
{
    static const char *const names[] = {"hyper_parameters", "hparams", "config"};
    reader r = {.pickle = pickle};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const flm_pickle_value *found = flm_pickle_find(pickle, flm_pickle_get_root(pickle), names[i]);
        json_t *settings = found ? value_of(&r, found, 0) : NULL;
        if (json_is_object(settings)) return settings;
        json_decref(settings);
    }
    return NULL;
}

json_t *flm_external_get_settings(const flm_external *external)
{
    return external->torch ? flm_torch_settings(flm_torch_get_pickle(external->torch)) : NULL;
}
