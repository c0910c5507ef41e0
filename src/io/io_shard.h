/* io_shard.h - shard directories: token rows in HDF5 files with an index written last.
 *
 * Files: train-00000-of-00004.h5, ... and index.h5 (hdf5-schemas/shard.schema, index.schema). /tokens [n, L] is
 * contiguous uint16 (V <= 65536) or uint32; /checksums one CRC-32C a row. A directory without index.h5 is unfinished.
 * Source: data.md section 5. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_SHARD_H
#define FLM_IO_SHARD_H

#include "base/base_err.h"
#include "io/io_vocabulary.h"

#include <stdbool.h>

typedef struct flm_shard_input { /* one line of the manifest */
    char name[256];
    int64_t bytes;
    char sha256[65];
} flm_shard_input;

typedef struct flm_shard_info { /* what every file of a directory records */
    flm_vocabulary vocabulary;
    int64_t L;
    char corpus[64];    /* "text", "lm1b", "owt", ... */
    char documents[32]; /* "line", "blank", "file" */
    int64_t group_docs; /* packing: documents a group, 0 = one group */
    char program_version[48];
    const flm_shard_input *inputs;
    int inputs_count;
} flm_shard_info;

/* ---- writing: used by flm_shard ---- */

typedef struct flm_shard_writer flm_shard_writer;

/* flm_shard_create - lay out one shard file of n rows under its temporary name (a leading dot and ".tmp"), with all
 * attributes. Not collective: one rank creates, any rank may then write rows through flm_shard_writer_open.
 * Errors: FLM_E_IO with errno, FLM_E_FORMAT with HDF5's text. */
flm_status flm_shard_create(const char *directory, const char *split, int number, int of, int64_t n,
                            const flm_shard_info *info);

/* flm_shard_writer_open - open a laid-out shard's temporary file for writing rows; flm_shard_writer_write puts count
 * rows (ids i32 [count, L], each in 0..V-1) and their checksums at row first; flm_shard_writer_close syncs to disk.
 * Errors: FLM_E_IO with errno, FLM_E_ARG (range of rows or ids). */
flm_status flm_shard_writer_open(const char *directory, const char *split, int number, int of, flm_shard_writer **out);
flm_status flm_shard_writer_write(flm_shard_writer *writer, int64_t first, int64_t count, const int32_t *ids);
flm_status flm_shard_writer_close(flm_shard_writer **writer);

/* flm_shard_writer_check - whether rows [first, first + count) of a laid-out shard have been written: each one's
 * checksum matches. That of a row that was not, or not completely, written does not. Errors: FLM_E_IO, FLM_E_ARG
 * (range). */
flm_status flm_shard_writer_check(flm_shard_writer *writer, int64_t first, int64_t count, bool *whole);

/* flm_shard_reclaim - *there: whether a shard has been laid out completely under its temporary name. One that has its
 * final name already, because publishing was interrupted, gets the temporary one again. Errors: FLM_E_IO, FLM_E_ARG. */
flm_status flm_shard_reclaim(const char *directory, const char *split, int number, int of, bool *there);

/* flm_shard_publish - give every shard its final name, then write index.h5 (temporary name, fsync, rename).
 * in  splits [count] with their shard counts and rows. One rank calls it. Errors: FLM_E_IO, FLM_E_FORMAT. */
typedef struct flm_shard_split {
    char name[16];
    int shards;
    int64_t rows;
    int64_t rows_a_shard;
    int64_t documents, dropped;
} flm_shard_split;
flm_status flm_shard_publish(const char *directory, const flm_shard_split *splits, int count,
                             const flm_shard_info *info);

/* ---- reading: used by flm_train, flm_inspect ---- */

typedef struct flm_shards flm_shards; /* one split of an open directory */

/* flm_shards_open - open a split ("train", "valid") of a finished directory. Not collective. Thread safety: one thread
 * at a time for this call; afterwards flm_shards_read may run in a thread while others use HDF5.
 * Errors: FLM_E_IO (no index), FLM_E_FORMAT (a shard that is missing, truncated or of other settings), FLM_E_CHECKSUM
 * (/checksums differ from the index), FLM_E_MISMATCH (the directory has no such split): path and reason. */
flm_status flm_shards_open(const char *directory, const char *split, flm_shards **out);
void flm_shards_close(flm_shards **shards);
const flm_shard_info *flm_shards_get_info(const flm_shards *shards);
int64_t flm_shards_get_rows(const flm_shards *shards);

/* flm_shards_get_identity - CRC-32C of the checksums of all rows, in order: rows that are the same in the same order
 * have the same, whatever files they are in. */
uint32_t flm_shards_get_identity(const flm_shards *shards);

/* flm_shards_read - rows by number as int32 ids [count, L]; verifies each row's checksum and id range. Calls no HDF5
 * (pread at the recorded offsets). Errors: FLM_E_IO, FLM_E_CHECKSUM naming file and row; FLM_E_MISMATCH for a file that
 * has been replaced by other rows since it was opened. */
flm_status flm_shards_read(const flm_shards *shards, const int64_t *rows, int64_t count, int32_t *ids);

/* flm_shard_check_inputs - check the manifest of one shard file against its checksum. Not collective.
 * Errors: FLM_E_CHECKSUM, FLM_E_FORMAT, FLM_E_IO; naming the path. */
flm_status flm_shard_check_inputs(const char *path);

/* flm_shards_permute - the row at position `index` of epoch `epoch`: a permutation of 0..n-1 by a keyed
 * Feistel network with cycle walking, from (seed, epoch, index, n) alone. */
int64_t flm_shards_permute(uint64_t seed, int64_t epoch, int64_t index, int64_t n);

/* ---- read-ahead ---- */

typedef struct flm_loader flm_loader;

/* flm_loader_start - a thread that reads, ahead of use, this rank's rows of the endless sequence of epochs: global
 * position p is row permute(seed, p / n, p % n). Step s uses positions [s * batch, (s + 1) * batch); this rank takes
 * samples [first, first + count) of each step. shuffle false: rows in file order (validation). Errors: FLM_E_NOMEM,
 * FLM_E_ARG (no rows). A failure in the thread is returned by flm_loader_next. */
flm_status flm_loader_start(const flm_shards *shards, uint64_t seed, bool shuffle, int64_t batch, int64_t first,
                            int64_t count, int64_t first_step, flm_loader **out);

/* flm_loader_next - the next step's ids, int32 [count, L]; valid until the call after. *waited gains the seconds spent
 * waiting for the disk. */
flm_status flm_loader_next(flm_loader *loader, const int32_t **ids, double *waited);
void flm_loader_stop(flm_loader **loader);

#endif
