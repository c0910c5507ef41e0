/* registry.c - opening a device, its tables, its memory, and the front door of the ops.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_internal.h"
#include "backend/cpu/cpu_internal.h"
#include "tests/tap.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

static void refused(flm_device device, int threads, int local_rank, flm_status want, const char *what)
{
    flm_backend *be = NULL;
    flm_status have = flm_backend_create(device, threads, local_rank, &be);
    tap_ok(have == want && !be, "%s: %s (%s)", what, flm_status_name(have), flm_err_message());
    flm_err_clear();
}

/* Every slot of the table of ops is filled: all of them are pointers to functions. */
static void test_table(const flm_backend *be)
{
    enum { SLOTS = sizeof(flm_ops) / sizeof(void (*)(void)) };
    void (*slot[SLOTS])(void);
    int missing = 0;

    memcpy(slot, be->ops, sizeof slot);
    for (int i = 0; i < SLOTS; i++) missing += !slot[i];
    tap_ok(missing == 0, "%d of %d ops missing", missing, (int)SLOTS);
}

/* An op that a backend lacks, and arguments that do not fit, are refused by the front door with the op's name. */
static void test_front_door(flm_backend *be)
{
    const flm_ops *ops = be->ops, none = {0};
    const flm_tensor vector = flm_tensor_1d(NULL, FLM_DTYPE_F64, 3), absent = flm_tensor_none();
    be->ops = &none;
    tap_ok(flm_op_cholesky(be, &vector, &absent) == FLM_E_UNSUPPORTED &&
               strncmp(flm_err_message(), "cholesky: ", 10) == 0 && strstr(flm_err_message(), be->name),
           "a missing op: %s", flm_err_message());
    be->ops = ops;
    tap_ok(flm_op_cholesky(be, &vector, &absent) == FLM_E_SHAPE && strncmp(flm_err_message(), "cholesky: ", 10) == 0,
           "arguments that do not fit: %s", flm_err_message());
    flm_err_clear();
}

static void test_memory(flm_backend *be)
{
    static const size_t sizes[] = {0, 1, 100, 3 << 20};
    size_t available = 0;
    void *data = NULL;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *host = malloc(sizes[i] + 1), *back = malloc(sizes[i] + 1);
        void *copy = NULL;
        if (!host || !back) abort();
        for (size_t b = 0; b < sizes[i]; b++) host[b] = (char)(b * 7 + 3);
        tap_ok(be->memory->alloc(be, sizes[i], &data) == FLM_OK && (size_t)data % 64 == 0, "%zu bytes, aligned",
               sizes[i]);
        be->memory->alloc(be, sizes[i], &copy);
        be->memory->to_device(be, data, host, sizes[i]);
        be->memory->copy(be, copy, data, sizes[i]);
        be->memory->to_host(be, back, copy, sizes[i]);
        be->stream->sync(be);
        tap_ok(memcmp(host, back, sizes[i]) == 0, "%zu bytes there and back", sizes[i]);
        be->memory->zero(be, copy, sizes[i]);
        be->memory->to_host(be, back, copy, sizes[i]);
        be->stream->sync(be);
        memset(host, 0, sizes[i]);
        tap_ok(memcmp(host, back, sizes[i]) == 0, "%zu zeros", sizes[i]);
        be->memory->release(be, data);
        be->memory->release(be, copy);
        free(host);
        free(back);
    }
    be->memory->release(be, NULL);
    flm_status rc = be->memory->available(be, &available);
    tap_ok(rc == FLM_OK && available > 1 << 20, "%zu bytes free", available);
    data = NULL;
    tap_ok(be->memory->alloc(be, available + ((size_t)64 << 30), &data) == FLM_E_NOMEM && !data,
           "more than there is: %s", flm_err_message());
    tap_ok(be->memory->alloc(be, SIZE_MAX, &data) == FLM_E_NOMEM && !data, "more than can be said: %s",
           flm_err_message());
    flm_err_clear();
}

static void test_scratch(flm_backend *be)
{
    void *small = NULL, *other = NULL, *again = NULL, *large = NULL;

    tap_ok(flm_cpu_scratch(be, 0, 1000, &small) == FLM_OK && (size_t)small % 64 == 0, "scratch memory, aligned");
    memset(small, 1, 1000);
    tap_ok(flm_cpu_scratch(be, 1, 1000, &other) == FLM_OK && other != small, "another slot is other memory");
    tap_ok(flm_cpu_scratch(be, 0, 10, &again) == FLM_OK && again == small, "a smaller request gets the same memory");
    tap_ok(flm_cpu_scratch(be, 0, 100000, &large) == FLM_OK, "a slot grows");
    memset(large, 1, 100000);
    tap_ok(flm_cpu_scratch(be, 0, SIZE_MAX / 2, &large) == FLM_E_NOMEM, "until memory is out: %s", flm_err_message());
    flm_err_clear();
    tap_ok(flm_cpu_scratch(be, 0, 1000, &small) == FLM_OK, "and serves again after that");
    memset(small, 1, 1000);
}

/* Without a GPU, and without one built in: one clear error to who asks for it, and the CPU to who leaves it open. */
static void test_gpu(void)
{
    flm_backend *be = NULL;
    flm_status have = flm_backend_create(FLM_DEVICE_CUDA, 1, 0, &be);
    const bool there = have == FLM_OK;
    if (there) {
        tap_ok(FLM_HAVE_CUDA && strncmp(flm_backend_describe(be), "cuda: ", 6) == 0, "%s", flm_backend_describe(be));
        test_table(be);
    } else {
        tap_ok((have == FLM_E_UNSUPPORTED || (FLM_HAVE_CUDA && have == FLM_E_DEVICE)) && !be &&
                   strncmp(flm_err_message(), "device cuda: ", 13) == 0,
               "no GPU: %s (%s)", flm_status_name(have), flm_err_message());
    }
    flm_err_clear();
    flm_backend_destroy(&be);
    if (have == FLM_E_DEVICE) return; /* one that cannot be used: auto says the same */
    have = flm_backend_create(FLM_DEVICE_AUTO, 1, 0, &be);
    tap_ok(have == FLM_OK && be->kind == (there ? FLM_BACKEND_CUDA : FLM_BACKEND_CPU) && *flm_err_message() == '\0',
           "auto: %s", be ? be->name : flm_err_message());
    flm_backend_destroy(&be);
}

int main(void)
{
    flm_backend *be = NULL;

    refused(FLM_DEVICE_CPU, -1, 0, FLM_E_ARG, "negative threads");
    refused(FLM_DEVICE_CPU, 1 << 20, 0, FLM_E_ARG, "a million threads");
    refused(FLM_DEVICE_CPU, 1, -1, FLM_E_ARG, "negative local rank");
    refused((flm_device)99, 1, 0, FLM_E_ARG, "unknown device");
    test_gpu();
    flm_backend_destroy(&be);
    tap_ok(!be, "nothing to destroy is fine");

    if (!tap_ok(flm_backend_create(FLM_DEVICE_CPU, 0, 0, &be) == FLM_OK, "the CPU: %s", flm_err_message()))
        return tap_end();
    tap_ok(flm_cpu_threads(be) == omp_get_max_threads(), "0 threads: as the environment says");
    flm_backend_destroy(&be);
    tap_ok(!be, "destroying nulls");
    if (!tap_ok(flm_backend_create(FLM_DEVICE_CPU, 3, 0, &be) == FLM_OK, "again: %s", flm_err_message()))
        return tap_end();
    tap_ok(flm_cpu_threads(be) == 3 && strstr(flm_backend_describe(be), "3 threads"), "%s", flm_backend_describe(be));
    tap_ok(flm_backend_precision(be, FLM_PRECISION_FP32) == FLM_PRECISION_FP32, "fp32 stays fp32");
    tap_ok(flm_backend_precision(be, FLM_PRECISION_BF16) == FLM_PRECISION_BF16, "bf16 stays bf16");
    tap_ok(flm_backend_precision(be, FLM_PRECISION_AUTO) != FLM_PRECISION_AUTO, "auto is resolved");
    test_table(be);
    test_front_door(be);
    test_memory(be);
    test_scratch(be);
    flm_backend_destroy(&be);
    return tap_end();
}
