/* cuda_internal.h - private to the CUDA backend: its state, scratch memory, the error macro, and its operations.
 *
 * The C files of this folder take apart tensors, whose shapes the front door (backend_ops.h) has checked, and call the
 * launchers of kernel/kernel.h. They use no types of CUDA, so that the same files run over the emulator of
 * tests/emulate/; only cuda_backend.c, cuda_memory.c, cuda_matmul.c and cuda_algebra.c do.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_INTERNAL_H
#define FLM_CUDA_INTERNAL_H

#include "backend/backend_internal.h"

/* Scratch memory by what it is for. */
enum {
    FLM_CUDA_SUMS,      /* partial sums of a reduction; the sort of embed_scatter */
    FLM_CUDA_ATTENTION, /* row statistics of attention's gradient */
    FLM_CUDA_ALGEBRA, /* matmul: fp32 results and converted bias; gram: fp64 operands; cholesky: cuSOLVER's workspace */
    FLM_CUDA_SLOTS
};

/* The backend's state, flm_backend.state. */
typedef struct flm_cuda {
    int device;        /* CUDA's device number */
    int processors;    /* streaming multiprocessors */
    int major;         /* of the compute capability: 8 Ampere, 9 Hopper */
    size_t max_shared; /* bytes of shared memory that a block can have */
    void *stream;      /* cudaStream_t of all computation */
    struct {
        void *data;
        size_t bytes;
    } slot[FLM_CUDA_SLOTS];  /* scratch memory on the device */
    struct flm_cublas *blas; /* handles, workspace and cached plans: cuda_matmul.c, cuda_algebra.c */
    char bus[24];            /* the text of flm_backend_identify */
    char line[320];          /* the text of flm_backend_describe */
} flm_cuda;

/* flm_cuda_of - the state behind a backend. */
static inline flm_cuda *flm_cuda_of(const flm_backend *be) { return be->state; }

/* flm_cuda_scratch - bytes of device memory, aligned to 256, that stay valid until the next call with the same slot. A
 * slot grows when more is asked for and never shrinks. Errors: FLM_E_NOMEM. */
flm_status flm_cuda_scratch(flm_backend *be, int slot, size_t bytes, void **out);

/* flm_cuda_check - the status of a CUDA error code: FLM_OK for 0, otherwise FLM_E_NOMEM or FLM_E_DEVICE with CUDA's
 * text and the call. Use FLM_CUDA. */
flm_status flm_cuda_check(int code, const char *what, const char *file, int line);

#define FLM_CUDA(call)                                               \
    do {                                                             \
        rc = flm_cuda_check((int)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                 \
    } while (0)

/* The operations; their contracts are in backend_ops.def. */
#define FLM_OP(op, parameters, arguments) flm_status flm_cuda_##op(flm_backend *be, FLM_OP_UNPACK parameters);
#define FLM_OP_CPU(...)
#include "backend/backend_ops.def"

#endif
