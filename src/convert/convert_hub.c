/* convert_hub.c - see convert_hub.h. The configuration has no fixed layout, so that several names are tried.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_hub.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 4 };

/* The value under a name whose parts are joined by dots, as one key or as objects in objects; NULL: none. */
static const json_t *get(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    const char *dot = strchr(name, '.');
    char first[16];
    if (value || !dot) return value;
    snprintf(first, sizeof first, "%.*s", (int)(dot - name), name);
    return json_object_get(json_object_get(object, first), dot + 1);
}

/* The first value under one of the names [NAMES]; NULL: none, null, or a reference to another setting ("${...}"). */
static const json_t *find(const json_t *config, const char *const *names)
{
    const json_t *scopes[] = {config, json_object_get(config, "config")};
    for (int n = 0; n < NAMES && names[n]; n++)
        for (int s = 0; s < 2; s++) {
            const json_t *value = get(scopes[s], names[n]);
            const char *text = json_string_value(value);
            if (value && !json_is_null(value) && !(text && strncmp(text, "${", 2) == 0)) return value;
        }
    return NULL;
}

static flm_status read_number(const json_t *config, const char *const *names, int64_t *out)
{
    flm_status rc = FLM_OK;
    const json_t *value = find(config, names);
    if (!value) goto done;
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        FLM_FAIL(FLM_E_FORMAT, "%s is not a positive integer", names[0]);
    *out = json_integer_value(value);
done:
    return rc;
}

/* out [size] */
static flm_status read_text(const json_t *config, const char *const *names, char *out, size_t size)
{
    flm_status rc = FLM_OK;
    const json_t *value = find(config, names);
    if (!value) goto done;
    if (!json_is_string(value) || strlen(json_string_value(value)) >= size)
        FLM_FAIL(FLM_E_FORMAT, "%s is not a text, or it is too long", names[0]);
    snprintf(out, size, "%s", json_string_value(value));
done:
    return rc;
}

static const char *const length_names[NAMES] = {"model.length", "length", "model_length", "block_size"};
static const char *const size_names[NAMES] = {"model.hidden_size", "hidden_size", "hidden_dim"};
static const char *const algorithm_names[NAMES] = {"algo.name"};

static flm_status read_settings(const json_t *config, flm_hub_config *out)
{
    static const char *const V[NAMES] = {"vocab_size", "model.vocab_size", "data.vocab_size"};
    static const char *const H[NAMES] = {"model.n_heads", "n_heads"};
    static const char *const c[NAMES] = {"model.cond_dim", "cond_dim"};
    static const char *const N[NAMES] = {"model.n_blocks", "n_blocks"};
    static const char *const two_times[NAMES] = {"algo.double_temb", "model.double_temb", "double_temb"};
    static const char *const tokenizer[NAMES] = {"data.tokenizer_name_or_path", "tokenizer_name_or_path"};
    flm_status rc = FLM_OK;
    const json_t *two = find(config, two_times);
    char text[256] = "";
    FLM_TRY(read_number(config, V, &out->V));
    FLM_TRY(read_number(config, length_names, &out->L));
    FLM_TRY(read_number(config, size_names, &out->d));
    FLM_TRY(read_number(config, H, &out->H));
    FLM_TRY(read_number(config, c, &out->c));
    FLM_TRY(read_number(config, N, &out->N));
    FLM_TRY(read_text(config, algorithm_names, out->algorithm, sizeof out->algorithm));
    FLM_TRY(read_text(config, tokenizer, text, sizeof text));
    /* "openai-community/gpt2" is gpt2 */
    snprintf(out->tokenizer, sizeof out->tokenizer, "%.63s", flm_path_name(text));
    if (two && !json_is_boolean(two)) FLM_FAIL(FLM_E_FORMAT, "%s is not a boolean", two_times[0]);
    out->two_times = two ? json_is_true(two) : -1;
done:
    return rc;
}

bool flm_hub_config_is(const char *path)
{
    json_t *config = json_load_file(path, 0, NULL);
    const bool other = json_object_get(config, "model_type") || json_object_get(config, "n_embd") ||
                       json_object_get(config, "architectures");
    const bool is = json_is_object(config) && (!other || find(config, algorithm_names) ||
                                               (find(config, length_names) && find(config, size_names)));
    json_decref(config);
    return is;
}

flm_status flm_hub_config_read(const char *path, flm_hub_config *out)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *config = NULL;
    FILE *file = fopen(path, "r");

    memset(out, 0, sizeof *out);
    if (!file) FLM_FAIL(flm_status_from_errno(errno), "%s", strerror(errno));
    config = json_loadf(file, 0, &error);
    if (!config) FLM_FAIL(FLM_E_FORMAT, "is not JSON: %s", error.text);
    FLM_TRY(flm_path_format(out->path, "%s", path));
    FLM_TRY(read_settings(config, out));
done:
    json_decref(config);
    if (file) fclose(file);
    return flm_err_prefix(rc, path);
}

flm_status flm_hub_find_weights(const char *folder, char *path)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"};
    flm_status rc = FLM_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FLM_TRY(flm_path_join(path, folder, names[i]));
        if (access(path, F_OK) == 0) goto done;
    }
    FLM_FAIL(FLM_E_MISSING, "%s: has config.json, but none of %s, %s and %s", folder, names[0], names[1], names[2]);
done:
    return rc;
}
