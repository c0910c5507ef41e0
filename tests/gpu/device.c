/* device.c - prints the line that describes the GPU; without a usable one, prints the reason on standard error and
 * exits with 1. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend.h"

#include <stdio.h>

int main(void)
{
    flm_status rc = FLM_OK;
    flm_backend *be = NULL;
    size_t bytes = 0;
    FLM_TRY(flm_backend_create(FLM_DEVICE_CUDA, 1, 0, &be));
    FLM_TRY(be->memory->available(be, &bytes));
    printf("%s, %.1f GiB free\n", flm_backend_describe(be), (double)bytes / 0x1p30);
done:
    if (rc != FLM_OK) fprintf(stderr, "%s\n", flm_err_message());
    flm_backend_destroy(&be);
    return rc == FLM_OK ? 0 : 1;
}
