/* source_container.c - see source_container.h. Sources: RFC 1952
 * (gzip), the .xz file format 1.2.0, RFC 8878 (zstd), POSIX ustar, APPNOTE (zip). SPDX-License-Identifier: Apache-2.0
 */
#include "source/source_container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *ending;
    flm_container container;
} endings[] = {{".gz", FLM_CONTAINER_GZIP},   {".tgz", FLM_CONTAINER_GZIP},   {".xz", FLM_CONTAINER_XZ},
               {".lz4", FLM_CONTAINER_LZ4},   {".z", FLM_CONTAINER_COMPRESS}, {".taz", FLM_CONTAINER_COMPRESS},
               {".lzma", FLM_CONTAINER_LZMA}, {".tlz", FLM_CONTAINER_LZMA},   {".lz", FLM_CONTAINER_LZIP},
               {".txz", FLM_CONTAINER_XZ},    {".zst", FLM_CONTAINER_ZSTD},   {".zstd", FLM_CONTAINER_ZSTD},
               {".tzst", FLM_CONTAINER_ZSTD}, {".bz2", FLM_CONTAINER_BZIP2},  {".tbz2", FLM_CONTAINER_BZIP2},
               {".tbz", FLM_CONTAINER_BZIP2}, {".tar", FLM_CONTAINER_TAR},    {".zip", FLM_CONTAINER_ZIP}};

enum { ENDINGS = sizeof endings / sizeof endings[0], TAR_BLOCK = 512 };

bool flm_container_name_ends_in(const char *name, const char *ending)
{
    size_t length = strlen(name), n = strlen(ending);
    return length > n && strcasecmp(name + length - n, ending) == 0;
}

bool flm_container_name_is_lines(const char *name)
{
    static const char *const lines[] = {".jsonl", ".ndjson", ".jsonlines", ".jl"};

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (flm_container_name_ends_in(name, lines[i])) return true;
    return false;
}

/* Verifies the header's checksum, for which its own field counts as spaces. No text has a valid one by chance. */
static bool is_tar(const unsigned char *head, size_t bytes)
{
    enum { FIELD = 148, FIELD_BYTES = 8 };
    char field[FIELD_BYTES + 1] = "", *end;
    unsigned long sum = 0, stored;

    if (bytes < TAR_BLOCK || head[0] == 0) return false;
    memcpy(field, head + FIELD, FIELD_BYTES);
    stored = strtoul(field, &end, 8);
    if (end == field) return false;
    for (size_t i = 0; i < TAR_BLOCK; i++) sum += i >= FIELD && i < FIELD + FIELD_BYTES ? ' ' : head[i];
    return sum == stored;
}

static bool begins(const unsigned char *head, size_t bytes, const char *magic, size_t n)
{
    return bytes >= n && memcmp(head, magic, n) == 0;
}

flm_container flm_container_detect(const unsigned char *head, size_t bytes)
{
    if (begins(head, bytes, "\x1f\x8b\x08", 3)) return FLM_CONTAINER_GZIP;
    if (begins(head, bytes,
               "\xfd"
               "7zXZ\0",
               6))
        return FLM_CONTAINER_XZ;
    if (begins(head, bytes, "\x28\xb5\x2f\xfd", 4)) return FLM_CONTAINER_ZSTD;
    if (bytes >= 4 && head[0] >> 4 == 5 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0)
        return FLM_CONTAINER_ZSTD; /* skippable */
    if (begins(head, bytes, "BZh", 3) && bytes >= 10 && head[3] >= '1' && head[3] <= '9' &&
        (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 || memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0))
        return FLM_CONTAINER_BZIP2;
    if (begins(head, bytes, "\x04\x22\x4d\x18", 4)) return FLM_CONTAINER_LZ4;
    if (begins(head, bytes, "\x1f\x9d", 2)) return FLM_CONTAINER_COMPRESS;
    if (begins(head, bytes, "\x5d\0\0", 3)) return FLM_CONTAINER_LZMA;
    if (begins(head, bytes, "LZIP\1", 5)) return FLM_CONTAINER_LZIP;
    if (begins(head, bytes, "PK\3\4", 4) || begins(head, bytes, "PK\5\6", 4)) return FLM_CONTAINER_ZIP;
    if (begins(head, bytes, "\xff\xfe\0\0", 4)) return FLM_CONTAINER_UTF32LE;
    if (begins(head, bytes, "\0\0\xfe\xff", 4)) return FLM_CONTAINER_UTF32BE;
    if (begins(head, bytes, "\xff\xfe", 2)) return FLM_CONTAINER_UTF16LE;
    if (begins(head, bytes, "\xfe\xff", 2)) return FLM_CONTAINER_UTF16BE;
    return is_tar(head, bytes) ? FLM_CONTAINER_TAR : FLM_CONTAINER_NONE;
}

flm_container flm_container_of_name(const char *name)
{
    for (size_t i = 0; i < ENDINGS; i++)
        if (flm_container_name_ends_in(name, endings[i].ending)) return endings[i].container;
    return FLM_CONTAINER_NONE;
}

const char *flm_container_name(flm_container container)
{
    static const char *const names[] = {"plain", "UTF-16", "UTF-16",   "UTF-32", "UTF-32", "gzip", "xz", "zstd",
                                        "bzip2", "LZ4",    "compress", "LZMA",   "lzip",   "tar",  "zip"};
    return names[container];
}

/* An empty tar consists of zeros. */
static bool is_zeros(const unsigned char *head, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (head[i]) return false;
    return bytes >= TAR_BLOCK;
}

flm_container flm_container_identify(const char *name, const unsigned char *head, size_t bytes, bool *misnamed)
{
    const flm_container named = flm_container_of_name(name), found = flm_container_detect(head, bytes);

    *misnamed = false;
    if (named == FLM_CONTAINER_TAR && found == FLM_CONTAINER_NONE && is_zeros(head, bytes)) return FLM_CONTAINER_TAR;
    if (bytes == 0 && flm_container_is_compression(named)) return FLM_CONTAINER_NONE;
    *misnamed = named != FLM_CONTAINER_NONE && (found == FLM_CONTAINER_NONE || flm_container_is_encoding(found));
    return found;
}

void flm_container_inner_name(const char *name, char *out, size_t bytes)
{
    size_t length = strlen(name);
    const char *more = "";

    for (size_t i = 0; i < ENDINGS; i++)
        if (flm_container_is_compression(endings[i].container) && flm_container_name_ends_in(name, endings[i].ending)) {
            length -= strlen(endings[i].ending);
            if (endings[i].ending[1] == 't') more = ".tar";
            break;
        }
    snprintf(out, bytes, "%.*s%s", (int)(length < 4096 ? length : 4096), name, more);
}

/* The dictionary size of the LZMA2 filter of the first block. A filter is (id, size of properties, properties). */
static uint64_t xz_memory(const unsigned char *head, size_t bytes)
{
    enum { STREAM_HEADER = 12, LZMA2 = 0x21 };
    const unsigned char *p = head + STREAM_HEADER, *end;
    int filters;

    if (bytes < STREAM_HEADER + 2 || p[0] == 0) return 0; /* 0: the index; there is no block */
    end = p + (p[0] + 1) * 4;
    if (end > head + bytes) end = head + bytes;
    filters = (p[1] & 3) + 1;
    p += 2;
    for (int sizes = (head[STREAM_HEADER + 1] >> 6 & 1) + (head[STREAM_HEADER + 1] >> 7 & 1); sizes > 0; sizes--) {
        while (p < end && *p & 0x80) p++;
        p++;
    }
    for (; filters > 0 && p + 2 < end; filters--, p += 2 + p[1]) {
        if (p[0] != LZMA2 || p[1] != 1) continue;
        if (p[2] >= 40) return UINT32_MAX;
        return (uint64_t)(2 | (p[2] & 1)) << (p[2] / 2 + 11);
    }
    return 0;
}

uint64_t flm_container_memory(flm_container container, const unsigned char *head, size_t bytes)
{
    if (container == FLM_CONTAINER_XZ) return xz_memory(head, bytes);
    if (container == FLM_CONTAINER_LZMA && bytes >= 5)
        return head[1] | (uint64_t)head[2] << 8 | (uint64_t)head[3] << 16 | (uint64_t)head[4] << 24;
    if (container == FLM_CONTAINER_LZIP && bytes >= 6) return 1ull << (head[5] & 0x1f);
    return 0;
}
