/* source_options.h - the options of every program that reads texts. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_OPTIONS_H
#define FLM_SOURCE_OPTIONS_H

#include "base/base_options.h"
#include "source/source.h"

/* The values of --documents, --format and --on-bad-line as they are given on the command line; NULL-terminated. */
extern const char *const flm_source_documents_names[], *const flm_source_format_names[],
                                                           *const flm_source_bad_line_names[];

/* Rows of an option table, for the flm_source_rules at `rules` in FLM_OPT_STRUCT. */
#define FLM_SOURCE_OPTIONS(rules)                                                                            \
    FLM_OPT_CHOICE(                                                                                          \
        "format", rules.format, "auto", flm_source_format_names,                                             \
        "format of text files\nauto = jsonl if the name ends in .jsonl, .ndjson, .jsonlines or .jl, or the " \
        "first line is a JSON object and the name does not end in .txt or .text; else text"),                \
        FLM_OPT_STRING("field", rules.field, "text", "NAME", "JSON field that contains the text"),           \
        FLM_OPT_STRING("members", rules.members, "", "PATTERN",                                              \
                       "archive members to read, as a shell pattern in which * also matches /\n"             \
                       "default: names that end in .txt, .text, .jsonl, .ndjson, .jsonlines or .jl"),        \
        FLM_OPT_CHOICE("on-bad-line", rules.on_bad_line, "fail", flm_source_bad_line_names,                  \
                       "how to treat a line that is not JSON or lacks the field: skip (and count) or fail"), \
        FLM_OPT_BOOL("allow-binary", rules.allow_binary, "no",                                               \
                     "read files as text even if they look like a binary format")
#define FLM_SOURCE_LIMITS(rules)                                                                                \
    FLM_OPT_INT("document-bytes", rules.document_bytes, "16777216", "N",                                        \
                "maximum size of a document in bytes\na rank may need 25 times as much memory", .min = 1,       \
                .limit = 1073741824),                                                                           \
        FLM_OPT_INT("ratio", rules.ratio, "1000", "N",                                                          \
                    "maximum ratio of decompressed to compressed size\nthe first 16 MiB of output are exempt",  \
                    .min = 1, .limit = 1000000000),                                                             \
        FLM_OPT_INT("nesting", rules.nesting, "8", "N",                                                         \
                    "maximum number of nested layers of compression and archives; a .tar.gz has two", .min = 1, \
                    .max = 32)

#endif
