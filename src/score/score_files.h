/* score_files.h - private to flm_score and flm_generate: files scored, and what is said of them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SCORE_FILES_H
#define FLM_SCORE_FILES_H

#include "base/base_options.h"
#include "score/score_run.h"

#include <jansson.h>

typedef struct flm_score_options {
    const char *gpt2, *json, *field, *steps, *keep, *samples_dir; /* "": none */
    int64_t batch, length, chunk, bootstrap, samples, sample_batch;
    int documents; /* of plain text: 0 line, 1 file */
    bool compare;
    int device, precision;
    int64_t seed, threads;
} flm_score_options;

/* What one set came to: a number of steps of a samples file, or (steps 0) a file of texts. */
typedef struct score_entry {
    const char *path;
    int64_t steps;
    bool scored; /* false: the file has no figures of it */
    flm_score_result result;
} score_entry;

/* flm_score_run - score the files, print a table and write the JSON; with compare a table of them side by side, of what
 * the files say where no GPT-2 is named. stop_requested: asked once a block. Collective.
 * Errors: FLM_E_USAGE, FLM_E_INTERRUPTED (scored rows stay in samples files), those of files and devices. */
flm_status flm_score_run(flm_comm *comm, flm_backend *be, const flm_score_options *options, const char *const *paths,
                         int count, bool (*stop_requested)(void));

/* A list of texts in memory. */
typedef struct score_texts {
    char *data;      /* [bytes], texts one after the other */
    int64_t *starts; /* [count + 1] */
    int64_t count;
} score_texts;

/* score_texts_read - a file of texts: names that end in .jsonl or .json hold a JSON object a line with the text in
 * `field`; others are plain, a text a line (empty lines are passed over) or the whole file. whole: the latter. A JSON
 * line without text, or with an empty one, is refused, and so is a file without texts.
 * Errors: FLM_E_IO, FLM_E_FORMAT naming path and line, FLM_E_NOMEM. */
flm_status score_texts_read(const char *path, const char *field, bool whole, score_texts *out);
void score_texts_free(score_texts *texts);

/* Scores of a list of texts in a file: score_keep.c. */
typedef struct score_keep {
    const score_texts *texts;
    uint32_t scorer; /* what the scores depend on beside the text */
    int64_t length;
    int fd; /* -1: none */
} score_keep;

/* score_keep_open - DIRECTORY/NAME-....scores for the texts of path, made where it is missing. Errors: FLM_E_USAGE (a
 * path too long), FLM_E_IO. */
flm_status score_keep_open(score_keep *keep, const char *directory, const char *path);
void score_keep_close(score_keep *keep); /* more than once too */

/* score_keep_read - the scores that are there: nll, positions and present [count] of those rows alone. Errors:
 * FLM_E_IO. */
flm_status score_keep_read(const score_keep *keep, double *nll, int64_t *positions, bool *present);

/* score_keep_store - the score of one row; ranks store different ones. Errors: FLM_E_IO. */
flm_status score_keep_store(const score_keep *keep, int64_t row, const flm_text_score *score);

/* score_is_hdf5 - whether a file begins as HDF5 does. Errors: FLM_E_IO. */
flm_status score_is_hdf5(const char *path, bool *hdf5);

/* score_table, score_compare - to stdout, by one rank: a line a set; a line a number of steps and a column a file. */
void score_table(const score_entry *entries, int count);
void score_compare(const score_entry *entries, int count);

/* score_json - the sets to a file that is replaced when all is written: a JSON array, an object a line. scorer: what
 * scored, or NULL. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status score_json(const char *path, const char *scorer, const score_entry *entries, int count);

/* score_json_write - a JSON value to a file that is replaced when all is written. Takes the value over, NULL: no
 * memory. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status score_json_write(const char *path, json_t *value, size_t flags);

#endif
