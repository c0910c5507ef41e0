/* inspect_rows.c - files of token rows: samples, shards, shard directories. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "base/base_file.h"
#include "base/base_path.h"
#include "h5/h5_schema.h"
#include "inspect/inspect_internal.h"
#include "io/io_samples.h"
#include "io/io_shard.h"
#include "process/process.h"
#include "text/text_tokenizer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_IDS = 1 << 20, NAME_BYTES = 256 };

static void put_line(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\\')
            fputs("\\\\", stdout);
        else if (c < 32 || c == 127)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    putchar('\n');
}

flm_status flm_inspect_rows(const char *path, const flm_vocabulary *vocabulary, const int32_t *ids, int64_t first,
                            int64_t count, int64_t L)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t bytes;

    if (flm_tokenizer_create(vocabulary->name, &tokenizer) != FLM_OK)
        FLM_FAIL(FLM_E_FORMAT, "%s: its rows cannot be decoded: this release has no tokeniser \"%s\"", path,
                 vocabulary->name);
    if (strcmp(flm_tokenizer_sha256(tokenizer), vocabulary->sha256) != 0 ||
        flm_tokenizer_size(tokenizer) != vocabulary->V)
        FLM_FAIL(FLM_E_MISMATCH,
                 "%s: its rows cannot be decoded: the vocabulary of tokeniser \"%s\" differs from this release's", path,
                 vocabulary->name);
    for (int64_t i = 0; i < count; i++) {
        FLM_TRY(flm_tokenizer_decode(tokenizer, ids + i * L, (size_t)L, &text, &bytes));
        printf("  row %" PRId64 ": ", first + i);
        put_line(text, bytes);
        free(text);
        text = NULL;
    }
done:
    free(text);
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}

/* ---- samples ---- */

static flm_status samples_print(flm_samples *samples, const char *path, int set, int64_t rows)
{
    flm_status rc = FLM_OK;
    const flm_samples_info *info = flm_samples_get_info(samples);
    int32_t *ids = malloc((size_t)info->L * sizeof *ids);

    if (!ids) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a row", path);
    for (int64_t i = 0; i < info->samples && rows > 0; i++) {
        bool present = false;
        FLM_TRY(flm_samples_check_rows(samples, set, i, 1, &present));
        if (!present) continue;
        FLM_TRY(flm_samples_read(samples, set, i, 1, ids));
        FLM_TRY(flm_inspect_rows(path, &info->vocabulary, ids, i, 1, info->L));
        rows--;
    }
done:
    free(ids);
    return rc;
}

flm_status flm_inspect_samples(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    flm_samples *samples = NULL;
    int64_t rows, scores;

    FLM_TRY(flm_inspect_structure(path, "samples"));
    FLM_TRY(flm_samples_open_read(path, &samples));
    for (int i = 0; i < flm_samples_count(samples); i++) {
        const char *name = flm_samples_get_name(samples, i);
        if (options->verify) {
            FLM_TRY(flm_samples_verify(samples, i, &rows));
            printf("  verified: %s: %" PRId64 " of %" PRId64 " rows are present and match their checksums\n", name,
                   rows, flm_samples_get_info(samples)->samples);
            FLM_TRY(flm_samples_verify_scores(samples, i, &scores));
            if (scores >= 0) printf("  verified: %s: %" PRId64 " scores match their checksums\n", name, scores);
        }
        if (options->rows > 0) printf("  %s\n", name);
        FLM_TRY(samples_print(samples, path, i, options->rows));
    }
    if (options->verify && flm_samples_get_prompts(samples)->count > 0)
        printf("  verified: %" PRId64 " prompts match their checksums\n", flm_samples_get_prompts(samples)->count);
done:
    flm_samples_close(&samples);
    return rc;
}

/* ---- one shard ---- */

typedef struct shard_file {
    const char *path;
    int fd;
    flm_vocabulary vocabulary;
    int64_t n, L, tokens, checksums, element; /* offsets and bytes */
} shard_file;

static flm_status shard_open(const char *path, shard_file *s)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, root = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
    int64_t bytes, dim[4] = {0}, size;
    int ndim;

    s->path = path;
    FLM_TRY(flm_schema_open(path, "shard", &file, &bytes));
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_string(root, "tokenizer", s->vocabulary.name, sizeof s->vocabulary.name));
    FLM_TRY(flm_h5_get_string(root, "tokenizer_sha256", s->vocabulary.sha256, sizeof s->vocabulary.sha256));
    FLM_TRY(flm_h5_get_i64(root, "V", &s->vocabulary.V));
    FLM_H5(dataset = H5Dopen2(file, "/checksums", H5P_DEFAULT));
    FLM_TRY(flm_h5_locate(dataset, 4, bytes, &ndim, dim, &s->checksums, &size));
    flm_h5_close(&dataset);
    FLM_H5(dataset = H5Dopen2(file, "/tokens", H5P_DEFAULT));
    FLM_TRY(flm_h5_locate(dataset, 0, bytes, &ndim, dim, &s->tokens, &size));
    s->n = dim[0];
    s->L = dim[1];
    s->element = s->n > 0 && s->L > 0 ? size / s->n / s->L : 4;
    FLM_TRY(flm_file_open(path, O_RDONLY, &s->fd));
done:
    flm_h5_close(&dataset);
    flm_h5_close(&root);
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}

/* Reads row i as ids [L] and verifies its checksum; raw [L * element] is a buffer for the row as stored. */
static flm_status shard_row(const shard_file *s, int64_t i, void *raw, int32_t *ids)
{
    flm_status rc = FLM_OK;
    const int64_t bytes = s->L * s->element;
    uint32_t checksum;

    FLM_TRY(flm_file_read_at(s->fd, s->path, raw, (size_t)bytes, s->tokens + i * bytes));
    FLM_TRY(flm_file_read_at(s->fd, s->path, &checksum, sizeof checksum, s->checksums + i * (int64_t)sizeof checksum));
    if (flm_crc32c_update(0, raw, (size_t)bytes) != checksum)
        FLM_FAIL(FLM_E_CHECKSUM,
                 "%s: /tokens: row %" PRId64 ": checksum mismatch (file damaged); rebuild it with flm_shard", s->path,
                 i);
    for (int64_t l = 0; l < s->L; l++) {
        const uint32_t id = s->element == 2 ? ((const uint16_t *)raw)[l] : ((const uint32_t *)raw)[l];
        if (id >= s->vocabulary.V)
            FLM_FAIL(FLM_E_FORMAT, "%s: /tokens: row %" PRId64 ": id %" PRIu32 ", must be less than V (%" PRId64 ")",
                     s->path, i, id, s->vocabulary.V);
        ids[l] = (int32_t)id;
    }
done:
    return rc;
}

flm_status flm_inspect_shard(const char *path, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    shard_file s = {.fd = -1};
    void *raw = NULL;
    int32_t *ids = NULL;

    FLM_TRY(flm_inspect_structure(path, "shard"));
    FLM_TRY(shard_open(path, &s));
    raw = malloc((size_t)(s.L * s.element));
    ids = malloc((size_t)s.L * sizeof *ids);
    if (!raw || !ids) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a row", path);
    if (options->verify) FLM_TRY(flm_shard_check_inputs(path));
    for (int64_t i = 0; options->verify && i < s.n; i++) {
        FLM_TRY(flm_process_poll());
        FLM_TRY(shard_row(&s, i, raw, ids));
    }
    if (options->verify) printf("  verified: %" PRId64 " rows match their checksums\n", s.n);
    for (int64_t i = 0; i < options->rows && i < s.n; i++) {
        FLM_TRY(shard_row(&s, i, raw, ids));
        FLM_TRY(flm_inspect_rows(path, &s.vocabulary, ids, i, 1, s.L));
    }
done:
    if (s.fd >= 0) close(s.fd);
    free(raw);
    free(ids);
    return rc;
}

/* ---- a shard directory ---- */

/* One split: every shard is opened and checked against the index, then its rows are read. */
static flm_status split_inspect(const char *directory, const char *split, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    flm_shards *shards = NULL;
    const flm_shard_info *info;
    int64_t rows, max, *number = NULL;
    int32_t *ids = NULL;

    FLM_TRY(flm_shards_open(directory, split, &shards));
    info = flm_shards_get_info(shards);
    rows = flm_shards_get_rows(shards);
    max = info->L < CHUNK_IDS ? CHUNK_IDS / info->L : 1;
    number = malloc((size_t)max * sizeof *number);
    ids = malloc((size_t)(max * info->L) * sizeof *ids);
    if (!number || !ids) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", directory);
    for (int64_t at = 0; at < rows; at += max) {
        const int64_t n = rows - at < max ? rows - at : max, print = options->rows - at;
        if (!options->verify && print <= 0) break;
        FLM_TRY(flm_process_poll());
        for (int64_t i = 0; i < n; i++) number[i] = at + i;
        FLM_TRY(flm_shards_read(shards, number, options->verify || n < print ? n : print, ids));
        if (at == 0) printf("  %s: %" PRId64 " rows\n", split, rows);
        if (print > 0) FLM_TRY(flm_inspect_rows(directory, &info->vocabulary, ids, at, n < print ? n : print, info->L));
    }
    if (options->verify) printf("  verified: %s: %" PRId64 " rows match their checksums\n", split, rows);
done:
    free(ids);
    free(number);
    flm_shards_close(&shards);
    return rc;
}

flm_status flm_inspect_shards(const char *directory, const flm_inspect_options *options)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, splits = H5I_INVALID_HID;
    H5G_info_t info;
    char path[FLM_PATH_BYTES], name[NAME_BYTES];
    int64_t bytes;

    FLM_TRY(flm_path_join(path, directory, "index.h5"));
    printf("%s: shard directory\n", directory);
    FLM_TRY(flm_inspect_structure(path, "index"));
    FLM_TRY(flm_schema_open(path, "index", &file, &bytes));
    FLM_H5(splits = H5Gopen2(file, "/splits", H5P_DEFAULT));
    FLM_H5(H5Gget_info(splits, &info));
    for (hsize_t i = 0; i < info.nlinks; i++) {
        FLM_H5(H5Lget_name_by_idx(splits, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT));
        FLM_TRY(split_inspect(directory, name, options));
    }
done:
    flm_h5_close(&splits);
    flm_h5_close(&file);
    return rc;
}
