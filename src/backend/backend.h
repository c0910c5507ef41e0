/* backend.h - a device: its memory, its stream and its operations.
 *
 * Model and flow code is written once against this interface; the dtype is a run-time value. Everything is queued in
 * order on the backend's one compute stream; host code calls stream->sync before it reads a result. (On the CPU, calls
 * complete before they return and sync does nothing.) The operations are called as flm_op_<name> (backend_ops.h).
 * Leaves to others: networks, files, ranks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_H
#define FLM_BACKEND_H

#include "backend/backend_tensor.h"

typedef struct flm_backend flm_backend;
struct flm_ops; /* backend_internal.h */

typedef struct flm_memory {
    /* alloc - memory aligned to 64 bytes, contents undefined. Errors: FLM_E_NOMEM with the bytes asked for and free. */
    flm_status (*alloc)(flm_backend *be, size_t bytes, void **out);
    /* release - accepts NULL. */
    void (*release)(flm_backend *be, void *data);
    /* host_alloc, host_release - host memory that copies fastest (pinned, where the device has that); release accepts
     * NULL. */
    flm_status (*host_alloc)(flm_backend *be, size_t bytes, void **out);
    void (*host_release)(flm_backend *be, void *data);
    /* to_device, to_host, copy - queued; a host buffer must stay unchanged until the next sync, whether it came from
     * host_alloc or not. One that did not may make the call wait for the device. zero - set to zero bytes. */
    flm_status (*to_device)(flm_backend *be, void *device, const void *host, size_t bytes);
    flm_status (*to_host)(flm_backend *be, void *host, const void *device, size_t bytes);
    flm_status (*copy)(flm_backend *be, void *to, const void *from, size_t bytes);
    flm_status (*zero)(flm_backend *be, void *device, size_t bytes);
    /* available - bytes free now, for reports and error messages. */
    flm_status (*available)(flm_backend *be, size_t *bytes);
} flm_memory;

typedef struct flm_stream {
    flm_status (*sync)(flm_backend *be); /* wait until everything queued is done; reports late errors */
    /* handle - the device's own stream (cudaStream_t), for its transport; NULL where there is none. */
    void *(*handle)(const flm_backend *be);
} flm_stream;

/* What a device polls while the host waits for it: an error ends the wait. Set by a transport whose collectives are
 * queued on the device and never end if another rank fails. */
typedef struct flm_watch {
    flm_status (*poll)(void *context, bool first); /* first: of a wait; NULL: nothing to poll */
    void *context;
} flm_watch;

typedef enum flm_backend_kind { FLM_BACKEND_CPU, FLM_BACKEND_CUDA, FLM_BACKEND_PLAN } flm_backend_kind;

struct flm_backend {
    flm_backend_kind kind;
    const char *name; /* "cpu", "cuda" */
    const flm_memory *memory;
    const flm_stream *stream;
    const struct flm_ops *ops;
    bool host_memory;                        /* the host may read device pointers and pass them to MPI */
    void *state;                             /* the implementation's own */
    const struct flm_backend_driver *driver; /* the registry's: backend_internal.h */
    flm_watch watch;
    int64_t waits; /* of the host for the stream, so far; 0 where calls complete before they return */
};

/* PLAN is the dry run of a GPU: memory is counted and never used, operations do nothing and succeed, values cannot be
 * copied back (FLM_E_UNSUPPORTED), AUTO precision is bf16. */
typedef enum flm_device { FLM_DEVICE_AUTO, FLM_DEVICE_CPU, FLM_DEVICE_CUDA, FLM_DEVICE_PLAN } flm_device;
typedef enum flm_precision { FLM_PRECISION_AUTO, FLM_PRECISION_BF16, FLM_PRECISION_FP32 } flm_precision;

/* How matmuls of bf16 operands are computed. AMX: on the CPU, with tiles of Intel AMX by the suite's own code, small
 * ones as NATIVE; NATIVE: with the processor's bf16 instructions by its library; FP32: on the CPU, with operands
 * converted to fp32. The operands have the same values and sums are fp32 in each, so that results differ in the order
 * of summation alone. AUTO: the fastest here. A processor that has one kind has those behind it, except that one of AMD
 * or Intel without bf16 instructions has FP32 alone. */
typedef enum flm_matmul_kind {
    FLM_MATMUL_AUTO,
    FLM_MATMUL_AMX,
    FLM_MATMUL_NATIVE,
    FLM_MATMUL_FP32,
    FLM_MATMUL_KINDS
} flm_matmul_kind;

/* flm_backend_create - open a device. threads: OpenMP threads of the CPU backend, 0 = OMP_NUM_THREADS or all cores;
 * local_rank: this rank's number on its node, which selects one of several devices. AUTO: a GPU if there is one,
 * else the CPU.
 * Collective: no. Errors: FLM_E_UNSUPPORTED for a device that is not built in or not there; FLM_E_DEVICE. */
flm_status flm_backend_create(flm_device device, int threads, int local_rank, flm_backend **out);

/* flm_backend_destroy - accepts NULL; sets *be to NULL. */
void flm_backend_destroy(flm_backend **be);

/* flm_backend_set_matmul - choose how matmuls of bf16 operands are computed from now on. AUTO, as after
 * flm_backend_create: a CPU runs all that it has, for some milliseconds, and takes the first of them unless another is
 * clearly faster; a GPU takes NATIVE. Not collective: cmd/cmd_backend.h makes ranks agree. Errors: FLM_E_UNSUPPORTED:
 * AMX where the processor lacks it, NATIVE where oneDNN has no bf16 matmul, AMX and FP32 on a GPU; FLM_E_NOMEM,
 * FLM_E_DEVICE. */
flm_status flm_backend_set_matmul(flm_backend *be, flm_matmul_kind asked);

/* flm_backend_get_matmul - AMX, NATIVE or FP32. flm_backend_name_matmul - "auto", "amx", "native" or "fp32".
 * flm_backend_find_matmul - the kind of this name, AUTO if there is none. */
flm_matmul_kind flm_backend_get_matmul(const flm_backend *be);
const char *flm_backend_name_matmul(flm_matmul_kind kind);
flm_matmul_kind flm_backend_find_matmul(const char *name);

/* flm_backend_hold - say that t does not change until flm_backend_let_go: a matmul that takes it as b may keep it in
 * the layout that it needs, which others then need not make again. Pairs of calls may be nested.   t [rows, columns].
 */
void flm_backend_hold(flm_backend *be, const flm_tensor *t);
void flm_backend_let_go(flm_backend *be, const flm_tensor *t);

/* flm_backend_precision - resolve AUTO: BF16 where bf16 matmuls are AMX or NATIVE, else FP32. */
flm_precision flm_backend_precision(const flm_backend *be, flm_precision asked);

/* flm_backend_chunk - default number of rows of V logits to hold at once. On the host about 32 M logits, at least 64
 * rows. On a GPU about 256 M logits (1.5 GiB with their bf16 gradient), a multiple of 128 rows: each chunk reads the
 * V x d matrix twice and reads and writes its f32 gradient (460 MB at V = 50258, d = 768), which should be little
 * beside the logits. */
int64_t flm_backend_chunk(const flm_backend *be, int64_t V);

/* flm_backend_chunk_max - the largest number of rows of V logits to hold at once: padded, they are fewer than 2^31
 * elements, which cuBLASLt's kernels count in 32 bits. At least 1. */
int64_t flm_backend_chunk_max(int64_t V);

/* flm_backend_to_host - memory->to_host of a tensor's elements without the padding of its rows. */
flm_status flm_backend_to_host(flm_backend *be, void *host, const flm_tensor *t);

/* flm_backend_identify - text that is the same for two processes of a node exactly if they use the same GPU (its PCI
 * bus id; slices of a GPU have the same); "" for other devices. */
const char *flm_backend_identify(const flm_backend *be);

/* flm_backend_describe - one line for logs: device, threads, instruction sets, library versions. */
const char *flm_backend_describe(const flm_backend *be);

#endif
