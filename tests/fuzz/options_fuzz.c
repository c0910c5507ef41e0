/* options_fuzz.c - broken configuration files: always a result or one error that names the place, never a crash.
 *
 * options_fuzz.t [ITERATIONS [SEED]]: files made by mutating good ones, the same for the same seed; each must end in
 * FLM_OK with every value in its range, or in FLM_E_USAGE with a message. Run it in a sanitizer build to see more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "base/base_philox.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct fuzz_values {
    int64_t steps;
    double rate;
    bool resume;
    const char *data, *list;
    int device;
} fuzz_values;

static const char *const devices[] = {"auto", "cpu", NULL};
#define FLM_OPT_STRUCT fuzz_values
static const flm_option rows[] = {
    FLM_OPT_GROUP("A"),
    FLM_OPT_INT("steps", steps, "1", "N", "", .min = 1, .max = 1000),
    FLM_OPT_FLOAT("lr", rate, "0.5", "RATE", "", .max = 1),
    FLM_OPT_BOOL("resume", resume, "no", ""),
    FLM_OPT_STRING("data", data, NULL, "DIR", ""),
    FLM_OPT_LIST("list", list, "1,2", "N", ""),
    FLM_OPT_CHOICE("device", device, "auto", devices, ""),
};

static const flm_option_rename renamed[] = {{.old_name = "number", .new_name = "steps"}, {0}};
static const flm_options_spec spec = {.program = "fuzz", .purpose = "", FLM_OPT_ROWS(rows), .renamed = renamed};

static const char *const seeds[] = {
    "steps = 5\nlr = 3e-4\nresume = yes\ndata = some/where # why\nlist = 1,2,3\ndevice = cpu\n",
    "# a comment\n\n  data = \"quoted \\\"text\\\\ # here\" # and not here\r\nsteps=999\n",
    "lr=.25\n\tresume =no\ndevice=auto\ndata=\"\"\nlist=\nsteps = 1",
};
static const char *const pieces[] = {"=",        "\n",        "\"",    "\\",    "#",     " #", "\0",
                                     "steps",    "number = ", "lr = ", "data=", "1e308", "-",  "99999999999999999999",
                                     "\xff\xfe", "\r",        "\t"};

static uint64_t key;
static uint32_t drawn;

static uint32_t draw(uint32_t below) { return flm_philox4x32(key, drawn++, 0, 0, 0).v[0] % below; }

/* One change in place; the new length. */
static size_t mutate(char *text, size_t length, size_t max)
{
    size_t at = length ? draw((uint32_t)length) : 0;
    const char *piece = pieces[draw(sizeof pieces / sizeof pieces[0])];
    size_t n = *piece ? strlen(piece) : 1;

    switch (draw(5)) {
    case 0: /* another byte */
        if (length) text[at] = (char)draw(256);
        return length;
    case 1: /* cut off */ return at;
    case 2: /* a stretch gone */
        n = length - at < 8 ? length - at : draw(8);
        memmove(text + at, text + at + n, length - at - n);
        return length - n;
    case 3: /* a stretch twice */ n = length - at < 64 ? length - at : 64; break;
    default: /* something that matters to the grammar */
        if (length + n > max) return length;
        memmove(text + at + n, text + at, length - at);
        memcpy(text + at, piece, n);
        return length + n;
    }
    if (length + n > max) return length;
    memmove(text + at + n, text + at, length - at);
    return length + n;
}

static bool sound(flm_status rc, const fuzz_values *v)
{
    if (rc == FLM_E_USAGE) return flm_err_message()[0] != '\0' && flm_err_get_remote() == -1;
    return rc == FLM_OK && v->steps >= 1 && v->steps <= 1000 && v->rate >= 0 && v->rate <= 1 && v->data && v->list &&
           v->device >= 0 && v->device <= 1;
}

int main(int argc, char **argv)
{
    long iterations = argc > 1 ? atol(argv[1]) : 5000, accepted = 0, unsound = 0;
    char path[] = "options-fuzz.XXXXXX", word[64], text[4096];
    int fd = mkstemp(path);
    char *words[] = {"fuzz", word, NULL};

    key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    snprintf(word, sizeof word, "--config=%s", path);
    for (long i = 0; i < iterations && fd >= 0; i++) {
        fuzz_values values = {0};
        flm_options *options = NULL;
        bool stop = false;
        const char *seed = seeds[draw(sizeof seeds / sizeof seeds[0])];
        size_t length = strlen(seed);
        flm_status rc;

        memcpy(text, seed, length);
        for (uint32_t n = 1 + draw(6); n > 0; n--) length = mutate(text, length, sizeof text);
        if (ftruncate(fd, 0) != 0 || pwrite(fd, text, length, 0) != (ssize_t)length) break;
        rc = flm_options_parse(&spec, 2, words, &values, false, &stop, &options);
        accepted += rc == FLM_OK;
        if (!sound(rc, &values) && unsound++ == 0) printf("# iteration %ld: %d %s\n", i, rc, flm_err_message());
        flm_options_destroy(&options);
    }
    tap_ok(fd >= 0, "a place for the files");
    tap_ok(unsound == 0, "%ld broken files, %ld without a sound end", iterations, unsound);
    tap_ok(accepted > iterations / 100 && accepted < iterations, "%ld of them still good: both ways were taken",
           accepted);
    if (fd >= 0) close(fd);
    unlink(path);
    return tap_end();
}
