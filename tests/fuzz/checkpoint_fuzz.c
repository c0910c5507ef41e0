/* checkpoint_fuzz.c - broken checkpoints and samples files: the data as they were, or one error that names the file.
 *
 * checkpoint_fuzz.t [ITERATIONS [SEED [forged]]]: files made by changing good ones, the same for the same seed: single
 * bits, bytes, cuts, copied stretches. `forged` adds changes of structure whose own checksums were made to fit again,
 * as only malice does; HDF5 1.10 is known to crash on some of those. Run it in a sanitizer build to see more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "base/base_log.h"
#include "base/base_philox.h"
#include "io/io_samples.h"
#include "tests/io_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { ROWS = 5, LENGTH = 16, BLOCKS_MAX = 256, HANG_SECONDS = 600, READ_SECONDS = 10 };

typedef struct image {
    unsigned char *bytes, *changed;
    int64_t size, cut;
    int64_t begin[BLOCKS_MAX], sum[BLOCKS_MAX]; /* pieces of structure: where they begin, where their sum lies */
    int blocks;
} image;

static flm_comm *comm;
static char folder[32], path[64];
static uint64_t key;
static uint32_t drawn;
static bool forged; /* whether those are tried */

static uint32_t draw(int64_t below) { return (uint32_t)(flm_philox4x32(key, drawn++, 0, 0, 0).v[0] % (uint64_t)below); }

/* The checksum of HDF5's structure. Source: R. Jenkins, lookup3.c, hashlittle with initial value 0. */
static uint32_t lookup3(const unsigned char *p, int64_t length)
{
    uint32_t v[3];

#define ROTATE(x, k)     ((x) << (k) | (x) >> (32 - (k)))
#define STEP(a, b, c, k) v[a] -= v[c], v[a] ^= ROTATE(v[c], k), v[c] += v[b]
#define LAST(a, b, k)    v[a] ^= v[b], v[a] -= ROTATE(v[b], k)
    v[0] = v[1] = v[2] = 0xdeadbeefu + (uint32_t)length;
    for (; length > 0; length -= 12, p += 12) {
        for (int i = 0; i < 12 && i < length; i++) v[i / 4] += (uint32_t)p[i] << (8 * (i % 4));
        if (length <= 12) break;
        STEP(0, 1, 2, 4), STEP(1, 2, 0, 6), STEP(2, 0, 1, 8);
        STEP(0, 1, 2, 16), STEP(1, 2, 0, 19), STEP(2, 0, 1, 4);
    }
    if (length > 0)
        LAST(2, 1, 14), LAST(0, 2, 11), LAST(1, 0, 25), LAST(2, 1, 16), LAST(0, 2, 4), LAST(1, 0, 14), LAST(2, 1, 24);
    return v[2];
#undef ROTATE
#undef STEP
#undef LAST
}

static uint32_t word_at(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void sum_put(image *f, int block)
{
    const uint32_t sum = lookup3(f->changed + f->begin[block], f->sum[block] - f->begin[block]);
    for (int i = 0; i < 4; i++) f->changed[f->sum[block] + i] = (unsigned char)(sum >> (8 * i));
}

/* Finds the pieces of structure: a signature, and the next place where the sum of all before it stands. */
static void blocks_find(image *f)
{
    static const char *const signatures[] = {"\211HDF", "OHDR", "OCHK", "FRHP", "FHDB", "FHIB",
                                             "BTHD",    "BTLF", "BTIN", "FSHD", "FSSE"};

    for (int64_t at = 0; at + 8 < f->size && f->blocks < BLOCKS_MAX; at++)
        for (size_t s = 0; s < sizeof signatures / sizeof *signatures; s++) {
            if (memcmp(f->bytes + at, signatures[s], 4) != 0) continue;
            for (int64_t end = at + 8; end + 4 <= f->size && end < at + 8192; end++)
                if (lookup3(f->bytes + at, end - at) == word_at(f->bytes + end)) {
                    f->begin[f->blocks] = at;
                    f->sum[f->blocks++] = end;
                    break;
                }
        }
}

static bool image_load(image *f, const char *from)
{
    struct stat st;
    int fd = open(from, O_RDONLY);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;

    memset(f, 0, sizeof *f);
    if (ok) {
        f->size = f->cut = st.st_size;
        f->bytes = malloc((size_t)f->size);
        f->changed = malloc((size_t)f->size);
        ok = f->bytes && f->changed && pread(fd, f->bytes, (size_t)f->size, 0) == f->size;
    }
    if (fd >= 0) close(fd);
    if (ok) blocks_find(f);
    return ok;
}

static void image_free(image *f)
{
    free(f->bytes);
    free(f->changed);
}

static bool image_store(const image *f)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool ok = fd >= 0 && write(fd, f->changed, (size_t)f->cut) == f->cut;
    if (fd >= 0) close(fd);
    return ok;
}

/* A status that a reader may give, with a message that names the file. */
static bool said_well(flm_status rc)
{
    return (rc == FLM_E_FORMAT || rc == FLM_E_IO || rc == FLM_E_CHECKSUM) && strstr(flm_err_message(), path);
}

/* Opens the stored file and reads all of it; *same: everything is as it was written. */
static flm_status checkpoint_read(bool *same)
{
    const flm_checkpoint_info want = fixture_info(20);
    flm_checkpoint *c = NULL;
    flm_status rc = flm_checkpoint_open(path, &c);

    *same = false;
    if (rc == FLM_OK) rc = flm_checkpoint_verify(c);
    if (rc == FLM_OK) {
        const flm_checkpoint_info *have = flm_checkpoint_get_info(c);
        const char *lr = flm_checkpoint_get_setting(c, "lr");
        *same = have->step == 20 && have->seed == want.seed && have->tokens_seen == want.tokens_seen && lr &&
                strcmp(lr, "0.0003") == 0 && have->vocabulary.V == want.vocabulary.V && have->d == want.d &&
                fixture_all_same(c, false, 20);
    }
    flm_checkpoint_close(&c);
    return rc;
}

static flm_status samples_read(bool *same)
{
    flm_samples *s = NULL;
    flm_status rc = flm_samples_open_read(path, &s);
    bool present[ROWS];
    int32_t ids[ROWS * LENGTH];
    int count = 0;

    *same = false;
    if (rc == FLM_OK && (flm_samples_get_info(s)->samples != ROWS || flm_samples_get_info(s)->L != LENGTH)) {
        flm_samples_close(&s); /* only malice can: whether it is read whole is another test's matter */
        return FLM_OK;
    }
    for (int i = 0; rc == FLM_OK && i < 2; i++) {
        count = flm_samples_count(s);
        if (i >= count) break;
        rc = flm_samples_check_rows(s, i, 0, ROWS, present);
        if (rc == FLM_OK) rc = flm_samples_read(s, i, 0, ROWS, ids);
        *same = rc == FLM_OK && count == 2 && flm_samples_get_setting(s, 0)->steps == 1 &&
                flm_samples_get_setting(s, 1)->steps == 8 && flm_samples_get_info(s)->seed == 5;
        for (int k = 0; *same && k < ROWS * LENGTH; k++) *same = present[k / LENGTH] && ids[k] == (k * 7 + i) % 259;
        if (!*same) break;
    }
    flm_samples_close(&s);
    return rc;
}

/* What was done to a file. */
typedef enum change { ONE_BIT, BYTES, CUT, LONGER, FORGED } change;

static void image_change(image *f, change kind)
{
    memcpy(f->changed, f->bytes, (size_t)f->size);
    f->cut = f->size;
    switch (kind) {
    case ONE_BIT: f->changed[draw(f->size)] ^= (unsigned char)(1 << draw(8)); break;
    case BYTES:
        for (uint32_t n = 1 + draw(8); n > 0; n--) f->changed[draw(f->size)] = (unsigned char)draw(256);
        break;
    case CUT: f->cut = draw(f->size); break;
    case LONGER: { /* a stretch stands somewhere else, too */
        const int64_t n = 1 + draw(64), from = draw(f->size - n), to = draw(f->size - n);
        memmove(f->changed + to, f->changed + from, (size_t)n);
        break;
    }
    default: { /* values that hurt, anywhere in a piece of structure, whose sum is made to fit */
        static const unsigned char values[] = {0, 1, 2, 4, 8, 127, 128, 255};
        const int block = (int)draw(f->blocks);
        for (uint32_t n = 1 + draw(3); n > 0; n--) {
            const int64_t at = f->begin[block] + 4 + draw(f->sum[block] - f->begin[block] - 4);
            const int64_t run = draw(4) == 0 ? 8 : 1;
            const unsigned char value = draw(2) ? values[draw(sizeof values)] : (unsigned char)draw(256);
            for (int64_t i = at; i < at + run && i < f->sum[block]; i++) f->changed[i] = value;
        }
        sum_put(f, block);
    }
    }
}

/* The same in a process of its own, which may die: 0 sound, 1 not, or the signal that ended it. */
static int read_apart(flm_status (*reads)(bool *same))
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        bool same;
        flm_status rc;
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        signal(SIGFPE, SIG_DFL);
        alarm(READ_SECONDS);
        rc = reads(&same);
        _exit(!(rc == FLM_OK || said_well(rc)));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) != 0;
}

/* Structure that lies, with sums that fit: at most an error, too. */
static void test_forged(image *f, flm_status (*reads)(bool *same), const char *what, long iterations)
{
    long unsound = 0;

    for (long i = 0; i < iterations; i++) {
        int end;
        image_change(f, FORGED);
        if (!image_store(f)) break;
        end = read_apart(reads);
        if (end != 0 && unsound++ < 10) printf("# iteration %ld: signal or status %d\n", i, end);
    }
    tap_ok(unsound == 0, "%s, forged: %ld files, %ld without a sound end", what, iterations, unsound);
}

static void test_changes(image *f, flm_status (*reads)(bool *same), const char *what, long iterations)
{
    static const char *const names[FORGED] = {"one bit", "bytes", "cut off", "a stretch twice"};

    tap_ok(f->blocks >= 10, "%s: %d pieces of structure found", what, f->blocks);
    for (int kind = 0; kind < FORGED && f->blocks > 0; kind++) {
        long unsound = 0, good = 0, unstored = 0;
        for (long i = 0; i < iterations; i++) {
            bool same, ok;
            flm_status rc;
            image_change(f, (change)kind);
            unstored += !image_store(f);
            flm_err_clear();
            rc = reads(&same);
            ok = rc == FLM_OK ? same : said_well(rc);
            good += rc == FLM_OK;
            if (!ok && unsound++ == 0) printf("# iteration %ld: %d \"%s\"\n", i, rc, flm_err_message());
        }
        tap_ok(unsound == 0 && unstored == 0 && (kind != CUT || good == 0), "%s, %s: %ld files, %ld still good", what,
               names[kind], iterations, good);
    }
}

/* Every bit of a stretch of data or checksums that was found in the file by its content. */
static void test_every_bit(image *f, flm_status (*reads)(bool *same), const void *content, int64_t bytes,
                           const char *what)
{
    int64_t at = 0, missed = 0;
    bool same;

    while (at + bytes <= f->size && memcmp(f->bytes + at, content, (size_t)bytes) != 0) at++;
    if (!tap_ok(at + bytes <= f->size, "%s: found", what)) return;
    f->cut = f->size;
    for (int64_t bit = 0; bit < bytes * 8; bit++) {
        memcpy(f->changed, f->bytes, (size_t)f->size);
        f->changed[at + bit / 8] ^= (unsigned char)(1 << bit % 8);
        missed += !image_store(f) || reads(&same) == FLM_OK || !said_well(reads(&same));
    }
    tap_ok(missed == 0, "%s: each of %lld bits matters", what, (long long)bytes * 8);
}

static bool samples_make(void)
{
    const flm_checkpoint_info checkpoint = fixture_info(20);
    flm_samples_info info = {.vocabulary = checkpoint.vocabulary,
                             .samples = ROWS,
                             .L = LENGTH,
                             .seed = 5,
                             .kind = "flm",
                             .checkpoint = "x",
                             .weights = "raw",
                             .precision = "bf16"};
    const flm_samples_setting steps[2] = {flm_samples_setting_of_steps(1), flm_samples_setting_of_steps(8)};
    int32_t ids[ROWS * LENGTH];
    flm_samples *s = NULL;
    bool ok = flm_samples_open_write(comm, path, &info, NULL, steps, 2, &s) == FLM_OK;

    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < ROWS * LENGTH; k++) ids[k] = (k * 7 + i) % 259;
        ok = ok && flm_samples_write(s, i, 0, ROWS, ids) == FLM_OK;
    }
    ok = ok && flm_samples_set_result(s, 1, "entropy", 4) == FLM_OK && flm_samples_commit(comm, s) == FLM_OK;
    return flm_samples_close(&s) == FLM_OK && ok;
}

/* What no file may ask for. A sanitizer's own memory is beyond counting. */
static void memory_limit(void)
{
#if !defined __SANITIZE_ADDRESS__
    struct rlimit limit = {(rlim_t)4 << 30, (rlim_t)4 << 30};
    setrlimit(RLIMIT_AS, &limit);
#endif
}

int main(int argc, char **argv)
{
#if defined __SANITIZE_ADDRESS__
    const long preset = 60; /* some thirty times slower */
#else
    const long preset = 600;
#endif
    const long iterations = argc > 1 ? atol(argv[1]) : preset;
    float data[77]; /* a whole dataset */
    int32_t ids[LENGTH];
    uint32_t sum;
    image f;

    MPI_Init(&argc, &argv);
    if (flm_comm_create(MPI_COMM_WORLD, &comm) != FLM_OK) return 99;
    flm_log_init(0, FLM_LOG_ERROR);
    memory_limit();
    if (argc < 2) alarm(HANG_SECONDS);
    forged = argc > 3;
    key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    fixture_folder(comm, folder);
    snprintf(path, sizeof path, "%s/step-00000020.h5", folder);
    for (int i = 0; i < 77; i++) data[i] = fixture_value(3, i, 20);
    if (tap_ok(fixture_write(comm, folder, 20, false, 0) == FLM_OK && image_load(&f, path), "a checkpoint")) {
        test_changes(&f, checkpoint_read, "checkpoint", iterations);
        sum = flm_crc32c_update(0, data, sizeof data);
        test_every_bit(&f, checkpoint_read, data, 16, "checkpoint: data");
        test_every_bit(&f, checkpoint_read, &sum, sizeof sum, "checkpoint: a checksum");
        if (forged) test_forged(&f, checkpoint_read, "checkpoint", iterations);
        image_free(&f);
    }
    unlink(path);
    for (int i = 0; i < LENGTH; i++) ids[i] = i * 7 % 259;
    if (tap_ok(samples_make() && image_load(&f, path), "a samples file")) {
        test_changes(&f, samples_read, "samples", iterations);
        sum = flm_crc32c_update(0, ids, sizeof ids);
        test_every_bit(&f, samples_read, ids, 16, "samples: a row");
        test_every_bit(&f, samples_read, &sum, sizeof sum, "samples: a checksum");
        if (forged) test_forged(&f, samples_read, "samples", iterations);
        image_free(&f);
    }
    tap_ok(fixture_remove(folder), "the test's folder is gone");
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return tap_end();
}
