/* emulate_memory.h - the emulated device's memory, which is accessible to kernels and copies only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_EMULATE_MEMORY_H
#define FLM_TESTS_EMULATE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* emulate_open, emulate_close - make device memory accessible and inaccessible; calls nest. */
void emulate_open(void);
void emulate_close(void);

/* emulate_holds - whether the bytes are within one allocation, as requested: without its rounding up. */
bool emulate_holds(const void *data, size_t bytes);

/* emulate_late_to_device, emulate_late_to_host - copies that are complete only after emulate_late_sync: emulate_late.c.
 */
void emulate_late_to_device(void *to, const void *from, size_t bytes);
void emulate_late_to_host(void *to, const void *from, size_t bytes);
void emulate_late_sync(void);

/* emulate_pin, emulate_unpin - host memory that copies without a wait. */
void emulate_pin(void *data, size_t bytes);
void emulate_unpin(void *data);

/* emulate_waits - how often the host has waited for the device, as it would for a GPU: at a sync, for a copy to or from
 * host memory that is not pinned, and where device memory is released. emulate_wait - count one more. */
long emulate_waits(void);
void emulate_wait(void);

/* The order in which a block's threads run between two barriers: 0 ascending, otherwise descending. Results must not
 * depend on it. */
extern int emulate_order;

#ifdef __cplusplus
}
#endif
#endif
