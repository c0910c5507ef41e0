/* source_members.c - the stack of layers, the choice of members, and the limits (source_members.h).
 * SPDX-License-Identifier: Apache-2.0 */
#include "source/source_members.h"

#include "base/base_log.h"
#include "source/source_content.h"
#include "source/source_layer.h"
#include "source/source_zip.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 1024, WHERE_BYTES = 2048 };

static const int64_t RATIO_FREE = 16 << 20;      /* --ratio applies only to bytes beyond these */
static const uint64_t MEMORY_MAX = 128ull << 20; /* bytes, for a decompressor */

typedef struct level {
    flm_members *stack;
    flm_layer *layer; /* NULL: the file */
    flm_container container;
    char name[NAME_BYTES];                        /* of the current member */
    unsigned char head[FLM_CONTAINER_HEAD_BYTES]; /* its first bytes, which were read to detect its container */
    size_t head_bytes, head_at;
    bool open;   /* there is a current member */
    int64_t out; /* bytes read from this layer */
} level;

struct flm_members {
    const flm_source_rules *rules;
    const flm_source_file *file;
    flm_raw_file *raw;
    level *levels; /* [nesting + 1] */
    int top, deepest;
    bool begun, warned_name, warned_skipped;
    flm_zip_directory directory; /* of a file that is a zip, if has_directory */
    bool has_directory;
    flm_source_tally tally;
    char where[WHERE_BYTES];
};

flm_status flm_members_open(const flm_source_rules *rules, const flm_source_file *file, int64_t offset,
                            bool want_digest, flm_members **out)
{
    flm_status rc = FLM_OK;
    flm_members *s = calloc(1, sizeof *s);

    if (!s) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", file->path);
    s->rules = rules;
    s->file = file;
    s->deepest = (int)rules->nesting;
    s->levels = calloc((size_t)s->deepest + 1, sizeof *s->levels);
    if (!s->levels) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", file->path);
    for (int i = 0; i <= s->deepest; i++) s->levels[i].stack = s;
    FLM_TRY(flm_raw_file_open(file, offset, want_digest, &s->raw));
    *out = s;
    s = NULL;
done:
    flm_members_close(&s);
    return rc;
}

void flm_members_close(flm_members **members)
{
    if (!*members) return;
    for (int i = (*members)->top; i > 0; i--) flm_layer_close(&(*members)->levels[i].layer);
    flm_raw_file_close(&(*members)->raw);
    flm_zip_directory_free(&(*members)->directory);
    free((*members)->levels);
    free(*members);
    *members = NULL;
}

flm_raw_file *flm_members_raw_file(flm_members *members) { return members->raw; }
flm_source_tally *flm_members_tally(flm_members *members) { return &members->tally; }

const char *flm_members_where(flm_members *members)
{
    char *p = members->where, *end = p + WHERE_BYTES;

    p += snprintf(p, WHERE_BYTES / 2, "%s", members->file->path);
    if (p > members->where + WHERE_BYTES / 2 - 1) p = members->where + WHERE_BYTES / 2 - 1;
    for (int i = 1; i <= members->top; i++) {
        const level *l = &members->levels[i];
        if (!l->open || members->levels[i].name[0] == '\0') continue;
        if (p < end - 3) *p++ = ':', *p++ = ' ';
        for (const char *c = l->name; *c && p < end - 1; c++) *p++ = (unsigned char)*c < 32 || *c == 127 ? '?' : *c;
    }
    *p = '\0';
    return members->where;
}

/* Bytes of the current member of a level. */
static flm_status level_read(level *l, void *buffer, size_t bytes, size_t *got)
{
    flm_status rc = FLM_OK;
    flm_members *s = l->stack;
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
    FLM_TRY(flm_layer_read(l->layer, flm_members_where(s), buffer, bytes, got));
    l->out += (int64_t)*got;
    if (l->out > RATIO_FREE && l->out / s->rules->ratio > flm_raw_file_position(s->raw))
        FLM_FAIL(FLM_E_FORMAT, "%s: expands to more than %lld bytes for each byte of the file (--ratio)",
                 flm_members_where(s), (long long)s->rules->ratio);
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

/* A new layer over the current member. */
static flm_status push(flm_members *s, flm_container container)
{
    flm_status rc = FLM_OK;

    if (s->top == s->deepest)
        FLM_FAIL(FLM_E_FORMAT, "%s: more than %d layers of compression or archives (--nesting)", flm_members_where(s),
                 s->deepest);
    FLM_TRY(flm_layer_open(container, pull, &s->levels[s->top], &s->levels[s->top + 1].layer));
    if (container == FLM_CONTAINER_ZIP && s->top == 0) {
        FLM_TRY(flm_zip_directory_read(flm_raw_file_descriptor(s->raw), s->file->path, s->file->bytes, &s->directory,
                                       &s->has_directory));
        if (s->has_directory) flm_layer_deleted_known(s->levels[1].layer);
    }
    s->top++;
    s->levels[s->top].container = container;
    s->levels[s->top].open = false;
    s->levels[s->top].out = 0;
done:
    return rc;
}

/* The top layer has ended, and so has the member that it was in. */
static void pop(flm_members *s)
{
    flm_layer_close(&s->levels[s->top].layer);
    s->top--;
    s->levels[s->top].open = false;
}

/* Whether an archive is among the layers. */
static bool packed(const flm_members *s)
{
    for (int i = 1; i <= s->top; i++)
        if (flm_container_is_archive(s->levels[i].container)) return true;
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
static flm_status advance(flm_members *s, flm_layer_entry *entry, bool *end)
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
    FLM_TRY(flm_layer_next(l->layer, flm_members_where(s), entry, end));
    if (*end) goto done;
    snprintf(l->name, sizeof l->name, "%s", entry->name ? entry->name : "");
    l->open = true;
    if (s->top + flm_layer_filters(l->layer) > s->deepest)
        FLM_FAIL(FLM_E_FORMAT, "%s: more than %d layers of compression or archives (--nesting)", flm_members_where(s),
                 s->deepest);
    if (escapes_archive(l->name)) {
        if (!s->warned_name && s->rules->log)
            flm_log(FLM_LOG_WARN,
                    "%s: the name of this member escapes the archive; the member is read like any other, as nothing is "
                    "unpacked",
                    flm_members_where(s));
        s->warned_name = true;
        s->tally.escaping++;
    }
done:
    return rc;
}

/* The name that decides whether the current member is text: without the endings of compressions. */
static void plain_name(const flm_members *s, char *name)
{
    int at = s->top;
    char inner[NAME_BYTES];

    while (at > 0 && !flm_container_is_archive(s->levels[at].container)) at--;
    snprintf(name, NAME_BYTES, "%s", at > 0 ? s->levels[at].name : s->file->path);
    for (; at < s->top; at++) {
        if (flm_container_is_encoding(s->levels[at + 1].container)) continue;
        flm_container_inner_name(name, inner, sizeof inner);
        memcpy(name, inner, sizeof inner);
    }
    if (!flm_container_is_compression(flm_container_of_name(name))) return;
    flm_container_inner_name(name, inner, sizeof inner); /* named as compressed, but empty or skipped */
    memcpy(name, inner, sizeof inner);
}

static bool is_text_by_name(const char *name)
{
    return flm_container_name_ends_in(name, ".txt") || flm_container_name_ends_in(name, ".text") ||
           flm_container_name_is_lines(name);
}

static flm_source_choice choose(const flm_members *s, const char *name)
{
    const flm_source_rules *rules = s->rules;

    if (rules->choose) return rules->choose(rules->chooser, s->file, name, packed(s));
    if (!packed(s)) return FLM_SOURCE_READ;
    if (*rules->members) return fnmatch(rules->members, name, 0) == 0 ? FLM_SOURCE_READ : FLM_SOURCE_SKIPPED;
    return is_text_by_name(name) ? FLM_SOURCE_READ : FLM_SOURCE_SKIPPED;
}

/* Whether the current member, or what is compressed in it, is in an archive and has a name that is neither that of a
 * text, nor of an archive, nor without an ending, as texts and archives may be. */
static bool is_other_by_name(const flm_members *s)
{
    char name[NAME_BYTES];
    const char *slash, *dot;

    if (!packed(s)) return false;
    plain_name(s, name);
    slash = strrchr(name, '/');
    dot = strrchr(slash ? slash : name, '.');
    if (!dot || !isalnum((unsigned char)dot[1]) || strlen(dot) > 6) return false;
    return flm_container_of_name(name) == FLM_CONTAINER_NONE && choose(s, name) == FLM_SOURCE_SKIPPED;
}

static void count_skipped(flm_members *s)
{
    s->tally.skipped++;
    if (!s->warned_skipped && s->rules->log)
        flm_log(FLM_LOG_INFO, "%s: skipped, like all other members that are not named as text", flm_members_where(s));
    s->warned_skipped = true;
}

/* The container that the current member is. *other: it is nothing that can be text and no error, as its name is not
 * that of a text either. */
static flm_status find_container(flm_members *s, flm_container *container, bool *other)
{
    flm_status rc = FLM_OK;
    level *l = &s->levels[s->top];
    const char *name = l->layer ? l->name : s->file->path, *format = NULL;
    bool misnamed = false;
    uint64_t memory;

    *container = flm_container_identify(name, l->head, l->head_bytes, &misnamed);
    *other = misnamed && is_other_by_name(s);
    if (*other) goto done;
    if (misnamed)
        FLM_FAIL(FLM_E_FORMAT, "%s: is named as %s, but its content is not: damaged or misnamed", flm_members_where(s),
                 flm_container_name(flm_container_of_name(name)));
    if (*container == FLM_CONTAINER_ZIP && !*s->rules->members && !s->rules->allow_binary)
        format = flm_content_zip_format(l->head, l->head_bytes);
    *other = format && packed(s);
    if (format && !*other)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is %s, not an archive of texts; select members with --members to read them "
                 "anyway",
                 flm_members_where(s), format);
    memory = flm_container_memory(*container, l->head, l->head_bytes);
    if (memory > MEMORY_MAX)
        FLM_FAIL(FLM_E_FORMAT, "%s: needs %llu MiB of memory to decompress; at most %llu MiB are allowed",
                 flm_members_where(s), (unsigned long long)memory >> 20, (unsigned long long)MEMORY_MAX >> 20);
done:
    return rc;
}

/* Whether macOS adds members of this name to archives. */
static bool is_of_macos(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *folder = strstr(name, "__MACOSX/");

    return strncmp(base, "._", 2) == 0 || strcmp(base, ".DS_Store") == 0 ||
           (folder && (folder == name || folder[-1] == '/'));
}

/* Whether to skip a new member of an archive without looking into it. */
static flm_status pass_over(flm_members *s, const flm_layer_entry *entry, bool *skip)
{
    flm_status rc = FLM_OK;
    level *l = &s->levels[s->top];

    *skip = false;
    if (!entry->name) goto done;
    *skip = true;
    if (s->top == 1 && s->has_directory && !flm_zip_directory_lists(&s->directory, entry->begin, entry->end))
        s->tally.deleted++;
    else if (entry->regular && is_of_macos(l->name))
        s->tally.system++;
    else if (!entry->regular)
        ;
    else if (entry->encrypted && is_other_by_name(s))
        count_skipped(s);
    else
        *skip = false;
    if (!*skip && entry->encrypted)
        FLM_FAIL(FLM_E_FORMAT, "%s: the member is encrypted, which is not supported", flm_members_where(s));
    if (*skip) FLM_TRY(flm_layer_skip(l->layer, flm_members_where(s)));
    l->open = !*skip;
done:
    return rc;
}

/* The current member is a text: check that its content is, and find its format. */
static flm_status begin_text(flm_members *s, const char *name, bool *jsonl)
{
    flm_status rc = FLM_OK;
    const level *l = &s->levels[s->top];

    s->tally.members++;
    if (s->top == 0 && s->file->container == FLM_CONTAINER_NONE) { /* flm_source_examine has done so */
        *jsonl = s->file->format == FLM_SOURCE_FORMAT_JSONL;
        goto done;
    }
    s->tally.decoded += s->top > 0 && flm_container_is_encoding(l->container);
    if (!s->rules->allow_binary) FLM_TRY(flm_content_check(flm_members_where(s), l->head, l->head_bytes));
    FLM_TRY(flm_source_find_format(s->rules, flm_members_where(s), name, l->head, l->head_bytes, jsonl));
done:
    return rc;
}

/* The next member whose layers are all open, or the end of the input. *container: what the member is. */
static flm_status next_opened(flm_members *s, flm_container *container, bool *none, bool *end)
{
    flm_status rc = FLM_OK;
    level *l = &s->levels[s->top];
    flm_layer_entry entry;
    bool over, skip, other = false;

    *container = FLM_CONTAINER_NONE;
    *none = true;
    if (l->open) FLM_TRY(skip_rest(l));
    FLM_TRY(advance(s, &entry, &over));
    *end = over && s->top == 0;
    if (over && s->top > 0) pop(s);
    if (over) goto done;
    FLM_TRY(pass_over(s, &entry, &skip));
    if (skip) goto done;
    if (s->top > 0 || s->file->container != FLM_CONTAINER_NONE) {
        FLM_TRY(read_head(l));
        FLM_TRY(find_container(s, container, &other));
    }
    *none = other;
    if (other) count_skipped(s);
done:
    return rc;
}

flm_status flm_members_next(flm_members *members, bool *jsonl, bool *end)
{
    flm_status rc = FLM_OK;
    flm_members *s = members;

    for (*end = false; !*end;) {
        char name[NAME_BYTES];
        flm_container container;
        flm_source_choice chosen;
        bool none;

        FLM_TRY(next_opened(s, &container, &none, end));
        if (none) continue;
        if (container != FLM_CONTAINER_NONE) {
            FLM_TRY(push(s, container));
            continue;
        }
        plain_name(s, name);
        chosen = choose(s, name);
        if (chosen == FLM_SOURCE_SKIPPED) count_skipped(s);
        if (chosen != FLM_SOURCE_READ) continue;
        FLM_TRY(begin_text(s, name, jsonl));
        break;
    }
done:
    return rc;
}

flm_status flm_members_read(flm_members *members, void *buffer, size_t bytes, size_t *got)
{
    return level_read(&members->levels[members->top], buffer, bytes, got);
}
