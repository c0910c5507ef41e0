/* archive_fuzz.c - mutated archives: always documents or one error, never a crash, a hang or unbounded memory.
 *
 * archive_fuzz.t [SECONDS [SEED [FILE...]]]: mutations of archives of every kind, nested ones included; the seed
 * determines them all. Run it in a sanitizer build to detect more. SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/prep_fuzz.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

static const char *const fragments[] = {"PK\3\4",
                                        "PK\1\2",
                                        "PK\5\6",
                                        "PK\7\b",
                                        "\x1f\x8b\b",
                                        "BZh9",
                                        "ustar",
                                        "0000000",
                                        "7777777",
                                        "../../",
                                        "path=",
                                        "GNU.sparse",
                                        "L",
                                        "\x28\xb5\x2f\xfd",
                                        "\x04\x22\x4d\x18",
                                        "\x1f\x9d\x90",
                                        "LZIP\1",
                                        "\xff\xfe",
                                        "\xfe\xff",
                                        "\xd8",
                                        "__MACOSX/",
                                        "._",
                                        "\xfd"
                                        "7zXZ",
                                        "\xff\xff\xff\xff",
                                        "99999999999",
                                        NULL};

/* Make an archive of the given members; returns its bytes. filter: an ARCHIVE_FILTER code, or 0. options: of
 * libarchive, or NULL. */
static size_t make_with(char *out, int format, int filter, const char *options, const char *const *names,
                        const fuzz_seed *texts, int count)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    size_t used = 0;

    archive_write_set_format(a, format);
    if (filter) archive_write_add_filter(a, filter);
    if (options) archive_write_set_options(a, options);
    archive_write_set_passphrase(a, "secret"); /* where the options ask for encryption */
    archive_write_set_bytes_in_last_block(a, 1);
    if (archive_write_open_memory(a, out, FUZZ_BYTES, &used) == ARCHIVE_OK)
        for (int i = 0; i < count; i++) {
            archive_entry_clear(entry);
            archive_entry_set_pathname(entry, names[i]);
            archive_entry_set_size(entry, (la_int64_t)texts[i].bytes);
            archive_entry_set_filetype(entry, AE_IFREG);
            archive_entry_set_perm(entry, 0644);
            archive_write_header(a, entry);
            archive_write_data(a, texts[i].data, texts[i].bytes);
        }
    archive_write_close(a);
    archive_write_free(a);
    archive_entry_free(entry);
    return used;
}

static size_t make(char *out, int format, int filter, const char *const *names, const fuzz_seed *texts, int count)
{
    return make_with(out, format, filter, NULL, names, texts, count);
}

/* Members whose names decide about them: of macOS, outside the archive, not UTF-8, empty, of another kind; zips of
 * every form, and one with a deleted member: its entry is no longer in the directory. */
static void make_named(fuzz *f)
{
    static const char *const names[] = {"__MACOSX/._a.txt", "._b.txt",      ".DS_Store", "../../c.txt",     "/d.txt",
                                        "caf\351.txt",      "\xf0\x9f.txt", "a\nb.txt",  "x.json",          "README",
                                        "photo.png",        "e.txt.gz",     "f.TXT",     "folder.txt/g.txt"};
    static const char *const options[] = {"zip:compression=store", "zip:compression=deflate", "zip:zip64",
                                          "zip:encryption=zipcrypt", "zip:experimental"};
    static char out[FUZZ_BYTES], line[] = "a line of text\nand more\n";
    enum { NAMES = sizeof names / sizeof names[0], END_BYTES = 22, ENTRIES_AT = 8 };
    fuzz_seed texts[NAMES];
    size_t bytes;

    for (int i = 0; i < NAMES; i++) texts[i] = (fuzz_seed){line, i % 3 ? sizeof line - 1 : 0};
    fuzz_add_seed(f, out, make(out, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, 0, names, texts, NAMES));
    fuzz_add_seed(f, out, make(out, ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_GZIP, names, texts, NAMES));
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        fuzz_add_seed(f, out, make_with(out, ARCHIVE_FORMAT_ZIP, 0, options[i], names, texts, NAMES));
    bytes = make(out, ARCHIVE_FORMAT_ZIP, 0, names, texts, NAMES);
    for (int k = 0; bytes > END_BYTES && k < 2; k++) out[bytes - END_BYTES + ENTRIES_AT + 2 * k]--;
    fuzz_add_seed(f, out, bytes);
}

/* Text in UTF-16 or UTF-32, with its byte order mark; returns its bytes. */
static size_t encode(char *out, const char *text, size_t width, bool big_endian)
{
    size_t n = 0;

    for (size_t i = 0; i <= strlen(text); i++) {
        const unsigned code = i == 0 ? 0xfeff : (unsigned char)text[i - 1];
        for (size_t k = 0; k < width; k++) {
            const size_t byte = big_endian ? width - 1 - k : k;
            out[n++] = byte < 2 ? (char)(code >> 8 * byte) : 0;
        }
    }
    return n;
}

static void make_seeds(fuzz *f)
{
    static const int formats[] = {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_GNUTAR,
                                  ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FORMAT_ZIP};
    static const int filters[] = {0,
                                  ARCHIVE_FILTER_GZIP,
                                  ARCHIVE_FILTER_XZ,
                                  ARCHIVE_FILTER_ZSTD,
                                  ARCHIVE_FILTER_BZIP2,
                                  ARCHIVE_FILTER_LZ4,
                                  ARCHIVE_FILTER_LZMA,
                                  ARCHIVE_FILTER_LZIP,
                                  ARCHIVE_FILTER_COMPRESS};
    static char out[FUZZ_BYTES], inner[FUZZ_BYTES], line[] = "a line of text\n\n\n\nand more\n",
                                                    json[] = "{\"text\": \"a\\n\\u00e9\"}\n{\"text\": \"b\"}\n";
    static const char *const names[] = {"a.txt", "folder/b.jsonl", "c.txt"};
    static const char *const outer[] = {"x.bin", "y.txt",
                                        "folder/a-name-of-more-than-a-hundred-letters-aaaaaaaaaaaaaaaaaaaaaa"
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.txt"};
    fuzz_seed texts[3] = {{line, sizeof line - 1}, {json, sizeof json - 1}, {line, 3}};

    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        for (size_t k = 0; k < sizeof filters / sizeof filters[0]; k++) {
            size_t bytes = make(out, formats[i], filters[k], names, texts, 3);
            fuzz_add_seed(f, out, bytes);
            memcpy(inner, out, bytes);
            if (k % 2 == 0) { /* inside another */
                const fuzz_seed more[3] = {{inner, bytes}, {line, sizeof line - 1}, {inner, bytes}};
                bytes = make(out, formats[(i + k) % 4], 0, outer, more, 3);
                fuzz_add_seed(f, out, bytes);
            }
        }
    for (int i = 0; i < 4; i++) {
        const size_t bytes = encode(inner, i < 2 ? json : line, i % 2 ? 4 : 2, i == 1 || i == 2);
        const fuzz_seed more[3] = {{inner, bytes}, {line, sizeof line - 1}, {inner, bytes}};
        fuzz_add_seed(f, inner, bytes);
        fuzz_add_seed(f, out, make(out, ARCHIVE_FORMAT_ZIP, 0, names, more, 3));
    }
    /* A surrogate pair, halves of one, and an odd byte at the end. */
    static const char pairs[] = "\xff\xfe"
                                "a\0\x3d\xd8\x00\xde\n\0\x3d\xd8"
                                "b\0\x00\xde\n\0c";
    const fuzz_seed more[3] = {{(char *)pairs, sizeof pairs - 1}, {line, sizeof line - 1}, {json, sizeof json - 1}};
    fuzz_add_seed(f, pairs, sizeof pairs - 1);
    fuzz_add_seed(f, out, make(out, ARCHIVE_FORMAT_ZIP, 0, names, more, 3));
    make_named(f);
}

static void vary(fuzz *f)
{
    f->job.source.documents = (int)fuzz_draw(f, 3);
    f->job.clean = (int)fuzz_draw(f, 3);
    f->job.source.allow_binary = fuzz_draw(f, 2);
    f->job.source.keep_mark = fuzz_draw(f, 2);
    f->job.source.keep_white = fuzz_draw(f, 2);
    f->job.source.on_bad_line = (int)fuzz_draw(f, 2);
}

int main(int argc, char **argv)
{
    static fuzz f;

    fuzz_begin(&f, "archive-fuzz", argc, argv);
    f.fragments = fragments;
    make_seeds(&f);
    fuzz_run(&f, vary);
    return fuzz_end(&f);
}
