/* cpu_internal.h - private to the CPU backend: its state, its ops (one file a family), and loop macros.
 *
 * Loops: a plain function holds `#pragma omp parallel for` and calls a row or tile kernel marked FLM_SIMD, which the
 * compiler builds for AVX-512, AVX2 and the base instruction set and picks at load time. Parallel loops go over
 * rows or tiles whose results do not depend on how many threads share them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CPU_INTERNAL_H
#define FLM_CPU_INTERNAL_H

#include "config.h"

#include "backend/backend_check.h"

/* Function versions by instruction set; sanitizers cannot run inside the resolvers, so they get the base version. */
#if defined(__x86_64__) && defined(__GNUC__) && !FLM_SANITIZE
#define FLM_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FLM_SIMD
#endif

/* Scratch memory by what it is for. */
enum {
    FLM_CPU_SUMS,      /* partial sums of a reduction */
    FLM_CPU_ATTENTION, /* tiles of attention */
    FLM_CPU_ALGEBRA,   /* packed operands of gram */
    FLM_CPU_SOFTMAX,   /* exponentials of rows, for each thread */
    FLM_CPU_ONEDNN,    /* oneDNN's own scratchpad, or sums of tiles */
    FLM_CPU_PACKED,    /* an operand in the layout that oneDNN prefers, or in tiles */
    FLM_CPU_CONVERTED, /* operands in another dtype */
    FLM_CPU_SLOTS
};

/* Operands that can be held at once, and what of them can be kept in other layouts. */
enum { FLM_CPU_HELD = 8, FLM_CPU_PACKINGS = 8 };

/* The backend's state, flm_backend.state. */
typedef struct flm_cpu {
    int threads;
    struct {
        void *data;
        size_t bytes;
    } slot[FLM_CPU_SLOTS]; /* scratch memory */
    struct {
        flm_tensor tensor;
        int count; /* of holds */
    } held[FLM_CPU_HELD];
    struct {
        const void *layout; /* NULL: unused */
        int held;           /* what is packed, or is to be */
        bool full;
        void *data;
        size_t bytes;
    } packing[FLM_CPU_PACKINGS];
    struct flm_onednn *onednn; /* engine, stream and cached primitives: cpu_onednn.c */
    flm_matmul_kind matmul;    /* AMX, NATIVE or FP32 */
    char line[320];            /* what flm_backend_describe says */
} flm_cpu;

/* cpu_memory.c; needs no state, so it also serves a backend that is not whole yet. */
extern const flm_memory flm_cpu_memory;

/* flm_cpu_scratch - bytes of 64-aligned memory that stay valid until the next call with the same slot. A slot grows
 * when more is asked for and never shrinks. Errors: FLM_E_NOMEM. */
flm_status flm_cpu_scratch(flm_backend *be, int slot, size_t bytes, void **out);

/* flm_cpu_threads - OpenMP threads of this backend; every parallel region says num_threads(flm_cpu_threads(be)). */
int flm_cpu_threads(const flm_backend *be);

/* cpu_onednn.c */
flm_status flm_cpu_onednn_create(struct flm_onednn **out);      /* FLM_E_NOMEM, FLM_E_DEVICE */
void flm_cpu_onednn_destroy(struct flm_onednn **dnn);           /* accepts NULL, nulls it */
flm_status flm_cpu_onednn_has_bf16(flm_backend *be, bool *has); /* whether oneDNN has bf16 matmuls on this processor */
const char *flm_cpu_onednn_describe(char *text, size_t size); /* version and instruction set into text; returns text */

/* cpu_packed.c; see flm_backend_hold. */
void flm_cpu_hold(flm_backend *be, const flm_tensor *t);
void flm_cpu_let_go(flm_backend *be, const flm_tensor *t);

/* flm_cpu_packed - memory for operand b [rows, columns] in another layout, 64-aligned, valid until the next call.
 * layout: an address that stands for it. *packed: b is held, and is there in this layout. If not, the caller packs it
 * there and then calls flm_cpu_keep_packed. Errors: FLM_E_NOMEM. flm_cpu_release_packed - when the backend closes. */
flm_status flm_cpu_packed(flm_backend *be, const flm_tensor *b, const void *layout, size_t bytes, void **out,
                          bool *packed);
void flm_cpu_keep_packed(flm_backend *be, const void *memory);
void flm_cpu_release_packed(flm_backend *be);

/* cpu_amx_matmul.c: a checked matmul of bf16 operands, whose K is not 0; its gelu is left to the caller. */
flm_status flm_cpu_amx_matmul(flm_backend *be, const flm_matmul *p);

/* cpu_amx_parts.c: the same of f32 operands, with the error that flm_matmul.in_parts allows. */
flm_status flm_cpu_amx_parts(flm_backend *be, const flm_matmul *p);

/* cpu_matmul.c: see flm_backend_set_matmul. */
flm_status flm_cpu_set_matmul(flm_backend *be, flm_matmul_kind asked);

/* cpu_lapack.c */

/* flm_cpu_lapack_begin - BLAS calls of this process run on their caller's thread: the ops divide the work. Checks that
 * the memory which the library takes at its first calls can be had. Errors: FLM_E_NOMEM. */
flm_status flm_cpu_lapack_begin(int threads);
const char *flm_cpu_lapack_describe(char *text, size_t size); /* library and version into text; returns text */

/* The operations, one file a family: backend_ops.def says what each does. */
#define FLM_OP(op, parameters, arguments) flm_status flm_cpu_##op(flm_backend *be, FLM_OP_UNPACK parameters);
#include "backend/backend_ops.def"

#endif
