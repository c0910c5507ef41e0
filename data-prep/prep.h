/* prep.h - flm_shard, the program: what it was asked for and the inputs. Its parts: prep_options.c (options and what
 * they allow), prep_corpus.h (what differs by corpus), prep_read.h (documents of one input), prep_source.h (members of
 * archives), prep_survey.c (pass 1), prep_groups.c (passes 2 and 3), prep_state.c (the output directory), prep_run.c
 * (their order), prep_report.c, prep_verify.c.
 *
 * Three passes over the inputs, each shared by the ranks. 1, survey: an input a rank; sums, documents counted, every
 * few MiB a mark (document number, offset). 2, count: runs of groups dealt to the ranks, each group encoded, its ids
 * counted; then every row's place is known. 3, write: the same groups encoded again, their rows written where they
 * belong. An archive cannot be read from the middle: in passes 2 and 3 every rank streams it whole, and encodes its own
 * groups alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PREP_H
#define PREP_H

#include "base/base_options.h"
#include "comm/comm.h"
#include "io/io_shard.h"
#include "text/text_tokenizer.h"

typedef enum prep_documents { PREP_LINE, PREP_BLANK, PREP_FILE } prep_documents;

typedef struct prep_tally {           /* what a reading met; five words of int64_t */
    int64_t members, passed, leaving; /* members read, passed over, with names that leave the archive */
    int64_t bad_lines, text_bytes;
} prep_tally;

typedef struct prep_input {
    const char *path;
    int kind, part;                   /* prep_kind of the file's own bytes, prep_part */
    int64_t bytes, mtime_s, mtime_ns; /* as rank 0 saw it first; a file that differs later has changed */
    int64_t documents, first;         /* how many, the first one's number among all; since the survey */
    int64_t marks_first, marks;       /* its part of prep_job.marks; from its size alone, 1 where it is streamed */
    prep_tally tally;                 /* since the survey */
} prep_input;

typedef struct prep_mark { /* a document and where it begins */
    int64_t document, offset;
} prep_mark;

enum { PREP_TRAIN, PREP_VALID, PREP_SPLITS };

/* A group: documents [first_document, + documents) of a split, packed together. */
typedef struct prep_group {
    int split;
    int64_t first_document, documents, first_row, rows;
} prep_group;

typedef struct prep_job {
    /* as asked, prep_options.c */
    const char *tokenizer_name, *vocab, *merges, *corpus, *out, *verify, *valid, *field, *members;
    int documents, clean, format, on_bad_line; /* prep_documents; the others: prep_corpus.h */
    int64_t length, valid_last, group_docs, shard_bytes, document_bytes, ratio, nesting;
    prep_input *inputs; /* [inputs_count], those for validation last, from valid_inputs on */
    char *valid_words;  /* --valid, taken apart */
    int inputs_count, valid_inputs, manifest_count; /* manifest: without second parts of the same file */
    flm_tokenizer *tokenizer;

    /* after the survey */
    bool surveying, valid_last_preset;
    flm_shard_input *manifest; /* [manifest_count] */
    prep_mark *marks;
    int64_t marks_count, bytes, text_bytes; /* text_bytes: of the documents */
    int64_t split_first[PREP_SPLITS + 1];   /* document numbers */
    int64_t groups, split_groups[PREP_SPLITS];

    /* after the count */
    int64_t *group_ids, *group_sums; /* [groups]: ids, end ids included; CRC-32C of them */
    int64_t *group_rows;             /* [groups]: the first row in the split */
    int64_t *commonness;             /* [V] */
    int64_t replaced, ids;
    flm_shard_split splits[PREP_SPLITS];
    int splits_count;
    flm_shard_info info;
} prep_job;

/* ---- prep_options.c ---- */

extern const flm_option prep_options[];
extern const int prep_options_count;

/* prep_job_check - what the table cannot say: options that belong together, the tokeniser, the list of inputs.
 * Errors: FLM_E_USAGE naming the option. */
flm_status prep_job_check(prep_job *job, const flm_options *options);

/* prep_job_release - everything the job owns. */
void prep_job_release(prep_job *job);

/* ---- the passes. Collective. All: FLM_E_INTERRUPTED when asked to stop, FLM_E_NOMEM, the reader's and comm's. ---- */

/* prep_survey - documents and marks of every input, the manifest, splits and groups. Errors: FLM_E_FORMAT (no
 * documents), FLM_E_USAGE (--valid-last). */
flm_status prep_survey(prep_job *job, flm_comm *comm);

/* prep_count - ids and sum of every group, commonness, replaced. */
flm_status prep_count(prep_job *job, flm_comm *comm);

/* prep_places - from the counts: rows of every group, splits, shards. Not collective. Errors: FLM_E_FORMAT (no rows),
 * FLM_E_USAGE (too many shards). */
flm_status prep_places(prep_job *job);

/* prep_write - every row that is not there yet. Errors: FLM_E_IO, FLM_E_MISMATCH (inputs changed since the count). */
flm_status prep_write(const prep_job *job, flm_comm *comm);

/* prep_pass_end - a pass is over: an interruption on any rank is every rank's; other failures end the job at once. */
flm_status prep_pass_end(flm_comm *comm, flm_status local);

/* prep_group_get - group number g of the job; rows when they are known. */
prep_group prep_group_get(const prep_job *job, int64_t g);

/* ---- prep_state.c: the output directory; rank 0 alone ---- */

typedef enum prep_standing { PREP_BEGUN, PREP_FINISHED } prep_standing;

/* prep_state_open - make the directory, or see that it is this job's to go on with: before the survey by its options,
 * surveyed: by the inputs' sums too, and then say where it stands. Errors: FLM_E_MISMATCH (somebody else's; made with
 * other options or inputs: which), FLM_E_IO. */
flm_status prep_state_open(const prep_job *job, bool surveyed, prep_standing *standing);

/* prep_state_load - the counts of an earlier run into the job, if it left them. prep_state_save - leave them. */
flm_status prep_state_load(prep_job *job, bool *loaded);
flm_status prep_state_save(const prep_job *job);

/* prep_state_end - the counts are no longer needed. */
flm_status prep_state_end(const prep_job *job);

/* ---- prep_report.c ---- */

/* prep_progress_begin, _add, _end - of a pass of this rank's `bytes`: rank 0 shows a line on a terminal, and logs the
 * end. _add: a document of so many bytes is done. _read: so many seconds of it went into reading and decompressing.
 */
void prep_progress_begin(const char *pass, int64_t bytes, flm_comm *comm);
void prep_progress_add(int64_t bytes);
void prep_progress_read(double seconds);
void prep_progress_end(void);

/* prep_report - what was made, on stdout. Errors: FLM_E_NOMEM. */
flm_status prep_report(const prep_job *job);

/* ---- prep_run.c, prep_verify.c. Collective. ---- */
flm_status prep_run(prep_job *job, flm_comm *comm);

/* prep_verify - every row of a directory against its checksum. Errors: those of flm_shards_open and flm_shards_read. */
flm_status prep_verify(const char *directory, flm_comm *comm);

#endif
