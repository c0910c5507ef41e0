/* prep.h - flm_shard: the job (options, inputs, results) and the passes over the inputs.
 *
 * Files: prep_options.c (options and their checks), prep_corpus.h (what differs by corpus),
 * prep_survey.c (pass 1), prep_groups.c (passes 2 and 3), prep_state.c
 * (the output directory), prep_run.c (the order of all this), prep_report.c, prep_verify.c.
 *
 * There are three passes over the inputs, each shared by the ranks:
 * 1. survey: each input is read by one rank, which computes its digest, counts its documents and sets a mark (document
 *    number, offset) every few MiB.
 * 2. count: runs of groups of documents are distributed over the ranks; each group is encoded and its ids are counted.
 *    This determines the position of every row.
 * 3. write: the same groups are encoded again and their rows are written.
 * An archive cannot be read from the middle: in passes 2 and 3 each rank streams all of it, but encodes only its own
 * groups. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PREP_H
#define FLM_PREP_H

#include "base/base_options.h"
#include "comm/comm.h"
#include "io/io_lock.h"
#include "io/io_shard.h"
#include "source/source.h"
#include "text/text_tokenizer.h"

typedef struct flm_prep_input {
    flm_source_file file;
    int part;                   /* flm_corpus_part */
    int64_t marks_first, marks; /* its range of flm_prep_job.marks; 1 mark where the file must be streamed */
    /* after the survey */
    int64_t documents, first; /* number of documents, and the number of the first one among those of all inputs */
    flm_source_tally tally;
} flm_prep_input;

typedef struct flm_prep_mark { /* a document of an input and the offset where it begins */
    int64_t document, offset;
} flm_prep_mark;

enum { FLM_PREP_TRAIN, FLM_PREP_VALID, FLM_PREP_SPLITS };

/* A group: documents [first_document, + documents) of a split, packed together. */
typedef struct flm_prep_group {
    int split;
    int64_t first_document, documents, first_row, rows;
} flm_prep_group;

typedef struct flm_prep_job {
    /* options */
    const char *tokenizer_name, *vocab, *merges, *corpus, *out, *verify, *valid;
    flm_source_rules source;
    int clean; /* flm_corpus_clean */
    int64_t length, valid_last, group_docs, shard_bytes;
    flm_prep_input *inputs; /* [inputs_count]; validation inputs last, from index valid_inputs on */
    char *valid_words;      /* --valid, split at its commas */
    int inputs_count, valid_inputs, manifest_count; /* manifest: without second entries of files that are read twice */
    flm_tokenizer *tokenizer;

    /* after the survey */
    bool surveying, valid_last_default; /* valid_last_default: --valid-last is the default of the corpus */
    flm_shard_input *manifest;          /* [manifest_count] */
    flm_prep_mark *marks;
    int64_t marks_count, bytes, text_bytes;   /* bytes of the files, and of text in documents */
    int64_t split_first[FLM_PREP_SPLITS + 1]; /* document numbers */
    int64_t groups, split_groups[FLM_PREP_SPLITS];

    /* after the count */
    int64_t *group_ids, *group_checksums; /* [groups]: number of ids with end ids, and the CRC-32C of these ids */
    int64_t *group_rows;                  /* [groups]: first row in the split */
    int64_t *token_counts;                /* [V] */
    int64_t replaced, ids;                /* invalid UTF-8 sequences replaced; ids with end ids */
    flm_shard_split splits[FLM_PREP_SPLITS];
    int splits_count;
    flm_shard_info info;
} flm_prep_job;

/* ---- prep_options.c ---- */

extern const flm_options_spec flm_prep_options_spec;

/* flm_prep_job_check - apply the defaults of the corpus, check options that depend on each other, create the tokeniser
 * and the list of inputs. Errors: FLM_E_USAGE naming the option; those of flm_tokenizer_create_from. */
flm_status flm_prep_job_check(flm_prep_job *job, const flm_options *options);

/* flm_prep_job_release - free everything that the job owns. */
void flm_prep_job_release(flm_prep_job *job);

/* ---- The passes. Collective. All return FLM_E_INTERRUPTED when a stop is requested, FLM_E_NOMEM, and the errors of
 * flm_reader_next and of the communicator. ---- */

/* flm_prep_survey - documents, digests and marks of every input; the manifest, the splits and the groups.
 * Errors: FLM_E_FORMAT without documents; FLM_E_USAGE if --valid-last leaves nothing for training. */
flm_status flm_prep_survey(flm_prep_job *job, flm_comm *comm);

/* flm_prep_count - ids and checksum of every group, token_counts, replaced. */
flm_status flm_prep_count(flm_prep_job *job, flm_comm *comm);

/* flm_prep_layout - from the counts: rows of every group, splits, shards. Not collective. Errors: FLM_E_FORMAT for a
 * split without rows; FLM_E_USAGE for too many shards. */
flm_status flm_prep_layout(flm_prep_job *job);

/* flm_prep_write - write every row that is not written yet. Errors: FLM_E_IO; FLM_E_MISMATCH if an input has changed
 * since the count. */
flm_status flm_prep_write(const flm_prep_job *job, flm_comm *comm);

/* flm_prep_end_pass - agree on the end of a pass: an interruption on one rank becomes one on every rank. Other failures
 * are returned at once, and end the job. */
flm_status flm_prep_end_pass(flm_comm *comm, flm_status local);

/* flm_prep_group_get - group g of the job; its rows only after flm_prep_layout. */
flm_prep_group flm_prep_group_get(const flm_prep_job *job, int64_t g);

/* ---- prep_state.c: the output directory. Rank 0 only. ---- */

typedef enum flm_prep_state { FLM_PREP_BEGUN, FLM_PREP_FINISHED } flm_prep_state;

/* flm_prep_state_lock - create the output directory where it is missing, and lock it unless it is complete.
 * Errors: FLM_E_IO, FLM_E_MISSING, FLM_E_LOCKED. */
flm_status flm_prep_state_lock(const flm_prep_job *job, flm_lock **lock);

/* flm_prep_state_open - check that the output directory belongs to this job: before the
 * survey by its options, afterwards (surveyed) also by the digests of the inputs. Errors: FLM_E_IO; FLM_E_MISMATCH for
 * a directory with other files, or made with other options or inputs, which the message names. */
flm_status flm_prep_state_open(const flm_prep_job *job, bool surveyed, flm_prep_state *state);

/* flm_prep_state_load_counts, _save_counts, _remove_counts - the results of pass 2 in the output directory; *loaded is
 * false if they are absent or do not fit. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_prep_state_load_counts(flm_prep_job *job, bool *loaded);
flm_status flm_prep_state_save_counts(const flm_prep_job *job);
flm_status flm_prep_state_remove_counts(const flm_prep_job *job);

/* ---- prep_report.c ---- */

/* flm_prep_progress_begin, _add, _end - progress of a pass in which this rank processes `bytes`; rank 0 shows a bar on
 * a terminal and logs the end. _add: one more document of so many bytes is done. _add_reading: so many seconds were
 * spent on reading and decompressing. */
void flm_prep_progress_begin(const char *pass, int64_t bytes, flm_comm *comm);
void flm_prep_progress_add(int64_t bytes);
void flm_prep_progress_add_reading(double seconds);
void flm_prep_progress_end(void);

/* flm_prep_report - print what was made to stdout. Errors: FLM_E_NOMEM. */
flm_status flm_prep_report(const flm_prep_job *job);

/* ---- prep_run.c, prep_verify.c. Collective. ---- */
flm_status flm_prep_run(flm_prep_job *job, flm_comm *comm);

/* flm_prep_verify - check every row of a shard directory against its checksum. Errors: those of flm_shards_open and
 * flm_shards_read. */
flm_status flm_prep_verify(const char *directory, flm_comm *comm);

#endif
