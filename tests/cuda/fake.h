/* fake.h - stand-ins on the host for the functions of CUDA's libraries that the suite calls, for tests on machines
 * without a GPU. They do what the C files of cuda/ and src/comm/comm_nccl.c request, with its sizes, layouts and order,
 * and return an error for a call that the library's manual forbids. A test links them before the real libraries.
 * Addresses of device memory are invalid on the host. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CUDA_FAKE_H
#define FLM_TESTS_CUDA_FAKE_H

#include <stdint.h>

/* The GPU's major compute capability: the use of cuBLASLt's epilogues depends on it. */
#ifndef FAKE_MAJOR
#define FAKE_MAJOR 8
#endif

static const uintptr_t FAKE_OFFSET = (uintptr_t)1 << 62;

/* The host's address of a device address; NULL for NULL. */
static inline void *near(const void *device) { return device ? (void *)((uintptr_t)device - FAKE_OFFSET) : (void *)0; }

extern int fake_gpu; /* the number of this process's first GPU, for its bus id */

/* fake_is_pinned - whether the host's address is in memory of cudaHostAlloc. */
int fake_is_pinned(const void *host);

static inline int is_far(const void *p) { return ((uintptr_t)p & FAKE_OFFSET) != 0; }

#endif
