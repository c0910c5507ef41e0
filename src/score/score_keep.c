/* score_keep.c - scores of texts kept in a file of their own, so that a scoring that was stopped goes on.
 *
 * A line a text, in their order, all of one width: nll in nats, positions counted, and a CRC-32C of both, of the text,
 * of the scorer and of the length asked for. A line is good if its sum fits; others are scored again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "score/score_files.h"

#include "base/base_crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIGURES = 38, LINE = FIGURES + 10, PATH_BYTES = 4096 }; /* bytes: "nll positions", and with " sum\n" */

static uint32_t line_sum(const score_keep *k, int64_t row, const char *figures)
{
    const score_texts *t = k->texts;
    uint32_t crc = flm_crc32c(0, &k->scorer, sizeof k->scorer);
    crc = flm_crc32c(crc, &k->length, sizeof k->length);
    crc = flm_crc32c(crc, t->data + t->starts[row], (size_t)(t->starts[row + 1] - t->starts[row]));
    return flm_crc32c(crc, figures, FIGURES);
}

flm_status score_keep_open(score_keep *k, const char *directory, const char *path)
{
    flm_status rc = FLM_OK;
    const char *slash = strrchr(path, '/');
    char file[PATH_BYTES];
    /* Files of one name in several directories are told apart by the sum of the whole path. */
    const int length = snprintf(file, sizeof file, "%s/%s-%08" PRIx32 ".scores", directory, slash ? slash + 1 : path,
                                flm_crc32c(0, path, strlen(path)));
    if (length >= (int)sizeof file) FLM_FAIL(FLM_E_USAGE, "--keep: the path is too long");
    k->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (k->fd < 0) FLM_FAIL(FLM_E_IO, "%s: %s", file, strerror(errno));
done:
    return rc;
}

void score_keep_close(score_keep *k)
{
    if (k->fd >= 0) close(k->fd);
    k->fd = -1;
}

flm_status score_keep_read(const score_keep *k, double *nll, int64_t *positions, bool *present)
{
    flm_status rc = FLM_OK;
    char line[LINE + 1];
    for (int64_t row = 0; row < k->texts->count; row++) {
        uint32_t sum;
        const ssize_t got = pread(k->fd, line, LINE, row * LINE);
        if (got < 0) FLM_FAIL(FLM_E_IO, "kept scores: %s", strerror(errno));
        if (got < LINE) break; /* the file ends */
        line[LINE] = '\0';
        if (sscanf(line + FIGURES, "%8" SCNx32, &sum) != 1 || sum != line_sum(k, row, line)) continue;
        present[row] = sscanf(line, "%lf %" SCNd64, &nll[row], &positions[row]) == 2;
    }
done:
    return rc;
}

flm_status score_keep_store(const score_keep *k, int64_t row, const flm_text_score *score)
{
    flm_status rc = FLM_OK;
    char line[LINE + 1];
    snprintf(line, sizeof line, "%24.17g %13" PRId64, score->nll, score->positions);
    snprintf(line + FIGURES, sizeof line - FIGURES, " %08" PRIx32 "\n", line_sum(k, row, line));
    if (pwrite(k->fd, line, LINE, row * LINE) != LINE)
        FLM_FAIL(FLM_E_IO, "kept scores: cannot be written: %s", strerror(errno));
done:
    return rc;
}
