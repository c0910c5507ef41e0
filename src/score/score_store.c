/* score_store.c - see score_store.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_store.h"

#include "base/base_crc32c.h"
#include "base/base_file.h"
#include "base/base_path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FIGURES = 38, LINE = FIGURES + 10 }; /* bytes: "nll positions", and with " checksum\n" */

static uint32_t line_checksum(const flm_score_store *store, int64_t row, const char *figures)
{
    const flm_score_texts *t = store->texts;
    int64_t first, end;
    flm_score_protocol_batch(&store->protocol, t->count, row, &first, &end);
    uint32_t crc = flm_crc32c_update(0, &store->scorer, sizeof store->scorer);
    crc = flm_crc32c_update(crc, &store->length, sizeof store->length);
    crc = flm_crc32c_update(crc, t->data + t->starts[row], (size_t)(t->starts[row + 1] - t->starts[row]));
    for (int64_t i = first; store->protocol.kind == FLM_SCORE_PUBLISHED && i < end; i++) {
        const int64_t bytes = t->starts[i + 1] - t->starts[i];
        crc = flm_crc32c_update(crc, &bytes, sizeof bytes);
        crc = flm_crc32c_update(crc, t->data + t->starts[i], (size_t)bytes);
    }
    return flm_crc32c_update(crc, figures, FIGURES);
}

flm_status flm_score_store_open(flm_score_store *store, const char *directory, const char *path, bool lock)
{
    flm_status rc = FLM_OK;
    char file[FLM_PATH_BYTES];
    /* The checksum of the whole path keeps files of the same name in different directories apart. */
    FLM_TRY(flm_path_format(file, "%s/%s-%08" PRIx32 ".scores", directory, flm_path_name(path),
                            flm_crc32c_update(0, path, strlen(path))));
    if (lock) FLM_TRY(flm_lock_file(file, &store->lock));
    FLM_TRY(flm_file_open(file, O_RDWR | O_CREAT, &store->fd));
done:
    return rc;
}

void flm_score_store_close(flm_score_store *store)
{
    if (store->fd >= 0) close(store->fd);
    store->fd = -1;
    flm_lock_release(&store->lock);
}

flm_status flm_score_store_read(const flm_score_store *store, double *nll, int64_t *positions, bool *present)
{
    flm_status rc = FLM_OK;
    char line[LINE + 1];
    const int64_t count = flm_score_protocol_count(&store->protocol, store->texts->count);
    for (int64_t row = 0; row < count; row++) {
        uint32_t checksum;
        const ssize_t got = pread(store->fd, line, LINE, row * LINE);
        if (got < 0) FLM_FAIL(flm_status_from_errno(errno), "stored scores: %s", strerror(errno));
        if (got < LINE) break; /* the file ends */
        line[LINE] = '\0';
        if (sscanf(line + FIGURES, "%8" SCNx32, &checksum) != 1 || checksum != line_checksum(store, row, line))
            continue;
        present[row] = sscanf(line, "%lf %" SCNd64, &nll[row], &positions[row]) == 2;
    }
done:
    return rc;
}

flm_status flm_score_store_write(const flm_score_store *store, int64_t row, const flm_text_score *score)
{
    flm_status rc = FLM_OK;
    char line[LINE + 1];
    snprintf(line, sizeof line, "%24.17g %13" PRId64, score->nll, score->positions);
    snprintf(line + FIGURES, sizeof line - FIGURES, " %08" PRIx32 "\n", line_checksum(store, row, line));
    FLM_TRY(flm_file_write_at(store->fd, "stored scores", line, LINE, row * LINE));
done:
    return rc;
}
