/* shard.c - shard directories: what is written is read, in any order, by the loader too; damage is named.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/io_shard.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { L = 7, ROWS = 65, A_SHARD = 13, SHARDS = 5, VALID = 3 };

static const flm_shard_input inputs[] = {
    {"one.txt", 12, "00000000000000000000000000000000000000000000000000000000000000aa"},
    {"two.txt", 0, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
};

static char directory[] = "shard-test.XXXXXX";

static flm_shard_info make_info(int64_t V)
{
    flm_shard_info info = {.L = L,
                           .corpus = "text",
                           .documents = "line",
                           .group_docs = 1000,
                           .program_version = "test",
                           .inputs = inputs,
                           .inputs_count = 2};
    snprintf(info.vocabulary.name, sizeof info.vocabulary.name, "bytes");
    memset(info.vocabulary.sha256, 'a', 64);
    info.vocabulary.V = V;
    info.vocabulary.begin_id = info.vocabulary.end_id = 256;
    return info;
}

static int32_t id_at(int64_t V, int split, int64_t row, int64_t i)
{
    return (int32_t)((row * 1000003 + i * 7919 + split * 31) % V);
}

static flm_status write_split(const char *split, int which, int64_t rows, const flm_shard_info *info)
{
    flm_status rc = FLM_OK;
    flm_shard_writer *w = NULL;
    int of = (int)((rows + A_SHARD - 1) / A_SHARD);
    int32_t ids[A_SHARD * L];

    for (int k = 0; k < of; k++) {
        int64_t n = rows - k * A_SHARD < A_SHARD ? rows - k * A_SHARD : A_SHARD;
        FLM_TRY(flm_shard_create(directory, split, k, of, n, info));
        FLM_TRY(flm_shard_writer_open(directory, split, k, of, &w));
        for (int64_t i = 0; i < n * L; i++) ids[i] = id_at(info->vocabulary.V, which, k * A_SHARD + i / L, i % L);
        FLM_TRY(flm_shard_writer_write(w, 2, n - 2, ids + 2 * L)); /* in two parts, the second first */
        FLM_TRY(flm_shard_writer_write(w, 0, 2, ids));
        FLM_TRY(flm_shard_writer_close(&w));
    }
done:
    flm_shard_writer_close(&w);
    return rc;
}

static flm_status write_all(int64_t V)
{
    flm_status rc = FLM_OK;
    flm_shard_info info = make_info(V);
    const flm_shard_split splits[] = {{"train", SHARDS, ROWS, A_SHARD, 40, 5}, {"valid", 1, VALID, A_SHARD, 2, 0}};

    FLM_TRY(write_split("train", 0, ROWS, &info));
    FLM_TRY(write_split("valid", 1, VALID, &info));
    FLM_TRY(flm_shard_publish(directory, splits, 2, &info));
done:
    return rc;
}

static int row_right(int64_t V, int split, int64_t row, const int32_t *ids)
{
    for (int64_t i = 0; i < L; i++)
        if (ids[i] != id_at(V, split, row, i)) return 0;
    return 1;
}

static void test_read(const flm_shards *s, int64_t V)
{
    int32_t ids[ROWS * L], one[L];
    int64_t rows[ROWS];
    int right = 1, same = 1;
    const flm_shard_info *info = flm_shards_get_info(s);

    tap_ok(flm_shards_get_rows(s) == ROWS && info->L == L && info->vocabulary.V == V && info->inputs_count == 2 &&
               strcmp(info->inputs[1].sha256, inputs[1].sha256) == 0 && info->inputs[0].bytes == 12 &&
               strcmp(info->inputs[0].name, "one.txt") == 0 && strcmp(info->documents, "line") == 0,
           "V = %lld: what the directory says of itself", (long long)V);
    for (int64_t i = 0; i < ROWS; i++) rows[i] = i;
    right = flm_shards_read(s, rows, ROWS, ids) == FLM_OK;
    for (int64_t i = 0; i < ROWS; i++) right &= row_right(V, 0, i, ids + i * L);
    tap_ok(right, "every row in order, across shards");
    for (int64_t i = 0; i < ROWS; i++) rows[i] = flm_shards_permute(9, 4, i, ROWS);
    same = flm_shards_read(s, rows, ROWS, ids) == FLM_OK;
    for (int64_t i = 0; i < ROWS; i++) {
        same &= row_right(V, 0, rows[i], ids + i * L) && flm_shards_read(s, &rows[i], 1, one) == FLM_OK &&
                memcmp(one, ids + i * L, sizeof one) == 0;
    }
    tap_ok(same, "every row in a permuted order, together and one by one");
    rows[0] = ROWS;
    rows[1] = -1;
    tap_ok(flm_shards_read(s, rows, 1, one) == FLM_E_ARG && flm_shards_read(s, rows + 1, 1, one) == FLM_E_ARG,
           "rows beyond the end are refused: %s", flm_err_message());
}

/* Three epochs and a bit, the two halves of a batch as two ranks would read them, begun at another step. */
static void test_loader(const flm_shards *s, bool shuffle, int64_t first, int64_t count, int64_t from)
{
    enum { BATCH = 11, STEPS = 20 };
    flm_loader *l = NULL;
    int right = flm_loader_start(s, 77, shuffle, BATCH, first, count, from, &l) == FLM_OK;
    double waited = 0;

    for (int64_t step = from; right && step < from + STEPS; step++) {
        const int32_t *ids = NULL;
        right = flm_loader_next(l, &ids, &waited) == FLM_OK;
        for (int64_t i = 0; right && i < count; i++) {
            int64_t p = step * BATCH + first + i, row = p % ROWS;
            if (shuffle) row = flm_shards_permute(77, p / ROWS, p % ROWS, ROWS);
            right = row_right(flm_shards_get_info(s)->vocabulary.V, 0, row, ids + i * L);
        }
    }
    tap_ok(right && waited >= 0, "the loader's %d steps from %lld, samples %lld to %lld%s", STEPS, (long long)from,
           (long long)first, (long long)(first + count - 1), shuffle ? ", shuffled" : "");
    flm_loader_stop(&l);
    flm_loader_stop(&l);
}

static void test_epochs(void)
{
    int seen[ROWS] = {0}, good = 1, moved = 0;

    for (int64_t i = 0; i < ROWS; i++) {
        int64_t row = flm_shards_permute(1, 0, i, ROWS);
        good &= row >= 0 && row < ROWS && !seen[row]++;
        moved += row != flm_shards_permute(1, 1, i, ROWS);
    }
    tap_ok(good && moved > ROWS / 2, "an epoch is a permutation, the next another one");
}

/* One byte of a file changed at an offset that the test finds by searching for a row's bytes. */
static int damage(const char *name, const void *what, size_t bytes, int undo)
{
    static unsigned char kept;
    static long kept_at;
    char path[256], content[1 << 16];
    int fd, good = 0;
    ssize_t n;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_RDWR);
    if (fd < 0) return 0;
    if (undo) {
        good = pwrite(fd, &kept, 1, kept_at) == 1;
    } else {
        n = pread(fd, content, sizeof content, 0);
        for (long i = 0; !good && i + (long)bytes <= n; i++) {
            if (memcmp(content + i, what, bytes) != 0) continue;
            kept = (unsigned char)content[i];
            kept_at = i;
            content[i] ^= 1;
            good = pwrite(fd, content + i, 1, i) == 1;
        }
    }
    close(fd);
    return good;
}

static void test_damage(int64_t V)
{
    flm_shards *s = NULL;
    int64_t rows[] = {27, 28, 29}; /* rows 1, 2, 3 of the third shard */
    int32_t ids[3 * L];
    uint16_t stored[L];
    flm_loader *l = NULL;
    const int32_t *next;
    flm_status rc = FLM_OK;
    double waited = 0;

    for (int64_t i = 0; i < L; i++) stored[i] = (uint16_t)id_at(V, 0, 28, i);
    tap_ok(damage("train-00002-of-00005.h5", stored, sizeof stored, 0), "a bit of row 2 of the third shard is changed");
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_OK, "that is not seen at opening");
    tap_ok(flm_shards_read(s, rows, 3, ids) == FLM_E_CHECKSUM &&
               strstr(flm_err_message(), "train-00002-of-00005.h5: /tokens: row 2: "),
           "but when the row is read: %s", flm_err_message());
    tap_ok(flm_shards_read(s, rows, 1, ids) == FLM_OK && flm_shards_read(s, rows + 2, 1, ids) == FLM_OK,
           "the rows beside it are good");
    tap_ok(flm_loader_start(s, 1, false, 10, 0, 10, 0, &l) == FLM_OK, "a loader over it starts");
    for (int step = 0; step < 3 && rc == FLM_OK; step++) rc = flm_loader_next(l, &next, &waited);
    tap_ok(rc == FLM_E_CHECKSUM && strstr(flm_err_message(), "row 2: "), "and hands the failure over: %s",
           flm_err_message());
    tap_ok(flm_loader_next(l, &next, &waited) == FLM_E_CHECKSUM, "and again");
    flm_loader_stop(&l);
    flm_shards_close(&s);
    damage("train-00002-of-00005.h5", NULL, 0, 1);
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_OK && flm_shards_read(s, rows, 3, ids) == FLM_OK,
           "mended, it reads");
    flm_shards_close(&s);
}

static void remove_all(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf ./%s/..?* ./%s/.[!.]* ./%s/*", directory, directory, directory);
    if (system(command) != 0) printf("# %s failed\n", command);
}

/* Files that are replaced while they are read. A low limit on open files lets the last shard be opened for each read.
 */
static void test_replaced(int64_t V)
{
    enum { FILES = 9, LAST = ROWS - 1, FIRST_CHANGED = 2 };
    struct rlimit limit, low;
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    const int64_t rows[] = {FIRST_CHANGED, LAST};
    flm_shards *s = NULL;
    flm_shard_info info = make_info(V);
    const flm_shard_split splits[] = {{"train", SHARDS, ROWS, A_SHARD, 40, 5}};
    char first[256], last[256], command[600];
    int32_t ids[2 * L];

    snprintf(first, sizeof first, "%s/train-00000-of-00005.h5", directory);
    snprintf(last, sizeof last, "%s/train-00004-of-00005.h5", directory);
    for (int fd = 3; fd < 64; fd++) close(fd); /* what make has open */
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = FILES;
    setrlimit(RLIMIT_NOFILE, &low);
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_OK, "more shards than may be open: %s", flm_err_message());
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!s) return;
    tap_ok(flm_shards_read(s, rows, 2, ids) == FLM_OK && row_right(V, 0, LAST, ids + L), "are read");
    tap_ok(utimensat(AT_FDCWD, first, times, 0) == 0 && utimensat(AT_FDCWD, last, times, 0) == 0 &&
               flm_shards_read(s, rows, 2, ids) == FLM_OK && row_right(V, 0, LAST, ids + L),
           "another time stamp changes nothing: %s", flm_err_message());
    snprintf(command, sizeof command, "cp %s shard-copy.h5 && mv shard-copy.h5 %s", last, last);
    tap_ok(system(command) == 0 && flm_shards_read(s, rows, 2, ids) == FLM_OK && row_right(V, 0, LAST, ids + L),
           "nor does a copy of the same rows: %s", flm_err_message());
    snprintf(command, sizeof command, "cp %s shard-kept.h5", first);
    if (system(command) != 0) printf("# %s failed\n", command);
    remove_all();
    tap_ok(write_split("train", 1, ROWS, &info) == FLM_OK && flm_shard_publish(directory, splits, 1, &info) == FLM_OK,
           "other rows in files of the same names");
    tap_ok(flm_shards_read(s, rows, 1, ids) == FLM_OK && row_right(V, 0, FIRST_CHANGED, ids),
           "an open shard is still the old one");
    tap_ok(flm_shards_read(s, rows + 1, 1, ids) == FLM_E_MISMATCH && strstr(flm_err_message(), last),
           "one that is opened again is refused: %s", flm_err_message());
    flm_shards_close(&s);
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_OK && flm_shards_read(s, rows, 1, ids) == FLM_OK &&
               row_right(V, 1, FIRST_CHANGED, ids),
           "the new shards");
    snprintf(command, sizeof command, "cat shard-kept.h5 >%s && rm shard-kept.h5", first);
    tap_ok(system(command) == 0 && flm_shards_read(s, rows, 1, ids) == FLM_E_MISMATCH &&
               strstr(flm_err_message(), first),
           "a file that is overwritten in place is refused: %s", flm_err_message());
    flm_shards_close(&s);
}

static void test_refusals(void)
{
    flm_shards *s = NULL;
    flm_shard_writer *w = NULL;
    flm_shard_info info = make_info(257);
    char from[256], to[256];
    int32_t ids[2 * L] = {0};
    bool there = true, whole = true;

    tap_ok(flm_shards_open(directory, "tests", &s) == FLM_E_MISMATCH && !s, "a split that is not there: %s",
           flm_err_message());
    tap_ok(flm_shards_open(directory, "../x", &s) == FLM_E_ARG && !s, "a split that is none: %s", flm_err_message());
    snprintf(from, sizeof from, "%s/train-00001-of-00005.h5", directory);
    snprintf(to, sizeof to, "%s/train-00003-of-00005.h5", directory);
    rename(to, "shard-kept.h5");
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_E_MISSING && !s && strstr(flm_err_message(), "train-00003"),
           "a missing shard: %s", flm_err_message());
    tap_ok(link(from, to) == 0 && flm_shards_open(directory, "train", &s) == FLM_E_FORMAT && !s, "another's: %s",
           flm_err_message());
    unlink(to);
    tap_ok(rename("shard-kept.h5", to) == 0 && truncate(to, 3000) == 0 &&
               flm_shards_open(directory, "train", &s) == FLM_E_FORMAT && !s,
           "a cut one: %s", flm_err_message());
    remove_all();
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_E_MISSING && strstr(flm_err_message(), "index.h5"),
           "no index: %s", flm_err_message());
    tap_ok(flm_shard_reclaim(directory, "train", 0, 1, &there) == FLM_OK && !there, "nothing is laid out");
    tap_ok(flm_shard_create(directory, "train", 0, 1, 2, &info) == FLM_OK &&
               flm_shard_reclaim(directory, "train", 0, 1, &there) == FLM_OK && there,
           "then it is");
    tap_ok(flm_shard_writer_open(directory, "train", 0, 1, &w) == FLM_OK, "it opens");
    tap_ok(flm_shard_writer_check(w, 0, 2, &whole) == FLM_OK && !whole, "its rows are not there");
    tap_ok(flm_shard_writer_write(w, 1, 2, ids) == FLM_E_ARG, "rows beyond its end: %s", flm_err_message());
    ids[3] = 257;
    tap_ok(flm_shard_writer_write(w, 0, 1, ids) == FLM_E_ARG, "ids beyond V: %s", flm_err_message());
    ids[3] = 0;
    tap_ok(flm_shard_writer_write(w, 0, 1, ids) == FLM_OK && flm_shard_writer_check(w, 0, 1, &whole) == FLM_OK &&
               whole && flm_shard_writer_check(w, 0, 2, &whole) == FLM_OK && !whole,
           "one row is there, not both");
    tap_ok(flm_shard_writer_close(&w) == FLM_OK && !w, "closed");
    tap_ok(flm_shards_open(directory, "train", &s) == FLM_E_MISSING && !s, "without an index it is still unfinished");
}

int main(void)
{
    const int64_t sizes[] = {257, 70000};

    if (!mkdtemp(directory)) return tap_skip_all("no place for files");
    test_epochs();
    for (int i = 0; i < 2; i++) {
        flm_shards *s = NULL, *valid = NULL;
        int32_t ids[L];
        int64_t last = VALID - 1;
        remove_all();
        tap_ok(write_all(sizes[i]) == FLM_OK, "V = %lld: written: %s", (long long)sizes[i], flm_err_message());
        if (!tap_ok(flm_shards_open(directory, "train", &s) == FLM_OK, "opened: %s", flm_err_message())) continue;
        test_read(s, sizes[i]);
        test_loader(s, true, 0, 6, 0);
        test_loader(s, true, 6, 5, 3);
        test_loader(s, false, 0, 11, 1000);
        test_loader(s, true, 11, 0, 0);
        tap_ok(flm_shards_open(directory, "valid", &valid) == FLM_OK && flm_shards_get_rows(valid) == VALID &&
                   flm_shards_read(valid, &last, 1, ids) == FLM_OK && row_right(sizes[i], 1, last, ids),
               "the other split");
        flm_shards_close(&valid);
        flm_shards_close(&s);
        if (i == 0) test_damage(sizes[i]);
        if (i == 0) test_replaced(sizes[i]);
    }
    test_refusals();
    remove_all();
    rmdir(directory);
    return tap_end();
}
