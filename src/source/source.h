/* source.h - texts as users have them: what an input file is, which rules its reading follows, what was counted.
 *
 * The module reads files of text in any compression and archive, in UTF-8, UTF-16 and UTF-32, as plain text or as lines
 * of JSON, and divides them into documents. It knows neither shards nor scores.
 * Files: source_options.h (options), source_reader.h (documents), source_members.h (members of archives),
 * source_container.h (kinds of compressions and archives), source_layer.h (one of them, decoded), source_raw.h (the
 * file), source_zip.h (the directory of a zip), source_content.h (what bytes are not text), source_json.h (a line of
 * JSON), source_white.h (white space). SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_H
#define FLM_SOURCE_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values of --documents, --format and --on-bad-line. */
typedef enum flm_source_documents { FLM_SOURCE_LINE, FLM_SOURCE_BLANK, FLM_SOURCE_FILE } flm_source_documents;
typedef enum flm_source_format {
    FLM_SOURCE_FORMAT_AUTO,
    FLM_SOURCE_FORMAT_TEXT,
    FLM_SOURCE_FORMAT_JSONL
} flm_source_format;
typedef enum flm_source_bad_line { FLM_SOURCE_BAD_LINE_SKIP, FLM_SOURCE_BAD_LINE_FAIL } flm_source_bad_line;

/* An input file as it was when it was first examined; a later difference means that it has changed. */
typedef struct flm_source_file {
    const char *path;
    int container; /* flm_container of the file itself */
    int format;    /* flm_source_format of a plain file: _TEXT or _JSONL */
    int64_t bytes, mtime_s, mtime_ns;
} flm_source_file;

/* Whether a member is skipped, is left to another reading of the file, or is read. */
typedef enum flm_source_choice { FLM_SOURCE_SKIPPED, FLM_SOURCE_OTHER_PART, FLM_SOURCE_READ } flm_source_choice;

/* Chooses the members. packed: the member is in an archive; otherwise name is the path of the file. Names are without
 * the endings of compressions. */
typedef flm_source_choice flm_source_choose(const void *chooser, const flm_source_file *file, const char *name,
                                            bool packed);

typedef struct flm_source_rules {
    /* options, see source_options.h */
    const char *field, *members;
    int documents, format, on_bad_line;
    int64_t document_bytes, ratio, nesting;
    bool allow_binary;
    /* set by the program */
    bool keep_mark;            /* keep a byte order mark at the beginning of plain text as a character */
    bool keep_white;           /* lines of JSON: a text without characters, or of white space, is a document too */
    bool log;                  /* report the first skipped member and the first bad line of a file */
    flm_source_choose *choose; /* NULL: by the names that are those of text, or by `members` */
    const void *chooser;
} flm_source_rules;

/* Counts of one reading of a file. */
typedef struct flm_source_tally {
    int64_t members, skipped, escaping; /* members read, not named as text, and with names that escape the archive */
    int64_t system;                     /* members that macOS adds, skipped */
    int64_t deleted;                    /* entries of a zip that its directory does not list, skipped */
    int64_t decoded, marks;             /* members in UTF-16 or UTF-32; UTF-8 byte order marks removed */
    int64_t bad_lines, text_bytes;      /* of JSON, skipped; in documents */
} flm_source_tally;

void flm_source_tally_add(flm_source_tally *total, const flm_source_tally *more);

/* flm_source_examine - fill in *file for the path. Errors: FLM_E_IO; FLM_E_FORMAT for what is not a regular file or
 * cannot be text, unless rules->allow_binary: see flm_content_check. Never waits for the writer of a pipe. */
flm_status flm_source_examine(const char *path, const flm_source_rules *rules, flm_source_file *file);

/* flm_source_find_format - whether a text with this name and head [bytes] has lines of JSON, see --format.
 * where: for messages. Errors: FLM_E_FORMAT for JSON that has no lines, where the name promises JSON; FLM_E_NOMEM. */
flm_status flm_source_find_format(const flm_source_rules *rules, const char *where, const char *name,
                                  const unsigned char *head, size_t bytes, bool *jsonl);

#endif
