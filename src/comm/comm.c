/* comm.c - creates groups, checks arguments and hands collectives to the transport (comm.h). SPDX-License-Identifier:
 * Apache-2.0
 */
#include "comm/comm_internal.h"

#include <stdlib.h>

flm_status flm_comm_check_mpi(int code, const char *what, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (code == MPI_SUCCESS) return FLM_OK;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
    return flm_err_raise(FLM_E_MPI, file, line, "MPI: %.*s (code %d) in %s", length, text, code, what);
}

/* The nodes of all ranks. */
static flm_status exchange_names(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    char mine[MPI_MAX_PROCESSOR_NAME + FLM_COMM_NODE_NAME] = "";
    int length = 0, all;
    comm->names = calloc((size_t)comm->size, sizeof *comm->names);
    all = comm->names != NULL;
    FLM_MPI(MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm->mpi));
    if (!all) FLM_FAIL(FLM_E_NOMEM, "no memory for the names of %d nodes", comm->size);
    FLM_MPI(MPI_Get_processor_name(mine, &length));
    mine[FLM_COMM_NODE_NAME - 1] = '\0';
    FLM_MPI(MPI_Allgather(mine, FLM_COMM_NODE_NAME, MPI_CHAR, comm->names, FLM_COMM_NODE_NAME, MPI_CHAR, comm->mpi));
done:
    return rc;
}

/* This rank in the group and on its node. */
static flm_status identify(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    MPI_Comm node = MPI_COMM_NULL;
    FLM_MPI(MPI_Comm_set_errhandler(comm->mpi, MPI_ERRORS_RETURN));
    FLM_MPI(MPI_Comm_rank(comm->mpi, &comm->rank));
    FLM_MPI(MPI_Comm_size(comm->mpi, &comm->size));
    FLM_MPI(MPI_Comm_split_type(comm->mpi, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node));
    FLM_MPI(MPI_Comm_rank(node, &comm->local_rank));
    comm->node = comm->rank;
    FLM_MPI(MPI_Bcast(&comm->node, 1, MPI_INT, 0, node));
    FLM_TRY(exchange_names(comm));
done:
    if (node != MPI_COMM_NULL) MPI_Comm_free(&node);
    return rc;
}

static flm_status open_transport(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    comm->small = malloc((size_t)comm->size * FLM_COMM_SMALL * sizeof *comm->small);
    if (comm->small == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a group of %d ranks", comm->size);
    FLM_TRY(comm->transport->open(comm));
done:
    return rc;
}

flm_status flm_comm_create(MPI_Comm mpi, flm_comm **out)
{
    flm_status rc = FLM_OK;
    flm_comm *comm = calloc(1, sizeof *comm);
    flm_status opened;
    int all = comm != NULL;
    if (comm) comm->mpi = comm->roll = MPI_COMM_NULL;
    FLM_MPI(MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, mpi));
    if (!all || comm == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a group of ranks");
    FLM_MPI(MPI_Comm_dup(mpi, &comm->mpi));
    FLM_MPI(MPI_Comm_dup(mpi, &comm->roll));
    FLM_MPI(MPI_Comm_set_errhandler(comm->roll, MPI_ERRORS_RETURN));
    FLM_TRY(identify(comm));
    comm->transport = comm->size == 1 ? &flm_transport_self : &flm_transport_mpi;
    opened = open_transport(comm);
    all = opened == FLM_OK; /* flm_comm_agree needs the transport */
    FLM_MPI(MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm->mpi));
    FLM_TRY(opened);
    if (!all) FLM_FAIL(FLM_E_NOMEM, "no memory for a group of %d ranks on another rank", comm->size);
    *out = comm;
    comm = NULL;
done:
    flm_comm_destroy(&comm);
    return rc;
}

void flm_comm_destroy(flm_comm **comm)
{
    if (*comm == NULL) return;
    flm_comm_detach(*comm);
    if ((*comm)->transport) (*comm)->transport->close(*comm);
    free((*comm)->small);
    free((*comm)->names);
    if ((*comm)->roll != MPI_COMM_NULL) MPI_Comm_free(&(*comm)->roll);
    if ((*comm)->mpi != MPI_COMM_NULL) MPI_Comm_free(&(*comm)->mpi);
    free(*comm);
    *comm = NULL;
}

int flm_comm_rank(const flm_comm *comm) { return comm->rank; }
int flm_comm_size(const flm_comm *comm) { return comm->size; }
int flm_comm_local_rank(const flm_comm *comm) { return comm->local_rank; }

int flm_comm_node(const flm_comm *comm) { return comm->node; }

void flm_comm_configure(flm_comm *comm, const flm_comm_settings *settings) { comm->settings = *settings; }

const char *flm_comm_node_name(const flm_comm *comm, int rank) { return comm->names[rank]; }

/* Check the work and begin it on the transport that serves its memory. */
static flm_status begin(flm_comm *comm, flm_backend *be, const flm_comm_work *work, flm_comm_request **out)
{
    flm_status rc = FLM_OK;
    flm_comm_request *request = NULL;
    const int64_t max = (int64_t)(PTRDIFF_MAX / (ptrdiff_t)flm_dtype_size(work->dtype));
    if (work->slice < 0 || work->slice > max / comm->size || work->count < 0 || work->count > max)
        FLM_FAIL(FLM_E_ARG, "comm: bad size: %lld elements in slices of %lld", (long long)work->count,
                 (long long)work->slice);
    if (!be->host_memory && comm->size > 1 && be != comm->be)
        FLM_FAIL(FLM_E_UNSUPPORTED, "comm: device %s is not attached (flm_comm_attach), and MPI cannot read its memory",
                 be->name);
    if (comm->size == 1 || work->count == 0) goto done; /* one rank: its array is the result */
    if (be->host_memory) {
        FLM_TRY(be->stream->sync(be));
        FLM_TRY(comm->transport->begin(comm, work, &request));
    } else {
        FLM_TRY(comm->device->begin(comm, work, &request));
    }
done:
    if (rc == FLM_OK) *out = request;
    return rc;
}

flm_status flm_comm_sum_f32_begin(flm_comm *comm, flm_backend *be, float *x, int64_t count, flm_comm_request **out)
{
    const int64_t slice = count / comm->size + (count % comm->size != 0);
    return begin(comm, be, &(flm_comm_work){FLM_COMM_SUM, x, FLM_DTYPE_F32, count, slice}, out);
}

flm_status flm_comm_sum_f64_begin(flm_comm *comm, flm_backend *be, double *x, int64_t count, flm_comm_request **out)
{
    const int64_t slice = count / comm->size + (count % comm->size != 0);
    return begin(comm, be, &(flm_comm_work){FLM_COMM_SUM, x, FLM_DTYPE_F64, count, slice}, out);
}

flm_status flm_comm_reduce_scatter_begin(flm_comm *comm, flm_backend *be, float *x, int64_t slice,
                                         flm_comm_request **out)
{
    const int64_t count = slice < INT64_MAX / comm->size ? slice * comm->size : -1;
    return begin(comm, be, &(flm_comm_work){FLM_COMM_REDUCE_SCATTER, x, FLM_DTYPE_F32, count, slice}, out);
}

flm_status flm_comm_all_gather_begin(flm_comm *comm, flm_backend *be, void *x, flm_dtype dtype, int64_t slice,
                                     flm_comm_request **out)
{
    const int64_t count = slice < INT64_MAX / comm->size ? slice * comm->size : -1;
    return begin(comm, be, &(flm_comm_work){FLM_COMM_ALL_GATHER, x, dtype, count, slice}, out);
}

flm_status flm_comm_progress(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    FLM_TRY(comm->transport->progress(comm));
    if (comm->device) FLM_TRY(comm->device->progress(comm));
done:
    return rc;
}

double flm_comm_seconds_waited(const flm_comm *comm) { return comm->seconds_waited; }

flm_status flm_comm_wait(flm_comm *comm, flm_comm_request **request)
{
    flm_status rc = FLM_OK;
    if (*request == NULL) return FLM_OK;
    const double began = MPI_Wtime();
    comm->waiting++;
    rc = (*request)->transport->wait(comm, *request);
    comm->waiting--;
    FLM_TRY(rc);
    *request = NULL;
    comm->seconds_waited += MPI_Wtime() - began;
done:
    return rc;
}
