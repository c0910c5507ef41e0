/* shards.h - small shards for the tests of score. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_SCORE_SHARDS_H
#define FLM_TESTS_SCORE_SHARDS_H

#include "io/io_shard.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes one shard of a split train with rows of the tokeniser bytes, ids [rows, L], into a new directory, whose name
 * goes to directory. */
static inline flm_status shards_write(char directory[32], int64_t rows, int64_t L, const int32_t *ids)
{
    flm_status rc = FLM_OK;
    flm_shard_writer *w = NULL;
    flm_shard_info info = {.L = L, .corpus = "text", .documents = "line", .program_version = "test"};
    const flm_shard_split split = {"train", 1, rows, rows, rows, 0};
    strcpy(directory, "shards-test.XXXXXX");
    if (!mkdtemp(directory)) FLM_FAIL(FLM_E_IO, "no directory");
    strcpy(info.vocabulary.name, "bytes");
    memset(info.vocabulary.sha256, 'a', 64);
    info.vocabulary.V = 257;
    info.vocabulary.begin_id = info.vocabulary.end_id = 256;
    FLM_TRY(flm_shard_create(directory, "train", 0, 1, rows, &info));
    FLM_TRY(flm_shard_writer_open(directory, "train", 0, 1, &w));
    FLM_TRY(flm_shard_writer_write(w, 0, rows, ids));
    FLM_TRY(flm_shard_writer_close(&w));
    FLM_TRY(flm_shard_publish(directory, &split, 1, &info));
done:
    flm_shard_writer_close(&w);
    return rc;
}

static inline void shards_remove(const char *directory)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(directory);
}

#endif
