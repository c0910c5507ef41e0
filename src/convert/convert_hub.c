/* convert_hub.c - see convert_hub.h. The configuration has no fixed layout, so that several names are tried.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_hub.h"

#include "base/base_log.h"

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

/* A setting that has another type counts as not recorded: an option can give it. */
static void note_ignored(const flm_hub_config *out, const char *name, const char *expected)
{
    flm_log(FLM_LOG_WARN, "%s: %s is ignored, as it is not %s", out->path, name, expected);
}

static void read_number(const json_t *config, const char *const *names, flm_hub_config *out, int64_t *number)
{
    const json_t *value = find(config, names);
    if (value && json_is_integer(value) && json_integer_value(value) > 0)
        *number = json_integer_value(value);
    else if (value)
        note_ignored(out, names[0], "a positive integer");
}

/* text [size] */
static void read_text(const json_t *config, const char *const *names, flm_hub_config *out, char *text, size_t size)
{
    const json_t *value = find(config, names);
    if (value && json_is_string(value) && strlen(json_string_value(value)) < size)
        snprintf(text, size, "%s", json_string_value(value));
    else if (value)
        note_ignored(out, names[0], "a text, or too long");
}

static const char *const length_names[NAMES] = {"model.length", "length", "model_length", "block_size"};
static const char *const size_names[NAMES] = {"model.hidden_size", "hidden_size", "hidden_dim"};
static const char *const algorithm_names[NAMES] = {"algo.name"};

flm_status flm_hub_config_parse(const json_t *config, const char *path, flm_hub_config *out)
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

    memset(out, 0, sizeof *out);
    FLM_TRY(flm_path_format(out->path, "%s", path));
    read_number(config, V, out, &out->V);
    read_number(config, length_names, out, &out->L);
    read_number(config, size_names, out, &out->d);
    read_number(config, H, out, &out->H);
    read_number(config, c, out, &out->c);
    read_number(config, N, out, &out->N);
    read_text(config, algorithm_names, out, out->algorithm, sizeof out->algorithm);
    read_text(config, tokenizer, out, text, sizeof text);
    /* "openai-community/gpt2" is gpt2 */
    snprintf(out->tokenizer, sizeof out->tokenizer, "%.63s", flm_path_name(text));
    out->two_times = json_is_boolean(two) ? json_is_true(two) : -1;
    if (two && !json_is_boolean(two)) note_ignored(out, two_times[0], "a boolean");
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

    if (!file) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    config = json_loadf(file, 0, &error);
    if (!config) FLM_FAIL(FLM_E_FORMAT, "%s: is not JSON: %s", path, error.text);
    FLM_TRY(flm_hub_config_parse(config, path, out));
    out->released = true;
done:
    json_decref(config);
    if (file) fclose(file);
    return rc;
}

flm_status flm_hub_find_weights(const char *folder, char *path)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    flm_status rc = FLM_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FLM_TRY(flm_path_join(path, folder, names[i]));
        if (access(path, F_OK) == 0) goto done;
    }
    FLM_FAIL(FLM_E_MISSING, "%s: has config.json, but none of %s, %s, %s and %s", folder, names[0], names[1], names[2],
             names[3]);
done:
    return rc;
}
