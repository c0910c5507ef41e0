/* comm_device.c - which way the arrays of a device travel. The only file that asks whether NCCL was built, and whether
 * MPI takes device pointers. SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "comm/comm_internal.h"

#include <string.h>
#if defined(OPEN_MPI) && OPEN_MPI
#include <mpi-ext.h> /* MPIX_CUDA_AWARE_SUPPORT: what Open MPI was built with; the function: what runs */
#endif

/* A stream of CUDA's, which the emulation of its kernels has not (tests/emulate/). */
static bool is_gpu(const flm_backend *be) { return be->kind == FLM_BACKEND_CUDA && be->stream->handle != NULL; }

/* This rank's MPI takes pointers of GPUs. */
static bool mpi_is_cuda_aware(const flm_backend *be)
{
#if defined(MPIX_CUDA_AWARE_SUPPORT) && MPIX_CUDA_AWARE_SUPPORT
    return is_gpu(be) && MPIX_Query_cuda_support() == 1;
#else
    (void)be;
    return false;
#endif
}

/* The same kind of device on every rank, or an error on all; then cuda_aware is the same everywhere. */
static flm_status compare(flm_comm *comm, const flm_backend *be)
{
    flm_status rc = FLM_OK;
    const int64_t far = !be->host_memory, gpu = is_gpu(be);
    int64_t max[5] = {far, -far, gpu, -gpu, -(int64_t)mpi_is_cuda_aware(be)};
    FLM_TRY(flm_comm_max_i64(comm, max, 5));
    if (max[0] != -max[1] || max[2] != -max[3])
        FLM_FAIL(FLM_E_MISMATCH, "the ranks' devices are of different kinds; this rank's is %s (see --device)",
                 be->name);
    comm->cuda_aware = max[4] != 0;
done:
    return rc;
}

static flm_status choose(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    comm->device = &flm_transport_staged;
#if FLM_HAVE_NCCL
    bool fits = false;
    if (is_gpu(comm->be)) FLM_TRY(flm_nccl_is_usable(comm, &fits));
    if (fits) comm->device = &flm_transport_nccl;
done:
#endif
    return rc;
}

flm_status flm_comm_attach(flm_comm *comm, flm_backend *be)
{
    flm_status rc = FLM_OK;
    if (comm->be)
        return flm_err_raise(FLM_E_ARG, __FILE__, __LINE__, "comm: device %s is attached already", comm->be->name);
    if (comm->size == 1) goto done;
    FLM_TRY(compare(comm, be));
    if (be->host_memory) goto done;
    comm->be = be;
    FLM_TRY(choose(comm));
    FLM_TRY(comm->device->open(comm));
done:
    if (rc != FLM_OK) flm_comm_detach(comm);
    return rc;
}

void flm_comm_detach(flm_comm *comm)
{
    if (comm->device) comm->device->close(comm);
    comm->device = NULL;
    comm->be = NULL;
}

const char *flm_comm_describe(const flm_comm *comm)
{
    if (comm->device == NULL) return "in host memory";
    if (comm->device != &flm_transport_staged) return "by NCCL";
    return comm->cuda_aware ? "by MPI, sums through pinned memory" : "by MPI through pinned memory";
}

void flm_comm_abort(void)
{
#if FLM_HAVE_NCCL
    flm_nccl_abort();
#endif
}
