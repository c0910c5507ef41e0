/* convert_flm.c - checkpoints of the published FLM and FMLM. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_sha256.h"
#include "convert/convert.h"
#include "flow/flow_kind.h"
#include "model/model_load.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char frequencies[] = "rotary_emb.inv_freq";

enum { MAX_BLOCKS = 4096 }; /* flm_model_check */

typedef struct flm_import {
    flm_external *from;
    const flm_external_tensor *all; /* [tensors] of the file */
    int tensors;
    char (*name)[FLM_NAME_BYTES];     /* [tensors] plain names; "": not of the network */
    bool *shadow;                     /* [tensors] averaged */
    flm_checkpoint_dataset *datasets; /* [count] */
    int *index;                       /* [count] of the tensor in the file */
    int count;
    const flm_kind *kind;
    flm_checkpoint_info info;
} flm_import;

/* ---- names ---- */

static const char *skip(const char *name, const char *prefix)
{
    const size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

/* A tensor's name without where it stood: "state_dict.", "ema.", every "_orig_mod.", "backbone." where the file has it.
 * "" where it is no part of the network. */
static void plain_name(const char *from, bool backbone, char name[FLM_NAME_BYTES])
{
    static const char wrapper[] = "_orig_mod.";
    const char *rest = skip(from, "state_dict.");
    char text[FLM_EXTERNAL_NAME_BYTES], *found;
    snprintf(text, sizeof text, "%s", rest ? rest : from);
    while ((found = strstr(text, wrapper)) != NULL)
        memmove(found, found + strlen(wrapper), strlen(found + strlen(wrapper)) + 1);
    rest = skip(text, "backbone.");
    if (!rest && !backbone) rest = text;
    name[0] = '\0';
    if (rest && strlen(rest) < FLM_NAME_BYTES - 8) memcpy(name, rest, strlen(rest) + 1);
}

/* The number of a block by a parameter's name, -1 outside of the blocks and beyond any. */
static int64_t block_of(const char *name)
{
    const char *rest = skip(name, "blocks.");
    char *end;
    const int64_t block = rest && *rest >= '0' && *rest <= '9' ? strtoll(rest, &end, 10) : -1;
    return block >= 0 && block < MAX_BLOCKS && *end == '.' ? block : -1;
}

/* The names of the parameters that any network with so many blocks can have. */
static flm_status names_check(const flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    flm_parameter *table = NULL;
    int count = 0;
    FLM_TRY(
        flm_parameter_make_table(&(flm_model_shape){.N = m->info.N, .network = FLM_NETWORK_RESIDUAL}, &table, &count));
    for (int i = 0; i < m->tensors; i++)
        if (m->name[i][0] && strcmp(m->name[i], frequencies) != 0 && flm_parameter_find(table, count, m->name[i]) < 0)
            FLM_FAIL(FLM_E_FORMAT, "%s: %s: is no part of the networks of this method", path, m->all[i].name);
done:
    free(table);
    return rc;
}

/* Plain names of everything outside of EMA's list. Buffers go; what is neither is refused. */
static flm_status names_make(flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    bool backbone = false;
    m->name = calloc((size_t)m->tensors, sizeof *m->name);
    m->shadow = calloc((size_t)m->tensors, sizeof *m->shadow);
    if (!m->name || !m->shadow) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the names of its tensors", path);
    for (int i = 0; i < m->tensors; i++)
        backbone = backbone || skip(m->all[i].name, "state_dict.backbone.") || skip(m->all[i].name, "backbone.");
    for (int i = 0; i < m->tensors; i++) {
        const char *rest = skip(m->all[i].name, "ema.");
        if (rest && skip(rest, "shadow_params.")) continue;
        m->shadow[i] = rest != NULL;
        plain_name(rest ? rest : m->all[i].name, backbone, m->name[i]);
        if (block_of(m->name[i]) >= m->info.N) m->info.N = block_of(m->name[i]) + 1;
    }
    FLM_TRY(names_check(m, path));
done:
    return rc;
}

/* EMA's list: number k is the k-th parameter of state_dict. */
static flm_status shadows_name(flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    int64_t parameters = 0, shadows = 0;
    int at = -1;
    for (int i = 0; i < m->tensors; i++) {
        shadows += skip(m->all[i].name, "ema.shadow_params.") != NULL;
        parameters += m->name[i][0] && !m->shadow[i] && strcmp(m->name[i], frequencies) != 0;
    }
    if (shadows == 0) goto done;
    if (shadows != parameters)
        FLM_FAIL(FLM_E_MISMATCH, "%s: ema has %" PRId64 " tensors, state_dict %" PRId64 " parameters", path, shadows,
                 parameters);
    for (int i = 0; i < m->tensors; i++) {
        if (!skip(m->all[i].name, "ema.shadow_params.")) continue;
        do at++;
        while (!m->name[at][0] || m->shadow[at] || strcmp(m->name[at], frequencies) == 0);
        if (m->all[i].ndim != m->all[at].ndim || memcmp(m->all[i].dim, m->all[at].dim, sizeof m->all[i].dim) != 0)
            FLM_FAIL(FLM_E_MISMATCH, "%s: %s has another shape than %s", path, m->all[i].name, m->all[at].name);
        memcpy(m->name[i], m->name[at], sizeof *m->name);
        m->shadow[i] = true;
    }
done:
    return rc;
}

static int find(const flm_import *m, const char *name, bool shadow)
{
    for (int i = 0; i < m->tensors; i++)
        if (m->shadow[i] == shadow && strcmp(m->name[i], name) == 0) return i;
    return -1;
}

/* ---- what the file does not say, or says in shapes ---- */

static flm_status wants(const flm_import *m, const char *path, const char *name, bool shadow, int *index)
{
    flm_status rc = FLM_OK;
    *index = find(m, name, shadow);
    if (*index < 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: %s: is missing%s", path, name, shadow ? " among the averaged weights" : "");
done:
    return rc;
}

/* Every parameter of the network, in its shape. */
static flm_status whole_check(const flm_import *m, const char *path, bool shadow)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape;
    flm_parameter *table = NULL;
    int count = 0, at;
    FLM_TRY(flm_err_prefix(flm_model_load_shape(&m->info, m->kind->network, &shape), path));
    FLM_TRY(flm_parameter_make_table(&shape, &table, &count));
    for (int i = 0; i < count; i++) {
        const flm_parameter *p = &table[i];
        FLM_TRY(wants(m, path, p->name, shadow, &at));
        const flm_external_tensor *t = &m->all[at];
        if (t->ndim != p->ndim || t->dim[0] != p->dim[0] || (p->ndim == 2 && t->dim[1] != p->dim[1]))
            FLM_FAIL(FLM_E_MISMATCH, "%s: %s: has another shape than a network of these sizes", path, t->name);
    }
done:
    free(table);
    return rc;
}

/* An option's number, else the file's own; 0: neither. */
static int64_t number_of(const flm_import *m, int64_t option, const char *metadata)
{
    const char *text = option ? NULL : flm_external_get_metadata(m->from, metadata);
    return text ? strtoll(text, NULL, 10) : option;
}

static flm_status sizes_take(flm_import *m, const flm_convert_options *o, const char *path)
{
    flm_status rc = FLM_OK;
    const int rotary = find(m, frequencies, false);
    int E_at, time_at;
    FLM_TRY(wants(m, path, "vocab_embed.embedding", false, &E_at));
    FLM_TRY(wants(m, path, "sigma_map.mlp.2.bias", false, &time_at));
    const flm_external_tensor *E = &m->all[E_at], *time = &m->all[time_at];
    if (E->ndim != 2 || time->ndim != 1)
        FLM_FAIL(FLM_E_MISMATCH, "%s: %s has %d axes, %s %d", path, E->name, E->ndim, time->name, time->ndim);
    m->info.vocabulary.V = E->dim[0];
    m->info.d = E->dim[1];
    m->info.c = time->dim[0];
    m->info.L = number_of(m, o->length, "flm.length");
    m->info.H = number_of(m, o->heads, "flm.heads");
    if (m->info.H == 0 && rotary >= 0 && m->all[rotary].ndim == 1 && m->all[rotary].dim[0] > 0 &&
        m->info.d % (2 * m->all[rotary].dim[0]) == 0)
        m->info.H = m->info.d / (2 * m->all[rotary].dim[0]);
    if (m->info.L < 1) FLM_FAIL(FLM_E_USAGE, "--length is needed: %s does not say how long its sequences are", path);
    if (m->info.H < 1) FLM_FAIL(FLM_E_USAGE, "--heads is needed: %s has no rotary frequencies to tell them by", path);
    if (m->info.d % (2 * m->info.H) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: hidden size %" PRId64 " does not fall into %" PRId64 " heads of even size", path,
                 m->info.d, m->info.H);
done:
    return rc;
}

static flm_status kind_take(flm_import *m, const flm_convert_options *o, const char *path)
{
    flm_status rc = FLM_OK;
    const bool two = find(m, "sigma_map_prime.mlp.0.weight", false) >= 0;
    const char *name = o->kind, *said = flm_external_get_metadata(m->from, "flm.kind");
    const char *lineage = flm_external_get_metadata(m->from, "flm.parent");
    if (strcmp(name, "auto") == 0) name = said ? said : two ? "" : flm_kinds[FLM_KIND_FLM].name;
    if (!name[0])
        FLM_FAIL(FLM_E_USAGE, "--kind is needed: %s is a two-time network, %s or %s", path,
                 flm_kinds[FLM_KIND_FMLM_TWO_MODEL].name, flm_kinds[FLM_KIND_FMLM_TWO_STAGE].name);
    FLM_TRY(flm_err_prefix(flm_kind_find(name, &m->kind), path));
    if ((m->kind->network == FLM_NETWORK_ONE_TIME) == two)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has %s second time, so it is of another kind than %s", path, two ? "a" : "no",
                 m->kind->name);
    snprintf(m->info.kind, sizeof m->info.kind, "%s", m->kind->name);
    snprintf(m->info.lineage, sizeof m->info.lineage, "%s", o->lineage[0] ? o->lineage : lineage ? lineage : "");
done:
    return rc;
}

static flm_status vocabulary_take(flm_import *m, const flm_convert_options *o, const char *path)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    flm_vocabulary *v = &m->info.vocabulary;
    const char *said = flm_external_get_metadata(m->from, "flm.tokenizer"),
               *name = o->tokenizer[0] ? o->tokenizer : said;
    if (!name) FLM_FAIL(FLM_E_USAGE, "--tokenizer is needed: %s does not say what its tokens are", path);
    if (strlen(name) >= sizeof v->name) FLM_FAIL(FLM_E_USAGE, "--tokenizer: the name is too long");
    snprintf(v->name, sizeof v->name, "%s", name);
    if (strcmp(name, "none") == 0) {
        FLM_TRY(flm_sha256_of(name, strlen(name), v->sha256));
        goto done;
    }
    FLM_TRY(flm_tokenizer_create(name, &tokenizer));
    if (flm_tokenizer_size(tokenizer) > v->V)
        FLM_FAIL(FLM_E_MISMATCH, "%s: has a vocabulary of %" PRId64 ", tokenizer %s has %" PRId64, path, v->V, name,
                 flm_tokenizer_size(tokenizer));
    snprintf(v->sha256, sizeof v->sha256, "%s", flm_tokenizer_sha256(tokenizer));
    v->begin_id = flm_tokenizer_begin_id(tokenizer);
    v->end_id = flm_tokenizer_end_id(tokenizer);
done:
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}

/* ---- the file ---- */

static flm_status datasets_make(flm_import *m, const char *path)
{
    flm_status rc = FLM_OK;
    m->datasets = calloc((size_t)m->tensors, sizeof *m->datasets);
    m->index = calloc((size_t)m->tensors, sizeof *m->index);
    if (!m->datasets || !m->index) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the table of its tensors", path);
    for (int shadow = 0; shadow < 2; shadow++)
        for (int i = 0; i < m->tensors; i++) {
            const flm_external_tensor *t = &m->all[i];
            flm_checkpoint_dataset *d = &m->datasets[m->count];
            if (m->shadow[i] != (shadow == 1) || !m->name[i][0] || strcmp(m->name[i], frequencies) == 0) continue;
            if (find(m, m->name[i], shadow == 1) != i)
                FLM_FAIL(FLM_E_FORMAT, "%s: %s: stands there twice", path, m->name[i]);
            if (t->ndim < 1 || t->ndim > 2) FLM_FAIL(FLM_E_MISMATCH, "%s: %s: has %d axes", path, t->name, t->ndim);
            if (t->dtype == FLM_EXTERNAL_OTHER)
                FLM_FAIL(FLM_E_FORMAT, "%s: %s: is neither f32, f16 nor bf16", path, t->name);
            snprintf(d->name, sizeof d->name, "%s%.87s", shadow ? "ema/" : "weights/", m->name[i]);
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

flm_status flm_convert_flm(const flm_convert_options *options, const char *in, const char *out)
{
    flm_status rc = FLM_OK;
    flm_import m = {.from = NULL};
    const flm_setting setting = {"source", in};
    bool averaged = false;

    FLM_TRY(flm_external_open(in, &m.from));
    m.all = flm_external_tensors(m.from, &m.tensors);
    FLM_TRY(names_make(&m, in));
    FLM_TRY(shadows_name(&m, in));
    for (int i = 0; i < m.tensors; i++) averaged = averaged || m.shadow[i];
    FLM_TRY(kind_take(&m, options, in));
    FLM_TRY(sizes_take(&m, options, in));
    FLM_TRY(whole_check(&m, in, false));
    if (averaged) FLM_TRY(whole_check(&m, in, true));
    FLM_TRY(vocabulary_take(&m, options, in));
    if (!flm_external_get_integer(m.from, "global_step", &m.info.step)) m.info.step = number_of(&m, 0, "flm.step");
    FLM_TRY(datasets_make(&m, in));
    FLM_TRY(flm_checkpoint_write_file(out, &m.info, &setting, 1, m.datasets, m.count, weight_source, &m));
    printf("%s: %s at step %" PRId64 ", %d tensors%s; L %" PRId64 ", V %" PRId64 ", d %" PRId64 ", H %" PRId64
           ", c %" PRId64 ", N %" PRId64 "\n",
           out, m.info.kind, m.info.step, m.count, averaged ? ", averaged weights among them" : "", m.info.L,
           m.info.vocabulary.V, m.info.d, m.info.H, m.info.c, m.info.N);
done:
    flm_external_close(&m.from);
    free(m.name);
    free(m.shadow);
    free(m.datasets);
    free(m.index);
    return rc;
}
