/* score_entropy.c - see score_entropy.h. SPDX-License-Identifier: Apache-2.0 */
#include "score/score_entropy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

flm_status flm_score_entropy(const int32_t *ids, int64_t rows, int64_t L, double *sum)
{
    flm_status rc = FLM_OK;
    int32_t *row = malloc((size_t)L * sizeof *row);
    double total = 0;
    if (row == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a row of %lld ids", (long long)L);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(row, ids + r * L, (size_t)L * sizeof *row);
        qsort(row, (size_t)L, sizeof *row, by_value);
        for (int64_t i = 0, run = 1; i < L; i++, run++) {
            if (i + 1 < L && row[i + 1] == row[i]) continue;
            const double p = (double)run / (double)L;
            total -= p * log(p);
            run = 0;
        }
    }
    *sum = total;
done:
    free(row);
    return rc;
}
