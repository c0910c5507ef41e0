/* fake_nccl.h - see fake.h: stand-ins for NCCL, over MPI. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_CUDA_FAKE_NCCL_H
#define FLM_TESTS_CUDA_FAKE_NCCL_H

extern int fake_broken; /* not 0: ncclCommGetAsyncError reports a failure */
extern int fake_late;   /* seconds by which this rank is late at the start of a communicator */

#endif
