/* io_samples_internal.h - private: an open samples file. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_SAMPLES_INTERNAL_H
#define FLM_IO_SAMPLES_INTERNAL_H

#include "io/io_internal.h"
#include "io/io_lock.h"
#include "io/io_samples.h"

enum { FLM_SAMPLES_GROUP_BYTES = 32, FLM_SAMPLES_NAME_BYTES = FLM_SAMPLES_GROUP_BYTES + 24 };
enum { FLM_SAMPLES_NLL, FLM_SAMPLES_POSITIONS, FLM_SAMPLES_SCORED, FLM_SAMPLES_SUMS, FLM_SAMPLES_SCORES };

/* An attribute that flm_samples_commit has still to write. */
typedef struct flm_samples_attribute {
    int64_t steps;
    char name[128]; /* the schema check lets no longer one pass */
    double value;
    char *text; /* NULL: the attribute is the value */
} flm_samples_attribute;

struct flm_samples {
    char path[FLM_PATH_BYTES];
    int fd;
    bool write;
    flm_samples_info info;
    int64_t *steps;              /* [count] ascending */
    int64_t *tokens, *checksums; /* [count] offsets in the file */
    int64_t *scores;             /* [count, FLM_SAMPLES_SCORES] offsets, 0: not there */
    int count;
    flm_lock *lock;                 /* of the rank that has it */
    flm_samples_attribute *pending; /* [pending_count] */
    int pending_count;
};

/* flm_samples_group_name - "/steps_8". */
void flm_samples_group_name(int64_t steps, char name[FLM_SAMPLES_GROUP_BYTES]);

/* flm_samples_create_scores - the datasets of scores in the group of a number of steps, where it has none: [samples],
 * zeros. Those of an old file, which had no checksums of its scores, get them. Errors: FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_samples_create_scores(hid_t file, int64_t steps, int64_t samples);

/* flm_samples_score_name - the dataset of a kind of score, "/steps_8/nll". */
void flm_samples_score_name(int64_t steps, int kind, char name[FLM_SAMPLES_NAME_BYTES]);

/* flm_samples_open_file - an existing file, checked against its schema. Not collective. */
flm_status flm_samples_open_file(const char *path, bool write, flm_samples **out);

/* flm_samples_find_steps - index of a number of steps in the file, or -1. */
int flm_samples_find_steps(const flm_samples *samples, int64_t steps);

#endif
