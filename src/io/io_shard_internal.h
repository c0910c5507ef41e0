/* io_shard_internal.h - private: the names in a shard directory, and the file offsets of a shard's data.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_SHARD_INTERNAL_H
#define FLM_IO_SHARD_INTERNAL_H

#include "io/io_internal.h"
#include "io/io_shard.h"

enum { FLM_SHARD_NAME_BYTES = 64, FLM_SHARDS_MAX = 99999 };

static const char FLM_SHARD_INDEX[] = "index.h5";

/* flm_shard_make_name - "train-00000-of-00004.h5", with temporary ".train-00000-of-00004.h5.tmp", into name
 * [FLM_SHARD_NAME_BYTES]. */
void flm_shard_make_name(const char *split, int number, int of, bool temporary, char *name);

/* flm_shard_split_is_valid - whether a split's name is 1 to 15 lower-case letters. */
bool flm_shard_split_is_valid(const char *split);

/* flm_shard_element_bytes - bytes of an id as stored: 2 where V <= 65536, else 4. */
size_t flm_shard_element_bytes(int64_t V);

typedef struct flm_shard_location {  /* the data of an open shard */
    int64_t rows, tokens, checksums; /* n, offsets in the file */
    size_t element;
} flm_shard_location;

/* flm_shard_locate - from an open file that was checked against the schema. Errors: FLM_E_FORMAT. */
flm_status flm_shard_locate(hid_t file, int64_t bytes, int64_t L, int64_t V, flm_shard_location *place);

/* flm_shard_compute_checksum - CRC-32C of the bytes of /checksums, read from fd in chunks. Errors: FLM_E_IO. */
flm_status flm_shard_compute_checksum(int fd, const char *path, const flm_shard_location *place, uint32_t *sum);

/* flm_shard_info_write, flm_shard_info_read - attributes and inputs that the index and every shard have in common; got
 * inputs are malloc'd. Errors: FLM_E_FORMAT, FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_shard_info_write(hid_t file, const flm_shard_info *info);
flm_status flm_shard_info_read(hid_t file, int64_t bytes, flm_shard_info *info);

/* flm_shard_dataset_write, flm_shard_dataset_read - a complete small dataset; text_bytes > 0: of strings of that size.
 * Read checks that it has count elements and that strings end. Errors: FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_shard_dataset_write(hid_t file, const char *path, hid_t type, size_t text_bytes, int64_t count,
                                   const void *data);
flm_status flm_shard_dataset_read(hid_t file, const char *path, hid_t type, size_t text_bytes, int64_t count,
                                  void *data);

/* flm_shard_checksum_write, flm_shard_checksum_check - the attribute crc32c of a group, over its datasets; files of
 * version 0.1 lack it, and pass. Errors: FLM_E_CHECKSUM, FLM_E_FORMAT, FLM_E_IO. */
flm_status flm_shard_checksum_write(hid_t file, const char *path, uint32_t checksum);
flm_status flm_shard_checksum_check(hid_t file, const char *path, uint32_t checksum);

/* flm_shard_index_checksum - of a split in the index: its columns file, rows and checksum [shards]. */
uint32_t flm_shard_index_checksum(int shards, const char (*file)[64], const int64_t *rows, const uint32_t *checksum);

/* flm_shard_dataset_size - elements of a dataset of one dimension inside the file. Errors: FLM_E_FORMAT. */
flm_status flm_shard_dataset_size(hid_t file, const char *path, int64_t bytes, int64_t *count);

#endif
