/* convert_safetensors_write.c - see convert_safetensors.h. Written to a temporary file one tensor after the other, and
 * renamed when complete and synced. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_safetensors.h"

#include "base/base_file.h"
#include "base/base_path.h"
#include "process/process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sets temporary to "PATH.tmp", *max to the elements of the largest dataset, *bytes to those of all, and checks the
 * shapes. */
static flm_status begin(const char *path, const flm_checkpoint_dataset *datasets, int count, char *temporary,
                        int64_t *max, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    *max = *bytes = 0;
    FLM_TRY(flm_path_format(temporary, "%s.tmp", path));
    if (count < 1) FLM_FAIL(FLM_E_ARG, "%s: there are no tensors to write", path);
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_checkpoint_check_dataset(&datasets[i]));
        const int64_t elements = flm_checkpoint_elements(&datasets[i]);
        if (elements > *max) *max = elements;
        *bytes += elements * (int64_t)sizeof(float);
    }
done:
    return rc;
}

/* The JSON header, padded with spaces to a multiple of 8 bytes as by the format's own library. */
static flm_status header_make(const flm_checkpoint_dataset *datasets, int count, const flm_setting *metadata,
                              int metadata_count, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    json_t *header = json_object(), *texts = json_pack("{ss}", "format", "pt");
    int64_t at = 0;
    char *dumped = NULL, *padded;

    for (int i = 0; i < metadata_count; i++)
        json_object_set_new(texts, metadata[i].name, json_string(metadata[i].value));
    if (!header || json_object_set(header, "__metadata__", texts) != 0) FLM_FAIL(FLM_E_NOMEM, "no memory for a header");
    for (int i = 0; i < count; i++) {
        const flm_checkpoint_dataset *d = &datasets[i];
        const int64_t end = at + flm_checkpoint_elements(d) * (int64_t)sizeof(float);
        json_t *shape = d->ndim == 2 ? json_pack("[II]", (json_int_t)d->dim[0], (json_int_t)d->dim[1])
                                     : json_pack("[I]", (json_int_t)d->dim[0]);
        json_t *entry =
            json_pack("{ss so s[II]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)at, (json_int_t)end);
        if (json_object_set_new(header, d->name, entry) != 0) FLM_FAIL(FLM_E_NOMEM, "no memory for a header");
        at = end;
    }
    dumped = json_dumps(header, JSON_COMPACT);
    padded = dumped ? realloc(dumped, (strlen(dumped) + 8) & ~(size_t)7) : NULL;
    if (!padded) FLM_FAIL(FLM_E_NOMEM, "no memory for a header");
    *bytes = (strlen(padded) + 7) & ~(size_t)7;
    memset(padded + strlen(padded), ' ', *bytes - strlen(padded));
    *text = padded;
    dumped = NULL;
done:
    free(dumped);
    json_decref(texts);
    json_decref(header);
    return rc;
}

flm_status flm_safetensors_write(const char *path, const flm_checkpoint_dataset *datasets, int count,
                                 const flm_setting *metadata, int metadata_count, flm_checkpoint_source source,
                                 void *context)
{
    flm_status rc = FLM_OK;
    char temporary[FLM_PATH_BYTES] = "", *header = NULL;
    float *data = NULL;
    size_t header_bytes = 0;
    int64_t max, at, data_bytes;
    uint64_t length;
    int fd = -1;

    FLM_TRY(begin(path, datasets, count, temporary, &max, &data_bytes));
    FLM_TRY(header_make(datasets, count, metadata, metadata_count, &header, &header_bytes));
    data = malloc((size_t)max * sizeof *data);
    if (!data) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a tensor of %" PRId64 " elements", path, max);
    FLM_TRY(flm_file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd));
    length = header_bytes;
    FLM_TRY(flm_file_write_at(fd, temporary, &length, sizeof length, 0));
    FLM_TRY(flm_file_write_at(fd, temporary, header, header_bytes, sizeof length));
    at = (int64_t)(sizeof length + header_bytes);
    FLM_TRY(flm_file_allocate(fd, temporary, at + data_bytes)); /* a full disk is reported before the work */
    for (int i = 0; i < count; i++) {
        const size_t bytes = (size_t)flm_checkpoint_elements(&datasets[i]) * sizeof *data;
        FLM_TRY(flm_process_poll());
        FLM_TRY(source(context, i, data));
        FLM_TRY(flm_file_write_at(fd, temporary, data, bytes, at));
        at += (int64_t)bytes;
    }
    FLM_TRY(flm_file_commit(&fd, temporary, path));
done:
    if (fd >= 0) close(fd);
    if (rc != FLM_OK && temporary[0]) unlink(temporary);
    free(data);
    free(header);
    return rc;
}
