/* h5_schema.h - the schemas of the suite's HDF5 files (hdf5-schemas/), and the check of a file against one.
 *
 * The schemas are compiled into the library, so that no path is needed at run time. Every reader checks a file before
 * it uses it. The syntax is explained in hdf5-schemas/shard.schema. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_H5_SCHEMA_H
#define FLM_H5_SCHEMA_H

#include "h5/h5.h"

typedef struct flm_schema flm_schema;

/* flm_schema_parse - a schema from its text [bytes]; name is used in messages. Not collective.
 * Errors: FLM_E_FORMAT naming the line and what is wrong with it, FLM_E_NOMEM. */
flm_status flm_schema_parse(const char *name, const char *text, size_t bytes, flm_schema **out);

/* flm_schema_destroy - accepts NULL, nulls it. */
void flm_schema_destroy(flm_schema **schema);

/* flm_schema_text - the text of a schema of the suite ("checkpoint", "shard", "index", "samples"), or NULL. */
const char *flm_schema_text(const char *name);

/* flm_schema_check - check an open file of `bytes` bytes against a schema: every required object and attribute exists
 * with its type, shape and value, there are no others, and every dataset is completely inside the file. Data are not
 * read. Not collective. Errors: FLM_E_FORMAT naming path, object and reason; FLM_E_NOMEM. */
flm_status flm_schema_check(const flm_schema *schema, hid_t file, int64_t bytes, const char *path);

/* flm_schema_open - flm_h5_open for reading, then the check against the schema of the suite called name.
 * Errors: theirs. */
flm_status flm_schema_open(const char *path, const char *name, hid_t *file, int64_t *bytes);

#endif
