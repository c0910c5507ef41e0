/* kernel.h - the launchers of the CUDA kernels: plain C functions that queue work on a stream.
 *
 * Each returns CUDA's error code, 0 for success, and checks no shapes: the front door of the operations
 * (backend_ops.h) and the callers in cuda/ have done so. All pointers but those to structs are device memory.
 * Conventions: bf16: activations are bf16, otherwise f32; sums: scratch memory of the stated size; stream: a
 * cudaStream_t; *_row_stride: elements from one row to the next; *_at: the first column of a part of mod; processors:
 * the GPU's multiprocessors, from which the number of blocks of a grid-stride loop follows (no result depends on it).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_H
#define FLM_CUDA_KERNEL_H

#include "cuda/kernel/kernel_attention.h"
#include "cuda/kernel/kernel_rows.h"
#include "cuda/kernel/kernel_vocabulary.h"

#endif
