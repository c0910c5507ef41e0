/* backend_plan.c - the dry-run device: memory is only counted, operations do nothing. A run can be set up here on any
 * machine to see how much memory it takes. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

/* An allocation is address space without access; its size is stored in a page before it. */
enum { PAGE = 4096 };

static flm_status plan_alloc(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    (void)be;
    char *area = bytes > SIZE_MAX - PAGE
                     ? MAP_FAILED
                     : mmap(NULL, bytes + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) FLM_FAIL(FLM_E_NOMEM, "plan: no address space for %zu bytes", bytes);
    if (mprotect(area, PAGE, PROT_READ | PROT_WRITE) != 0) {
        munmap(area, bytes + PAGE);
        FLM_FAIL(FLM_E_NOMEM, "plan: out of memory for a page");
    }
    *(size_t *)(void *)area = bytes;
    *out = area + PAGE;
done:
    return rc;
}

static void plan_release(flm_backend *be, void *data)
{
    (void)be;
    if (data) munmap((char *)data - PAGE, *(size_t *)(void *)((char *)data - PAGE) + PAGE);
}

static flm_status plan_host_alloc(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    (void)be;
    *out = malloc(bytes + 1);
    if (!*out) FLM_FAIL(FLM_E_NOMEM, "out of host memory (%zu bytes)", bytes);
done:
    return rc;
}

static void plan_host_release(flm_backend *be, void *data)
{
    (void)be;
    free(data);
}

/* The following use none of their arguments. NOLINTBEGIN(misc-unused-parameters) */
#pragma GCC diagnostic ignored "-Wunused-parameter"
static flm_status plan_to_device(flm_backend *be, void *device, const void *host, size_t bytes) { return FLM_OK; }
static flm_status plan_copy(flm_backend *be, void *to, const void *from, size_t bytes) { return FLM_OK; }
static flm_status plan_zero(flm_backend *be, void *device, size_t bytes) { return FLM_OK; }
static flm_status plan_sync(flm_backend *be) { return FLM_OK; }

/* Nothing can come back. */
static flm_status plan_to_host(flm_backend *be, void *host, const void *device, size_t bytes)
{
    return flm_err_raise(FLM_E_UNSUPPORTED, __FILE__, __LINE__, "the plan device has no values to copy back");
}

static flm_status plan_available(flm_backend *be, size_t *bytes)
{
    *bytes = SIZE_MAX;
    return FLM_OK;
}

#define FLM_OP(op, parameters, arguments) \
    static flm_status plan_##op(flm_backend *be, FLM_OP_UNPACK parameters) { return FLM_OK; }
#include "backend/backend_ops.def"

static const char *plan_describe(const flm_backend *be) { return "plan: nothing is allocated or computed"; }
/* NOLINTEND(misc-unused-parameters) */

static void plan_close(flm_backend *be) { free(be); }

static const flm_memory plan_memory = {.alloc = plan_alloc,
                                       .release = plan_release,
                                       .host_alloc = plan_host_alloc,
                                       .host_release = plan_host_release,
                                       .to_device = plan_to_device,
                                       .to_host = plan_to_host,
                                       .copy = plan_copy,
                                       .zero = plan_zero,
                                       .available = plan_available};
static const flm_stream plan_stream = {.sync = plan_sync};
#define FLM_OP(op, parameters, arguments) .op = plan_##op,
static const flm_ops plan_ops = {
#include "backend/backend_ops.def"
};
static const flm_backend_driver plan_driver = {.close = plan_close, .describe = plan_describe};

flm_status flm_plan_open(flm_backend **out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = calloc(1, sizeof *be);
    if (!be) FLM_FAIL(FLM_E_NOMEM, "plan: out of memory (%zu bytes)", sizeof *be);
    *be = (flm_backend){.kind = FLM_BACKEND_PLAN,
                        .name = "plan",
                        .memory = &plan_memory,
                        .stream = &plan_stream,
                        .ops = &plan_ops,
                        .host_memory = false,
                        .state = NULL,
                        .driver = &plan_driver};
    *out = be;
done:
    return rc;
}
