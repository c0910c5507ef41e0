/* source_zip.h - private to the module: the central directory of a zip, which lists the members that are not deleted.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_SOURCE_ZIP_H
#define FLM_SOURCE_ZIP_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct flm_zip_directory {
    int64_t *offsets; /* [count], ascending: where the headers of the members begin */
    int64_t count;
} flm_zip_directory;

/* flm_zip_directory_read - of the file fd with so many bytes; *found is false, and nothing is read, where it has no
 * valid directory. path: for messages. Errors: FLM_E_IO, FLM_E_NOMEM. */
flm_status flm_zip_directory_read(int fd, const char *path, int64_t bytes, flm_zip_directory *directory, bool *found);
void flm_zip_directory_free(flm_zip_directory *directory);

/* flm_zip_directory_lists - whether a member begins in [begin, end). */
bool flm_zip_directory_lists(const flm_zip_directory *directory, int64_t begin, int64_t end);

/* The end record of a zip, which a comment may follow. Source: APPNOTE 4.3.16. */
enum { FLM_ZIP_END_BYTES = 22, FLM_ZIP_TAIL_BYTES = FLM_ZIP_END_BYTES + 65535 };

/* flm_zip_find_end - the end record in the last bytes of a zip, or NULL. */
const unsigned char *flm_zip_find_end(const unsigned char *tail, size_t bytes);

/* flm_zip_end_members - the number of members that the end record has; -1 where a zip64 record has it instead. */
int64_t flm_zip_end_members(const unsigned char *end);

#endif
