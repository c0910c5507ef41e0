/* io_samples_internal.h - private: an open samples file. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_SAMPLES_INTERNAL_H
#define FLM_IO_SAMPLES_INTERNAL_H

#include "io/io_internal.h"
#include "io/io_lock.h"
#include "io/io_samples.h"

enum { FLM_SAMPLES_GROUP_BYTES = FLM_SAMPLES_SETTING_BYTES + 1, FLM_SAMPLES_NAME_BYTES = FLM_SAMPLES_GROUP_BYTES + 24 };
enum { FLM_SAMPLES_NLL, FLM_SAMPLES_POSITIONS, FLM_SAMPLES_SCORED, FLM_SAMPLES_SUMS, FLM_SAMPLES_SCORES };

enum { FLM_SAMPLES_TOKEN_IDS, FLM_SAMPLES_TOKEN_NLL, FLM_SAMPLES_TOKEN_SUMS, FLM_SAMPLES_TOKEN_DATASETS };

/* An attribute that flm_samples_commit has still to write. */
typedef struct flm_samples_attribute {
    int set;
    char name[128]; /* the schema check lets no longer one pass */
    double value;
    char *text; /* NULL: the attribute is the value */
} flm_samples_attribute;

/* A set: its group, and the offsets of its datasets in the file. */
typedef struct flm_samples_set {
    flm_samples_setting setting;
    char group[FLM_SAMPLES_GROUP_BYTES]; /* "/steps_8" */
    int64_t tokens, checksums;
    int64_t scores[FLM_SAMPLES_SCORES]; /* 0: not there */
    int64_t token_length;               /* of the scorer's tokens kept of a row; 0: none */
    int64_t token[FLM_SAMPLES_TOKEN_DATASETS];
} flm_samples_set;

struct flm_samples {
    char path[FLM_PATH_BYTES];
    int fd;
    bool write;
    flm_samples_info info;
    flm_samples_set *sets; /* [count] in the order of their settings */
    flm_samples_prompts prompts;
    int count;
    flm_lock *lock;                 /* of the rank that has it */
    flm_samples_attribute *pending; /* [pending_count] */
    int pending_count;
};

/* flm_samples_create_scores - the datasets of scores in a group, where it has none: [samples], zeros. Those of an old
 * file, which had no checksums of its scores, get them. Errors: FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_samples_create_scores(hid_t file, const char *group, int64_t samples);

/* flm_samples_score_name - the dataset of a kind of score, "/steps_8/nll". */
void flm_samples_score_name(const char *group, int kind, char name[FLM_SAMPLES_NAME_BYTES]);

/* flm_samples_create_tokens - in a group, datasets for `length` of the scorer's tokens of a row, without any; they
 * replace those of another length. flm_samples_locate_tokens - set->token and token_length. Errors: FLM_E_FORMAT,
 * FLM_E_IO. */
flm_status flm_samples_create_tokens(hid_t file, const char *group, int64_t samples, int64_t length);
flm_status flm_samples_locate_tokens(hid_t file, int64_t file_bytes, flm_samples_set *set);

/* flm_samples_write_prompts, flm_samples_read_prompts - /prompts, which a file need not have; of the latter, prompts
 * owns the tokens. Errors: FLM_E_FORMAT, FLM_E_CHECKSUM, FLM_E_NOMEM, FLM_E_IO. */
flm_status flm_samples_write_prompts(hid_t file, const flm_samples_info *info, const flm_samples_prompts *prompts);
flm_status flm_samples_read_prompts(hid_t file, const flm_samples_info *info, flm_samples_prompts *prompts);

/* flm_samples_check_set - FLM_E_ARG for a set that does not exist. */
flm_status flm_samples_check_set(const flm_samples *samples, int set);

/* flm_samples_setting_write, _read - as attributes of a set's group. A group of version 0.1 has none: its name,
 * steps_N, gives the steps, and the file's noise level is `noise_level`. Errors: FLM_E_FORMAT (a name that is not that
 * of the attributes, values out of range). */
flm_status flm_samples_setting_write(hid_t group, const flm_samples_setting *setting);
flm_status flm_samples_setting_read(hid_t group, const char *name, double noise_level, flm_samples_setting *setting);

/* flm_samples_open_file - an existing file, checked against its schema. Not collective. */
flm_status flm_samples_open_file(const char *path, bool write, flm_samples **out);

#endif
