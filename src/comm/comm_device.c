/* comm_device.c - attaches a device and chooses the transport of its arrays. The only file that knows whether NCCL was
 * built in and whether MPI accepts device pointers. SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "comm/comm_internal.h"

#include <string.h>
#if defined(OPEN_MPI) && OPEN_MPI
#include <mpi-ext.h> /* the macro: built with CUDA; the function: CUDA is usable at run time */
#endif

/* A backend with a CUDA stream. The emulated one (tests/emulate/) has none. */
static bool is_gpu(const flm_backend *be) { return be->kind == FLM_BACKEND_CUDA && be->stream->handle != NULL; }

/* Whether MPI on this rank accepts pointers to be's memory. */
static bool mpi_is_cuda_aware(const flm_backend *be)
{
#if defined(MPIX_CUDA_AWARE_SUPPORT) && MPIX_CUDA_AWARE_SUPPORT
    return is_gpu(be) && MPIX_Query_cuda_support() == 1;
#else
    (void)be;
    return false;
#endif
}

/* Check that all ranks have the same kind of device; make cuda_aware the same on all. */
static flm_status compare(flm_comm *comm, const flm_backend *be)
{
    flm_status rc = FLM_OK;
    const int64_t device = !be->host_memory, gpu = is_gpu(be);
    int64_t max[5] = {device, -device, gpu, -gpu, -(int64_t)mpi_is_cuda_aware(be)};
    FLM_TRY(flm_comm_max_i64(comm, max, 5));
    if (max[0] != -max[1] || max[2] != -max[3])
        FLM_FAIL(FLM_E_MISMATCH, "the ranks use different kinds of devices; rank %d uses %s (set --device)", comm->rank,
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
    bool usable = false;
    if (is_gpu(comm->be)) FLM_TRY(flm_nccl_is_usable(comm, &usable));
    if (usable) comm->device = &flm_transport_nccl;
done:
#endif
    return rc;
}

flm_status flm_comm_attach(flm_comm *comm, flm_backend *be)
{
    flm_status rc = FLM_OK;
    if (comm->be)
        return flm_err_raise(FLM_E_ARG, __FILE__, __LINE__, "comm: device %s is already attached", comm->be->name);
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
