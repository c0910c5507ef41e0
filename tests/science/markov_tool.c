/* markov_tool.c - writes shards and prompts of the Markov source's rows and scores generated rows exactly.
 *
 *   markov_tool make SEED ROWS VALID DIR      write shards with ROWS rows for training and VALID held-out rows
 *   markov_tool prompts SEED ROWS COUNT half|rest
 *                                             print the first COUNT held-out rows as prompts for flm_generate, with
 *                                             half of the symbols to fill in: anywhere (half), or the last ones (rest)
 *   markov_tool score SEED ROWS SAMPLES.h5    print a line for each set of samples, and one for as many held-out rows
 *                                             (set "source", 0 steps): steps; NLL per filled-in symbol, given the
 *                                             prompt, relative to the exact entropy for these prompts; entropy of a
 *                                             row relative to the corpus's; total variation between the frequencies of
 *                                             symbol pairs, in neighbours of which one is filled in, and the source's;
 *                                             set
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/io_samples.h"
#include "io/io_shard.h"
#include "process/process.h"
#include "score/score_statistics.h"
#include "tests/science/markov.h"

#include <inttypes.h>
#include <math.h>
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

static void print_prompts(uint64_t seed, int64_t rows, int64_t count, bool anywhere)
{
    markov source;
    int32_t ids[L];
    markov_make(seed, &source);
    for (int64_t i = 0; i < count; i++) {
        markov_draw(&source, seed, rows + i, ids);
        markov_blank(seed, rows + i, anywhere, ids);
        for (int l = 0; l < L; l++) {
            printf("%s", l == 0 ? "{\"tokens\": [" : ", ");
            if (ids[l] < 0)
                printf("null");
            else
                printf("%" PRId32, ids[l]);
        }
        printf("]}\n");
    }
}

/* Sums over rows of samples. */
typedef struct tally {
    double nll, conditional;  /* of what is filled in, given the prompt: of these rows, and expected */
    double histogram_entropy; /* per row */
    int64_t rows, pairs, pair[MARKOV_SYMBOLS][MARKOV_SYMBOLS];
} tally;

/* Counts a row; prompt [L] is negative where it was filled in. */
static flm_status count_row(const markov *source, const int32_t *prompt, const int32_t *ids, tally *t)
{
    flm_status rc = FLM_OK;
    double known, conditional, part;
    FLM_TRY(flm_statistics_sum_entropy(ids, 1, L, &part));
    markov_condition(source, prompt, &known, &conditional);
    t->nll += markov_nll(source, ids) - known;
    t->conditional += conditional;
    t->histogram_entropy += part;
    t->rows++;
    for (int i = 1; i < L; i++)
        if (prompt[i - 1] < 0 || prompt[i] < 0) {
            t->pair[ids[i - 1]][ids[i]]++;
            t->pairs++;
        }
done:
    return rc;
}

static void print_tally(const markov *source, const tally *t, double corpus, int64_t steps, const char *set)
{
    double variation = 0;
    for (int a = 0; a < MARKOV_SYMBOLS; a++)
        for (int b = 0; b < MARKOV_SYMBOLS; b++)
            variation += fabs((double)t->pair[a][b] / (double)t->pairs - source->first[a] * source->next[a][b]) / 2;
    printf("%" PRId64 " %.4f %.4f %.4f %s\n", steps, t->nll / t->conditional,
           t->histogram_entropy / (double)t->rows / corpus, variation, set);
}

static flm_status score(uint64_t seed, int64_t rows, const char *path)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    markov source;
    double corpus;
    int32_t ids[L], open[L];
    memset(open, -1, sizeof open);
    markov_make(seed, &source);
    FLM_TRY(corpus_entropy(&source, seed, rows, &corpus));
    FLM_TRY(flm_samples_open_read(path, &file));
    const int64_t samples = flm_samples_get_info(file)->samples, prompts = flm_samples_get_prompts(file)->count;
    const int64_t each = prompts > 0 ? samples / prompts : 1;
    for (int s = 0; s <= flm_samples_count(file); s++) {
        const bool held_out = s == flm_samples_count(file);
        tally t = {0};
        for (int64_t i = 0; i < samples; i++) {
            const int32_t *prompt = flm_samples_get_prompt(file, i);
            if (held_out)
                markov_draw(&source, seed, rows + i / each, ids);
            else
                FLM_TRY(flm_samples_read(file, s, i, 1, ids));
            FLM_TRY(count_row(&source, prompt != NULL ? prompt : open, ids, &t));
        }
        print_tally(&source, &t, corpus, held_out ? 0 : flm_samples_get_setting(file, s)->steps,
                    held_out ? "source" : flm_samples_get_name(file, s));
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
    else if (argc == 6 && strcmp(argv[1], "prompts") == 0 &&
             (strcmp(argv[5], "half") == 0 || strcmp(argv[5], "rest") == 0))
        print_prompts(strtoull(argv[2], NULL, 10), atoll(argv[3]), atoll(argv[4]), argv[5][0] == 'h');
    else
        FLM_FAIL(FLM_E_USAGE, "usage: markov_tool make SEED ROWS VALID DIR | prompts SEED ROWS COUNT half|rest | score "
                              "SEED ROWS SAMPLES.h5");
done:
    return flm_process_finish(rc, &world);
}
