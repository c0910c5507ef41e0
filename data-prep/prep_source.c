/* prep_source.c - the stack of layers, the choice of members, and the limits (prep_source.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep_source.h"

#include "base/base_log.h"
#include "prep_corpus.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 1024, WHERE_BYTES = 2048 };

static const int64_t RATIO_FREE = 16 << 20;      /* --ratio applies only to bytes beyond these */
static const uint64_t MEMORY_MAX = 128ull << 20; /* bytes, for a decompressor */

typedef struct level {
    flm_source *source;
    flm_layer *layer; /* NULL: the file */
    flm_container container;
    char name[NAME_BYTES];                        /* of the current member */
    unsigned char head[FLM_CONTAINER_HEAD_BYTES]; /* its first bytes, which were read to detect its container */
    size_t head_bytes, head_at;
    bool open;   /* there is a current member */
    int64_t out; /* bytes read from this layer */
} level;

struct flm_source {
    const flm_prep_job *job;
    const flm_prep_input *input;
    flm_raw_file *raw;
    level *levels; /* [nesting + 1] */
    int top, deepest;
    bool begun, warned_name, warned_skipped;
    flm_prep_tally tally;
    char where[WHERE_BYTES];
};

flm_status flm_source_open(const flm_prep_job *job, const flm_prep_input *input, int64_t offset, bool want_digest,
                           flm_source **out)
{
    flm_status rc = FLM_OK;
    flm_source *s = calloc(1, sizeof *s);

    if (!s) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", input->path);
    s->job = job;
    s->input = input;
    s->deepest = (int)job->nesting;
    s->levels = calloc((size_t)s->deepest + 1, sizeof *s->levels);
    if (!s->levels) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", input->path);
    for (int i = 0; i <= s->deepest; i++) s->levels[i].source = s;
    FLM_TRY(flm_raw_file_open(input, offset, want_digest, &s->raw));
    *out = s;
    s = NULL;
done:
    flm_source_close(&s);
    return rc;
}

void flm_source_close(flm_source **source)
{
    if (!*source) return;
    for (int i = (*source)->top; i > 0; i--) flm_layer_close(&(*source)->levels[i].layer);
    flm_raw_file_close(&(*source)->raw);
    free((*source)->levels);
    free(*source);
    *source = NULL;
}

flm_raw_file *flm_source_raw_file(flm_source *source) { return source->raw; }
const flm_prep_tally *flm_source_tally(const flm_source *source) { return &source->tally; }

const char *flm_source_where(flm_source *source)
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

/* Bytes of the current member of a level. */
static flm_status level_read(level *l, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    flm_source *s = l->source;
    const size_t left = l->head_bytes - l->head_at;

    if (left > 0) {
        *got = left < bytes ? left : bytes;
        memcpy(buffer, l->head + l->head_at, *got);
        l->head_at += *got;
        goto done;
    }
    if (!l->layer) {
        FLM_TRY(flm_raw_file_read(s->raw, buffer, bytes, got));
        goto done;
    }
    FLM_TRY(flm_layer_read(l->layer, flm_source_where(s), buffer, bytes, got));
    l->out += (int64_t)*got;
    if (l->out > RATIO_FREE && l->out / s->job->ratio > flm_raw_file_position(s->raw))
        FLM_FAIL(FLM_E_FORMAT, "%s: expands to more than %lld bytes for each byte of the file (--ratio)",
                 flm_source_where(s), (long long)s->job->ratio);
done:
    return rc;
}

static flm_status pull(void *from, void *buffer, size_t bytes, size_t *got)
{
    return level_read(from, buffer, bytes, got);
}

/* Read the first bytes of a new member. */
static flm_status read_head(level *l)
{
    flm_status rc = FLM_OK;
    unsigned char head[FLM_CONTAINER_HEAD_BYTES];
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

/* The container that the current member is. */
static flm_status find_container(level *l, flm_container *container)
{
    flm_status rc = FLM_OK;
    flm_source *s = l->source;
    uint64_t memory;

    FLM_TRY(flm_container_identify(l->layer ? l->name : s->input->path, flm_source_where(s), l->head, l->head_bytes,
                                   container));
    memory = flm_container_memory(*container, l->head, l->head_bytes);
    if (memory > MEMORY_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: needs %llu MiB of memory to decompress; at most %llu MiB are allowed",
                 flm_source_where(s), (unsigned long long)memory >> 20, (unsigned long long)MEMORY_MAX >> 20);
done:
    return rc;
}

/* A new layer over the current member. */
static flm_status push(flm_source *s, flm_container container)
{
    flm_status rc = FLM_OK;

    if (s->top == s->deepest)
        FLM_FAIL(FLM_E_FORMAT, "%s: more than %d layers of compression or archives (--nesting)", flm_source_where(s),
                 s->deepest);
    FLM_TRY(flm_layer_open(container, pull, &s->levels[s->top], &s->levels[s->top + 1].layer));
    s->top++;
    s->levels[s->top].container = container;
    s->levels[s->top].open = false;
    s->levels[s->top].out = 0;
done:
    return rc;
}

/* The top layer has ended, and so has the member that it was in. */
static void pop(flm_source *s)
{
    flm_layer_close(&s->levels[s->top].layer);
    s->top--;
    s->levels[s->top].open = false;
}

/* Whether an archive is among the layers. */
static bool packed(const flm_source *s)
{
    for (int i = 1; i <= s->top; i++)
        if (s->levels[i].container >= FLM_CONTAINER_TAR) return true;
    return false;
}

/* Skip the rest of the current member. */
static flm_status skip_rest(level *l)
{
    flm_status rc = FLM_OK;
    char rest[1 << 14];
    size_t got = 1;

    while (got > 0) FLM_TRY(level_read(l, rest, sizeof rest, &got));
    l->open = false;
done:
    return rc;
}

/* Whether a name would leave the folder where the archive is unpacked. Nothing is unpacked here, so it does no harm,
 * but ordinary archives have no such names. */
static bool escapes_archive(const char *name)
{
    if (name[0] == '/') return true;
    for (const char *p = name; p; p = strchr(p, '/'), p += p != NULL)
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0')) return true;
    return false;
}

/* The top layer's next member, or its end. */
static flm_status advance(flm_source *s, flm_layer_entry *entry, bool *end)
{
    flm_status rc = FLM_OK;
    level *l = &s->levels[s->top];

    if (s->top == 0) {
        *end = s->begun;
        *entry = (flm_layer_entry){.regular = true};
        l->open = true;
        s->begun = true;
        goto done;
    }
    FLM_TRY(flm_layer_next(l->layer, flm_source_where(s), entry, end));
    if (*end) goto done;
    snprintf(l->name, sizeof l->name, "%s", entry->name ? entry->name : "");
    l->open = true;
    if (s->top + flm_layer_filters(l->layer) > s->deepest)
        FLM_FAIL(FLM_E_FORMAT, "%s: more than %d layers of compression or archives (--nesting)", flm_source_where(s),
                 s->deepest);
    if (entry->encrypted)
        FLM_FAIL(FLM_E_FORMAT, "%s: the member is encrypted, which is not supported", flm_source_where(s));
    if (escapes_archive(l->name)) {
        if (!s->warned_name && s->job->surveying)
            flm_log(FLM_LOG_WARN,
                    "%s: the name of this member escapes the archive; the member is read like any other, as nothing is "
                    "unpacked",
                    flm_source_where(s));
        s->warned_name = true;
        s->tally.escaping++;
    }
done:
    return rc;
}

/* The name that decides whether the current member is text: without the endings of compressions. */
static void plain_name(const flm_source *s, char *name)
{
    int at = s->top;

    while (at > 0 && s->levels[at].container < FLM_CONTAINER_TAR) at--;
    snprintf(name, NAME_BYTES, "%s", at > 0 ? s->levels[at].name : s->input->path);
    for (char inner[NAME_BYTES]; at < s->top; at++) {
        flm_container_inner_name(name, inner, sizeof inner);
        memcpy(name, inner, sizeof inner);
    }
}

static void count_skipped(flm_source *s)
{
    s->tally.skipped++;
    if (!s->warned_skipped && s->job->surveying)
        flm_log(FLM_LOG_INFO, "%s: skipped, like all other members that are not named as text", flm_source_where(s));
    s->warned_skipped = true;
}

flm_status flm_source_next(flm_source *source, bool *jsonl, bool *end)
{
    flm_status rc = FLM_OK;
    flm_source *s = source;

    for (*end = false;;) {
        level *l = &s->levels[s->top];
        char name[NAME_BYTES];
        flm_layer_entry entry;
        flm_container container = FLM_CONTAINER_NONE;
        flm_corpus_member chosen;
        bool over;

        if (l->open) FLM_TRY(skip_rest(l));
        FLM_TRY(advance(s, &entry, &over));
        if (over && s->top == 0) break;
        if (over) {
            pop(s);
            continue;
        }
        if (!entry.regular) continue;
        if (s->top > 0 || s->input->container != FLM_CONTAINER_NONE) {
            FLM_TRY(read_head(l));
            FLM_TRY(find_container(l, &container));
        }
        if (container != FLM_CONTAINER_NONE) {
            FLM_TRY(push(s, container));
            continue;
        }
        plain_name(s, name);
        chosen = flm_corpus_member_choose(s->job, s->input, name, packed(s));
        if (chosen == FLM_CORPUS_MEMBER_SKIPPED) count_skipped(s);
        if (chosen == FLM_CORPUS_MEMBER_SKIPPED || chosen == FLM_CORPUS_MEMBER_OTHER_PART) continue;
        s->tally.members++;
        *jsonl = chosen == FLM_CORPUS_MEMBER_JSONL;
        goto done;
    }
    *end = true;
done:
    return rc;
}

flm_status flm_source_read(flm_source *source, void *buffer, size_t bytes, size_t *got)
{
    return level_read(&source->levels[source->top], buffer, bytes, got);
}
