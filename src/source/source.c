/* source.c - input files examined before they are read (source.h). SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

#include "base/base_file.h"
#include "base/base_log.h"
#include "source/source_container.h"
#include "source/source_content.h"
#include "source/source_json.h"
#include "source/source_options.h"
#include "source/source_white.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const flm_source_documents_names[] = {"line", "blank", "file", NULL};
const char *const flm_source_format_names[] = {"auto", "text", "jsonl", NULL};
const char *const flm_source_bad_line_names[] = {"skip", "fail", NULL};

void flm_source_tally_add(flm_source_tally *total, const flm_source_tally *more)
{
    total->members += more->members;
    total->skipped += more->skipped;
    total->escaping += more->escaping;
    total->system += more->system;
    total->deleted += more->deleted;
    total->decoded += more->decoded;
    total->marks += more->marks;
    total->bad_lines += more->bad_lines;
    total->text_bytes += more->text_bytes;
}

/* Whether the first line is a JSON object, or begins as one and is longer than the head. */
static flm_status begins_with_object(const unsigned char *head, size_t bytes, bool *is)
{
    flm_status rc = FLM_OK;
    const size_t mark = bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char *line = (const char *)head + mark, *end = memchr(line, '\n', bytes - mark);

    *is = flm_content_json(head, bytes) == FLM_CONTENT_JSON_LINES && *line == '{';
    if (*is && !end && bytes == FLM_CONTAINER_HEAD_BYTES)
        *is = line[1] == '"';
    else if (*is)
        FLM_TRY(flm_json_line_is_object(line, end ? (size_t)(end - line) : bytes - mark, is));
done:
    return rc;
}

/* A file named .json must be JSON; one named .jsonl must not be one JSON document, which no line of it would show. */
static flm_status check_json(const char *where, bool named_json, flm_content_json_kind kind)
{
    flm_status rc = FLM_OK;

    if (kind == FLM_CONTENT_JSON_DOCUMENT || (named_json && kind == FLM_CONTENT_JSON_ARRAY))
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is one JSON document, not JSON lines: convert it to one object per line (for an array: jq -c "
                 "'.[]'), or read it as plain text with --format text",
                 where);
    if (named_json && kind == FLM_CONTENT_JSON_NONE)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is named as JSON, but does not begin with a JSON object; use --format text or --format jsonl to "
                 "read it anyway",
                 where);
done:
    return rc;
}

flm_status flm_source_find_format(const flm_source_rules *rules, const char *where, const char *name,
                                  const unsigned char *head, size_t bytes, bool *jsonl)
{
    flm_status rc = FLM_OK;
    const bool lines = flm_container_name_is_lines(name);
    const bool json = flm_container_name_ends_in(name, ".json");
    const bool text = flm_container_name_ends_in(name, ".txt") || flm_container_name_ends_in(name, ".text");
    bool object = false;

    *jsonl = rules->format == FLM_SOURCE_FORMAT_JSONL || lines || json;
    if (rules->format == FLM_SOURCE_FORMAT_TEXT) *jsonl = false;
    if (rules->format != FLM_SOURCE_FORMAT_AUTO) goto done;
    if (*jsonl) {
        if (!flm_white_is_all((const char *)head, bytes))
            FLM_TRY(check_json(where, json, flm_content_json(head, bytes)));
        goto done;
    }
    FLM_TRY(begins_with_object(head, bytes, &object));
    if (!object && !flm_content_is_json_document(head, bytes)) goto done;
    *jsonl = object && !text;
    if (text && rules->log)
        flm_log(FLM_LOG_WARN, "%s: begins with a JSON %s, but is read as plain text because of its name%s", where,
                object ? "object" : "document", object ? "; use --format jsonl to read it as JSON lines" : "");
    if (!text && !object) FLM_TRY(check_json(where, true, FLM_CONTENT_JSON_DOCUMENT));
    if (*jsonl && rules->log) flm_log(FLM_LOG_INFO, "%s: begins with a JSON object: reading it as JSON lines", where);
done:
    return rc;
}

/* Why a file that is no regular file cannot be read. Texts are read more than once, which pipes do not allow. */
static const char *kind_name(mode_t mode)
{
    if (S_ISDIR(mode)) return "is a directory; list the files in it instead";
    if (S_ISFIFO(mode)) return "is a pipe, not a regular file: texts are read more than once; save it to a file first";
    if (S_ISSOCK(mode)) return "is a socket, not a regular file";
    return "is a device, not a regular file";
}

flm_status flm_source_examine(const char *path, const flm_source_rules *rules, flm_source_file *file)
{
    flm_status rc = FLM_OK;
    unsigned char *head = malloc(FLM_CONTAINER_HEAD_BYTES);
    struct stat st;
    size_t got = 0;
    bool misnamed, jsonl = false;

    if (!head) FLM_FAIL(FLM_E_NOMEM, "no memory to read %s", path);
    if (stat(path, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_FORMAT, "%s: %s", path, kind_name(st.st_mode));
    FLM_TRY(flm_file_read_head(path, head, FLM_CONTAINER_HEAD_BYTES, &got));
    *file = (flm_source_file){
        .path = path, .bytes = st.st_size, .mtime_s = st.st_mtim.tv_sec, .mtime_ns = st.st_mtim.tv_nsec};
    if (flm_content_lfs_pointer(head, got))
        FLM_FAIL(FLM_E_FORMAT, "%s: is a Git LFS pointer; fetch the file with git lfs pull", path);
    file->container = (int)flm_container_identify(path, head, got, &misnamed);
    if (misnamed)
        FLM_FAIL(FLM_E_FORMAT, "%s: is named as %s, but its content is not: damaged or misnamed", path,
                 flm_container_name(flm_container_of_name(path)));
    if (got == 0 && flm_container_of_name(path) != FLM_CONTAINER_NONE && rules->log)
        flm_log(FLM_LOG_WARN, "%s: is empty (0 bytes), which is not valid %s; read as an empty text", path,
                flm_container_name(flm_container_of_name(path)));
    if (file->container != FLM_CONTAINER_NONE) goto done;
    if (!rules->allow_binary) FLM_TRY(flm_content_check(path, head, got));
    FLM_TRY(flm_source_find_format(rules, path, path, head, got, &jsonl));
    file->format = jsonl ? FLM_SOURCE_FORMAT_JSONL : FLM_SOURCE_FORMAT_TEXT;
done:
    free(head);
    return rc;
}
