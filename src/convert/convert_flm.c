/* convert_flm.c - published checkpoints of FLM and FMLM. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert.h"
#include "convert/convert_external.h"
#include "convert/convert_hub.h"
#include "convert/convert_names.h"
#include "convert/convert_vocabulary.h"
#include "flow/flow_kind.h"
#include "model/model_load.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char frequencies[] = "rotary_emb.inv_freq";

enum { MAX_BLOCKS = 4096 }; /* flm_model_check */

/* Names in a message: those that have space, and the number of the others. */
typedef struct name_list {
    char text[1000];
    int count, others;
} name_list;

typedef struct flm_import {
    flm_external *from;
    const flm_external_tensor *all; /* [tensors] of the file */
    int tensors;
    char (*name)[FLM_DATASET_NAME_BYTES]; /* [tensors] parameter names; "": not a parameter or buffer of the network */
    bool *ema;                            /* [tensors] EMA weights */
    flm_checkpoint_dataset *datasets;     /* [count] */
    int *index;                           /* [count] of the tensor in the file; a released one counts twice */
    int count;
    const flm_hub_config *config; /* of a released folder, or the settings in the file; NULL: none */
    const flm_kind *kind;
    flm_checkpoint_info info;
} flm_import;

/* ---- names ---- */

static const char *skip(const char *name, const char *prefix)
{
    const size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

/* The number of the block in a parameter's name; -1: in no block, or the number is too large. */
static int64_t block_of(const char *name)
{
    const char *rest = skip(name, "blocks.");
    char *end;
    const int64_t block = rest && *rest >= '0' && *rest <= '9' ? strtoll(rest, &end, 10) : -1;
    return block >= 0 && block < MAX_BLOCKS && *end == '.' ? block : -1;
}

static void name_list_add(name_list *list, const char *name)
{
    const size_t used = strlen(list->text);
    list->count++;
    if (used + strlen(name) + 2 < sizeof list->text)
        snprintf(list->text + used, sizeof list->text - used, "%s%s", used ? ", " : "", name);
    else
        list->others++;
}

/* Ends the list. Returns its text. */
static const char *name_list_text(name_list *list, char *text, size_t size)
{
    if (list->others)
        snprintf(text, size, "%s and %d more", list->text, list->others);
    else
        snprintf(text, size, "%s", list->text);
    return text;
}

/* Checks the names against all parameters of a network of a kind, NULL for any, with this number of blocks. */
static flm_status names_check(const flm_import *m, const char *path, const flm_kind *kind)
{
    flm_status rc = FLM_OK;
    flm_parameter *table = NULL;
    int count = 0;
    name_list surplus = {.count = 0};
    char text[sizeof surplus.text + 32];
    const flm_network network = kind ? kind->network : FLM_NETWORK_RESIDUAL;
    FLM_TRY(flm_parameter_make_table(&(flm_model_shape){.N = m->info.N, .network = network}, &table, &count));
    for (int i = 0; i < m->tensors; i++)
        if (m->name[i][0] && strcmp(m->name[i], frequencies) != 0 && flm_parameter_find(table, count, m->name[i]) < 0)
            name_list_add(&surplus, m->all[i].name);
    if (surplus.count > 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: %s: %s of %s", path, name_list_text(&surplus, text, sizeof text),
                 surplus.count == 1 ? "is not a parameter" : "are not parameters",
                 kind ? kind->name : "an FLM or a flow map");
done:
    free(table);
    return rc;
}

/* Refuses the optional embedding of the kinds of tokens, which is not part of the any-order map: model.md section 10.
 */
static flm_status segments_refuse(const flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < m->tensors; i++)
        if (strncmp(m->name[i], "cond_seg_embed.", strlen("cond_seg_embed.")) == 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: %s: an any-order flow map with a segment embedding is not supported", path,
                     m->all[i].name);
done:
    return rc;
}

/* Sets the names of all tensors except those of the EMA list, and refuses those of other networks. If a prefix like
 * "backbone." names the network, tensors without it are not part of it: "". */
static flm_status names_make(flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    char text[FLM_EXTERNAL_NAME_BYTES];
    bool prefixed = false, is;
    m->name = calloc((size_t)m->tensors, sizeof *m->name);
    m->ema = calloc((size_t)m->tensors, sizeof *m->ema);
    if (!m->name || !m->ema) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the names of its tensors", path);
    for (int i = 0; i < m->tensors; i++) {
        if (skip(m->all[i].name, "ema.")) continue;
        flm_external_name_strip(m->all[i].name, text, &is);
        prefixed = prefixed || is;
    }
    for (int i = 0; i < m->tensors; i++) {
        const char *rest = skip(m->all[i].name, "ema.");
        if (rest && skip(rest, "shadow_params.")) continue;
        m->ema[i] = rest != NULL;
        flm_external_name_strip(rest ? rest : m->all[i].name, text, &is);
        if ((is || rest || !prefixed) && strlen(text) < FLM_DATASET_NAME_BYTES - 8)
            memcpy(m->name[i], text, strlen(text) + 1);
        if (block_of(m->name[i]) >= m->info.N) m->info.N = block_of(m->name[i]) + 1;
    }
    const bool released = m->config && m->config->released;
    if (released && m->config->N > MAX_BLOCKS)
        FLM_FAIL(FLM_E_FORMAT, "%s: the number of blocks is %" PRId64 ", must be at most %d", m->config->path,
                 m->config->N, MAX_BLOCKS);
    if (released && m->config->N > 0) m->info.N = m->config->N;
    FLM_TRY(segments_refuse(m, path));
    FLM_TRY(names_check(m, path, NULL));
done:
    return rc;
}

/* Sets the names of the EMA list: entry k is the k-th parameter of state_dict. */
static flm_status ema_names_make(flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    int64_t parameters = 0, entries = 0;
    int at = -1;
    for (int i = 0; i < m->tensors; i++) {
        entries += skip(m->all[i].name, "ema.shadow_params.") != NULL;
        parameters += m->name[i][0] && !m->ema[i] && strcmp(m->name[i], frequencies) != 0;
    }
    if (entries == 0) goto done;
    if (entries != parameters)
        FLM_FAIL(FLM_E_MISMATCH, "%s: ema has %" PRId64 " tensors, but state_dict has %" PRId64 " parameters", path,
                 entries, parameters);
    for (int i = 0; i < m->tensors; i++) {
        if (!skip(m->all[i].name, "ema.shadow_params.")) continue;
        do at++;
        while (!m->name[at][0] || m->ema[at] || strcmp(m->name[at], frequencies) == 0);
        if (m->all[i].ndim != m->all[at].ndim || memcmp(m->all[i].dim, m->all[at].dim, sizeof m->all[i].dim) != 0)
            FLM_FAIL(FLM_E_MISMATCH, "%s: %s and %s have different shapes", path, m->all[i].name, m->all[at].name);
        memcpy(m->name[i], m->name[at], sizeof *m->name);
        m->ema[i] = true;
    }
done:
    return rc;
}

static int find(const flm_import *m, const char *name, bool ema)
{
    for (int i = 0; i < m->tensors; i++)
        if (m->ema[i] == ema && strcmp(m->name[i], name) == 0) return i;
    return -1;
}

/* ---- the network, from shapes, metadata and options ---- */

static flm_status require(const flm_import *m, const char *path, const char *name, bool ema, int *index)
{
    flm_status rc = FLM_OK;
    *index = find(m, name, ema);
    if (*index < 0) FLM_FAIL(FLM_E_MISMATCH, "%s: %s: is missing%s", path, name, ema ? " among the EMA weights" : "");
done:
    return rc;
}

/* Checks that every parameter of the network is there in its shape. */
static flm_status parameters_check(const flm_import *m, const char *path, bool ema)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape;
    flm_parameter *table = NULL;
    int count = 0, at;
    name_list missing = {.count = 0};
    char text[sizeof missing.text + 32];
    FLM_TRY(flm_err_prefix(flm_model_load_shape(&m->info, m->kind->network, &shape), path));
    FLM_TRY(flm_parameter_make_table(&shape, &table, &count));
    for (int i = 0; i < count; i++)
        if (find(m, table[i].name, ema) < 0) name_list_add(&missing, table[i].name);
    if (missing.count > 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: %s: %s missing%s", path, name_list_text(&missing, text, sizeof text),
                 missing.count == 1 ? "is" : "are", ema ? " among the EMA weights" : "");
    for (int i = 0; i < count; i++) {
        const flm_parameter *p = &table[i];
        FLM_TRY(require(m, path, p->name, ema, &at));
        FLM_TRY(flm_err_prefix(flm_external_tensor_check_shape(&m->all[at], p->ndim, p->dim), path));
    }
done:
    free(table);
    return rc;
}

/* The number in the metadata; 0: none. */
static int64_t recorded_number(const flm_import *m, const char *metadata)
{
    const char *text = flm_external_get_metadata(m->from, metadata);
    return text ? strtoll(text, NULL, 10) : 0;
}

/* The option or what the file records, 0 for none; both must agree. what: how the file says it. */
static flm_status number_choose(const char *path, const char *option_name, int64_t option, const char *what,
                                int64_t recorded, int64_t *out)
{
    flm_status rc = FLM_OK;
    if (option > 0 && recorded > 0 && option != recorded)
        FLM_FAIL(FLM_E_MISMATCH, "--%s %" PRId64 " contradicts %s, whose %s say %" PRId64 "; leave out the option",
                 option_name, option, path, what, recorded);
    *out = option > 0 ? option : recorded;
done:
    return rc;
}

static flm_status text_choose(const char *path, const char *option_name, const char *option, const char *recorded)
{
    flm_status rc = FLM_OK;
    if (option[0] && recorded && strcmp(option, recorded) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "--%s %s contradicts %s, whose metadata say %.64s; leave out the option", option_name,
                 option, path, recorded);
done:
    return rc;
}

/* The number of heads that the rotary frequencies give; 0: none. */
static int64_t rotary_heads(const flm_import *m)
{
    const int at = find(m, frequencies, false);
    const flm_external_tensor *t = at < 0 ? NULL : &m->all[at];
    if (!t || t->ndim != 1 || t->dim[0] < 1 || m->info.d % (2 * t->dim[0]) != 0) return 0;
    return m->info.d / (2 * t->dim[0]);
}

/* The cap of the logits. A file with the suite's metadata has the cap that they record, or else none. A published one
 * does not record it. A residual has no softmax. */
static flm_status cap_set(flm_import *m, const flm_convert_options *o, const char *path)
{
    flm_status rc = FLM_OK;
    const char *text = flm_external_get_metadata(m->from, "flm.logit_cap");
    const bool own = flm_external_get_metadata(m->from, "flm.kind") != NULL;
    const bool residual = m->kind->network == FLM_NETWORK_RESIDUAL;
    char *end = NULL;
    m->info.logit_cap = text ? strtod(text, &end) : own || (residual && !o->logit_cap_given) ? 0 : o->logit_cap;
    if (text && (end == text || *end)) FLM_FAIL(FLM_E_FORMAT, "%s: flm.logit_cap is '%.40s', not a number", path, text);
    if (o->logit_cap_given && o->logit_cap != m->info.logit_cap)
        FLM_FAIL(FLM_E_MISMATCH, "--logit-cap %g contradicts %s, whose metadata say %g; leave out the option",
                 o->logit_cap, path, m->info.logit_cap);
done:
    return rc;
}

/* Checks sizes of the tensors against config.json. The tokeniser's size may lack the mask token, which the network's
 * vocabulary then has in addition. */
static flm_status config_check(const flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    const flm_hub_config *c = m->config;
    const int64_t V = m->info.vocabulary.V;
    const struct {
        const char *name;
        int64_t recorded, found;
    } sizes[] = {{"vocabulary", c->V + 1 == V ? V : c->V, V},
                 {"hidden size", c->d, m->info.d},
                 {"conditioning size", c->c, m->info.c}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].recorded > 0 && sizes[i].recorded != sizes[i].found)
            FLM_FAIL(FLM_E_MISMATCH, "%s: the %s is %" PRId64 ", but that of %s is %" PRId64, c->path, sizes[i].name,
                     sizes[i].recorded, path, sizes[i].found);
done:
    return rc;
}

static flm_status sizes_set(flm_import *m, const flm_convert_options *o, const char *path)
{
    flm_status rc = FLM_OK;
    const flm_hub_config *config = m->config;
    int64_t heads = 0, length = 0;
    int E_at, time_at;
    FLM_TRY(require(m, path, "vocab_embed.embedding", false, &E_at));
    FLM_TRY(require(m, path, "sigma_map.mlp.2.bias", false, &time_at));
    const flm_external_tensor *E = &m->all[E_at], *time = &m->all[time_at];
    if (E->ndim != 2 || time->ndim != 1)
        FLM_FAIL(FLM_E_MISMATCH, "%s: %s has %d axes, expected 2; %s has %d, expected 1", path, E->name, E->ndim,
                 time->name, time->ndim);
    m->info.vocabulary.V = E->dim[0];
    m->info.d = E->dim[1];
    m->info.c = time->dim[0];
    if (config && config->released) FLM_TRY(config_check(m, path));
    FLM_TRY(number_choose(path, "length", o->length, "metadata", recorded_number(m, "flm.length"), &length));
    FLM_TRY(number_choose(path, "heads", o->heads, "metadata", recorded_number(m, "flm.heads"), &heads));
    if (config) FLM_TRY(number_choose(config->path, "length", length, "settings", config->L, &length));
    if (config) FLM_TRY(number_choose(config->path, "heads", heads, "settings", config->H, &heads));
    m->info.L = length;
    FLM_TRY(number_choose(path, "heads", heads, "rotary frequencies", rotary_heads(m), &m->info.H));
    if (m->info.L < 1)
        FLM_FAIL(FLM_E_USAGE, "--length is needed: %s does not record the length of its sequences", path);
    if (m->info.H < 1)
        FLM_FAIL(FLM_E_USAGE, "--heads is needed: %s has no rotary frequencies, which give the number of heads", path);
    if (m->info.d % (2 * m->info.H) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: hidden size %" PRId64 " is not a multiple of 2 x %" PRId64 " heads", path,
                 m->info.d, m->info.H);
done:
    return rc;
}

/* The kind of a two-time network by the name of the published training, else the map that is released in folders; "":
 * not known. */
static const char *two_time_kind(const flm_import *m)
{
    static const struct {
        const char *algorithm;
        flm_kind_id kind;
    } known[] = {{"fmlm", FLM_KIND_FMLM}, {"fmlm_plus", FLM_KIND_FMLM_ANY_ORDER}};
    for (size_t i = 0; m->config && i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(m->config->algorithm, known[i].algorithm) == 0) return flm_kinds[known[i].kind].name;
    return m->config && m->config->released ? flm_kinds[FLM_KIND_FMLM].name : "";
}

static flm_status kind_set(flm_import *m, const flm_convert_options *o, const char *path)
{
    flm_status rc = FLM_OK;
    const bool two = find(m, "sigma_map_prime.mlp.0.weight", false) >= 0;
    const char *name = o->kind, *recorded = flm_external_get_metadata(m->from, "flm.kind");
    const char *lineage = flm_external_get_metadata(m->from, "flm.parent");
    const bool detect = strcmp(name, "auto") == 0;
    if (!detect) FLM_TRY(text_choose(path, "kind", name, recorded));
    if (m->config && m->config->released && m->config->two_times >= 0 && (m->config->two_times == 1) != two)
        FLM_FAIL(FLM_E_MISMATCH, "%s: algo.double_temb is %s, but %s has %s second time embedding", m->config->path,
                 two ? "false" : "true", path, two ? "a" : "no");
    if (detect) name = recorded ? recorded : two ? two_time_kind(m) : flm_kinds[FLM_KIND_FLM].name;
    if (!name[0])
        FLM_FAIL(FLM_E_USAGE, "--kind is needed: %s has a two-time network%s%.63s, which can be %s, %s, %s or %s", path,
                 m->config && m->config->algorithm[0] ? " of algo.name " : "", m->config ? m->config->algorithm : "",
                 flm_kinds[FLM_KIND_FMLM].name, flm_kinds[FLM_KIND_FMLM_ANY_ORDER].name,
                 flm_kinds[FLM_KIND_FMLM_TWO_MODEL].name, flm_kinds[FLM_KIND_FMLM_TWO_STAGE].name);
    FLM_TRY(flm_err_prefix(flm_kind_find(name, &m->kind), path));
    if ((m->kind->network == FLM_NETWORK_ONE_TIME) == two)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has %s second time embedding, so it is not of kind %s", path, two ? "a" : "no",
                 m->kind->name);
    snprintf(m->info.kind, sizeof m->info.kind, "%s", m->kind->name);
    snprintf(m->info.lineage, sizeof m->info.lineage, "%s", o->lineage[0] ? o->lineage : lineage ? lineage : "");
done:
    return rc;
}

static flm_status vocabulary_set(flm_import *m, const flm_convert_options *o, const char *path)
{
    const flm_tokenizer_source source = {.path = path,
                                         .option = o->tokenizer,
                                         .metadata = flm_external_get_metadata(m->from, "flm.tokenizer"),
                                         .settings = m->config ? m->config->tokenizer : NULL,
                                         .settings_path = m->config ? m->config->path : NULL};
    return flm_tokenizer_source_resolve(&source, &m->info.vocabulary);
}

/* ---- the checkpoint ---- */

/* averaged: the weights are also the EMA weights. */
static flm_status datasets_make(flm_import *m, const char *path, bool averaged)
{
    flm_status rc = FLM_OK;
    m->datasets = calloc(2 * (size_t)m->tensors, sizeof *m->datasets);
    m->index = calloc(2 * (size_t)m->tensors, sizeof *m->index);
    if (!m->datasets || !m->index) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the table of its tensors", path);
    for (int ema = 0; ema < 2; ema++)
        for (int i = 0; i < m->tensors; i++) {
            const flm_external_tensor *t = &m->all[i];
            flm_checkpoint_dataset *d = &m->datasets[m->count];
            if ((m->ema[i] != (ema == 1) && !averaged) || !m->name[i][0] || strcmp(m->name[i], frequencies) == 0)
                continue;
            if (find(m, m->name[i], m->ema[i]) != i) FLM_FAIL(FLM_E_FORMAT, "%s: %s: occurs twice", path, m->name[i]);
            if (t->ndim < 1 || t->ndim > 2)
                FLM_FAIL(FLM_E_MISMATCH, "%s: %s: has %d axes, expected 1 or 2", path, t->name, t->ndim);
            if (t->dtype == FLM_EXTERNAL_OTHER)
                FLM_FAIL(FLM_E_FORMAT, "%s: %s: the dtype must be f32, f64, f16 or bf16", path, t->name);
            snprintf(d->name, sizeof d->name, "%s%.87s", ema ? "ema/" : "weights/", m->name[i]);
            d->ndim = t->ndim;
            memcpy(d->dim, t->dim, sizeof d->dim);
            m->index[m->count++] = i;
        }
done:
    return rc;
}

static flm_status weight_source(void *context, int index, float *data)
{
    const flm_import *m = context;
    return flm_external_read(m->from, m->index[index], data);
}

/* The settings in the file, if it is not from a released folder and has some. own: where they are put. */
static flm_status settings_read(flm_import *m, const char *path, flm_hub_config *own)
{
    flm_status rc = FLM_OK;
    json_t *settings = m->config ? NULL : flm_external_get_settings(m->from);
    if (!settings) goto done;
    FLM_TRY(flm_hub_config_parse(settings, path, own));
    m->config = own;
done:
    json_decref(settings);
    return rc;
}

/* Everything that is written, from the file, its settings and the options. released: the weights are EMA weights. */
static flm_status import_make(flm_import *m, const flm_convert_options *options, const char *in, bool released,
                              bool *has_ema)
{
    flm_status rc = FLM_OK;
    *has_ema = false;
    FLM_TRY(names_make(m, in));
    FLM_TRY(ema_names_make(m, in));
    for (int i = 0; i < m->tensors; i++) *has_ema = *has_ema || m->ema[i];
    FLM_TRY(kind_set(m, options, in));
    if (released && m->kind->network != FLM_NETWORK_RESIDUAL) FLM_TRY(names_check(m, in, m->kind));
    FLM_TRY(sizes_set(m, options, in));
    FLM_TRY(cap_set(m, options, in));
    FLM_TRY(parameters_check(m, in, false));
    if (*has_ema) FLM_TRY(parameters_check(m, in, true));
    FLM_TRY(vocabulary_set(m, options, in));
    if (!flm_external_get_integer(m->from, "global_step", &m->info.step)) m->info.step = recorded_number(m, "flm.step");
    FLM_TRY(datasets_make(m, in, released && !*has_ema));
    *has_ema = *has_ema || released;
done:
    return rc;
}

flm_status flm_convert_flm(const flm_convert_options *options, const flm_hub_config *config, const char *in,
                           const char *out)
{
    flm_status rc = FLM_OK;
    flm_import m = {.config = config};
    flm_hub_config own;
    bool has_ema = false;

    FLM_TRY(flm_external_open(in, &m.from));
    m.all = flm_external_tensors(m.from, &m.tensors);
    FLM_TRY(settings_read(&m, in, &own));
    FLM_TRY(import_make(&m, options, in, config != NULL, &has_ema));
    flm_external_log_notes(m.from, m.index, m.count);
    const char *algorithm = m.config ? m.config->algorithm : "";
    const flm_setting settings[] = {{"source", in}, {"algo.name", algorithm}};
    FLM_TRY(flm_checkpoint_write_file(out, &m.info, settings, algorithm[0] ? 2 : 1, m.datasets, m.count, weight_source,
                                      &m));
    printf("%s: checkpoint of kind %s, step %" PRId64 ", %d tensors%s; L %" PRId64 ", V %" PRId64 ", d %" PRId64
           ", H %" PRId64 ", c %" PRId64 ", N %" PRId64 "\n",
           out, m.info.kind, m.info.step, m.count,
           has_ema ? " with EMA weights" : " of raw weights alone (used with --weights raw)", m.info.L,
           m.info.vocabulary.V, m.info.d, m.info.H, m.info.c, m.info.N);
done:
    flm_external_close(&m.from);
    free(m.name);
    free(m.ema);
    free(m.datasets);
    free(m.index);
    return rc;
}
