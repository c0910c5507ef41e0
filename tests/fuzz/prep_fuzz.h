/* prep_fuzz.h - shared by the fuzz drivers of the readers of texts: seeds, mutations, reading a file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_FUZZ_H
#define PREP_FUZZ_H

#include "data-prep/prep_corpus.h"

enum { FUZZ_BYTES = 1 << 17, FUZZ_SEEDS = 128 };

typedef struct fuzz_seed {
    char *data;
    size_t bytes;
} fuzz_seed;

typedef struct fuzz {
    const char *name;
    char path[64]; /* of the mutated file, which is kept after a crash */
    int fd;
    double seconds;
    uint64_t random;
    fuzz_seed seeds[FUZZ_SEEDS];
    int seeds_count;
    const char *const *fragments; /* of the grammar, NULL-terminated */
    flm_prep_job job;
    int64_t files, accepted, unsound, documents;
} fuzz;

/* fuzz_begin - parse [SECONDS [SEED [FILE...]]], where files are further seeds. */
void fuzz_begin(fuzz *f, const char *name, int argc, char **argv);
void fuzz_add_seed(fuzz *f, const void *data, size_t bytes);

/* fuzz_draw - a random number less than `below`. */
uint32_t fuzz_draw(fuzz *f, uint32_t below);

/* fuzz_run - read mutated seeds until the time is over. fuzz_end - report as TAP; returns the exit status. */
void fuzz_run(fuzz *f, void (*vary)(fuzz *f));
int fuzz_end(fuzz *f);

#endif
