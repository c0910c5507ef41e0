/* convert_gpt2.c - GPT-2 as published by Hugging Face. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_path.h"
#include "convert/convert.h"
#include "convert/convert_external.h"
#include "convert/convert_hub.h"
#include "convert/convert_names.h"
#include "score/score_gpt2.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { END_OF_TEXT = 50256 };

typedef struct gpt2_import {
    flm_gpt2_shape shape;
    flm_external *from;
    flm_checkpoint_dataset *datasets; /* [count] */
    int *index;                       /* [count] of the tensor in the file */
    int count;
} gpt2_import;

/* An integer of config.json under the first name, or else the other one (may be NULL). */
static flm_status config_number(const json_t *config, const char *name, const char *other, int64_t *value)
{
    flm_status rc = FLM_OK;
    const json_t *number = json_object_get(config, name);
    if (!number && other) number = json_object_get(config, other);
    if (!json_is_integer(number)) FLM_FAIL(FLM_E_FORMAT, "%s is missing or not an integer", name);
    *value = json_integer_value(number);
done:
    return rc;
}

/* Refuses every setting with which the network would differ from the one in score_gpt2.c. */
static flm_status config_check(const json_t *config, int64_t d)
{
    flm_status rc = FLM_OK;
    const json_t *type = json_object_get(config, "model_type"), *gelu = json_object_get(config, "activation_function");
    const json_t *eps = json_object_get(config, "layer_norm_epsilon"), *inner = json_object_get(config, "n_inner");
    const json_t *scaled = json_object_get(config, "scale_attn_weights");
    if (!type || !json_is_string(type) || strcmp(json_string_value(type), "gpt2") != 0)
        FLM_FAIL(FLM_E_FORMAT, "model_type is not gpt2");
    if (gelu && (!json_is_string(gelu) || (strcmp(json_string_value(gelu), "gelu_new") != 0 &&
                                           strcmp(json_string_value(gelu), "gelu_pytorch_tanh") != 0)))
        FLM_FAIL(FLM_E_FORMAT, "activation_function is not gelu_new");
    if (eps && !(json_number_value(eps) == 1e-5)) FLM_FAIL(FLM_E_FORMAT, "layer_norm_epsilon is not 1e-5");
    if (inner && !json_is_null(inner) && json_integer_value(inner) != 4 * d)
        FLM_FAIL(FLM_E_FORMAT, "n_inner is not 4 n_embd");
    if (scaled && !json_is_true(scaled)) FLM_FAIL(FLM_E_FORMAT, "scale_attn_weights is not true");
    if (json_is_true(json_object_get(config, "scale_attn_by_inverse_layer_idx")))
        FLM_FAIL(FLM_E_FORMAT, "scale_attn_by_inverse_layer_idx is true");
    if (json_is_true(json_object_get(config, "add_cross_attention")))
        FLM_FAIL(FLM_E_FORMAT, "add_cross_attention is true");
    if (json_is_false(json_object_get(config, "tie_word_embeddings")))
        FLM_FAIL(FLM_E_FORMAT, "tie_word_embeddings is false");
done:
    return rc;
}

/* eos_token_id: an integer, or a list whose first one is meant; null or none: that of GPT-2,
 * or the last id of a smaller vocabulary V. */
static flm_status end_id_read(const json_t *end, int64_t V, int64_t *end_id)
{
    flm_status rc = FLM_OK;
    if (json_is_array(end)) end = json_array_get(end, 0);
    if (end && !json_is_null(end) && !json_is_integer(end))
        FLM_FAIL(FLM_E_FORMAT, "eos_token_id is neither an integer nor a list of integers");
    *end_id = json_is_integer(end) ? json_integer_value(end) : V > END_OF_TEXT ? END_OF_TEXT : V - 1;
done:
    return rc;
}

static flm_status config_read(const char *path, flm_gpt2_shape *shape)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *config = NULL;
    FILE *file = fopen(path, "r");

    if (!file) FLM_FAIL(flm_status_from_errno(errno), "%s", strerror(errno));
    config = json_loadf(file, 0, &error);
    if (!config) FLM_FAIL(FLM_E_FORMAT, "is not JSON: %s", error.text);
    FLM_TRY(config_number(config, "n_positions", "n_ctx", &shape->L));
    FLM_TRY(config_number(config, "vocab_size", NULL, &shape->V));
    FLM_TRY(config_number(config, "n_embd", NULL, &shape->d));
    FLM_TRY(config_number(config, "n_head", NULL, &shape->H));
    FLM_TRY(config_number(config, "n_layer", NULL, &shape->N));
    FLM_TRY(end_id_read(json_object_get(config, "eos_token_id"), shape->V, &shape->end_id));
    FLM_TRY(flm_gpt2_shape_check(shape));
    FLM_TRY(config_check(config, shape->d));
done:
    json_decref(config);
    if (file) fclose(file);
    return flm_err_prefix(rc, path);
}

/* The index of a weight by its name, with or without what wrappers put before it; -1: missing. */
static int weight_find(const flm_external *from, const char *name)
{
    int count;
    const flm_external_tensor *all = flm_external_tensors(from, &count);
    char text[FLM_EXTERNAL_NAME_BYTES];
    bool network;
    for (int i = 0; i < count; i++) {
        flm_external_name_strip(all[i].name, text, &network);
        if (strcmp(text, name) == 0) return i;
    }
    return -1;
}

static flm_status weights_match(gpt2_import *g, const char *path)
{
    flm_status rc = FLM_OK;
    int tensors;
    const flm_external_tensor *all = flm_external_tensors(g->from, &tensors);
    FLM_TRY(flm_gpt2_list_datasets(&g->shape, "", &g->datasets, &g->count));
    g->index = malloc((size_t)g->count * sizeof *g->index);
    if (!g->index) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the table of its tensors", path);
    for (int i = 0; i < g->count; i++) {
        flm_checkpoint_dataset *d = &g->datasets[i];
        char name[FLM_DATASET_NAME_BYTES];
        const int at = g->index[i] = weight_find(g->from, d->name);
        if (at < 0) FLM_FAIL(FLM_E_MISMATCH, "%s: %s: is missing", path, d->name);
        FLM_TRY(flm_err_prefix(flm_external_tensor_check_shape(&all[at], d->ndim, d->dim), path));
        if (all[at].dtype == FLM_EXTERNAL_OTHER)
            FLM_FAIL(FLM_E_FORMAT, "%s: %s: the dtype must be f32, f64, f16 or bf16", path, d->name);
        snprintf(name, sizeof name, "weights/%.*s", (int)sizeof name - 9, d->name);
        memcpy(d->name, name, sizeof name);
    }
done:
    return rc;
}

/* A head that is stored must equal the embedding. */
static flm_status head_check(gpt2_import *g, const char *path)
{
    flm_status rc = FLM_OK;
    const int head = weight_find(g->from, "lm_head.weight");
    const int64_t elements = g->shape.V * g->shape.d;
    float *a = NULL, *b = NULL;
    int count;
    if (head < 0) goto done;
    if (flm_external_tensors(g->from, &count)[head].elements != elements)
        FLM_FAIL(FLM_E_MISMATCH, "%s: lm_head.weight and wte.weight have different shapes", path);
    a = malloc((size_t)elements * sizeof *a);
    b = malloc((size_t)elements * sizeof *b);
    if (!a || !b) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its head", path);
    FLM_TRY(flm_external_read(g->from, head, a));
    FLM_TRY(flm_external_read(g->from, g->index[0], b));
    if (memcmp(a, b, (size_t)elements * sizeof *a) != 0)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: lm_head.weight differs from wte.weight, but the head of GPT-2 is tied to the embedding", path);
done:
    free(a);
    free(b);
    return rc;
}

static flm_status weight_source(void *context, int index, float *data)
{
    const gpt2_import *g = context;
    return flm_external_read(g->from, g->index[index], data);
}

flm_status flm_convert_gpt2(const char *directory, const char *out)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES];
    gpt2_import g = {.from = NULL};
    flm_checkpoint_info info = {.kind = "gpt2", .vocabulary = {.name = "gpt2"}};
    const flm_setting setting = {"source", directory};

    FLM_TRY(flm_path_join(path, directory, "config.json"));
    FLM_TRY(config_read(path, &g.shape));
    FLM_TRY(flm_hub_find_weights(directory, path));
    FLM_TRY(flm_external_open(path, &g.from));
    FLM_TRY(weights_match(&g, path));
    FLM_TRY(head_check(&g, path));
    flm_external_log_notes(g.from, g.index, g.count);
    /* The tokeniser's files are not read, so its hash is unknown; scoring does not check it. */
    memset(info.vocabulary.sha256, '0', sizeof info.vocabulary.sha256 - 1);
    info.vocabulary.V = g.shape.V;
    info.vocabulary.begin_id = info.vocabulary.end_id = g.shape.end_id;
    info.L = g.shape.L;
    info.d = g.shape.d;
    info.H = g.shape.H;
    info.N = g.shape.N;
    FLM_TRY(flm_checkpoint_write_file(out, &info, &setting, 1, g.datasets, g.count, weight_source, &g));
    printf("%s: checkpoint of kind gpt2, %d tensors; L %" PRId64 ", V %" PRId64 ", d %" PRId64 ", H %" PRId64
           ", N %" PRId64 "\n",
           out, g.count, info.L, info.vocabulary.V, info.d, info.H, info.N);
done:
    flm_external_close(&g.from);
    free(g.datasets);
    free(g.index);
    return rc;
}
