/* emulate_backend.c - the backend "cuda" over the emulator: the operations and kernels of cuda/, memory that the host
 * cannot access, and the CPU backend in place of cuBLAS and cuSOLVER. In a program that links it before the libraries,
 * --device cuda is the emulated device. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/cuda_internal.h"
#include "cuda/kernel/kernel.h"
#include "tests/emulate/emulate_memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One allocation: pages with the data at their end, and after them a page that is never accessible. Kernels need an
 * alignment of 16 bytes, so that up to 15 accessible bytes follow the data: they hold NaN, and must still when it is
 * released. */
typedef struct area {
    char *pages;
    size_t bytes; /* of the pages before the last */
    void *data;
    size_t requested; /* bytes of data */
} area;

static area *areas;
static int area_count, area_capacity, depth;
static size_t held; /* bytes of all areas */

/* Free memory of the device, whose size is FLM_EMULATE_MIB, for tests of running out of memory; unlimited by default.
 */
static size_t memory_free(void)
{
    const char *mib = getenv("FLM_EMULATE_MIB");
    const size_t all = mib ? (size_t)atoll(mib) << 20 : SIZE_MAX;
    return all > held ? all - held : 0;
}

static void areas_protect(int how)
{
    for (int i = 0; i < area_count; i++)
        if (mprotect(areas[i].pages, areas[i].bytes, how) != 0) abort();
}

void emulate_open(void)
{
    if (depth++ == 0) areas_protect(PROT_READ | PROT_WRITE);
}

void emulate_close(void)
{
    if (--depth == 0) areas_protect(PROT_NONE);
}

bool emulate_holds(const void *data, size_t bytes)
{
    static int last; /* the area of the previous call: neighbouring copies have the same */
    const uintptr_t from = (uintptr_t)data;
    for (int k = 0; k < area_count; k++) {
        const area *a = &areas[(last + k) % area_count];
        if (from < (uintptr_t)a->data || from + bytes > (uintptr_t)a->data + a->requested) continue;
        last = (last + k) % area_count;
        return true;
    }
    return false;
}

/* ---- memory ---- */

static flm_status emulated_alloc(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), data = (bytes + 15) / 16 * 16,
                 whole = data ? (data + page - 1) / page * page : page;
    (void)be;
    if (whole > memory_free())
        FLM_FAIL(FLM_E_NOMEM, "out of GPU memory: %.1f MiB requested, %.1f MiB free; lower --micro-batch (emulated)",
                 (double)bytes / 0x1p20, (double)memory_free() / 0x1p20);
    if (area_count == area_capacity) {
        area *more = realloc(areas, (size_t)(2 * area_capacity + 16) * sizeof *more);
        if (!more) FLM_FAIL(FLM_E_NOMEM, "emulated device: out of memory");
        areas = more;
        area_capacity = 2 * area_capacity + 16;
    }
    char *pages = mmap(NULL, whole + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) FLM_FAIL(FLM_E_NOMEM, "emulated device: cannot map %zu bytes", bytes);
    area *a = &areas[area_count];
    *a = (area){pages, whole, pages + whole - data, bytes};
    if (mprotect(pages, a->bytes, PROT_READ | PROT_WRITE) != 0) abort();
    memset(a->data, 0xFF, data); /* NaN */
    if (depth == 0 && mprotect(pages, a->bytes, PROT_NONE) != 0) abort();
    area_count++;
    held += whole;
    *out = a->data;
done:
    return rc;
}

/* That nothing was written behind the data. */
static void check_end(const area *a)
{
    const unsigned char *end = (unsigned char *)a->data + a->requested, *stop = (unsigned char *)a->pages + a->bytes;
    emulate_open();
    for (; end < stop; end++)
        if (*end != 0xFF) {
            fprintf(stderr, "emulator: a write behind an allocation of %zu bytes\n", a->requested);
            abort();
        }
    emulate_close();
}

static void emulated_release(flm_backend *be, void *data)
{
    (void)be;
    if (data) emulate_wait(); /* as cudaFree */
    for (int i = 0; data && i < area_count; i++)
        if (areas[i].data == data) {
            check_end(&areas[i]);
            munmap(areas[i].pages, areas[i].bytes + (size_t)sysconf(_SC_PAGESIZE));
            held -= areas[i].bytes;
            areas[i] = areas[--area_count];
            return;
        }
    if (data) abort(); /* not an allocation of this device */
}

static flm_status emulated_copy(flm_backend *be, void *to, const void *from, size_t bytes)
{
    (void)be;
    emulate_open();
    if (bytes) memcpy(to, from, bytes);
    emulate_close();
    return FLM_OK;
}

static flm_status emulated_to_device(flm_backend *be, void *device, const void *host, size_t bytes)
{
    (void)be;
    emulate_late_to_device(device, host, bytes);
    return FLM_OK;
}

static flm_status emulated_to_host(flm_backend *be, void *host, const void *device, size_t bytes)
{
    (void)be;
    emulate_late_to_host(host, device, bytes);
    return FLM_OK;
}

static flm_status emulated_zero(flm_backend *be, void *device, size_t bytes)
{
    (void)be;
    emulate_open();
    if (bytes) memset(device, 0, bytes);
    emulate_close();
    return FLM_OK;
}

/* ---- in place of cuBLAS and cuSOLVER ---- */

static flm_backend *host_of(flm_backend *be) { return (flm_backend *)(void *)flm_cuda_of(be)->blas; }

/* Calls the CPU backend while the device's memory is accessible. */
#define ON_HOST(call)                          \
    do {                                       \
        emulate_open();                        \
        const flm_status on_host = (call);     \
        emulate_close();                       \
        if (on_host != FLM_OK) return on_host; \
    } while (0)

/* With FLM_EMULATE_ALIGNED, for programs whose rows are always aligned to 16 bytes: others are refused, as cuBLASLt
 * refuses them or takes a slow kernel. Vectors are small enough for that. */
static flm_status check_rows(const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    const flm_tensor *const all[] = {p->a, p->b, p->c};
    for (int i = 0; i < 3 && getenv("FLM_EMULATE_ALIGNED"); i++)
        if (all[i]->dim[0] > 1 && all[i]->dim[1] > 1 &&
            (size_t)flm_tensor_row_stride(all[i]) * flm_dtype_size(all[i]->dtype) % 16 != 0)
            FLM_FAIL(FLM_E_UNSUPPORTED, "matmul: rows of %lld elements are not aligned to 16 bytes (emulated)",
                     (long long)flm_tensor_row_stride(all[i]));
done:
    return rc;
}

/* The product by the CPU backend, into c or f32 scratch; bias and GELU by the kernel of epilogue.cu, as in
 * cuda_matmul.c if cuBLASLt refuses them. */
flm_status flm_cuda_matmul(flm_backend *be, const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_rows(p));
    flm_backend *host = host_of(be);
    flm_matmul plain = *p;
    flm_tensor sum = *p->c;
    const bool bf16 = p->c->dtype == FLM_DTYPE_BF16, apart = bf16 && p->bias;
    plain.bias = plain.gelu = NULL;
    plain.in_parts = false;
    if (apart) {
        sum.dtype = FLM_DTYPE_F32;
        sum.row_stride = 0;
        FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, flm_tensor_bytes(&sum), &sum.data));
        plain.c = &sum;
    }
    ON_HOST(flm_op_matmul(host, &plain));
    if (p->bias || p->gelu)
        FLM_CUDA(flm_cuda_launch_epilogue(p->c->data, p->gelu ? p->gelu->data : NULL, bf16, apart ? sum.data : NULL,
                                          p->bias ? p->bias->data : NULL, p->c->dim[0], p->c->dim[1],
                                          flm_tensor_row_stride(p->c), flm_cuda_of(be)->stream));
done:
    return rc;
}

flm_status flm_cuda_gram(flm_backend *be, const flm_tensor *G, const flm_tensor *A, const flm_tensor *B)
{
    flm_status rc = FLM_OK;
    flm_backend *host = host_of(be);
    ON_HOST(flm_op_gram(host, G, A, B));
    if (A->data == B->data) FLM_CUDA(flm_cuda_launch_mirror(G->data, G->dim[0], flm_cuda_of(be)->stream));
done:
    return rc;
}

/* A matrix that the host's library refuses becomes NaN, as cuSOLVER would leave it. */
flm_status flm_cuda_cholesky(flm_backend *be, const flm_tensor *G, const flm_tensor *verdict)
{
    flm_status rc = FLM_OK;
    flm_backend *host = host_of(be);
    const flm_tensor none = flm_tensor_none();
    enum { INFO, ROW, VERDICT, NUMBERS };
    int *bad = NULL, row = 0;
    const int64_t K = G->dim[0];
    FLM_TRY(flm_cuda_scratch(be, FLM_CUDA_ALGEBRA, NUMBERS * sizeof *bad, (void **)&bad));
    FLM_TRY(be->memory->zero(be, bad, NUMBERS * sizeof *bad));
    emulate_open();
    rc = flm_op_cholesky(host, G, &none);
    if (rc == FLM_E_NUMERIC) memset(G->data, 0xFF, flm_tensor_bytes(G));
    emulate_close();
    if (rc == FLM_E_NUMERIC) {
        flm_err_clear();
        rc = FLM_OK;
    }
    FLM_TRY(rc);
    FLM_CUDA(flm_cuda_launch_cholesky_finish(G->data, K, bad, verdict->data ? verdict->data : bad + VERDICT,
                                             flm_cuda_of(be)->stream));
    if (verdict->data) goto done;
    FLM_TRY(be->memory->to_host(be, &row, bad + VERDICT, sizeof row));
    FLM_TRY(be->stream->sync(be));
    if (row != 0) FLM_FAIL(FLM_E_NUMERIC, "cholesky: not finite or not positive definite (emulated)");
done:
    return rc;
}

flm_status flm_cuda_triangular_solve(flm_backend *be, const flm_tensor *X, const flm_tensor *R, bool transpose)
{
    flm_backend *host = host_of(be);
    ON_HOST(flm_op_triangular_solve(host, X, R, transpose));
    return FLM_OK;
}

/* ---- the backend ---- */

flm_status flm_cuda_check(int code, const char *what, const char *file, int line)
{
    return code == 0 ? FLM_OK : flm_err_raise(FLM_E_DEVICE, file, line, "%s: CUDA error %d (emulated)", what, code);
}

flm_status flm_cuda_scratch(flm_backend *be, int slot, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    flm_cuda *cuda = flm_cuda_of(be);
    if (cuda->slot[slot].bytes < bytes) {
        emulated_release(be, cuda->slot[slot].data);
        cuda->slot[slot].data = NULL;
        cuda->slot[slot].bytes = 0;
        FLM_TRY(emulated_alloc(be, bytes, &cuda->slot[slot].data));
        cuda->slot[slot].bytes = bytes;
    }
    *out = cuda->slot[slot].data;
done:
    return rc;
}

static flm_status emulated_host_alloc(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    FLM_TRY(host_of(be)->memory->host_alloc(host_of(be), bytes, out));
    emulate_pin(*out, bytes);
done:
    return rc;
}

static void emulated_host_release(flm_backend *be, void *data)
{
    if (data) emulate_unpin(data);
    host_of(be)->memory->host_release(host_of(be), data);
}

static flm_status emulated_available(flm_backend *be, size_t *bytes)
{
    return host_of(be)->memory->available(host_of(be), bytes);
}

static flm_status emulated_sync(flm_backend *be)
{
    emulate_late_sync();
    be->waits++;
    return FLM_OK;
}

static const flm_memory emulated_memory = {
    .alloc = emulated_alloc,
    .release = emulated_release,
    .host_alloc = emulated_host_alloc,
    .host_release = emulated_host_release,
    .to_device = emulated_to_device,
    .to_host = emulated_to_host,
    .copy = emulated_copy,
    .zero = emulated_zero,
    .available = emulated_available,
};
static const flm_stream emulated_stream = {.sync = emulated_sync};
#define FLM_OP(op, parameters, arguments) .op = flm_cuda_##op,
#define FLM_OP_CPU(...)
static const flm_ops emulated_ops = {
#include "backend/backend_ops.def"
};

static void emulated_close(flm_backend *be)
{
    flm_cuda *cuda = flm_cuda_of(be);
    emulate_late_sync();
    for (int i = 0; i < FLM_CUDA_SLOTS; i++) emulated_release(be, cuda->slot[i].data);
    flm_backend *host = host_of(be);
    flm_backend_destroy(&host);
    free(cuda);
    free(be);
}

static const char *emulated_describe(const flm_backend *be) { return flm_cuda_of(be)->line; }

static const char *emulated_identify(const flm_backend *be) { return flm_cuda_of(be)->bus; }

static const flm_backend_driver emulated_driver = {
    .close = emulated_close, .identify = emulated_identify, .describe = emulated_describe};

flm_status flm_cuda_open(int local_rank, flm_backend **out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = calloc(1, sizeof *be), *host = NULL;
    flm_cuda *cuda = calloc(1, sizeof *cuda);
    const char *order = getenv("FLM_EMULATE_ORDER");
    if (!be || !cuda) FLM_FAIL(FLM_E_NOMEM, "emulated device: out of memory");
    FLM_TRY(flm_cpu_open(1, &host));
    if (order) emulate_order = atoi(order);
    *cuda = (flm_cuda){.processors = 3, .max_shared = 163 * 1024, .blas = (struct flm_cublas *)(void *)host};
    /* FLM_EMULATE_GPUS: how many the node has; by default enough. */
    const char *gpus = getenv("FLM_EMULATE_GPUS");
    snprintf(cuda->bus, sizeof cuda->bus, "emulated %d", gpus ? local_rank % atoi(gpus) : local_rank);
    strcpy(cuda->line, "cuda, emulated on the CPU: for tests of correctness only");
    *be = (flm_backend){.kind = FLM_BACKEND_CUDA,
                        .name = "cuda",
                        .memory = &emulated_memory,
                        .stream = &emulated_stream,
                        .ops = &emulated_ops,
                        .host_memory = false,
                        .state = cuda,
                        .driver = &emulated_driver};
    *out = be;
    be = NULL;
    cuda = NULL;
done:
    free(be);
    free(cuda);
    return rc;
}
