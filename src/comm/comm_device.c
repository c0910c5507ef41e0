/* comm_device.c - attaches a device and chooses the transport of its arrays. The only file that knows whether NCCL was
 * built in and whether MPI accepts device pointers. SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "comm/comm_internal.h"

#include "base/base_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(OPEN_MPI) && OPEN_MPI
#include <mpi-ext.h> /* the macro: built with CUDA; the function: CUDA is usable at run time */
#endif

/* A backend with a CUDA stream. The emulated one (tests/emulate/) has none. */
static bool is_gpu(const flm_backend *be) { return be->kind == FLM_BACKEND_CUDA && be->stream->handle != NULL; }

enum { GPU_BYTES = 64 }; /* text that identifies a GPU: node and the device's own */

/* Another rank with the GPU of this one, or -1; *shared: whether there are two such ranks anywhere. */
static flm_status find_sharing(flm_comm *comm, const flm_backend *be, int *with, bool *shared)
{
    flm_status rc = FLM_OK;
    char mine[GPU_BYTES] = "", *all = malloc((size_t)comm->size * GPU_BYTES);
    const char *gpu = flm_backend_identify(be);
    int64_t first = -1;
    if (all == NULL)
        rc =
            flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for a table of the GPUs of %d ranks", comm->size);
    FLM_TRY(flm_comm_agree(comm, rc));
    if (*gpu) snprintf(mine, sizeof mine, "%d %s", comm->node, gpu);
    FLM_TRY(flm_comm_gather(comm, mine, GPU_BYTES, all, 0));
    FLM_TRY(flm_comm_broadcast(comm, all, (int64_t)comm->size * GPU_BYTES, 0));
    for (int r = comm->size - 1; r >= 0 && *gpu; r--)
        if (r != comm->rank && strcmp(all + (size_t)r * GPU_BYTES, mine) == 0) first = r;
    *with = (int)first;
    FLM_TRY(flm_comm_max_i64(comm, &first, 1)); /* a rank sees only its own conflicts */
    *shared = first >= 0;
done:
    free(all);
    return rc;
}

flm_status flm_comm_check_gpus(flm_comm *comm, const flm_backend *be)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    int with = -1;
    bool shared = false;
    FLM_TRY(find_sharing(comm, be, &with, &shared));
    if (with >= 0 && !comm->settings.share_gpus)
        local = flm_err_raise(FLM_E_USAGE, __FILE__, __LINE__,
                              "ranks %d and %d use the same GPU (%s) of node %s; start one rank for each GPU, or set "
                              "--share-gpus, which is slow",
                              comm->rank, with, flm_backend_identify(be), flm_comm_node_name(comm, comm->rank));
    FLM_TRY(flm_comm_agree(comm, local));
done:
    return rc;
}

/* Whether MPI on this rank says that it accepts pointers to be's memory. */
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
    int64_t max[5] = {device, -device, gpu, -gpu,
                      -(int64_t)(mpi_is_cuda_aware(be) && comm->settings.cuda_aware == FLM_CUDA_AWARE_AUTO)};
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
    int with = -1;
    bool shared = false;
    FLM_TRY(find_sharing(comm, comm->be, &with, &shared));
    if (shared) flm_log(FLM_LOG_WARN, "some ranks share a GPU: gradients and weights go through host memory, slowly");
#if FLM_HAVE_NCCL
    if (is_gpu(comm->be) && !shared) {
        comm->device = &flm_transport_nccl;
        return FLM_OK;
    }
#endif
    if (comm->cuda_aware) {
        FLM_TRY(flm_comm_probe_device(comm, comm->be, &comm->cuda_aware));
        if (!comm->cuda_aware)
            flm_log(FLM_LOG_WARN,
                    "MPI says that it can send GPU memory, but sent other bytes: it is not used for that");
    }
    comm->device = &flm_transport_staged;
done:
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
