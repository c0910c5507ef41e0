/* pickle_fuzz.c - damaged pickles and PyTorch files. Reading must succeed or return one error, and not crash.
 *
 * pickle_fuzz.t [ITERATIONS [SEED]]: mutates the pickles of files that PyTorch wrote, alone and sometimes in a valid
 * zip beside the tensors, and the bytes of the zip itself; a seed always gives the same mutations. The files have EMA
 * weights as a list (ema.ckpt), as a tuple, strided and in fp64 (wrapped.ckpt), or are a dict of tensors alone. A
 * sanitizer build finds more. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"
#include "convert/convert_pickle.h"
#include "tests/fuzz/external_fuzz.h"

#include <zip.h>

enum { BYTES_MAX = 1 << 20, ZIP_EVERY = 20 };

/* Opcodes and names that have a meaning; "" is a byte 0. */
static const char *const words[] = {"(",
                                    "t",
                                    "\x85",
                                    "\x86",
                                    "\x87",
                                    "R",
                                    "b",
                                    "e",
                                    "u",
                                    "s",
                                    "a",
                                    "q\x01",
                                    "h\x01",
                                    "h\x05",
                                    "}",
                                    "]",
                                    ")",
                                    "N",
                                    "Q",
                                    ".",
                                    "0",
                                    "\x94",
                                    "\x93",
                                    "X\x02",
                                    "J\xff\xff\xff\xff",
                                    "J\xff\xff\xff\x7f",
                                    "\x8a\x08",
                                    "K\x01",
                                    "\x81",
                                    "",
                                    "ctorch._utils\n_rebuild_tensor_v2\n",
                                    "cos\nsystem\n",
                                    "ccollections\nOrderedDict\n",
                                    "X\xff\xff\xff\xff",
                                    "j\xff\xff\xff\xff",
                                    "r\xff\xff\xff\x7f"};
enum { WORDS = sizeof words / sizeof words[0] };

typedef struct seed {
    char path[4200];
    unsigned char file[BYTES_MAX], pickle[BYTES_MAX];
    size_t file_bytes, pickle_bytes;
} seed;

static const char *const names[] = {"ema.ckpt", "wrapped.ckpt", "pytorch_model.bin"};
enum { SEEDS = sizeof names / sizeof names[0] };
static seed seeds[SEEDS];
static unsigned char bad[BYTES_MAX + 1024];
static long with_settings;

static size_t read_file(const char *path, unsigned char *data)
{
    FILE *in = fopen(path, "r");
    const size_t n = in ? fread(data, 1, BYTES_MAX, in) : 0;
    if (in) fclose(in);
    return n;
}

/* True if the pickle parses and its values can be read, or is refused with a message. */
static int pickle_sound(size_t n, int *parsed)
{
    flm_pickle *p = NULL;
    unsigned char *exact = malloc(n + 1); /* a sanitizer sees a read past the end */
    if (!exact) abort();
    memcpy(exact, bad, n);
    const flm_status rc = flm_pickle_parse(exact, n, &p);
    *parsed = rc == FLM_OK;
    int sound = rc == FLM_OK || (!p && rc == FLM_E_FORMAT && flm_err_message()[0]);
    if (rc == FLM_OK) {
        const flm_pickle_value *root = flm_pickle_get_root(p), *ema = flm_pickle_find(p, root, "ema");
        for (uint32_t i = 0; i < root->count; i++) sound = sound && flm_pickle_get_item(p, root, i) != NULL;
        if (ema) flm_pickle_find(p, ema, "shadow_params");
        json_t *settings = flm_torch_settings(p);
        sound = sound && (!settings || json_is_object(settings));
        with_settings += settings != NULL;
        json_decref(settings);
    }
    flm_pickle_destroy(&p);
    free(exact);
    return sound;
}

/* Writes the golden zip, without compression, with another pickle. */
static int zip_put(const char *golden, const char *path, size_t n)
{
    zip_t *from = zip_open(golden, ZIP_RDONLY, NULL), *to = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    int complete = from && to;
    for (zip_int64_t i = 0; complete && i < zip_get_num_entries(from, 0); i++) {
        const char *name = zip_get_name(from, (zip_uint64_t)i, 0), *slash = strchr(name, '/');
        const int is_pickle = slash && strcmp(slash, "/data.pkl") == 0;
        zip_source_t *source =
            is_pickle ? zip_source_buffer(to, bad, n, 0) : zip_source_zip(to, from, (zip_uint64_t)i, 0, 0, -1);
        const zip_int64_t at = source ? zip_file_add(to, name, source, 0) : -1;
        complete = at >= 0 && zip_set_file_compression(to, (zip_uint64_t)at, ZIP_CM_STORE, 0) == 0;
    }
    if (to) complete = zip_close(to) == 0 && complete;
    if (from) zip_discard(from);
    return complete;
}

static size_t mutate(const unsigned char *from, size_t n, int text)
{
    memcpy(bad, from, n);
    for (uint32_t k = 1 + fuzz_draw(3); k > 0; k--) n = fuzz_mutate(bad, n, words, text ? WORDS : 1 + fuzz_draw(WORDS));
    return n;
}

/* Reads a file and the pickle in it. */
static int seed_read(seed *s, const char *top, const char *name)
{
    zip_file_t *member = NULL;

    snprintf(s->path, sizeof s->path, "%.4000s/tests/convert/golden/%s", top, name);
    s->file_bytes = read_file(s->path, s->file);
    zip_t *zip = zip_open(s->path, ZIP_RDONLY, NULL);
    for (zip_int64_t i = 0; zip && i < zip_get_num_entries(zip, 0); i++) {
        const char *slash = strchr(zip_get_name(zip, (zip_uint64_t)i, 0), '/');
        if (slash && strcmp(slash, "/data.pkl") == 0) member = zip_fopen_index(zip, (zip_uint64_t)i, 0);
    }
    const zip_int64_t got = member ? zip_fread(member, s->pickle, BYTES_MAX) : 0;
    s->pickle_bytes = got > 0 ? (size_t)got : 0;
    if (member) zip_fclose(member);
    if (zip) zip_discard(zip);
    return s->pickle_bytes > 0 && s->file_bytes > 0;
}

/* The pickle as it is, alone and in a zip. */
static int seed_check(const seed *s, const char *path)
{
    int parsed, opened;

    memcpy(bad, s->pickle, s->pickle_bytes);
    const int alone = tap_ok(pickle_sound(s->pickle_bytes, &parsed) && parsed, "a valid pickle: %s", flm_err_message());
    return tap_ok(zip_put(s->path, path, s->pickle_bytes) && fuzz_sound(path, &opened) && opened, "in a zip: %s",
                  flm_err_message()) &&
           alone;
}

int main(int argc, char **argv)
{
    const char *top = getenv("abs_top_srcdir");
    long iterations = argc > 1 ? atol(argv[1]) : 8000, unsound = 0, parsed = 0, zips = 0, opened_zips = 0, done = 0;
    char folder[] = "pickle-fuzz.XXXXXX", path[64];
    int good = 1, opened;

    if (!top) return tap_skip_all("run me with make check");
    fuzz_key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    if (!mkdtemp(folder)) return tap_skip_all("no directory for files");
    snprintf(path, sizeof path, "%s/bad.ckpt", folder);
    for (int k = 0; k < SEEDS; k++) good = good && seed_read(&seeds[k], top, names[k]) && seed_check(&seeds[k], path);
    for (long i = 0; good && i < iterations; i++, done++) {
        const seed *s = &seeds[fuzz_draw(SEEDS)];
        size_t n = mutate(s->pickle, s->pickle_bytes, 1);
        int ok = pickle_sound(n, &opened);
        parsed += opened;
        if (opened && i % ZIP_EVERY < 3) { /* a pickle that does not parse needs no zip */
            ok = ok && zip_put(s->path, path, n) && fuzz_sound(path, &opened);
            zips++;
            opened_zips += opened;
        }
        if (i % ZIP_EVERY == 5) {
            n = mutate(s->file, s->file_bytes, 0);
            ok = ok && fuzz_put(path, bad, n) && fuzz_sound(path, &opened);
        }
        if (!ok && unsound++ == 0) printf("# iteration %ld: %s\n", i, flm_err_message());
    }
    tap_ok(good && done == iterations && unsound == 0,
           "%ld damaged pickles, %ld neither read nor refused with a documented error", done, unsound);
    tap_ok(parsed > 0 && parsed < iterations && with_settings > 0 && with_settings <= parsed + SEEDS,
           "%ld are still valid, %ld with settings", parsed, with_settings);
    tap_ok(zips > 0 && opened_zips < zips, "%ld of them in a zip, of which %ld can be opened", zips, opened_zips);
    unlink(path);
    rmdir(folder);
    return tap_end();
}
