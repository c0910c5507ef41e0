/* source_content.c - see source_content.h. Sources of the magic numbers: the specifications of the formats, and the
 * database of file(1). SPDX-License-Identifier: Apache-2.0 */
#include "source/source_content.h"

#include "text/text_utf8.h"

#include <string.h>

/* A magic number. A word that a text could begin with counts only where more than one byte in 10 is not text. */
typedef struct magic {
    const char *name;
    const char *bytes;
    int count, offset;
    bool word;
} magic;

#define MAGIC(name, bytes)                      \
    {                                           \
        name, bytes, sizeof bytes - 1, 0, false \
    }
#define MAGIC_WORD(name, bytes)                \
    {                                          \
        name, bytes, sizeof bytes - 1, 0, true \
    }

static const magic magics[] = {
    MAGIC_WORD("a Parquet file", "PAR1"),
    MAGIC_WORD("an Arrow file", "ARROW1"),
    MAGIC_WORD("a Feather file", "FEA1"),
    MAGIC_WORD("an ORC file", "ORC"),
    MAGIC_WORD("an Avro file", "Obj\1"),
    MAGIC_WORD("an Arrow stream", "\xff\xff\xff\xff"),
    MAGIC("an HDF5 file", "\x89HDF\r\n\x1a\n"),
    MAGIC_WORD("a NetCDF file", "CDF"),
    MAGIC("a NumPy array", "\x93NUMPY"),
    MAGIC("a Python pickle", "\x80\2"),
    MAGIC("a Python pickle", "\x80\3"),
    MAGIC("a Python pickle", "\x80\4"),
    MAGIC("a Python pickle", "\x80\5"),
    MAGIC_WORD("a GGUF model", "GGUF"),
    MAGIC("a MATLAB file", "MATLAB 5.0 MAT-file"),
    MAGIC("an SQLite database", "SQLite format 3"),
    MAGIC("a PDF document", "%PDF-"),
    MAGIC("a PostScript document", "%!PS-"),
    MAGIC("an RTF document", "{\\rtf"),
    MAGIC("a document of Microsoft Office (OLE)", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    MAGIC("a PNG image", "\x89PNG\r\n\x1a\n"),
    MAGIC("a JPEG image", "\xff\xd8\xff"),
    MAGIC("a GIF image", "GIF87a"),
    MAGIC("a GIF image", "GIF89a"),
    MAGIC_WORD("a TIFF image", "II*"),
    MAGIC_WORD("a TIFF image", "MM"),
    MAGIC_WORD("a BMP image", "BM"),
    MAGIC_WORD("a RIFF file (WebP, WAV, AVI)", "RIFF"),
    MAGIC_WORD("an Ogg file", "OggS"),
    MAGIC_WORD("a FLAC file", "fLaC"),
    MAGIC_WORD("an MP3 file", "ID3"),
    {"an MP4 file", "ftyp", 4, 4, true},
    MAGIC("an ELF program", "\x7f"
                            "ELF"),
    MAGIC_WORD("a Windows program", "MZ"),
    MAGIC("a Mach-O program or Java class", "\xca\xfe\xba\xbe"),
    MAGIC("a Mach-O program", "\xcf\xfa\xed\xfe"),
    MAGIC("a WebAssembly module", "\0asm"),
    MAGIC_WORD("an ar archive", "!<arch>\n"),
    MAGIC("a 7z archive", "7z\xbc\xaf\x27\x1c"),
    MAGIC("a RAR archive", "Rar!\x1a\7"),
    MAGIC_WORD("a cabinet archive", "MSCF"),
    MAGIC_WORD("a cpio archive", "070701"),
    MAGIC("a cpio archive", "\xc7\x71"),
    MAGIC("lzop data", "\x89LZO\0\r\n\x1a\n"),
    MAGIC("Snappy data", "\xff\6\0\0sNaPpY"),
    MAGIC("LZ4 data of the legacy format", "\2\x21\x4c\x18"),
    MAGIC("pack data", "\x1f\x1e"),
    MAGIC("an AppleDouble file", "\0\5\x16\7"),
};

/* Bytes that texts do not have: NUL is counted by itself. */
static bool is_control(unsigned char c) { return (c < 0x20 && (c < '\b' || c > '\r') && c != 0x1b) || c == 0x7f; }

/* Invalid UTF-8 and control characters. A character that is cut at either end is not counted. */
static size_t count_odd(const unsigned char *data, size_t bytes)
{
    size_t odd = 0, at = 0;

    while (at < bytes && at < 3 && data[at] >> 6 == 2) at++;
    for (size_t i = at; i < bytes; i++) odd += is_control(data[i]);
    while (at < bytes) {
        at += flm_utf8_valid((const char *)data + at, bytes - at);
        if (at == bytes || (bytes - at < 4 && data[at] >= 0xc2)) break;
        odd++;
        at++;
    }
    return odd;
}

static size_t count_nuls(const unsigned char *data, size_t bytes)
{
    size_t nuls = 0;

    for (size_t i = 0; i < bytes; i++) nuls += data[i] == 0;
    return nuls;
}

/* A safetensors file: 8 bytes with the length of the JSON header that follows. */
static bool is_safetensors(const unsigned char *head, size_t bytes)
{
    return bytes > 9 && head[5] == 0 && head[6] == 0 && head[7] == 0 && head[8] == '{';
}

const char *flm_content_format(const unsigned char *head, size_t bytes)
{
    if (is_safetensors(head, bytes)) return "a safetensors file";
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        const magic *m = &magics[i];
        const size_t end = (size_t)m->offset + (size_t)m->count;
        if (bytes < end || memcmp(head + m->offset, m->bytes, (size_t)m->count) != 0) continue;
        if (!m->word || count_odd(head, bytes) * 10 > bytes) return m->name;
    }
    return NULL;
}

static bool name_ends_in(const unsigned char *name, size_t bytes, const char *ending)
{
    const size_t n = strlen(ending);

    return bytes >= n && memcmp(name + bytes - n, ending, n) == 0;
}

const char *flm_content_zip_format(const unsigned char *head, size_t bytes)
{
    enum { HEADER = 30 }; /* of a member; its name follows. Source: APPNOTE 4.3.7 */
    size_t n;
    const unsigned char *name = head + HEADER;

    if (bytes < HEADER || memcmp(head, "PK\3\4", 4) != 0) return NULL;
    n = (size_t)(head[26] | head[27] << 8);
    if (bytes - HEADER < n) return NULL;
    if (n == 19 && memcmp(name, "[Content_Types].xml", n) == 0) return "a document of Microsoft Office";
    if (n == 8 && memcmp(name, "mimetype", n) == 0) return "an OpenDocument or EPUB document";
    if (n >= 9 && memcmp(name, "META-INF/", 9) == 0) return "a Java archive";
    if (name_ends_in(name, n, ".npy")) return "an archive of NumPy arrays";
    if (name_ends_in(name, n, "/data.pkl")) return "a PyTorch file";
    return NULL;
}

bool flm_content_lfs_pointer(const unsigned char *head, size_t bytes)
{
    static const char first[] = "version https://git-lfs.github.com/spec/";

    return bytes >= sizeof first - 1 && memcmp(head, first, sizeof first - 1) == 0;
}

flm_status flm_content_check_share(const char *where, const unsigned char *data, size_t bytes)
{
    enum { ODD_MIN = 8, ODD_PERCENT = 30 };
    flm_status rc = FLM_OK;
    const size_t odd = count_odd(data, bytes);

    if (odd >= ODD_MIN && odd * 100 > bytes * ODD_PERCENT)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: %zu %% of the bytes are not UTF-8: it is binary, or text in another encoding; convert it with "
                 "iconv, or use --allow-binary to read it anyway",
                 where, odd * 100 / bytes);
done:
    return rc;
}

flm_status flm_content_check_nuls(const char *where, const unsigned char *data, size_t bytes)
{
    enum { NUL_IN = 1000 };
    flm_status rc = FLM_OK;

    if (memchr(data, 0, bytes) && count_nuls(data, bytes) * NUL_IN > bytes)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: has NUL bytes: it is binary, damaged, or UTF-16 without a byte order mark; use --allow-binary to "
                 "read it anyway",
                 where);
done:
    return rc;
}

flm_status flm_content_check(const char *where, const unsigned char *head, size_t bytes)
{
    flm_status rc = FLM_OK;
    const char *format = flm_content_format(head, bytes);

    if (flm_content_lfs_pointer(head, bytes))
        FLM_FAIL(FLM_E_FORMAT, "%s: is a Git LFS pointer; fetch the file with git lfs pull", where);
    if (format) FLM_FAIL(FLM_E_FORMAT, "%s: is %s, not text; use --allow-binary to read it anyway", where, format);
    FLM_TRY(flm_content_check_nuls(where, head, bytes));
    FLM_TRY(flm_content_check_share(where, head, bytes));
done:
    return rc;
}

static size_t skip_white(const unsigned char *head, size_t bytes, size_t at)
{
    while (at < bytes && (head[at] == ' ' || (head[at] >= '\t' && head[at] <= '\r'))) at++;
    return at;
}

flm_content_json_kind flm_content_json(const unsigned char *head, size_t bytes)
{
    size_t at = bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, depth = 0;
    bool string = false;
    flm_content_json_kind kind;

    at = skip_white(head, bytes, at);
    if (at == bytes || (head[at] != '{' && head[at] != '[')) return FLM_CONTENT_JSON_NONE;
    kind = head[at] == '{' ? FLM_CONTENT_JSON_LINES : FLM_CONTENT_JSON_ARRAY;
    for (; at < bytes; at++) {
        const unsigned char c = head[at];
        if (c == '\n') return string ? FLM_CONTENT_JSON_NONE : FLM_CONTENT_JSON_DOCUMENT;
        if (string && c == '\\')
            at++;
        else if (c == '"')
            string = !string;
        else if (!string && (c == '{' || c == '['))
            depth++;
        else if (!string && (c == '}' || c == ']') && --depth == 0)
            break;
    }
    return kind;
}

bool flm_content_is_json_document(const unsigned char *head, size_t bytes)
{
    const flm_content_json_kind kind = flm_content_json(head, bytes);
    size_t at = skip_white(head, bytes, bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);

    if (kind != FLM_CONTENT_JSON_DOCUMENT && kind != FLM_CONTENT_JSON_ARRAY) return false;
    const bool array = head[at] == '[';
    at = skip_white(head, bytes, at + 1);
    if (array || at == bytes || head[at] != '"') return array && at < bytes && head[at] == '{';
    for (at++; at < bytes && head[at] != '"' && head[at] != '\n'; at++) at += head[at] == '\\';
    at = skip_white(head, bytes, at + 1);
    return at < bytes && head[at] == ':';
}
