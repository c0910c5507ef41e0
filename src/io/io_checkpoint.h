/* io_checkpoint.h - checkpoint files: named fp32 tensors, progress and configuration in one HDF5 file.
 *
 * Rank 0 writes the layout through HDF5 (contiguous datasets, allocated early); then every rank writes its data at
 * their file offsets with pwrite. No two ranks write the same byte, and the serial HDF5 library is sufficient.
 * Each dataset has CRC-32C checksums of its blocks of 4 MiB (attribute crc32c), which every read verifies.
 * A file is written under a temporary name, fsync'd, renamed, and only then named by `latest`.
 * Layout: hdf5-schemas/checkpoint.schema; weights' names: model.md section 2. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_CHECKPOINT_H
#define FLM_IO_CHECKPOINT_H

#include "comm/comm.h"
#include "io/io_vocabulary.h"

enum { FLM_DATASET_NAME_BYTES = 96, FLM_LINEAGE_BYTES = 2304, FLM_CHECKPOINT_PATH_BYTES = 1024 };

typedef struct flm_setting {
    const char *name, *value;
} flm_setting; /* one `name = value` of /config */

typedef struct flm_checkpoint_info {
    char kind[16]; /* "flm", ...: flow_kind.h; "gpt2" */
    int64_t step, epoch, rows_read, tokens_seen, seed;
    int64_t data_rows, data_identity;   /* of the shards trained on: flm_shards_get_identity; rows 0: not recorded */
    int64_t valid_rows, valid_identity; /* of the validation split */
    flm_vocabulary vocabulary;
    int64_t L, d, H, c, N;           /* the model: letters of model.md */
    double logit_cap;                /* of its logits, model.md section 9.1; 0: none, and no attribute in the file */
    char program_version[48];        /* filled by the writer */
    char lineage[FLM_LINEAGE_BYTES]; /* distilled from: a line "teacher|flow-map SHA256 STEP PATH" each, or "" */
} flm_checkpoint_info;

/* One dataset: "weights/vocab_embed.embedding", "ema/...", "optimizer/m/...", "optimizer/v/...". fp32, 1-D or 2-D. */
typedef struct flm_checkpoint_dataset {
    char name[FLM_DATASET_NAME_BYTES];
    int ndim;
    int64_t dim[2];
} flm_checkpoint_dataset;

/* flm_checkpoint_elements - elements of a dataset. */
int64_t flm_checkpoint_elements(const flm_checkpoint_dataset *dataset);

/* flm_checkpoint_check_dataset - check a dataset to be written: its name, 1 or 2 axes, and a size that a file can have.
 * Errors: FLM_E_ARG naming it. */
flm_status flm_checkpoint_check_dataset(const flm_checkpoint_dataset *dataset);

/* Elements that share a checksum: reads that are split at multiples of it read nothing twice. */
enum { FLM_CHECKPOINT_BLOCK = 1 << 20 };

/* A contiguous run of elements of one dataset (flat, row-major) in this rank's memory: the host's, or a device's. */
typedef struct flm_checkpoint_slice {
    int dataset;          /* index into the datasets */
    int64_t first, count; /* elements */
    float *data;
    flm_backend *be; /* whose memory data is; NULL: the host's. One device for all slices */
} flm_checkpoint_slice;

/* flm_checkpoint_write - write directory/step-SSSSSSSS.h5 and point directory/latest at it; then remove the oldest
 * beyond keep (0: keep all), never the one just written. A missing directory is made, its parents are not.
 * The slices of all ranks together must cover every dataset exactly once. settings: name/value pairs for /config.
 * Data on a device are copied once, a block at a time, and each block is checksummed and written from that copy.
 * Collective. Errors: FLM_E_IO (errno and path; the previous checkpoint and `latest` untouched, the temporary file
 * removed), FLM_E_ARG (slices that overlap or leave a hole), FLM_E_FORMAT (HDF5's text). */
flm_status flm_checkpoint_write(flm_comm *comm, const char *directory, const flm_checkpoint_info *info,
                                const flm_setting *settings, int settings_count, const flm_checkpoint_dataset *datasets,
                                int datasets_count, const flm_checkpoint_slice *slices, int slices_count, int keep);

/* Fills in the values of dataset `index`. */
typedef flm_status (*flm_checkpoint_source)(void *context, int index, float *data);

/* flm_checkpoint_write_file - write a checkpoint to path itself, without a directory's `latest`; the file gets its name
 * when all is written. source is called once for each dataset, in order. Not collective.
 * Errors: FLM_E_IO, FLM_E_ARG (datasets), FLM_E_FORMAT (what the schema refuses), FLM_E_NOMEM, those of source. */
flm_status flm_checkpoint_write_file(const char *path, const flm_checkpoint_info *info, const flm_setting *settings,
                                     int settings_count, const flm_checkpoint_dataset *datasets, int datasets_count,
                                     flm_checkpoint_source source, void *context);

typedef struct flm_checkpoint flm_checkpoint; /* an open file, for reading */

/* flm_checkpoint_open - open and check the file's structure against the schema and its length against the layout;
 * data are verified when read. Not collective.
 * Errors: FLM_E_IO, FLM_E_FORMAT naming path, dataset and reason. */
flm_status flm_checkpoint_open(const char *path, flm_checkpoint **out);

/* flm_checkpoint_close - accepts NULL, nulls it. */
void flm_checkpoint_close(flm_checkpoint **checkpoint);

const flm_checkpoint_info *flm_checkpoint_get_info(const flm_checkpoint *checkpoint);
const flm_checkpoint_dataset *flm_checkpoint_get_datasets(const flm_checkpoint *checkpoint, int *count);

/* flm_checkpoint_expect - check that a dataset exists and has the shape dim [ndim]. Not collective.
 * Errors: FLM_E_MISMATCH naming path, dataset and both shapes. */
flm_status flm_checkpoint_expect(const flm_checkpoint *checkpoint, const char *name, int ndim, const int64_t *dim);

/* flm_checkpoint_get_setting - a value of /config by name, or NULL. Owned by the checkpoint. */
const char *flm_checkpoint_get_setting(const flm_checkpoint *checkpoint, const char *name);

/* flm_checkpoint_get_settings - all of them. */
const flm_setting *flm_checkpoint_get_settings(const flm_checkpoint *checkpoint, int *count);

/* flm_checkpoint_read - elements [first, first + count) of a dataset by name into data; verifies the checksums of
 * every block it touches. Not collective; ranks read what they need.
 * Errors: FLM_E_FORMAT (no such dataset, range), FLM_E_IO, FLM_E_CHECKSUM naming path, dataset and block. */
flm_status flm_checkpoint_read(const flm_checkpoint *checkpoint, const char *name, int64_t first, int64_t count,
                               float *data);

/* flm_checkpoint_get_identity - CRC-32C of every dataset's name and checksums: the same data have the same. */
uint32_t flm_checkpoint_get_identity(const flm_checkpoint *checkpoint);

/* flm_checkpoint_verify - read every dataset of the file completely. Errors: as flm_checkpoint_read. */
flm_status flm_checkpoint_verify(const flm_checkpoint *checkpoint);

/* flm_checkpoint_resume - the newest valid checkpoint of a directory: `latest`, or if that is missing or damaged the
 * one before it, with a warning that names the damaged file and the reason. "Valid" means opened and verified (the
 * ranks share the work). *out is NULL when the directory holds none at all; checkpoints that are all
 * damaged are an error. Collective. */
flm_status flm_checkpoint_resume(flm_comm *comm, const char *directory, flm_checkpoint **out);

/* flm_checkpoint_find - the checkpoint that a path names: the file itself, or what `latest` names in a run directory or
 * a checkpoint directory. path [FLM_CHECKPOINT_PATH_BYTES]: absolute, without links. Not collective.
 * Errors: FLM_E_IO with errno, FLM_E_FORMAT (a directory without checkpoints), FLM_E_USAGE, FLM_E_MISSING (too long).
 */
flm_status flm_checkpoint_find(const char *given, char *path);

/* flm_checkpoint_is_of_run - whether a path, or the file that it names by links, has the name of a checkpoint, or
 * `latest`, in a directory of checkpoints. The file need not exist. */
bool flm_checkpoint_is_of_run(const char *path);

/* flm_checkpoint_find_collective - the same path on every rank: rank 0 looks, as `latest` may change meanwhile. */
flm_status flm_checkpoint_find_collective(flm_comm *comm, const char *given, char *path);

/* flm_checkpoint_open_found - flm_checkpoint_find and flm_checkpoint_open as one: a running job may replace
 * `latest` and remove the file in between, and then the newer one is opened. path [FLM_CHECKPOINT_PATH_BYTES]: the file
 * that is open. flm_checkpoint_open_collective - the same file on every rank. Errors: those of both. */
flm_status flm_checkpoint_open_found(const char *given, char *path, flm_checkpoint **out);
flm_status flm_checkpoint_open_collective(flm_comm *comm, const char *given, char *path, flm_checkpoint **out);

#endif
