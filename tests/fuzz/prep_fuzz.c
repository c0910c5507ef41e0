/* prep_fuzz.c - the fuzz driver of the readers of texts (prep_fuzz.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/prep_fuzz.h"

#include "base/base_clock.h"
#include "data-prep/prep_corpus.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint32_t fuzz_draw(fuzz *f, uint32_t below)
{
    uint64_t x = f->random += 0x9e3779b97f4a7c15; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((x ^ x >> 31) >> 32) % below;
}

void fuzz_add_seed(fuzz *f, const void *data, size_t bytes)
{
    fuzz_seed *seed = &f->seeds[f->seeds_count];

    if (f->seeds_count == FUZZ_SEEDS || bytes > FUZZ_BYTES || !(seed->data = malloc(bytes + 1))) return;
    memcpy(seed->data, data, bytes);
    seed->bytes = bytes;
    f->seeds_count++;
}

static void add_file(fuzz *f, const char *path)
{
    static char data[FUZZ_BYTES];
    FILE *file = fopen(path, "rb");

    if (!file) return;
    fuzz_add_seed(f, data, fread(data, 1, sizeof data, file));
    fclose(file);
}

void fuzz_begin(fuzz *f, const char *name, int argc, char **argv)
{
    f->name = name;
    f->seconds = argc > 1 ? atof(argv[1]) : 3;
    f->random = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    snprintf(f->path, sizeof f->path, "/dev/shm/%s.XXXXXX", name); /* in memory, as truncating a file on disk is slow */
    f->fd = mkstemp(f->path);
    if (f->fd < 0) {
        snprintf(f->path, sizeof f->path, "%s.XXXXXX", name);
        f->fd = mkstemp(f->path);
    }
    for (int i = 3; i < argc; i++) add_file(f, argv[i]);
    f->job = (flm_prep_job){.corpus = "text",
                            .valid = "",
                            .source = {.field = "text",
                                       .members = "",
                                       .on_bad_line = FLM_SOURCE_BAD_LINE_FAIL,
                                       .document_bytes = 1 << 16,
                                       .ratio = 20,
                                       .nesting = 4}};
}

/* Make one change in place; returns the new length. */
static size_t mutate(fuzz *f, char *data, size_t length)
{
    const size_t at = length ? fuzz_draw(f, (uint32_t)length) : 0;
    size_t n = 1 + fuzz_draw(f, 64), fragments = 0;
    const char *fragment;

    while (f->fragments[fragments]) fragments++;
    fragment = f->fragments[fuzz_draw(f, (uint32_t)fragments)];
    if (n > length - at) n = length - at;
    switch (fuzz_draw(f, 7)) {
    case 0: /* change a byte */
        if (length) data[at] = (char)fuzz_draw(f, 256);
        return length;
    case 1: /* change a bit */
        if (length) data[at] = (char)(data[at] ^ 1 << fuzz_draw(f, 8));
        return length;
    case 2: /* truncate, rarely near the beginning */ return fuzz_draw(f, 4) ? length - n : at;
    case 3: /* remove a part */ memmove(data + at, data + at + n, length - at - n); return length - n;
    case 4: /* copy a part over another */
        if (length) memmove(data + fuzz_draw(f, (uint32_t)(length - n + 1)), data + at, n);
        return length;
    case 5: /* overwrite with a fragment of the grammar */
        n = strlen(fragment);
        if (n <= length - at) memcpy(data + at, fragment, n);
        return length;
    default: /* insert a fragment */
        n = strlen(fragment);
        if (length + n > FUZZ_BYTES) return length;
        memmove(data + at + n, data + at, length - at);
        memcpy(data + at, fragment, n);
        return length + n;
    }
}

/* Examine the file and read it to its end, as the survey and the count do. */
static flm_status read_all(fuzz *f)
{
    flm_status rc = FLM_OK;
    flm_reader *reader = NULL;
    flm_document document;
    flm_source_file file;
    bool end = false;
    char digest[65];

    FLM_TRY(flm_source_examine(f->path, &f->job.source, &file));
    FLM_TRY(flm_reader_open(&f->job.source, &file, 0, true, &reader));
    for (;;) {
        FLM_TRY(flm_reader_next(reader, &document, &end));
        if (end) break;
        flm_corpus_clean_document(&f->job, &document);
        f->documents++;
        if (document.bytes > (size_t)f->job.source.document_bytes) f->unsound++;
    }
    FLM_TRY(flm_reader_digest(reader, digest));
done:
    flm_reader_close(&reader);
    return rc;
}

static bool sound(flm_status rc)
{
    if (rc == FLM_OK) return true;
    return (rc == FLM_E_FORMAT || rc == FLM_E_UNSUPPORTED || rc == FLM_E_NOMEM) && flm_err_message()[0] &&
           !strchr(flm_err_message(), '\n');
}

void fuzz_run(fuzz *f, void (*vary)(fuzz *f))
{
    static char data[FUZZ_BYTES];
    const double begun = flm_clock_seconds();

    while (f->fd >= 0 && f->seeds_count > 0 && flm_clock_seconds() - begun < f->seconds) {
        const fuzz_seed *seed = &f->seeds[fuzz_draw(f, (uint32_t)f->seeds_count)];
        size_t length = seed->bytes;
        flm_status rc;

        memcpy(data, seed->data, length);
        for (uint32_t n = fuzz_draw(f, 5); n > 0; n--) length = mutate(f, data, length);
        if (ftruncate(f->fd, 0) != 0 || pwrite(f->fd, data, length, 0) != (ssize_t)length) break;
        vary(f);
        rc = read_all(f);
        f->accepted += rc == FLM_OK;
        f->files++;
        if (!sound(rc) && f->unsound++ == 0) printf("# file %lld: %d %s\n", (long long)f->files, rc, flm_err_message());
        flm_err_clear();
    }
}

int fuzz_end(fuzz *f)
{
    tap_ok(f->fd >= 0 && f->seeds_count > 0, "a file and seeds");
    tap_ok(f->unsound == 0, "%lld mutated files, %lld failures", (long long)f->files, (long long)f->unsound);
    tap_ok(f->accepted > 0 && f->accepted < f->files && f->documents > 0,
           "%lld of them were accepted, with %lld documents, the others refused", (long long)f->accepted,
           (long long)f->documents);
    for (int i = 0; i < f->seeds_count; i++) free(f->seeds[i].data);
    if (f->fd >= 0) close(f->fd);
    unlink(f->path);
    return tap_end();
}
