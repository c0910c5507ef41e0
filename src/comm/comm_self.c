/* comm_self.c - the transport of a single rank, whose arrays are the result already.
 * SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

static flm_status self_open(flm_comm *comm)
{
    (void)comm;
    return FLM_OK;
}

static void self_close(flm_comm *comm) { (void)comm; }

static flm_status self_begin(flm_comm *comm, const flm_comm_work *work, flm_comm_request **out)
{
    (void)comm;
    (void)work;
    *out = NULL;
    return FLM_OK;
}

static flm_status self_progress(flm_comm *comm)
{
    (void)comm;
    return FLM_OK;
}

static flm_status self_wait(flm_comm *comm, flm_comm_request *request)
{
    (void)comm;
    (void)request;
    return FLM_OK;
}

static flm_status self_finish(flm_comm *comm, MPI_Request *request)
{
    flm_status rc = FLM_OK;
    (void)comm;
    FLM_MPI(MPI_Wait(request, MPI_STATUS_IGNORE));
done:
    return rc;
}

const flm_transport flm_transport_self = {self_open, self_close, self_begin, self_progress, self_wait, self_finish};
