/* inspect_files.c - makes files for inspect.t in the current folder: run/ with two checkpoints, shards/, samples.h5
 * with two of three rows. SPDX-License-Identifier: Apache-2.0 */
#include "io/io_samples.h"
#include "io/io_shard.h"
#include "tests/io_fixture.h"
#include "text/text_tokenizer.h"

enum { L = 8, ROWS = 3 };

static const char *const lines[ROWS] = {"one two", "back\\sl", "new\nlin"};

/* Begin, seven letters. */
static flm_status rows_make(flm_tokenizer *tokenizer, int32_t ids[ROWS * L])
{
    flm_status rc = FLM_OK;
    flm_ids list = {0};

    for (int i = 0; i < ROWS; i++) {
        list.count = 0;
        FLM_TRY(flm_tokenizer_encode(tokenizer, lines[i], 7, &list, NULL));
        ids[i * L] = (int32_t)flm_tokenizer_begin_id(tokenizer);
        memcpy(ids + i * L + 1, list.ids, 7 * sizeof *ids);
    }
done:
    free(list.ids);
    return rc;
}

static flm_status shards_make(const flm_vocabulary *vocabulary, const int32_t *ids)
{
    static const flm_shard_input input = {"a.txt", 24,
                                          "00000000000000000000000000000000000000000000000000000000000000aa"};
    static const flm_shard_split split = {"train", 1, ROWS, ROWS, 3, 1};
    flm_status rc = FLM_OK;
    flm_shard_info info = {.vocabulary = *vocabulary,
                           .L = L,
                           .corpus = "text",
                           .documents = "line",
                           .program_version = "test",
                           .inputs = &input,
                           .inputs_count = 1};
    flm_shard_writer *writer = NULL;

    mkdir("shards", 0777);
    FLM_TRY(flm_shard_create("shards", "train", 0, 1, ROWS, &info));
    FLM_TRY(flm_shard_writer_open("shards", "train", 0, 1, &writer));
    FLM_TRY(flm_shard_writer_write(writer, 0, ROWS, ids));
    FLM_TRY(flm_shard_writer_close(&writer));
    FLM_TRY(flm_shard_publish("shards", &split, 1, &info));
done:
    flm_shard_writer_close(&writer);
    return rc;
}

static flm_status samples_make(flm_comm *comm, const flm_vocabulary *vocabulary, const int32_t *ids)
{
    flm_status rc = FLM_OK;
    const flm_samples_setting setting = flm_samples_setting_of_steps(4);
    flm_samples_info info = {.vocabulary = *vocabulary,
                             .samples = ROWS,
                             .L = L,
                             .seed = 5,
                             .kind = "flm",
                             .checkpoint = "run/checkpoints/latest",
                             .weights = "ema",
                             .precision = "fp32"};
    flm_samples *samples = NULL;

    FLM_TRY(flm_samples_open_write(comm, "samples.h5", &info, NULL, &setting, 1, &samples));
    FLM_TRY(flm_samples_write(samples, 0, 1, 2, ids + L));
    FLM_TRY(flm_samples_set_result(samples, 0, "entropy", 4.25));
    FLM_TRY(flm_samples_commit(comm, samples));
    FLM_TRY(flm_samples_close(&samples));
done:
    flm_samples_close(&samples);
    return rc;
}

static flm_status make(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    flm_vocabulary vocabulary = {.name = "bytes"};
    int32_t ids[ROWS * L];

    FLM_TRY(flm_tokenizer_create("bytes", &tokenizer));
    memcpy(vocabulary.sha256, flm_tokenizer_sha256(tokenizer), sizeof vocabulary.sha256);
    vocabulary.V = flm_tokenizer_size(tokenizer);
    vocabulary.begin_id = flm_tokenizer_begin_id(tokenizer);
    vocabulary.end_id = flm_tokenizer_end_id(tokenizer);
    FLM_TRY(rows_make(tokenizer, ids));
    mkdir("run", 0777);
    FLM_TRY(fixture_write(comm, "run/checkpoints", 10, false, 0));
    FLM_TRY(fixture_write(comm, "run/checkpoints", 20, false, 0));
    FLM_TRY(shards_make(&vocabulary, ids));
    FLM_TRY(samples_make(comm, &vocabulary, ids));
done:
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}

int main(int argc, char **argv)
{
    flm_comm *comm = NULL;
    flm_status rc;

    MPI_Init(&argc, &argv);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK) return 99;
    rc = make(comm);
    if (rc != FLM_OK) fprintf(stderr, "%s", flm_err_trace());
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return rc != FLM_OK;
}
