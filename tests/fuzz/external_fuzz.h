/* external_fuzz.h - shared by the fuzz drivers of external formats: mutation, and reading whatever still opens.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_EXTERNAL_FUZZ_H
#define FLM_TESTS_EXTERNAL_FUZZ_H

#include "base/base_philox.h"
#include "convert/convert_external.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t fuzz_key;
static uint32_t fuzz_drawn;

static inline uint32_t fuzz_draw(uint32_t below)
{
    return flm_philox4x32(fuzz_key, fuzz_drawn++, 0, 0, 0).v[0] % below;
}

/* fuzz_mutate - make one change to n bytes in a buffer of at least n + 64: change a bit or a byte, insert, overwrite,
 * remove or copy some bytes, or truncate. Returns the new length. words [count]: texts that have a meaning in the
 * format, of which one is inserted or written. */
static inline size_t fuzz_mutate(unsigned char *data, size_t n, const char *const *words, uint32_t count)
{
    const size_t at = n ? fuzz_draw((uint32_t)n) : 0, run = 1 + fuzz_draw(24), other = n ? fuzz_draw((uint32_t)n) : 0;
    switch (fuzz_draw(7)) {
    case 0:
        if (n) data[at] ^= (unsigned char)(1u << fuzz_draw(8));
        return n;
    case 1:
        if (n) data[at] = (unsigned char)fuzz_draw(256);
        return n;
    case 2: return fuzz_draw(8) ? n : at;
    case 3: { /* insert a word */
        const char *word = words[fuzz_draw(count)];
        const size_t length = word[0] ? strlen(word) : 1;
        memmove(data + at + length, data + at, n - at);
        memcpy(data + at, word, length);
        return n + length;
    }
    case 4: { /* overwrite by a word */
        const char *word = words[fuzz_draw(count)];
        const size_t length = word[0] ? strlen(word) : 1;
        if (at + length <= n) memcpy(data + at, word, length);
        return n;
    }
    case 5:
        if (at + run > n) return n;
        memmove(data + at, data + at + run, n - at - run);
        return n - run;
    default:
        if (at + run <= n && other + run <= n) memmove(data + other, data + at, run);
        return n;
    }
}

static inline int fuzz_put(const char *path, const void *data, size_t bytes)
{
    unlink(path); /* replacing an existing file would wait for the disk each time */
    FILE *file = fopen(path, "w");
    const int complete = file && fwrite(data, 1, bytes, file) == bytes;
    return (file ? fclose(file) == 0 : 0) && complete;
}

/* fuzz_sound - open a file and read all tensors; true if that succeeds, or fails with a documented status and a
 * message. *opened: whether the file could be opened. */
static inline int fuzz_sound(const char *path, int *opened)
{
    flm_external *f = NULL;
    flm_status rc = flm_external_open(path, &f);
    int count = 0, sound = 1;
    *opened = rc == FLM_OK;
    if (rc != FLM_OK) {
        sound =
            !f && flm_err_message()[0] &&
            (rc == FLM_E_IO || rc == FLM_E_FORMAT || rc == FLM_E_CHECKSUM || rc == FLM_E_MISSING || rc == FLM_E_NOMEM);
        return sound;
    }
    const flm_external_tensor *all = flm_external_tensors(f, &count);
    for (int i = 0; sound && i < count; i++) {
        if (all[i].elements > 1 << 22) continue;
        float *data = malloc((size_t)all[i].elements * sizeof *data + 1);
        if (!data) abort();
        rc = flm_external_read(f, i, data);
        sound = rc == FLM_OK || flm_err_message()[0];
        free(data);
    }
    flm_external_close(&f);
    return sound;
}

#endif
