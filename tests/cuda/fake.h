/* fake.h - CUDA's libraries as far as the suite calls them, on the host, for tests on machines without a GPU: what the
 * C files of cuda/ and src/comm/comm_nccl.c ask of them, sizes, layouts, order and all, is what these do. They stand
 * before the real libraries when a test is linked. Device memory has addresses that mean nothing to the host.
 * Each returns an error where the library's manual forbids the call. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CUDA_FAKE_H
#define FLM_TESTS_CUDA_FAKE_H

#include <stdint.h>

/* The GPU's compute capability: what goes through the library depends on it. */
#ifndef FAKE_MAJOR
#define FAKE_MAJOR 8
#endif

static const uintptr_t FAKE_OFFSET = (uintptr_t)1 << 62;

/* What lies at a device's address; NULL for NULL. */
static inline void *near(const void *device) { return device ? (void *)((uintptr_t)device - FAKE_OFFSET) : (void *)0; }

static inline int is_far(const void *p) { return ((uintptr_t)p & FAKE_OFFSET) != 0; }

#endif
