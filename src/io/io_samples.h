/* io_samples.h - samples files: sets of generated token rows, one for each setting of the sampler, resumable at any
 * row.
 *
 * A set is a group with the name of its setting (io_samples_setting.h): /steps_8/tokens [N, L] int32 contiguous,
 * /steps_8/checksums [N] one CRC-32C a row: a row is present if its checksum matches, so a job that was killed at any
 * moment resumes with the missing rows. Sets are numbered 0 .. count - 1 in the order of their settings. All have the
 * same prompts, if any. Layout: hdf5-schemas/samples.schema. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_SAMPLES_H
#define FLM_IO_SAMPLES_H

#include "comm/comm.h"
#include "io/io_samples_setting.h"
#include "io/io_vocabulary.h"

typedef struct flm_samples_info {
    flm_vocabulary vocabulary;
    int64_t samples, L, seed;                     /* N rows of L tokens */
    char kind[16];                                /* of the checkpoint: "flm", ... */
    const char *old_kind;                         /* another name that an existing file may use; NULL: none */
    char checkpoint[512];                         /* path as given */
    int64_t checkpoint_step, checkpoint_identity; /* flm_checkpoint_get_identity */
    double logit_cap;                             /* of the softmaxes in the sampler; 0: none, and no attribute */
    char weights[8];                              /* "ema" or "raw" */
    char precision[8];                            /* "fp32", "bf16" */
    char matmul[8];           /* how matmuls were computed, "amx", "native" or "fp32"; "": not recorded */
    char program_version[48]; /* filled by the writer */
} flm_samples_info;

/* Prompts: row i of every set continues prompt i / (samples / count). */
typedef struct flm_samples_prompts {
    int64_t count;
    const int32_t *tokens; /* [count, L]; FLM_SAMPLES_FREE where the sampler fills in a token */
} flm_samples_prompts;

enum { FLM_SAMPLES_FREE = -1 };

typedef struct flm_samples flm_samples;

/* flm_samples_open_write - create the file with room for all rows, scores and their checksums, or resume one that
 * has the same info, prompts and settings; all ranks open it. It stays locked until it is closed (io_lock.h).
 * in settings [count], prompts NULL for none: their count divides info->samples. Collective.
 * Errors: FLM_E_MISMATCH (the file holds samples of another checkpoint, seed, ...: names the attribute), FLM_E_IO,
 * FLM_E_LOCKED. */
flm_status flm_samples_open_write(flm_comm *comm, const char *path, const flm_samples_info *info,
                                  const flm_samples_prompts *prompts, const flm_samples_setting *settings, int count,
                                  flm_samples **out);

/* flm_samples_open_read - open an existing file. Not collective. Errors: FLM_E_IO, FLM_E_FORMAT. */
flm_status flm_samples_open_read(const char *path, flm_samples **out);

const flm_samples_info *flm_samples_get_info(const flm_samples *samples);

/* flm_samples_count - the number of sets. flm_samples_get_setting, flm_samples_get_name - of a set; the name is
 * "steps_8" for the group /steps_8. Owned by samples. flm_samples_find - the set of a setting, or -1. */
int flm_samples_count(const flm_samples *samples);
const flm_samples_setting *flm_samples_get_setting(const flm_samples *samples, int set);
const char *flm_samples_get_name(const flm_samples *samples, int set);
int flm_samples_find(const flm_samples *samples, const flm_samples_setting *setting);

/* flm_samples_get_prompts - count 0 if the file has none. Owned by samples. */
const flm_samples_prompts *flm_samples_get_prompts(const flm_samples *samples);

/* flm_samples_get_prompt - the prompt [L] of a row, or NULL. Owned by samples. */
const int32_t *flm_samples_get_prompt(const flm_samples *samples, int64_t row);

/* flm_samples_check_rows - present[i] = row first + i of a set is present and valid. Not collective. */
flm_status flm_samples_check_rows(flm_samples *samples, int set, int64_t first, int64_t count, bool *present);

/* flm_samples_write - rows [first, first + count), ids i32 [count, L]. Not collective: ranks write different rows. */
flm_status flm_samples_write(flm_samples *samples, int set, int64_t first, int64_t count, const int32_t *ids);

/* flm_samples_read - as written; FLM_E_CHECKSUM naming the row when it is missing or damaged. */
flm_status flm_samples_read(flm_samples *samples, int set, int64_t first, int64_t count, int32_t *ids);

/* flm_samples_verify - read every row of a number of steps; *rows: how many are present. Missing rows are not an
 * error, changed ones are. Not collective. Errors: FLM_E_CHECKSUM, FLM_E_FORMAT (ids), FLM_E_IO; naming the row. */
flm_status flm_samples_verify(flm_samples *samples, int set, int64_t *rows);

/* flm_samples_set_result, flm_samples_set_scorer - a result for one number of steps ("entropy", "gen_ppl"); a
 * description of the scorer, and of its protocol alone. Attributes that flm_samples_commit writes. Not collective.
 * Errors: FLM_E_ARG, FLM_E_NOMEM.
 */
flm_status flm_samples_set_result(flm_samples *samples, int set, const char *name, double value);
flm_status flm_samples_set_scorer(flm_samples *samples, int set, const char *scorer, const char *protocol);

/* flm_samples_commit - write the attributes that rank 0 has set, all at once: a kill or a full disk leaves the file
 * with or without them (flm_h5_edit). No row or score can be written afterwards. Collective. Errors: FLM_E_IO,
 * FLM_E_FORMAT. */
flm_status flm_samples_commit(flm_comm *comm, flm_samples *samples);

/* ---- scores of rows: io_samples_scores.c ---- */

/* flm_samples_open_scores - open an existing file for adding scores; a file of version 0.1 gets room for them, and with
 * tokens > 0 each set for so many of the scorer's tokens of a row. It stays locked until it is closed. Collective.
 * Errors: FLM_E_IO, FLM_E_FORMAT, FLM_E_LOCKED. */
flm_status flm_samples_open_scores(flm_comm *comm, const char *path, int64_t tokens, flm_samples **out);

/* flm_samples_read_scores - the existing scores of all N rows by this scorer (a hash of everything that scores depend
 * on) for the current content of the rows. out nll, positions, present [N]. Not collective. */
flm_status flm_samples_read_scores(const flm_samples *samples, int set, uint32_t scorer, double *nll,
                                   int64_t *positions, bool *present);

/* flm_samples_write_score - the score of one row. Not collective: ranks write different rows. Errors: FLM_E_IO. */
flm_status flm_samples_write_score(flm_samples *samples, int set, int64_t row, uint32_t scorer, double nll,
                                   int64_t positions);

/* flm_samples_verify_scores - verify every score of a set; *scores: how many there are, -1: the file has no
 * checksums of its scores (version 0.1). Not collective. Errors: FLM_E_CHECKSUM naming the row, FLM_E_IO. */
flm_status flm_samples_verify_scores(const flm_samples *samples, int set, int64_t *scores);

/* flm_samples_get_result - a figure that flm_samples_set_result recorded; *there false: none. Not collective. */
flm_status flm_samples_get_result(const flm_samples *samples, int set, const char *name, double *value, bool *there);

/* flm_samples_get_scorer - what flm_samples_set_scorer recorded, into text [bytes]; "" without it. Not collective. */
flm_status flm_samples_get_scorer(const flm_samples *samples, int set, char *text, size_t bytes);

/* The scorer's tokens of a row, and their negative log-likelihoods: io_samples_tokens.c. Not collective.
 * flm_samples_get_token_length - how many are kept of a row, T; 0: none.
 * flm_samples_write_tokens - of a row, after its score; the first T of ids, nll [count]. Errors: FLM_E_IO, FLM_E_ARG.
 * flm_samples_read_tokens - ids [T], -1 behind the last one, nll [T]; *present: they are those of the row's score. */
int64_t flm_samples_get_token_length(const flm_samples *samples, int set);
flm_status flm_samples_write_tokens(flm_samples *samples, int set, int64_t row, const int32_t *ids, const float *nll,
                                    int64_t count);
flm_status flm_samples_read_tokens(const flm_samples *samples, int set, int64_t row, int32_t *ids, float *nll,
                                   bool *present);

/* flm_samples_close - sync and close; accepts NULL, nulls it. Not collective. Errors: FLM_E_IO. */
flm_status flm_samples_close(flm_samples **samples);

#endif
