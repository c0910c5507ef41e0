/* prep_fuzz.h - what the fuzz drivers of flm_shard's readers share: seeds, mutations, one reading.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_FUZZ_H
#define PREP_FUZZ_H

#include "data-prep/prep_read.h"

enum { FUZZ_BYTES = 1 << 17, FUZZ_SEEDS = 64 };

typedef struct fuzz_seed {
    char *data;
    size_t bytes;
} fuzz_seed;

typedef struct fuzz {
    const char *name;
    char path[64]; /* of the mutated file: it stays there after a crash */
    int fd;
    double seconds;
    uint64_t random;
    fuzz_seed seeds[FUZZ_SEEDS];
    int seeds_count;
    const char *const *pieces; /* what matters to the grammar, NULL-terminated */
    flm_prep_job job;
    flm_prep_input input;
    int64_t files, accepted, unsound, documents;
} fuzz;

/* fuzz_begin - arguments [SECONDS [SEED [FILE...]]], the files being further seeds. */
void fuzz_begin(fuzz *f, const char *name, int argc, char **argv);
void fuzz_add_seed(fuzz *f, const void *data, size_t bytes);

/* fuzz_draw - below `below`. */
uint32_t fuzz_draw(fuzz *f, uint32_t below);

/* fuzz_run - mutated seeds are read, until the time is over. fuzz_end - the TAP of it; the exit status. */
void fuzz_run(fuzz *f, void (*vary)(fuzz *f));
int fuzz_end(fuzz *f);

#endif
