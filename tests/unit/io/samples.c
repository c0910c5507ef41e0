/* samples.c - samples files: rows come back as they went in, missing ones are known as missing, files of other samples
 * are refused and left alone. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "base/base_log.h"
#include "io/io_samples.h"
#include "tests/io_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

enum { N = 7, L = 5 };

static flm_comm *comm;
static char folder[32], path[64];

static bool says(const char *text) { return strstr(flm_err_message(), text) != NULL; }

static flm_samples_info info_of(int64_t samples, int64_t length)
{
    const flm_checkpoint_info checkpoint = fixture_info(20);
    return (flm_samples_info){.vocabulary = checkpoint.vocabulary,
                              .samples = samples,
                              .L = length,
                              .seed = 42,
                              .kind = "flm",
                              .checkpoint = "run/checkpoints/latest",
                              .checkpoint_step = 20,
                              .weights = "ema",
                              .precision = "fp32",
                              .matmul = "fp32"};
}

/* Settings of numbers of steps; the sets of a file are numbered in ascending order. */
#define SETTING(steps) flm_samples_setting_of_steps(steps)

static void ids_of(int64_t steps, int64_t first, int64_t count, int32_t *ids)
{
    for (int64_t i = 0; i < count * L; i++) ids[i] = (int32_t)((first * L + i + 13 * steps) % 259);
}

static bool row_same(flm_samples *s, int set, int64_t row)
{
    int32_t have[L], want[L];
    ids_of(set == 0 ? 1 : 128, row, 1, want);
    return flm_samples_read(s, set, row, 1, have) == FLM_OK && memcmp(have, want, sizeof want) == 0;
}

static int present_count(flm_samples *s, int set)
{
    bool present[N] = {0};
    int n = 0;
    if (flm_samples_check_rows(s, set, 0, N, present) != FLM_OK) return -1;
    for (int i = 0; i < N; i++) n += present[i];
    return n;
}

static void test_rows(void)
{
    const flm_samples_info info = info_of(N, L);
    const flm_samples_setting steps[] = {SETTING(128), SETTING(1)};
    int32_t ids[N * L], zero[L] = {0}, bad[L] = {0, 0, 259, 0, 0};
    bool present[2] = {true, true};
    flm_samples *s = NULL;

    tap_ok(flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_OK, "created");
    if (!s) return;
    tap_ok(fixture_files(folder) == 2, "under its name, with a lock beside it");
    tap_ok(flm_samples_count(s) == 2 && flm_samples_get_setting(s, 0)->steps == 1 &&
               strcmp(flm_samples_get_name(s, 1), "steps_128") == 0 && flm_samples_find(s, &steps[0]) == 1,
           "numbers of steps, ascending");
    tap_ok(strcmp(flm_samples_get_info(s)->checkpoint, info.checkpoint) == 0 && flm_samples_get_info(s)->seed == 42 &&
               flm_samples_get_info(s)->program_version[0] != '\0',
           "attributes");
    tap_ok(present_count(s, 0) == 0 && present_count(s, 1) == 0, "no row is there yet");
    tap_ok(flm_samples_read(s, 0, 3, 1, ids) == FLM_E_CHECKSUM && says("row 3") && says("steps_1"), "nor is it read");
    ids_of(1, 2, 3, ids);
    tap_ok(flm_samples_write(s, 0, 2, 3, ids) == FLM_OK && present_count(s, 0) == 3 && present_count(s, 1) == 0,
           "three rows of one group");
    tap_ok(row_same(s, 0, 2) && row_same(s, 0, 3) && row_same(s, 0, 4), "as they were written");
    tap_ok(flm_samples_check_rows(s, 0, 1, 2, present) == FLM_OK && !present[0] && present[1], "present from a row on");
    tap_ok(flm_samples_write(s, 1, N - 1, 1, zero) == FLM_OK && present_count(s, 1) == 1, "a row of zeros is a row");
    tap_ok(flm_samples_write(s, 0, 0, 1, bad) == FLM_E_ARG && says("259"), "an id outside the vocabulary");
    tap_ok(flm_samples_write(s, 0, N - 1, 2, ids) == FLM_E_ARG && flm_samples_write(s, 2, 0, 1, ids) == FLM_E_ARG &&
               flm_samples_read(s, 0, -1, 1, ids) == FLM_E_ARG &&
               flm_samples_check_rows(s, 0, INT64_MAX, INT64_MAX, present) == FLM_E_ARG,
           "rows and groups that are not in it");
    tap_ok(flm_samples_close(&s) == FLM_OK && s == NULL, "closed");
}

static void test_resumed(void)
{
    const flm_samples_info info = info_of(N, L);
    const flm_samples_setting steps[] = {SETTING(1), SETTING(128)}, one[] = {SETTING(128)};
    int32_t ids[N * L];
    flm_samples *s = NULL;
    double value = 0;
    bool there = false;

    tap_ok(flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_OK && present_count(s, 0) == 3 &&
               present_count(s, 1) == 1 && row_same(s, 0, 3),
           "taken up with its rows");
    ids_of(1, 0, N, ids);
    tap_ok(s && flm_samples_write(s, 0, 0, N, ids) == FLM_OK && present_count(s, 0) == N, "filled");
    tap_ok(s && flm_samples_set_result(s, 0, "entropy", 4.25) == FLM_OK &&
               flm_samples_set_result(s, 0, "entropy", 4.5) == FLM_OK &&
               flm_samples_set_result(s, 1, "gen_ppl", 50) == FLM_OK && present_count(s, 0) == N,
           "results beside open rows");
    tap_ok(s && flm_samples_set_result(s, 3, "entropy", 1) == FLM_E_ARG, "a result of a set that is not there");
    tap_ok(s && flm_samples_commit(comm, s) == FLM_OK && present_count(s, 0) == N &&
               flm_samples_get_result(s, 0, "entropy", &value, &there) == FLM_OK && there && value == 4.5 &&
               flm_samples_write(s, 0, 0, N, ids) == FLM_E_ARG && fixture_files(folder) == 2,
           "committed: the last value counts, and nothing is written afterwards");
    tap_ok(flm_samples_close(&s) == FLM_OK, "closed");
    tap_ok(flm_samples_open_write(comm, path, &info, NULL, one, 1, &s) == FLM_OK && present_count(s, 0) == N,
           "taken up for fewer numbers of steps");
    flm_samples_close(&s);
    tap_ok(flm_samples_open_read(path, &s) == FLM_OK && row_same(s, 0, 0) && row_same(s, 0, N - 1) &&
               flm_samples_write(s, 0, 0, 1, ids) == FLM_E_ARG,
           "read, and then not written");
    flm_samples_close(&s);
}

static void test_mismatch(void)
{
    static const struct {
        const char *name;
        size_t offset;
    } numbers[] = {{"samples", offsetof(flm_samples_info, samples)},
                   {"L", offsetof(flm_samples_info, L)},
                   {"seed", offsetof(flm_samples_info, seed)},
                   {"checkpoint_step", offsetof(flm_samples_info, checkpoint_step)},
                   {"checkpoint_identity", offsetof(flm_samples_info, checkpoint_identity)},
                   {"V", offsetof(flm_samples_info, vocabulary.V)},
                   {"begin_id", offsetof(flm_samples_info, vocabulary.begin_id)},
                   {"end_id", offsetof(flm_samples_info, vocabulary.end_id)}};
    static const struct {
        const char *name, *value;
        size_t offset;
    } texts[] = {{"kind", "fmlm-two-model", offsetof(flm_samples_info, kind)},
                 {"checkpoint", "other", offsetof(flm_samples_info, checkpoint)},
                 {"weights", "raw", offsetof(flm_samples_info, weights)},
                 {"precision", "bf16", offsetof(flm_samples_info, precision)},
                 {"matmul", "native", offsetof(flm_samples_info, matmul)},
                 {"tokenizer", "gpt2", offsetof(flm_samples_info, vocabulary.name)},
                 {"tokenizer_sha256", "0", offsetof(flm_samples_info, vocabulary.sha256)}};
    const flm_samples_setting steps[] = {SETTING(1), SETTING(128), SETTING(3)};
    flm_samples *s = NULL;
    char quoted[64];
    flm_samples_info info;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        info = info_of(N, L);
        ++*(int64_t *)((char *)&info + numbers[i].offset);
        snprintf(quoted, sizeof quoted, "\"%s\"", numbers[i].name);
        tap_ok(flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_E_MISMATCH && says(quoted) &&
                   says(path),
               "another %s", numbers[i].name);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        info = info_of(N, L);
        strcpy((char *)&info + texts[i].offset, texts[i].value);
        snprintf(quoted, sizeof quoted, "\"%s\"", texts[i].name);
        tap_ok(flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_E_MISMATCH && says(quoted),
               "another %s", texts[i].name);
    }
    info = info_of(N, L);
    info.logit_cap = 30;
    tap_ok(flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_E_MISMATCH && says("\"logit_cap\""),
           "another logit_cap");
    info = info_of(N, L);
    tap_ok(flm_samples_open_write(comm, path, &info, NULL, steps, 3, &s) == FLM_E_MISMATCH && says("steps_3"),
           "a number of steps more");
    tap_ok(s == NULL && flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_OK &&
               present_count(s, 0) == N,
           "the file is as it was");
    flm_samples_close(&s);
}

static void test_refused(void)
{
    const flm_samples_info info = info_of(N, L);
    const flm_samples_setting steps[] = {SETTING(4), SETTING(4)}, none[] = {SETTING(0)};
    flm_samples *s = NULL;
    char other[64];
    struct stat st;
    FILE *file;

    snprintf(other, sizeof other, "%s/other", folder);
    tap_ok(flm_samples_open_write(comm, other, &info, NULL, steps, 2, &s) == FLM_E_ARG, "a number of steps twice");
    tap_ok(flm_samples_open_write(comm, other, &info, NULL, none, 1, &s) == FLM_E_ARG, "no steps");
    tap_ok(!fixture_exists(folder, "other") && fixture_files(folder) == 1, "nothing is left of these");
    tap_ok(flm_samples_open_write(comm, "no-such/file", &info, NULL, steps, 1, &s) == FLM_E_MISSING &&
               says(strerror(ENOENT)),
           "nowhere to write: %s", flm_err_message());
    if ((file = fopen(other, "w"))) {
        fputs("letters", file);
        fclose(file);
    }
    tap_ok(flm_samples_open_write(comm, other, &info, NULL, steps, 1, &s) == FLM_E_FORMAT && says(other) &&
               stat(other, &st) == 0 && st.st_size == 7,
           "a foreign file is refused and stays: %s", flm_err_message());
    unlink(other);
    tap_ok(fixture_write(comm, folder, 20, false, 0) == FLM_OK, "a checkpoint");
    snprintf(other, sizeof other, "%s/step-00000020.h5", folder);
    tap_ok(flm_samples_open_read(other, &s) == FLM_E_FORMAT && says("checkpoint"), "is no samples file: %s",
           flm_err_message());
    tap_ok(stat(path, &st) == 0 && truncate(path, st.st_size - 1) == 0 &&
               flm_samples_open_write(comm, path, &info, NULL, steps, 1, &s) == FLM_E_FORMAT && says(path),
           "a truncated file is refused: %s", flm_err_message());
    unlink(path);
}

/* Every part of a setting makes another name, another set, and comes back. */
static void test_settings(void)
{
    const flm_samples_info info = info_of(N, L);
    const flm_samples_setting refine = {.sampler = FLM_SAMPLES_REFINE,
                                        .steps = 1,
                                        .rounds = 8,
                                        .budget = FLM_SAMPLES_UNIFORM,
                                        .threshold = 0.999,
                                        .fresh_noise = true,
                                        .top_p = 1};
    flm_samples_setting all[12];
    flm_samples *s = NULL;
    char name[FLM_SAMPLES_SETTING_BYTES], text[FLM_SAMPLES_SETTING_BYTES];
    bool same = true, ascending = true;

    for (int i = 0; i < 6; i++) all[i] = SETTING(i == 1 ? 128 : 8);
    all[2].noise_level = 0.8;
    all[3].temperature = 0.7;
    all[4] = all[3], all[4].top_p = 0.9, all[4].top_k = 40;
    all[5].sampler = FLM_SAMPLES_BLOCKS, all[5].block_length = 32;
    for (int i = 6; i < 12; i++) all[i] = refine;
    all[7].rounds = 16;
    all[8].threshold = -1;
    all[9].budget = 3;
    all[10].fresh_noise = false;
    all[11].steps = 4;
    tap_ok(strcmp(flm_samples_setting_name(&all[4], name), "steps_8_temperature_0.7_top_k_40_top_p_0.9") == 0 &&
               strcmp(flm_samples_setting_name(&all[5], name), "blocks_32x8") == 0 &&
               strcmp(flm_samples_setting_name(&refine, name), "refine_8x1_threshold_0.999") == 0 &&
               strcmp(flm_samples_setting_name(&all[2], name), "steps_8_noise_0.8") == 0,
           "names: %s", name);
    tap_ok(strcmp(flm_samples_setting_describe(&refine, text), "8 rounds of 1 step, threshold 0.999") == 0, "%s", text);
    tap_ok(flm_samples_open_write(comm, path, &info, NULL, all, 12, &s) == FLM_OK && flm_samples_count(s) == 12,
           "a file of 12 settings");
    for (int i = 0; i < 12 && s; i++) {
        const int set = flm_samples_find(s, &all[i]);
        same = same && set >= 0 && strcmp(flm_samples_get_name(s, set), flm_samples_setting_name(&all[i], name)) == 0;
        ascending = ascending && (i == 0 || flm_samples_setting_compare(flm_samples_get_setting(s, i - 1),
                                                                        flm_samples_get_setting(s, i)) < 0);
    }
    tap_ok(same, "each is found, under its name");
    tap_ok(ascending && s && flm_samples_get_setting(s, 4)->steps == 128, "in the order of their numbers");
    tap_ok(flm_samples_close(&s) == FLM_OK, "closed");
    all[0].noise_level = 0.5;
    tap_ok(flm_samples_open_write(comm, path, &info, NULL, all, 1, &s) == FLM_E_MISMATCH && says("steps_8_noise_0.5"),
           "another setting: %s", flm_err_message());
    unlink(path);
}

static void test_prompts(void)
{
    enum { P = 3, ROWS = 6 };
    const flm_samples_info info = info_of(ROWS, L);
    const flm_samples_setting one = SETTING(4);
    int32_t tokens[P * L], full[P * L];
    flm_samples_prompts prompts = {P, tokens};
    flm_samples *s = NULL;

    for (int i = 0; i < P * L; i++) tokens[i] = i % 3 ? 10 + i : FLM_SAMPLES_FREE, full[i] = i;
    tap_ok(flm_samples_open_write(comm, path, &info, &prompts, &one, 1, &s) == FLM_OK, "a file with prompts: %s",
           flm_err_message());
    tap_ok(s && flm_samples_get_prompts(s)->count == P && memcmp(flm_samples_get_prompt(s, 0), tokens, L * 4) == 0 &&
               memcmp(flm_samples_get_prompt(s, 1), tokens, L * 4) == 0 &&
               memcmp(flm_samples_get_prompt(s, 5), tokens + 2 * L, L * 4) == 0,
           "each prompt belongs to two rows");
    flm_samples_close(&s);
    tap_ok(flm_samples_open_write(comm, path, &info, &prompts, &one, 1, &s) == FLM_OK, "taken up");
    flm_samples_close(&s);
    tap_ok(flm_samples_open_write(comm, path, &info, NULL, &one, 1, &s) == FLM_E_MISMATCH && says("\"prompts\""),
           "not without prompts");
    tokens[1]++;
    tap_ok(flm_samples_open_write(comm, path, &info, &prompts, &one, 1, &s) == FLM_E_MISMATCH && says("\"prompts\""),
           "nor with others");
    unlink(path);
    prompts.count = 4;
    tap_ok(flm_samples_open_write(comm, path, &info, &prompts, &one, 1, &s) == FLM_E_ARG && says("4 prompts"),
           "6 samples of 4 prompts are refused");
    prompts = (flm_samples_prompts){P, full};
    tap_ok(flm_samples_open_write(comm, path, &info, &prompts, &one, 1, &s) == FLM_E_FORMAT &&
               says("nothing to fill in"),
           "a prompt without anything to fill in: %s", flm_err_message());
    tap_ok(access(path, F_OK) != 0, "nothing is left of these");
}

/* Longer rows than a block, and a file that stops growing. */
static void test_long(void)
{
    const flm_samples_setting steps[] = {SETTING(1)};
    const int64_t length = 1 << 20;
    const flm_samples_info info = info_of(3, length);
    int32_t *ids = calloc((size_t)length, sizeof *ids);
    struct rlimit limit, all;
    flm_samples *s = NULL;
    bool present[3] = {true, true, true};
    flm_status rc;

    tap_ok(ids && flm_samples_open_write(comm, path, &info, NULL, steps, 1, &s) == FLM_OK &&
               flm_samples_check_rows(s, 0, 0, 3, present) == FLM_OK && !present[0] && !present[1] && !present[2],
           "rows of 4 MiB that are not there");
    if (!s || !ids || getrlimit(RLIMIT_FSIZE, &all) != 0) return;
    limit = all;
    limit.rlim_cur = 6 << 20;
    setrlimit(RLIMIT_FSIZE, &limit);
    rc = flm_samples_write(s, 0, 1, 1, ids);
    setrlimit(RLIMIT_FSIZE, &all);
    tap_ok(rc == FLM_E_IO && says(strerror(EFBIG)) && says(path), "no room for a row: %s", flm_err_message());
    tap_ok(flm_samples_check_rows(s, 0, 0, 3, present) == FLM_OK && !present[1], "that row is not there");
    tap_ok(flm_samples_write(s, 0, 1, 1, ids) == FLM_OK && flm_samples_check_rows(s, 0, 0, 3, present) == FLM_OK &&
               !present[0] && present[1] && !present[2],
           "with room it is, all zeros");
    flm_samples_close(&s);
    unlink(path);
    setrlimit(RLIMIT_FSIZE, &limit);
    rc = flm_samples_open_write(comm, path, &info, NULL, steps, 1, &s);
    setrlimit(RLIMIT_FSIZE, &all);
    free(ids);
    tap_ok(rc == FLM_E_IO && says(strerror(EFBIG)) && fixture_files(folder) == 2,
           "no room for the file: nothing is left of it: %s", flm_err_message());
}

/* What says that a row is missing: zeros have no checksum 0. */
static void test_zeros(void)
{
    const int32_t zero[8] = {0};
    uint32_t crc = 0;
    int64_t never = 0;

    for (int64_t words = 1; words <= 1 << 20; words++) never += (crc = flm_crc32c_update(crc, zero, sizeof *zero)) == 0;
    tap_ok(never == 0, "no row of zeros has the checksum 0");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    signal(SIGXFSZ, SIG_IGN);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK) return 99;
    flm_log_init(0, FLM_LOG_ERROR);
    fixture_folder(comm, folder);
    snprintf(path, sizeof path, "%s/samples.h5", folder);
    test_rows();
    test_resumed();
    test_mismatch();
    test_refused();
    test_settings();
    test_prompts();
    test_long();
    test_zeros();
    tap_ok(fixture_remove(folder), "the test's folder is gone");
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return tap_end();
}
