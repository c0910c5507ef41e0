/* checkpoint.c - checkpoints on one rank: what is written is read, slices must cover all, damage is found and left
 * behind. On several ranks: tests/ranks/checkpoint.c. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_log.h"
#include "tests/io_fixture.h"

#include <errno.h>

static flm_comm *comm;
static char folder[32];

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool latest_is(const char *name)
{
    char target[64] = "";
    return readlink(in_folder("latest"), target, sizeof target - 1) > 0 && strcmp(target, name) == 0;
}

static bool says(const char *text) { return strstr(flm_err_message(), text) != NULL; }

static void test_contents(void)
{
    flm_checkpoint *c = NULL;
    const flm_checkpoint_info *have, want = fixture_info(20);
    const flm_checkpoint_dataset *datasets;
    float one[2];
    int count = 0;

    tap_ok(fixture_write(comm, folder, 20, true, 0) == FLM_OK, "written");
    tap_ok(fixture_files(folder) == 2 && latest_is("step-00000020.h5"), "a file and latest, nothing else");
    if (!tap_ok(flm_checkpoint_open(in_folder("step-00000020.h5"), &c) == FLM_OK, "opened")) return;
    have = flm_checkpoint_get_info(c);
    tap_ok(strcmp(have->kind, "flm") == 0 && have->step == 20 && have->epoch == 3 && have->rows_read == 100 &&
               have->tokens_seen == 12800 && have->seed == -7 && have->lineage[0] == '\0' &&
               have->program_version[0] != '\0',
           "progress and origin");
    tap_ok(have->L == 16 && have->d == 5 && have->H == 1 && have->c == 3 && have->N == 1 &&
               strcmp(have->vocabulary.name, "bytes") == 0 &&
               strcmp(have->vocabulary.sha256, want.vocabulary.sha256) == 0 && have->vocabulary.V == 259 &&
               have->vocabulary.begin_id == 257 && have->vocabulary.end_id == 258 && have->logit_cap == 0,
           "model and vocabulary");
    tap_ok(strcmp(flm_checkpoint_get_setting(c, "lr"), "0.0003") == 0 &&
               flm_checkpoint_get_setting(c, "empty")[0] == '\0' && flm_checkpoint_get_setting(c, "none") == NULL &&
               flm_checkpoint_get_settings(c, &count) && count == 3,
           "settings");
    datasets = flm_checkpoint_get_datasets(c, &count);
    tap_ok(count == FIXTURE_DATASETS && strcmp(datasets[0].name, "weights/long") == 0 && datasets[0].ndim == 1 &&
               datasets[0].dim[0] == FIXTURE_LONG && datasets[7].dim[0] == 259 && datasets[7].dim[1] == 5,
           "datasets");
    tap_ok(fixture_all_same(c, true, 20), "every element");
    tap_ok(fixture_same(c, 1, "weights/long", (1 << 20) - 3, 7, 20) && fixture_same(c, 3, "ema/long", 1, 70000, 20) &&
               fixture_same(c, 1, "weights/long", FIXTURE_LONG - 1, 1, 20) &&
               fixture_same(c, 1, "weights/long", FIXTURE_LONG, 0, 20) &&
               fixture_same(c, 1, "weights/long", 5, FIXTURE_LONG - 5, 20),
           "stretches inside, across and at the end of blocks");
    tap_ok(flm_checkpoint_read(c, "weights/none", 0, 1, one) == FLM_E_FORMAT && says("weights/none"), "no such name");
    tap_ok(flm_checkpoint_read(c, "weights/long", FIXTURE_LONG - 1, 2, one) == FLM_E_FORMAT &&
               flm_checkpoint_read(c, "weights/long", -1, 2, one) == FLM_E_FORMAT &&
               flm_checkpoint_read(c, "weights/long", INT64_MAX, INT64_MAX, one) == FLM_E_FORMAT,
           "no such range");
    const int64_t expected[2] = {259, 5}, turned[2] = {5, 259}, longest = FIXTURE_LONG;
    tap_ok(flm_checkpoint_expect(c, "weights/vocab_embed.embedding", 2, expected) == FLM_OK &&
               flm_checkpoint_expect(c, "weights/long", 1, &longest) == FLM_OK,
           "datasets of the expected shape");
    tap_ok(flm_checkpoint_expect(c, "weights/vocab_embed.embedding", 2, turned) == FLM_E_MISMATCH &&
               says("weights/vocab_embed.embedding has shape [259, 5], expected [5, 259]"),
           "another shape: %s", flm_err_message());
    tap_ok(flm_checkpoint_expect(c, "weights/vocab_embed.embedding", 1, expected) == FLM_E_MISMATCH &&
               says("[259, 5], expected [259]"),
           "another number of axes: %s", flm_err_message());
    tap_ok(flm_checkpoint_expect(c, "weights/none", 1, expected) == FLM_E_MISMATCH && says("weights/none is missing"),
           "a missing dataset: %s", flm_err_message());
    tap_ok(flm_checkpoint_verify(c) == FLM_OK, "verified");
    flm_checkpoint_close(&c);
    tap_ok(c == NULL, "closed");
}

/* How often each dataset was asked for; -1 in `fails`: none is refused. */
typedef struct source_calls {
    const flm_checkpoint_dataset *datasets;
    int calls[FIXTURE_DATASETS], fails;
} source_calls;

static flm_status known_values(void *context, int index, float *data)
{
    source_calls *s = context;
    s->calls[index]++;
    if (index == s->fails) return flm_err_raise(FLM_E_NUMERIC, __FILE__, __LINE__, "dataset %d is refused", index);
    for (int64_t e = 0; e < flm_checkpoint_elements(&s->datasets[index]); e++) data[e] = fixture_value(index, e, 20);
    return FLM_OK;
}

static bool files_equal(const char *a, const char *b)
{
    char *x = NULL, *y = NULL;
    size_t m = 0, n = 0;
    const bool equal = flm_file_read(a, SIZE_MAX, &x, &m) == FLM_OK && flm_file_read(b, SIZE_MAX, &y, &n) == FLM_OK &&
                       m == n && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return equal;
}

/* The same checkpoint again, by one process, from a source. The folder holds step 20. */
static void test_write_file(void)
{
    flm_checkpoint_dataset datasets[FIXTURE_DATASETS];
    const flm_checkpoint_info info = fixture_info(20);
    const int count = fixture_datasets(datasets, true);
    source_calls s = {.datasets = datasets, .fails = -1};
    char first[256], second[256];
    int once = 0;

    snprintf(first, sizeof first, "%s", in_folder("step-00000020.h5"));
    snprintf(second, sizeof second, "%s", in_folder("file.h5"));
    tap_ok(flm_checkpoint_write_file(second, &info, fixture_settings, 3, datasets, count, known_values, &s) == FLM_OK,
           "written from a source");
    for (int i = 0; i < count; i++) once += s.calls[i] == 1;
    tap_ok(once == count, "the source is asked once for each dataset");
    tap_ok(files_equal(first, second), "the same bytes as written from slices");
    s.fails = 3;
    tap_ok(flm_checkpoint_write_file(second, &info, fixture_settings, 3, datasets, count, known_values, &s) ==
                   FLM_E_NUMERIC &&
               says("dataset 3") && files_equal(first, second) && fixture_files(folder) == 3,
           "a source that fails leaves the file as it was, and nothing else");
    tap_ok(flm_checkpoint_write_file(second, &info, NULL, 0, datasets, 0, known_values, &s) == FLM_E_ARG,
           "no datasets: %s", flm_err_message());
    unlink(second);
}

/* A cap that no decimal of few digits has. */
static void test_logit_cap(void)
{
    flm_checkpoint *c = NULL;
    flm_checkpoint_info info = fixture_info(20);
    flm_checkpoint_dataset datasets[FIXTURE_DATASETS];
    const int count = fixture_datasets(datasets, false);
    source_calls s = {.datasets = datasets, .fails = -1};
    char capped[256];
    snprintf(capped, sizeof capped, "%s", in_folder("capped.h5"));
    info.logit_cap = 100.0 / 3;
    tap_ok(flm_checkpoint_write_file(capped, &info, NULL, 0, datasets, count, known_values, &s) == FLM_OK &&
               flm_checkpoint_open(capped, &c) == FLM_OK && flm_checkpoint_get_info(c)->logit_cap == 100.0 / 3,
           "a logit cap comes back");
    flm_checkpoint_close(&c);
    unlink(capped);
}

static void test_slices(void)
{
    flm_checkpoint_dataset d[2] = {{"weights/a", 1, {10, 0}}, {"weights/b", 2, {3, 2}}};
    const flm_checkpoint_info info = fixture_info(21);
    float x[16] = {0};
    const flm_checkpoint_slice whole[2] = {{0, 0, 10, x, NULL}, {1, 0, 6, x, NULL}};
    const flm_checkpoint_slice hole[3] = {{0, 0, 4, x, NULL}, {0, 5, 5, x, NULL}, {1, 0, 6, x, NULL}};
    const flm_checkpoint_slice tail[2] = {{0, 0, 9, x, NULL}, {1, 0, 6, x, NULL}};
    const flm_checkpoint_slice overlap[3] = {{0, 0, 5, x, NULL}, {0, 4, 6, x, NULL}, {1, 0, 6, x, NULL}};
    const flm_checkpoint_slice twice[3] = {{0, 0, 10, x, NULL}, {1, 0, 6, x, NULL}, {1, 5, 1, x, NULL}};
    const flm_checkpoint_slice outside[2] = {{0, 0, 11, x, NULL}, {1, 0, 6, x, NULL}};
    const flm_checkpoint_slice none[1] = {{0, 0, 0, x, NULL}};
    const int files = fixture_files(folder);

#define TRY(slices) flm_checkpoint_write(comm, folder, &info, NULL, 0, d, 2, slices, sizeof slices / sizeof *slices, 0)
    tap_ok(TRY(hole) == FLM_E_ARG && says("weights/a") && says("element 4"), "a hole: %s", flm_err_message());
    tap_ok(TRY(tail) == FLM_E_ARG && says("weights/a") && says("element 9"), "a hole at the end");
    tap_ok(TRY(overlap) == FLM_E_ARG && says("weights/a") && says("element 4"), "an overlap: %s", flm_err_message());
    tap_ok(TRY(twice) == FLM_E_ARG && says("weights/b") && says("element 5"), "an overlap at the end");
    tap_ok(TRY(outside) == FLM_E_ARG && says("weights/a"), "a slice that is longer than the dataset");
    tap_ok(TRY(none) == FLM_E_ARG, "no data at all");
    tap_ok(fixture_files(folder) == files && latest_is("step-00000020.h5"), "nothing was left of these");
    d[1].dim[1] = 0;
    tap_ok(TRY(whole) == FLM_E_ARG && says("weights/b"), "a dataset without elements");
    d[1].dim[1] = 2;
    strcpy(d[1].name, "other/b");
    tap_ok(TRY(whole) == FLM_E_FORMAT && says("/other"), "a name that the schema refuses: %s", flm_err_message());
    tap_ok(fixture_files(folder) == files && latest_is("step-00000020.h5"), "and nothing of this");
    strcpy(d[1].name, "weights/b");
    tap_ok(TRY(whole) == FLM_OK && latest_is("step-00000021.h5"), "good ones are written");
#undef TRY
}

static void test_keep(void)
{
    int fd = open(in_folder(".step-00000009.h5.tmp"), O_CREAT | O_WRONLY, 0644);

    if (fd >= 0) close(fd);
    for (int64_t step = 30; step <= 60; step += 10)
        if (fixture_write(comm, folder, step, false, 3) != FLM_OK) tap_ok(0, "%s", flm_err_message());
    tap_ok(fixture_files(folder) == 4 && latest_is("step-00000060.h5") && fixture_exists(folder, "step-00000040.h5") &&
               !fixture_exists(folder, "step-00000030.h5"),
           "three are kept, what a killed run left is swept away");
    tap_ok(fixture_write(comm, folder, 45, false, 3) == FLM_OK && latest_is("step-00000045.h5") &&
               fixture_exists(folder, "step-00000040.h5") && !fixture_exists(folder, "step-00000060.h5"),
           "of a run that went back, later ones go first");
    tap_ok(fixture_write(comm, folder, 45, false, 3) == FLM_OK && fixture_files(folder) == 4, "a step written again");
}

static bool resumes(int64_t step)
{
    flm_checkpoint *c = NULL;
    bool ok = flm_checkpoint_resume(comm, folder, &c) == FLM_OK && c && flm_checkpoint_get_info(c)->step == step &&
              fixture_all_same(c, false, step);
    flm_checkpoint_close(&c);
    return ok;
}

/* The folder holds 40, 45, 50; latest is 45. */
static void test_resume(void)
{
    flm_checkpoint *c = NULL;
    struct stat st;

    tap_ok(resumes(45), "resumed from latest");
    if (stat(in_folder("step-00000045.h5"), &st) == 0 && truncate(in_folder("step-00000045.h5"), st.st_size - 1) == 0)
        tap_ok(resumes(40), "latest is truncated: the one before it");
    if (unlink(in_folder("step-00000045.h5")) == 0) tap_ok(resumes(40), "latest is gone: the one before it");
    unlink(in_folder("latest"));
    tap_ok(resumes(50), "no latest: the newest");
    if (symlink("../../etc/passwd", in_folder("latest")) == 0) tap_ok(resumes(50), "latest names something else");
    tap_ok(stat(in_folder("step-00000050.h5"), &st) == 0 &&
               fixture_flip(in_folder("step-00000050.h5"), st.st_size - 2, 3) && resumes(40),
           "its last datum changed: the one before it");
    tap_ok(truncate(in_folder("step-00000040.h5"), 0) == 0 && flm_checkpoint_resume(comm, folder, &c) == FLM_E_FORMAT &&
               c == NULL && says(folder) && says("none of the"),
           "all are damaged: %s", flm_err_message());
    unlink(in_folder("step-00000040.h5"));
    unlink(in_folder("step-00000050.h5"));
    c = (flm_checkpoint *)&st;
    tap_ok(flm_checkpoint_resume(comm, folder, &c) == FLM_OK && c == NULL, "none is there");
    c = (flm_checkpoint *)&st;
    tap_ok(flm_checkpoint_resume(comm, "no-such-folder", &c) == FLM_OK && c == NULL, "no folder is there");
}

static void test_refused(void)
{
    flm_checkpoint *c = NULL;
    float x[259 * 5];

    tap_ok(flm_checkpoint_open(in_folder("step-1.h5"), &c) == FLM_E_MISSING && says(strerror(ENOENT)), "not there");
    tap_ok(flm_checkpoint_open(folder, &c) == FLM_E_FORMAT && says(folder), "a folder: %s", flm_err_message());
    tap_ok(fixture_write(comm, "no-such/folder", 1, false, 0) == FLM_E_MISSING && says(strerror(ENOENT)),
           "nowhere to write");
    tap_ok(fixture_write(comm, in_folder("new"), 1, false, 0) == FLM_OK, "a folder that is made");
    tap_ok(flm_checkpoint_open(in_folder("new/step-00000001.h5"), &c) == FLM_OK, "and read");
    /* Not by its end, where the last dataset lies: a read of another dataset does not care, a verification does. */
    if (c) {
        struct stat st;
        tap_ok(stat(in_folder("new/step-00000001.h5"), &st) == 0 &&
                   fixture_flip(in_folder("new/step-00000001.h5"), st.st_size - 1, 7) &&
                   flm_checkpoint_read(c, "weights/vocab_embed.embedding", 0, 259 * 5, x) == FLM_OK &&
                   flm_checkpoint_verify(c) == FLM_E_CHECKSUM && says("optimizer/v/") && says("block 0") &&
                   says("step-00000001.h5"),
               "a changed datum is named: %s", flm_err_message());
    }
    flm_checkpoint_close(&c);
    tap_ok(fixture_remove(in_folder("new")), "that folder is gone");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK) return 99;
    flm_log_init(0, FLM_LOG_ERROR);
    fixture_folder(comm, folder);
    test_contents();
    test_write_file();
    test_logit_cap();
    test_slices();
    test_keep();
    test_resume();
    test_refused();
    tap_ok(fixture_remove(folder), "the test's folder is gone");
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return tap_end();
}
