/* backend.c - the registry: which devices this build has. The only file that depends on how the suite was configured
 * for devices. SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "backend/backend_internal.h"
#include "base/base_log.h"

#include <string.h>

/* With CUDA, or in a test with the emulation of its kernels (tests/emulate/). */
#if FLM_HAVE_CUDA || defined(FLM_EMULATED)
static flm_status open_cuda(int local_rank, flm_backend **out) { return flm_cuda_open(local_rank, out); }
#else
static flm_status open_cuda(int local_rank, flm_backend **out)
{
    (void)local_rank;
    (void)out;
    return flm_err_raise(FLM_E_UNSUPPORTED, __FILE__, __LINE__, "device cuda: this build has no CUDA backend");
}
#endif

/* A GPU if there is one (one that cannot be used is an error), else the CPU; flm_backend_describe says which. */
static flm_status open_any(int threads, int local_rank, flm_backend **out)
{
    flm_status rc = open_cuda(local_rank, out);
    if (rc != FLM_E_UNSUPPORTED) return rc;
    flm_log(FLM_LOG_DEBUG, "%s; using the CPU", flm_err_message());
    flm_err_clear();
    return flm_cpu_open(threads, out);
}

flm_status flm_backend_create(flm_device device, int threads, int local_rank, flm_backend **out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = NULL;

    if (threads < 0) FLM_FAIL(FLM_E_ARG, "backend: the number of threads is %d, must not be negative", threads);
    if (local_rank < 0) FLM_FAIL(FLM_E_ARG, "backend: local rank is %d, must not be negative", local_rank);
    switch (device) {
    case FLM_DEVICE_AUTO: FLM_TRY(open_any(threads, local_rank, &be)); break;
    case FLM_DEVICE_CPU: FLM_TRY(flm_cpu_open(threads, &be)); break;
    case FLM_DEVICE_CUDA: FLM_TRY(open_cuda(local_rank, &be)); break;
    case FLM_DEVICE_PLAN: FLM_TRY(flm_plan_open(&be)); break;
    default: FLM_FAIL(FLM_E_ARG, "backend: unknown device %d", (int)device);
    }
    *out = be;
done:
    return rc;
}

void flm_backend_destroy(flm_backend **be)
{
    if (*be) (*be)->driver->close(*be);
    *be = NULL;
}

flm_status flm_backend_set_matmul(flm_backend *be, flm_matmul_kind asked)
{
    flm_status rc = FLM_OK;
    if (be->driver->set_matmul)
        FLM_TRY(be->driver->set_matmul(be, asked));
    else if (asked == FLM_MATMUL_FP32 || asked == FLM_MATMUL_AMX)
        FLM_FAIL(FLM_E_UNSUPPORTED, "device %s has no matmul of kind %s; that is for CPUs", be->name,
                 flm_backend_name_matmul(asked));
done:
    return rc;
}

flm_matmul_kind flm_backend_get_matmul(const flm_backend *be)
{
    return be->driver->get_matmul ? be->driver->get_matmul(be) : FLM_MATMUL_NATIVE;
}

void flm_backend_hold(flm_backend *be, const flm_tensor *t)
{
    if (be->driver->hold) be->driver->hold(be, t);
}

void flm_backend_let_go(flm_backend *be, const flm_tensor *t)
{
    if (be->driver->hold) be->driver->let_go(be, t);
}

static const char *const matmul_names[FLM_MATMUL_KINDS] = {"auto", "amx", "native", "fp32"};

const char *flm_backend_name_matmul(flm_matmul_kind kind) { return matmul_names[kind]; }

flm_matmul_kind flm_backend_find_matmul(const char *name)
{
    for (int kind = 0; kind < FLM_MATMUL_KINDS; kind++)
        if (strcmp(name, matmul_names[kind]) == 0) return (flm_matmul_kind)kind;
    return FLM_MATMUL_AUTO;
}

flm_precision flm_backend_precision(const flm_backend *be, flm_precision asked)
{
    if (asked != FLM_PRECISION_AUTO) return asked;
    return flm_backend_get_matmul(be) != FLM_MATMUL_FP32 ? FLM_PRECISION_BF16 : FLM_PRECISION_FP32;
}

int64_t flm_backend_chunk(const flm_backend *be, int64_t V)
{
    enum { HOST_LOGITS = 1 << 25, HOST_MIN_ROWS = 64, GPU_LOGITS = 1 << 28, GPU_ROWS = 128 };
    const int64_t host = HOST_LOGITS / V, gpu = GPU_LOGITS / V / GPU_ROWS * GPU_ROWS;
    if (be->host_memory) return host > HOST_MIN_ROWS ? host : HOST_MIN_ROWS;
    return gpu > GPU_ROWS ? gpu : GPU_ROWS;
}

int64_t flm_backend_chunk_max(int64_t V)
{
    const flm_tensor row = flm_tensor_2d_padded(NULL, FLM_DTYPE_F32, 1, V);
    const int64_t rows = INT32_MAX / flm_tensor_row_stride(&row);
    return rows > 1 ? rows : 1;
}

flm_status flm_backend_to_host(flm_backend *be, void *host, const flm_tensor *t)
{
    flm_status rc = FLM_OK;
    const size_t size = flm_dtype_size(t->dtype), row = (size_t)flm_tensor_last(t) * size,
                 step = (size_t)flm_tensor_row_stride(t) * size;
    if (!flm_tensor_padded(t)) return be->memory->to_host(be, host, t->data, flm_tensor_bytes(t));
    for (int64_t i = 0; i < flm_tensor_rows(t); i++)
        FLM_TRY(be->memory->to_host(be, (char *)host + (size_t)i * row, (const char *)t->data + (size_t)i * step, row));
done:
    return rc;
}

const char *flm_backend_identify(const flm_backend *be)
{
    return be->driver && be->driver->identify ? be->driver->identify(be) : "";
}

const char *flm_backend_describe(const flm_backend *be) { return be->driver->describe(be); }
