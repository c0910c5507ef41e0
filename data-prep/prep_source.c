/* prep_source.c - see prep_source.h: the stack of layers, what is taken of them, and their limits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_source.h"

#include "base/base_log.h"
#include "prep_corpus.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 1024, WHERE_BYTES = 2048 };

static const int64_t RATIO_FREE = 16 << 20;      /* bytes out of a file before their ratio is looked at */
static const uint64_t MEMORY_MAX = 128ull << 20; /* of a decompressor */

typedef struct level {
    prep_source *source;
    prep_layer *layer; /* NULL: the file */
    prep_kind kind;
    char name[NAME_BYTES];               /* of the member at hand */
    unsigned char head[PREP_HEAD_BYTES]; /* its first bytes, looked at before they are read */
    size_t head_bytes, head_at;
    bool open;   /* there is a member at hand */
    int64_t out; /* bytes that came out of this layer */
} level;

struct prep_source {
    const prep_job *job;
    const prep_input *input;
    prep_raw *raw;
    level *levels; /* [nesting + 1] */
    int top, deepest;
    bool begun, warned_name, warned_passed;
    prep_tally tally;
    char where[WHERE_BYTES];
};

flm_status prep_source_open(const prep_job *job, const prep_input *input, int64_t offset, bool sum_wanted,
                            prep_source **out)
{
    flm_status rc = FLM_OK;
    prep_source *s = calloc(1, sizeof *s);

    if (!s) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", input->path);
    s->job = job;
    s->input = input;
    s->deepest = (int)job->nesting;
    s->levels = calloc((size_t)s->deepest + 1, sizeof *s->levels);
    if (!s->levels) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", input->path);
    for (int i = 0; i <= s->deepest; i++) s->levels[i].source = s;
    FLM_TRY(prep_raw_open(input, offset, sum_wanted, &s->raw));
    *out = s;
    s = NULL;
done:
    prep_source_close(&s);
    return rc;
}

void prep_source_close(prep_source **source)
{
    if (!*source) return;
    for (int i = (*source)->top; i > 0; i--) prep_layer_close(&(*source)->levels[i].layer);
    prep_raw_close(&(*source)->raw);
    free((*source)->levels);
    free(*source);
    *source = NULL;
}

prep_raw *prep_source_raw(prep_source *source) { return source->raw; }
const prep_tally *prep_source_tally(const prep_source *source) { return &source->tally; }

const char *prep_source_where(prep_source *source)
{
    char *p = source->where, *end = p + WHERE_BYTES;

    p += snprintf(p, WHERE_BYTES / 2, "%s", source->input->path);
    if (p > source->where + WHERE_BYTES / 2 - 1) p = source->where + WHERE_BYTES / 2 - 1;
    for (int i = 1; i <= source->top; i++) {
        const level *l = &source->levels[i];
        if (!l->open || source->levels[i].name[0] == '\0') continue;
        if (p < end - 3) *p++ = ':', *p++ = ' ';
        for (const char *c = l->name; *c && p < end - 1; c++) *p++ = (unsigned char)*c < 32 || *c == 127 ? '?' : *c;
    }
    *p = '\0';
    return source->where;
}

/* Bytes of the member at hand of a level. */
static flm_status level_read(level *l, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    prep_source *s = l->source;
    const size_t left = l->head_bytes - l->head_at;

    if (left > 0) {
        *got = left < bytes ? left : bytes;
        memcpy(buffer, l->head + l->head_at, *got);
        l->head_at += *got;
        goto done;
    }
    if (!l->layer) {
        FLM_TRY(prep_raw_read(s->raw, buffer, bytes, got));
        goto done;
    }
    FLM_TRY(prep_layer_read(l->layer, prep_source_where(s), buffer, bytes, got));
    l->out += (int64_t)*got;
    if (l->out > RATIO_FREE && l->out / s->job->ratio > prep_raw_position(s->raw))
        FLM_FAIL(FLM_E_FORMAT, "%s: more than --ratio %lld bytes have come out of every byte of the file",
                 prep_source_where(s), (long long)s->job->ratio);
done:
    return rc;
}

static flm_status pull(void *from, void *buffer, size_t bytes, size_t *got)
{
    return level_read(from, buffer, bytes, got);
}

/* The first bytes of a member just begun. */
static flm_status look(level *l)
{
    flm_status rc = FLM_OK;
    unsigned char head[PREP_HEAD_BYTES];
    size_t have = 0, got = 1;

    l->head_bytes = l->head_at = 0;
    while (have < sizeof head && got > 0) {
        FLM_TRY(level_read(l, head + have, sizeof head - have, &got));
        have += got;
    }
    memcpy(l->head, head, have);
    l->head_bytes = have;
done:
    return rc;
}

/* What the member is; a name that promises something else is an error. */
static flm_status kind_of(level *l, prep_kind *kind)
{
    flm_status rc = FLM_OK;
    prep_source *s = l->source;
    const prep_kind named = prep_kind_named(l->layer ? l->name : s->input->path);

    *kind = prep_kind_of(l->head, l->head_bytes);
    if (*kind == PREP_PLAIN && named == PREP_TAR && prep_kind_tar_empty(l->head, l->head_bytes)) *kind = PREP_TAR;
    if (*kind == PREP_PLAIN && named != PREP_PLAIN)
        FLM_FAIL(FLM_E_FORMAT, "%s: is named as %s and is none: it is damaged or something else", prep_source_where(s),
                 prep_kind_name(named));
    if (prep_kind_memory(*kind, l->head, l->head_bytes) > MEMORY_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: needs %llu MiB of memory to decompress; %llu are the most", prep_source_where(s),
                 (unsigned long long)prep_kind_memory(*kind, l->head, l->head_bytes) >> 20,
                 (unsigned long long)MEMORY_MAX >> 20);
done:
    return rc;
}

/* A further layer over the member of the topmost. */
static flm_status push(prep_source *s, prep_kind kind)
{
    flm_status rc = FLM_OK;

    if (s->top == s->deepest)
        FLM_FAIL(FLM_E_FORMAT, "%s: is packed more than --nesting %d times", prep_source_where(s), s->deepest);
    FLM_TRY(prep_layer_open(kind, pull, &s->levels[s->top], &s->levels[s->top + 1].layer));
    s->top++;
    s->levels[s->top].kind = kind;
    s->levels[s->top].open = false;
    s->levels[s->top].out = 0;
done:
    return rc;
}

/* The topmost layer is over, and so is the member that it was in. */
static void pop(prep_source *s)
{
    prep_layer_close(&s->levels[s->top].layer);
    s->top--;
    s->levels[s->top].open = false;
}

/* Whether an archive is among the layers. */
static bool packed(const prep_source *s)
{
    for (int i = 1; i <= s->top; i++)
        if (s->levels[i].kind >= PREP_TAR) return true;
    return false;
}

/* The rest of the member at hand. */
static flm_status pass_over(level *l)
{
    flm_status rc = FLM_OK;
    char rest[1 << 14];
    size_t got = 1;

    while (got > 0) FLM_TRY(level_read(l, rest, sizeof rest, &got));
    l->open = false;
done:
    return rc;
}

/* Nothing is unpacked, so that such a name does no harm; but it is not what an honest archive has. */
static bool leaves(const char *name)
{
    if (name[0] == '/') return true;
    for (const char *p = name; p; p = strchr(p, '/'), p += p != NULL)
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0')) return true;
    return false;
}

/* The topmost layer's next member, or its end. */
static flm_status advance(prep_source *s, prep_entry *entry, bool *end)
{
    flm_status rc = FLM_OK;
    level *l = &s->levels[s->top];

    if (s->top == 0) {
        *end = s->begun;
        *entry = (prep_entry){.regular = true};
        l->open = true;
        s->begun = true;
        goto done;
    }
    FLM_TRY(prep_layer_next(l->layer, prep_source_where(s), entry, end));
    if (*end) goto done;
    snprintf(l->name, sizeof l->name, "%s", entry->name ? entry->name : "");
    l->open = true;
    if (s->top + prep_layer_filters(l->layer) > s->deepest)
        FLM_FAIL(FLM_E_FORMAT, "%s: is packed more than --nesting %d times", prep_source_where(s), s->deepest);
    if (entry->encrypted) FLM_FAIL(FLM_E_FORMAT, "%s: is encrypted", prep_source_where(s));
    if (leaves(l->name)) {
        if (!s->warned_name && s->job->surveying)
            flm_log(FLM_LOG_WARN, "%s: a name that leaves the archive; it is read as any other, nothing is unpacked",
                    prep_source_where(s));
        s->warned_name = true;
        s->tally.leaving++;
    }
done:
    return rc;
}

/* The name by which the member at hand is judged: its own, less what its compressions add. */
static void judged_name(const prep_source *s, char *name)
{
    int at = s->top;

    while (at > 0 && s->levels[at].kind < PREP_TAR) at--;
    snprintf(name, NAME_BYTES, "%s", at > 0 ? s->levels[at].name : s->input->path);
    for (char inner[NAME_BYTES]; at < s->top; at++) {
        prep_kind_inner_name(name, inner, sizeof inner);
        memcpy(name, inner, sizeof inner);
    }
}

static void count_passed(prep_source *s)
{
    s->tally.passed++;
    if (!s->warned_passed && s->job->surveying)
        flm_log(FLM_LOG_INFO, "%s: is passed over, and so are others that are no text by name", prep_source_where(s));
    s->warned_passed = true;
}

flm_status prep_source_next(prep_source *source, bool *jsonl, bool *end)
{
    flm_status rc = FLM_OK;
    prep_source *s = source;

    for (*end = false;;) {
        level *l = &s->levels[s->top];
        char name[NAME_BYTES];
        prep_entry entry;
        prep_kind kind = PREP_PLAIN;
        prep_member chosen;
        bool over;

        if (l->open) FLM_TRY(pass_over(l));
        FLM_TRY(advance(s, &entry, &over));
        if (over && s->top == 0) break;
        if (over) {
            pop(s);
            continue;
        }
        if (!entry.regular) continue;
        if (s->top > 0 || s->input->kind != PREP_PLAIN) {
            FLM_TRY(look(l));
            FLM_TRY(kind_of(l, &kind));
        }
        if (kind != PREP_PLAIN) {
            FLM_TRY(push(s, kind));
            continue;
        }
        judged_name(s, name);
        chosen = prep_member_choose(s->job, s->input, name, packed(s));
        if (chosen == PREP_MEMBER_PASSED) count_passed(s);
        if (chosen == PREP_MEMBER_PASSED || chosen == PREP_MEMBER_OTHER) continue;
        s->tally.members++;
        *jsonl = chosen == PREP_MEMBER_JSONL;
        goto done;
    }
    *end = true;
done:
    return rc;
}

flm_status prep_source_read(prep_source *source, void *buffer, size_t bytes, size_t *got)
{
    return level_read(&source->levels[source->top], buffer, bytes, got);
}
