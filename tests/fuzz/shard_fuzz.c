/* shard_fuzz.c - broken shard directories: the rows that were written, or one error that names the file; no crash.
 *
 * shard_fuzz.t [ITERATIONS [SEED]]: one of the files of a good directory is mutated, the same for the same seed. When
 * the directory still opens, rows that are read must be the good ones. Run it in a sanitizer build to see more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "io/io_shard.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { L = 9, ROWS = 10, A_SHARD = 6, FILES = 3, BYTES_MAX = 1 << 16 };

static const char *const names[FILES] = {"index.h5", "train-00000-of-00002.h5", "train-00001-of-00002.h5"};
static char directory[] = "shard-fuzz.XXXXXX";
static unsigned char good[FILES][BYTES_MAX], bad[2 * BYTES_MAX];
static size_t length[FILES];
static uint64_t key;
static uint32_t drawn;

static uint32_t draw(uint32_t below) { return flm_philox4x32(key, drawn++, 0, 0, 0).v[0] % below; }

static int32_t id_at(int64_t row, int64_t i) { return (int32_t)((row * 131 + i * 17) % 257); }

static flm_status write_good(void)
{
    flm_status rc = FLM_OK;
    flm_shard_input input = {.name = "a.txt", .bytes = 3};
    flm_shard_info info = {.vocabulary = {.name = "bytes", .V = 257, .begin_id = 256, .end_id = 256},
                           .L = L,
                           .corpus = "text",
                           .documents = "line",
                           .program_version = "test",
                           .inputs = &input,
                           .inputs_count = 1};
    const flm_shard_split split = {"train", 2, ROWS, A_SHARD, 10, 0};
    flm_shard_writer *w = NULL;
    int32_t ids[L];

    memset(info.vocabulary.sha256, 'b', 64);
    memset(input.sha256, 'c', 64);
    for (int k = 0; k < 2; k++)
        FLM_TRY(flm_shard_create(directory, "train", k, 2, k ? ROWS - A_SHARD : A_SHARD, &info));
    for (int64_t row = 0; row < ROWS; row++) {
        FLM_TRY(flm_shard_writer_open(directory, "train", row >= A_SHARD, 2, &w));
        for (int64_t i = 0; i < L; i++) ids[i] = id_at(row, i);
        FLM_TRY(flm_shard_writer_write(w, row % A_SHARD, 1, ids));
        FLM_TRY(flm_shard_writer_close(&w));
    }
    FLM_TRY(flm_shard_publish(directory, &split, 1, &info));
done:
    flm_shard_writer_close(&w);
    return rc;
}

static int file_put(int which, const void *data, size_t bytes)
{
    char path[128];
    int fd, whole;

    snprintf(path, sizeof path, "%s/%s", directory, names[which]);
    fd = open(path, O_WRONLY | O_TRUNC);
    whole = fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes;
    if (fd >= 0) close(fd);
    return whole;
}

static int keep_good(void)
{
    for (int k = 0; k < FILES; k++) {
        char path[128];
        int fd;
        ssize_t got;
        snprintf(path, sizeof path, "%s/%s", directory, names[k]);
        fd = open(path, O_RDONLY);
        got = fd >= 0 ? read(fd, good[k], sizeof good[k]) : -1;
        if (fd >= 0) close(fd);
        if (got < 1 || got == (ssize_t)sizeof good[k]) return 0;
        length[k] = (size_t)got;
    }
    return 1;
}

/* One change of bad [n]; the new length. */
static size_t mutate(size_t n)
{
    static const uint64_t values[] = {0, 1, 255, 65536, UINT32_MAX, INT64_MAX, UINT64_MAX, 1ull << 40};
    size_t at, run;

    if (n < 16) return n;
    at = draw((uint32_t)n);
    run = draw(64) + 1u;
    if (run > n - at) run = n - at;
    switch (draw(7)) {
    case 0: bad[at] ^= (unsigned char)(1u << draw(8)); break;
    case 1: bad[at] = (unsigned char)draw(256); break;
    case 2: return at;
    case 3: memset(bad + at, draw(2) ? 0 : 0xff, run); break;
    case 4: memmove(bad + draw((uint32_t)(n - run + 1)), bad + at, run); break;
    case 5:
        if (at > n - 8) at = n - 8;
        memcpy(bad + at, &values[draw(sizeof values / sizeof values[0])], 1u << draw(4));
        break;
    default: /* longer */
        if (n + run > sizeof bad) return n;
        memset(bad + n, 0x5a, run);
        return n + run;
    }
    return n;
}

/* Opens and reads one by one; every row that is read must be right. *opened, *rows: how far it came. */
static int sound(int *opened, int *rows_good)
{
    flm_shards *s = NULL;
    int32_t ids[L];
    flm_status rc = flm_shards_open(directory, "train", &s);
    int good_end = 1;

    *opened = rc == FLM_OK;
    *rows_good = 0;
    if (rc != FLM_OK)
        return !s && flm_err_message()[0] &&
               (rc == FLM_E_IO || rc == FLM_E_FORMAT || rc == FLM_E_CHECKSUM || rc == FLM_E_MISMATCH);
    if (flm_shards_get_info(s)->L != L || flm_shards_get_rows(s) != ROWS) good_end = 0;
    for (int64_t row = 0; good_end && row < ROWS; row++) {
        rc = flm_shards_read(s, &row, 1, ids);
        if (rc != FLM_OK) {
            good_end = (rc == FLM_E_CHECKSUM || rc == FLM_E_IO) && strstr(flm_err_message(), "train-0000") != NULL;
            continue;
        }
        for (int64_t i = 0; i < L; i++) good_end = good_end && ids[i] == id_at(row, i);
        ++*rows_good;
    }
    flm_shards_close(&s);
    return good_end;
}

int main(int argc, char **argv)
{
    long iterations = argc > 1 ? atol(argv[1]) : 1500, unsound = 0, refused = 0, damaged = 0, done = 0;
    int ready, opened, rows;

    key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    if (!mkdtemp(directory)) return tap_skip_all("no place for files");
    ready = write_good() == FLM_OK && keep_good();
    tap_ok(ready && sound(&opened, &rows) && opened && rows == ROWS, "a good directory: %s", flm_err_message());
    for (long i = 0; ready && i < iterations; i++, done++) {
        int which = (int)draw(FILES);
        size_t n = length[which];
        memcpy(bad, good[which], n);
        for (uint32_t k = 1 + draw(3); k > 0; k--) n = mutate(n);
        if (!file_put(which, bad, n)) break;
        if (!sound(&opened, &rows) && unsound++ == 0) printf("# iteration %ld: %s\n", i, flm_err_message());
        refused += !opened;
        damaged += opened && rows < ROWS;
        if (!file_put(which, good[which], length[which])) break;
    }
    tap_ok(done == iterations && unsound == 0, "%ld broken directories, %ld without a sound end", done, unsound);
    tap_ok(refused > iterations / 10 && refused < iterations, "%ld refused when opened", refused);
    tap_ok(damaged > 0, "%ld with rows that were refused", damaged);
    for (int k = 0; k < FILES; k++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", directory, names[k]);
        unlink(path);
    }
    rmdir(directory);
    return tap_end();
}
