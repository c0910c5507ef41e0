/* cuda_internal.h - private to the CUDA backend: its state, scratch memory, the error macro, and its ops.
 *
 * The C files of this folder check shapes and call the launchers of kernel/kernel.h; they name no type of CUDA's, so
 * that the same files also run over the emulator of tests/emulate/. CUDA's own types live in cuda_backend.c,
 * cuda_memory.c, cuda_matmul.c and cuda_algebra.c alone. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_INTERNAL_H
#define FLM_CUDA_INTERNAL_H

#include "backend/backend_internal.h"

enum { FLM_CUDA_SLOTS = 4 };

/* The backend's state, flm_backend.state. */
typedef struct flm_cuda {
    int device;        /* CUDA's number of it */
    int processors;    /* streaming multiprocessors */
    int major;         /* of its compute capability: 8 Ampere, 9 Hopper */
    size_t max_shared; /* bytes of shared memory a block can have */
    void *stream;      /* cudaStream_t of all computation */
    struct {
        void *data;
        size_t bytes;
    } slot[FLM_CUDA_SLOTS];  /* scratch memory on the device */
    struct flm_cublas *blas; /* handles, workspace and cached plans: cuda_matmul.c, cuda_algebra.c */
    char line[320];          /* what flm_backend_describe says */
} flm_cuda;

/* flm_cuda_of - the state behind a backend. */
static inline flm_cuda *flm_cuda_of(const flm_backend *be) { return be->state; }

/* flm_cuda_scratch - bytes of device memory, aligned to 256, that stay until the next call with the same slot; grow
 * when first asked for more, never shrink. Slot 0: reductions; 1: attention; 2: soft max; 3: algebra. Errors:
 * FLM_E_NOMEM. */
enum { FLM_CUDA_SUMS, FLM_CUDA_ATTENTION, FLM_CUDA_SOFTMAX, FLM_CUDA_ALGEBRA };
flm_status flm_cuda_scratch(flm_backend *be, int slot, size_t bytes, void **out);

/* flm_err_cuda - turn a CUDA code into a status with CUDA's text: FLM_OK for 0, else FLM_E_NOMEM or FLM_E_DEVICE,
 * saying what was called. Use FLM_CUDA. */
flm_status flm_err_cuda(int code, const char *what, const char *file, int line);

#define FLM_CUDA(call)                                             \
    do {                                                           \
        rc = flm_err_cuda((int)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                               \
    } while (0)

/* The ops: backend_ops.h says what each does. */
#define FLM_OP(op, parameters, arguments) flm_status flm_cuda_##op(flm_backend *be, FLM_OP_UNPACK parameters);
#define FLM_OP_CPU(...)
#include "backend/backend_ops.def"

#endif
