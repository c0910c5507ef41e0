/* cuda_blas.h - what the C files that name CUDA's types share: the memory table, the stream, and the libraries'
 * handles. Included by cuda_backend.c, cuda_memory.c, cuda_matmul.c and cuda_algebra.c alone. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLM_CUDA_BLAS_H
#define FLM_CUDA_BLAS_H

#include "base/base_table.h"
#include "cuda/cuda_internal.h"

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cusolverDn.h>

/* The options that make a job take less of a GPU's memory, for messages. */
#define FLM_CUDA_SMALLER                                                                                          \
    "a smaller --micro-batch or --chunk, or --recompute (flm_train, flm_distill; --plan says what they take), a " \
    "smaller --batch (flm_generate, flm_score) take less"

static const size_t FLM_CUDA_WORKSPACE = (size_t)32 << 20; /* bytes; what NVIDIA advises for Hopper (cuBLAS's manual) */

/* The libraries of one backend; all use its stream. */
typedef struct flm_cublas {
    cublasLtHandle_t lt;
    cublasHandle_t blas;
    cusolverDnHandle_t solver;
    void *workspace;              /* FLM_CUDA_WORKSPACE; used in the stream's order */
    struct flm_cuda_plan **plans; /* [by_key.count] of cuda_matmul.c */
    flm_table by_key;             /* indices of plans, by a checksum of their keys */
} flm_cublas;

/* cuda_memory.c */
extern const flm_memory flm_cuda_memory;
flm_status flm_cuda_sync(flm_backend *be);

/* flm_cuda_blas_create - handles and workspace into the backend's state. Errors: FLM_E_NOMEM, FLM_E_DEVICE. */
flm_status flm_cuda_blas_create(flm_backend *be);
void flm_cuda_blas_destroy(flm_backend *be); /* of one that is not whole, too */

/* flm_cuda_plans_release - cuda_matmul.c: every cached product. */
void flm_cuda_plans_release(flm_cublas *blas);

/* flm_err_cublas, flm_err_cusolver - as flm_err_cuda. Use FLM_CUBLAS, FLM_CUSOLVER. */
flm_status flm_err_cublas(int code, const char *what, const char *file, int line);
flm_status flm_err_cusolver(int code, const char *what, const char *file, int line);

#define FLM_CUBLAS(call)                                             \
    do {                                                             \
        rc = flm_err_cublas((int)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                 \
    } while (0)

#define FLM_CUSOLVER(call)                                             \
    do {                                                               \
        rc = flm_err_cusolver((int)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                   \
    } while (0)

#endif
