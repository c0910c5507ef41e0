/* cuda_blas.h - shared by the C files that use CUDA's types (cuda_backend.c, cuda_memory.c, cuda_matmul.c,
 * cuda_algebra.c): the memory table, the wait for the stream, and the libraries' handles.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_BLAS_H
#define FLM_CUDA_BLAS_H

#include "base/base_table.h"
#include "cuda/cuda_internal.h"

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cusolverDn.h>

/* For messages: the options that reduce a job's use of GPU memory. */
#define FLM_CUDA_SMALLER                                                           \
    "to use less, lower --micro-batch or --chunk, or set --recompute (flm_train, " \
    "flm_distill; --plan prints the sizes), or lower --batch (flm_generate, flm_score)"

static const size_t FLM_CUDA_WORKSPACE = (size_t)32 << 20; /* bytes; the cuBLAS manual's recommendation for Hopper */

/* The libraries of one backend, all on its stream. */
typedef struct flm_cublas {
    cublasLtHandle_t lt;
    cublasHandle_t blas;
    cusolverDnHandle_t solver;
    void *workspace;              /* FLM_CUDA_WORKSPACE bytes, shared by all calls in stream order */
    struct flm_cuda_plan **plans; /* [by_key.count]: cuda_matmul.c */
    flm_table by_key;             /* index of a plan by the checksum of its key */
} flm_cublas;

/* cuda_memory.c */
extern const flm_memory flm_cuda_memory;
flm_status flm_cuda_sync(flm_backend *be);

/* flm_cuda_blas_create - handles and workspace into the backend's state. Errors: FLM_E_NOMEM, FLM_E_DEVICE. */
flm_status flm_cuda_blas_create(flm_backend *be);
void flm_cuda_blas_destroy(flm_backend *be); /* also after a flm_cuda_blas_create that failed */

/* flm_cuda_plans_release - frees all cached plans: cuda_matmul.c. */
void flm_cuda_plans_release(flm_cublas *blas);

/* flm_cuda_check_cublas, flm_cuda_check_cusolver - as flm_cuda_check, for the libraries' codes. Use FLM_CUBLAS,
 * FLM_CUSOLVER. */
flm_status flm_cuda_check_cublas(int code, const char *what, const char *file, int line);
flm_status flm_cuda_check_cusolver(int code, const char *what, const char *file, int line);

#define FLM_CUBLAS(call)                                                    \
    do {                                                                    \
        rc = flm_cuda_check_cublas((int)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                        \
    } while (0)

#define FLM_CUSOLVER(call)                                                    \
    do {                                                                      \
        rc = flm_cuda_check_cusolver((int)(call), #call, __FILE__, __LINE__); \
        if (rc != FLM_OK) goto done;                                          \
    } while (0)

#endif
