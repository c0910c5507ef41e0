/* fake_stream.h - the streams of fake.h: work is done in order, late, and only while a call of CUDA or NCCL looks after
 * it; work that waits for another stream or for other ranks holds up what is queued behind it, and so the host wherever
 * CUDA waits inside the driver. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CUDA_FAKE_STREAM_H
#define FLM_TESTS_CUDA_FAKE_STREAM_H

#include <cuda_runtime_api.h>
#include <stdbool.h>

/* fake_stream_push - queue run(arg), which is called until it returns true; arg is from malloc and is freed then. */
void fake_stream_push(cudaStream_t stream, bool (*run)(void *arg), void *arg);

/* fake_stream_progress - do what can be done, on all streams; returns whether nothing is left on this one. */
bool fake_stream_progress(cudaStream_t stream);

/* fake_stream_drain - wait for the stream as CUDA's driver does: a wait without end ends the program. */
void fake_stream_drain(cudaStream_t stream, const char *what);

/* fake_stream_reach - the stand-ins of kernels and matmuls compute when they are called: do first what was queued
 * before. Returns whether there is a stream at all. */
bool fake_stream_reach(void *stream);

#endif
