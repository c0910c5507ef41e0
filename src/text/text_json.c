/* text_json.c - vocabularies in JSON (text_json.h). A tokenizer.json whose settings would give other ids than those of
 * GPT2TokenizerFast or BertTokenizer is refused. Source: the files as tokenizers 0.21.2 writes them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "text/text_json.h"

#include <stdlib.h>

flm_status flm_text_json_load(const char *path, const char *data, size_t bytes, json_t **root)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *loaded = json_loadb(data, bytes, 0, &error);

    if (!loaded) FLM_FAIL(FLM_E_FORMAT, "%s: not JSON: line %d: %s", path, error.line, error.text);
    if (!json_is_object(loaded)) FLM_FAIL(FLM_E_FORMAT, "%s: not a JSON object", path);
    *root = loaded;
    loaded = NULL;
done:
    json_decref(loaded);
    return rc;
}

flm_status flm_text_json_read_vocabulary(const json_t *object, flm_text_vocabulary *v)
{
    flm_status rc = FLM_OK;
    const char *token;
    json_t *id;

    if (!json_is_object(object)) FLM_FAIL(FLM_E_FORMAT, "%s: the vocabulary is not an object of ids", v->path);
    json_object_foreach((json_t *)object, token, id)
    {
        if (!json_is_integer(id)) FLM_FAIL(FLM_E_FORMAT, "%s: the id of \"%.64s\" is not an integer", v->path, token);
        FLM_TRY(flm_text_vocabulary_add(v, json_integer_value(id), token, strlen(token)));
    }
done:
    return rc;
}

/* Whether a setting is present and differs from what it must be; absent and null mean the default. */
static bool differs(const json_t *object, const char *key, const json_t *want)
{
    const json_t *value = json_object_get(object, key);

    return value && !json_is_null(value) && !json_equal(value, want);
}

/* A setting of a part of tokenizer.json and the only supported value. */
typedef struct setting {
    const char *part, *key, *json;
} setting;

static const setting bpe_settings[] = {
    {"model", "unk_token", "null"},
    {"model", "dropout", "null"},
    {"model", "continuing_subword_prefix", "\"\""},
    {"model", "end_of_word_suffix", "\"\""},
    {"model", "byte_fallback", "false"},
    {"model", "ignore_merges", "false"},
    {"pre_tokenizer", "type", "\"ByteLevel\""},
    {"pre_tokenizer", "add_prefix_space", "false"},
    {"pre_tokenizer", "use_regex", "true"},
    {"decoder", "type", "\"ByteLevel\""},
};
static const setting wordpiece_settings[] = {
    {"model", "unk_token", "\"[UNK]\""},
    {"model", "continuing_subword_prefix", "\"##\""},
    {"model", "max_input_chars_per_word", "100"},
    {"normalizer", "type", "\"BertNormalizer\""},
    {"normalizer", "clean_text", "true"},
    {"normalizer", "handle_chinese_chars", "true"},
    {"normalizer", "strip_accents", "true"},
    {"normalizer", "lowercase", "true"},
    {"pre_tokenizer", "type", "\"BertPreTokenizer\""},
    {"decoder", "type", "\"WordPiece\""},
};

static flm_status check_settings(const json_t *root, bool wordpiece, const char *path)
{
    flm_status rc = FLM_OK;
    const setting *rows = wordpiece ? wordpiece_settings : bpe_settings;
    size_t count = wordpiece ? sizeof wordpiece_settings / sizeof *rows : sizeof bpe_settings / sizeof *rows;
    json_t *want = NULL;

    if (!wordpiece && json_is_object(json_object_get(root, "normalizer")))
        FLM_FAIL(FLM_E_FORMAT, "%s: normalizer: must be null for GPT-2, as it would change the text", path);
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_object_get(root, rows[i].part);
        if (!json_is_object(part)) FLM_FAIL(FLM_E_FORMAT, "%s: %s: missing", path, rows[i].part);
        want = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
        if (!want) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to check its settings", path);
        if (differs(part, rows[i].key, want))
            FLM_FAIL(FLM_E_FORMAT, "%s: %s.%s: only %s is supported", path, rows[i].part, rows[i].key, rows[i].json);
        json_decref(want);
        want = NULL;
    }
done:
    json_decref(want);
    return rc;
}

/* An added token is in the model's vocabulary already, or has an id after it. */
static flm_status read_added(const json_t *token, bool specials_only, flm_text_vocabulary *v,
                             flm_special_tokens *specials)
{
    flm_status rc = FLM_OK;
    const json_t *content = json_object_get(token, "content"), *id = json_object_get(token, "id");
    const char *text = json_string_value(content);
    size_t bytes = json_string_length(content);
    json_int_t number = json_integer_value(id);

    if (!text || bytes == 0 || !json_is_integer(id) || number < 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: an entry of added_tokens has no content or no id", v->path);
    if (json_is_true(json_object_get(token, "single_word")) || json_is_true(json_object_get(token, "lstrip")) ||
        json_is_true(json_object_get(token, "rstrip")) ||
        (specials_only && !json_is_true(json_object_get(token, "special"))))
        FLM_FAIL(
            FLM_E_FORMAT,
            "%s: the added token \"%.64s\" has single_word, lstrip or rstrip, or is not special; this is not supported",
            v->path, text);
    if ((size_t)number >= v->count || !v->tokens[number])
        FLM_TRY(flm_text_vocabulary_add(v, number, text, bytes));
    else if (v->bytes[number] != bytes || memcmp(v->tokens[number], text, bytes) != 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: the added token \"%.64s\" has the id of another token", v->path, text);
    FLM_TRY(flm_special_tokens_add(specials, text, bytes, (int32_t)number));
done:
    return rc;
}

flm_status flm_text_json_read_model(const json_t *root, const char *type, flm_text_vocabulary *v,
                                    flm_special_tokens *specials, const json_t **model)
{
    flm_status rc = FLM_OK;
    const json_t *found = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    const char *found_type = json_string_value(json_object_get(found, "type"));
    bool wordpiece = strcmp(type, "WordPiece") == 0;

    if (!found_type || strcmp(found_type, type) != 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: not a tokenizer.json with a model of type %s", v->path, type);
    FLM_TRY(check_settings(root, wordpiece, v->path));
    FLM_TRY(flm_text_json_read_vocabulary(json_object_get(found, "vocab"), v));
    for (size_t i = 0; i < json_array_size(added); i++)
        FLM_TRY(read_added(json_array_get(added, i), wordpiece, v, specials));
    FLM_TRY(flm_text_vocabulary_finish(v));
    *model = found;
done:
    return rc;
}
