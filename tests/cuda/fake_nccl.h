/* fake_nccl.h - see fake.h: stand-ins for NCCL, over MPI. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CUDA_FAKE_NCCL_H
#define FLM_TESTS_CUDA_FAKE_NCCL_H

extern int fake_gpu;    /* the number of this rank's GPU, for its bus id */
extern int fake_broken; /* not 0: ncclCommGetAsyncError reports a failure */

#endif
