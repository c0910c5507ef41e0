/* emulate_memory.h - the emulated device's memory: closed to everyone but kernels and copies.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_EMULATE_MEMORY_H
#define FLM_TESTS_EMULATE_MEMORY_H

#ifdef __cplusplus
extern "C" {
#endif

/* emulate_open, emulate_close - let device memory be touched; calls nest. */
void emulate_open(void);
void emulate_close(void);

/* The order in which a block's threads run between two barriers: 0 ascending, else descending. Results must not depend
 * on it. */
extern int emulate_order;

#ifdef __cplusplus
}
#endif
#endif
