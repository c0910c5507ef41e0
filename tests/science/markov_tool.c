/* markov_tool.c - writes shards of the Markov source's rows and scores generated rows exactly.
 *
 *   markov_tool make SEED ROWS VALID DIR      write shards with ROWS rows for training and VALID held-out rows
 *   markov_tool score SEED ROWS SAMPLES.h5    print a line for each number of steps: steps, NLL per symbol relative to
 *                                             the source's, entropy of a row relative to the corpus's
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/io_samples.h"
#include "io/io_shard.h"
#include "process/process.h"
#include "score/score_statistics.h"
#include "tests/science/markov.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { L = MARKOV_LENGTH, CHUNK = 1024 };

static flm_status write_split(const markov *source, uint64_t seed, const char *directory, const char *split,
                              int64_t begin, int64_t rows, const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    flm_shard_writer *writer = NULL;
    static int32_t ids[CHUNK * L];
    FLM_TRY(flm_shard_create(directory, split, 0, 1, rows, info));
    FLM_TRY(flm_shard_writer_open(directory, split, 0, 1, &writer));
    for (int64_t at = 0; at < rows; at += CHUNK) {
        const int64_t count = rows - at < CHUNK ? rows - at : CHUNK;
        for (int64_t i = 0; i < count; i++) markov_draw(source, seed, begin + at + i, ids + i * L);
        FLM_TRY(flm_shard_writer_write(writer, at, count, ids));
    }
    FLM_TRY(flm_shard_writer_close(&writer));
done:
    return rc;
}

static flm_status make(uint64_t seed, int64_t rows, int64_t valid, const char *directory)
{
    flm_status rc = FLM_OK;
    markov source;
    const flm_shard_input input = {"markov", 0, "0000000000000000000000000000000000000000000000000000000000000000"};
    flm_shard_info info = {.L = L, .corpus = "markov", .documents = "line", .inputs = &input, .inputs_count = 1};
    info.vocabulary = (flm_vocabulary){.name = "markov", .V = MARKOV_SYMBOLS, .begin_id = 0, .end_id = 0};
    memset(info.vocabulary.sha256, '0', 64);
    const flm_shard_split splits[] = {{"train", 1, rows, rows, rows, 0}, {"valid", 1, valid, valid, valid, 0}};
    markov_make(seed, &source);
    FLM_TRY(write_split(&source, seed, directory, "train", 0, rows, &info));
    FLM_TRY(write_split(&source, seed, directory, "valid", rows, valid, &info));
    FLM_TRY(flm_shard_publish(directory, splits, 2, &info));
done:
    return rc;
}

/* The mean entropy of a row's histogram of symbols in the corpus. */
static flm_status corpus_entropy(const markov *source, uint64_t seed, int64_t rows, double *mean)
{
    flm_status rc = FLM_OK;
    int32_t ids[L];
    double sum = 0, part;
    for (int64_t i = 0; i < rows; i++) {
        markov_draw(source, seed, i, ids);
        FLM_TRY(flm_statistics_sum_entropy(ids, 1, L, &part));
        sum += part;
    }
    *mean = sum / (double)rows;
done:
    return rc;
}

static flm_status score(uint64_t seed, int64_t rows, const char *path)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    markov source;
    double corpus;
    int32_t ids[L];
    markov_make(seed, &source);
    FLM_TRY(corpus_entropy(&source, seed, rows, &corpus));
    FLM_TRY(flm_samples_open_read(path, &file));
    const int64_t samples = flm_samples_get_info(file)->samples;
    for (int s = 0; s < flm_samples_count(file); s++) {
        double nll = 0, entropy = 0, part;
        for (int64_t i = 0; i < samples; i++) {
            FLM_TRY(flm_samples_read(file, s, i, 1, ids));
            FLM_TRY(flm_statistics_sum_entropy(ids, 1, L, &part));
            entropy += part / (double)samples;
            nll += markov_nll(&source, ids) / (double)(samples * L);
        }
        printf("%" PRId64 " %.4f %.4f\n", flm_samples_get_setting(file, s)->steps, nll / markov_entropy(&source),
               entropy / corpus);
    }
done:
    flm_samples_close(&file);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    if (argc == 6 && strcmp(argv[1], "make") == 0)
        FLM_TRY(make(strtoull(argv[2], NULL, 10), atoll(argv[3]), atoll(argv[4]), argv[5]));
    else if (argc == 5 && strcmp(argv[1], "score") == 0)
        FLM_TRY(score(strtoull(argv[2], NULL, 10), atoll(argv[3]), argv[4]));
    else
        FLM_FAIL(FLM_E_USAGE, "usage: markov_tool make SEED ROWS VALID DIR | score SEED ROWS SAMPLES.h5");
done:
    return flm_process_finish(rc, &world);
}
