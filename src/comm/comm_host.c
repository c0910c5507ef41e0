/* comm_host.c - the collectives on host memory (comm.h). Each is begun without blocking and finished by the transport,
 * so that the requests in progress still advance. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include <limits.h>
#include <string.h>

static const int64_t CHUNK = 1 << 30; /* elements or bytes per call: MPI counts are int */

/* Waits for one MPI request of a collective on host memory. */
static flm_status finish(flm_comm *comm, MPI_Request *request)
{
    flm_status rc = FLM_OK;
    const double began = MPI_Wtime();
    comm->waiting++;
    rc = comm->transport->finish(comm, request);
    comm->waiting--;
    FLM_TRY(rc);
    comm->seconds_waited += MPI_Wtime() - began;
done:
    return rc;
}

flm_status flm_comm_agree(flm_comm *comm, flm_status local)
{
    flm_status rc = FLM_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    struct {
        int key, code;
    } first = {INT_MAX, local};
    if (comm->size == 1) return local;
    /* A rank whose error another rank reports comes after those that report their own. */
    if (local != FLM_OK) first.key = flm_err_get_remote() < 0 ? comm->rank : comm->size + comm->rank;
    FLM_MPI(MPI_Iallreduce(MPI_IN_PLACE, &first, 1, MPI_2INT, MPI_MINLOC, comm->mpi, &request));
    FLM_TRY(finish(comm, &request));
    if (first.key == INT_MAX) return FLM_OK;
    const int reporter = first.key % comm->size;
    if (reporter != comm->rank && (local == FLM_OK || first.key < comm->size)) flm_err_set_remote(reporter);
    return (flm_status)first.code;
done:
    return rc;
}

flm_status flm_comm_barrier(flm_comm *comm)
{
    flm_status rc = FLM_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    FLM_MPI(MPI_Ibarrier(comm->mpi, &request));
    FLM_TRY(finish(comm, &request));
done:
    return rc;
}

/* All-gather, then add on every rank in the order of the ranks. */
static flm_status sum_small(flm_comm *comm, double *x, int count)
{
    flm_status rc = FLM_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    FLM_MPI(MPI_Iallgather(x, count, MPI_DOUBLE, comm->small, count, MPI_DOUBLE, comm->mpi, &request));
    FLM_TRY(finish(comm, &request));
    memcpy(x, comm->small, (size_t)count * sizeof *x);
    for (int r = 1; r < comm->size; r++)
        for (int i = 0; i < count; i++) x[i] += comm->small[r * count + i];
done:
    return rc;
}

flm_status flm_comm_sum_f64(flm_comm *comm, double *x, int64_t count)
{
    flm_status rc = FLM_OK;
    flm_comm_request *request = NULL;
    const int64_t slice = count / comm->size + (count % comm->size != 0);
    if (count < 0) FLM_FAIL(FLM_E_ARG, "comm: negative count in a sum: %lld", (long long)count);
    if (comm->size == 1 || count == 0) return FLM_OK;
    if (count <= FLM_COMM_SMALL) return sum_small(comm, x, (int)count);
    FLM_TRY(comm->transport->begin(comm, &(flm_comm_work){FLM_COMM_SUM, x, FLM_DTYPE_F64, count, slice}, &request));
    FLM_TRY(flm_comm_wait(comm, &request));
done:
    return rc;
}

flm_status flm_comm_max_i64(flm_comm *comm, int64_t *x, int64_t count)
{
    flm_status rc = FLM_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    if (count < 0) FLM_FAIL(FLM_E_ARG, "comm: negative count in a maximum: %lld", (long long)count);
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int n = (int)(count - at < CHUNK ? count - at : CHUNK);
        FLM_MPI(MPI_Iallreduce(MPI_IN_PLACE, x + at, n, MPI_INT64_T, MPI_MAX, comm->mpi, &request));
        FLM_TRY(finish(comm, &request));
    }
done:
    return rc;
}

flm_status flm_comm_broadcast(flm_comm *comm, void *bytes, int64_t count, int root)
{
    flm_status rc = FLM_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    if (count < 0) FLM_FAIL(FLM_E_ARG, "comm: negative count in a broadcast: %lld", (long long)count);
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int n = (int)(count - at < CHUNK ? count - at : CHUNK);
        FLM_MPI(MPI_Ibcast((char *)bytes + at, n, MPI_BYTE, root, comm->mpi, &request));
        FLM_TRY(finish(comm, &request));
    }
done:
    return rc;
}

/* Gather n bytes from every rank; on root they go to `all`, `count` bytes apart. */
static flm_status gather_chunk(flm_comm *comm, const char *mine, int n, int64_t count, char *all, int root)
{
    flm_status rc = FLM_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Datatype bytes = MPI_DATATYPE_NULL, spaced = MPI_DATATYPE_NULL;
    FLM_MPI(MPI_Type_contiguous(n, MPI_BYTE, &bytes));
    FLM_MPI(MPI_Type_create_resized(bytes, 0, (MPI_Aint)count, &spaced));
    FLM_MPI(MPI_Type_commit(&spaced));
    FLM_MPI(MPI_Igather(mine, n, MPI_BYTE, all, 1, spaced, root, comm->mpi, &request));
    FLM_TRY(finish(comm, &request));
done:
    if (spaced != MPI_DATATYPE_NULL) MPI_Type_free(&spaced);
    if (bytes != MPI_DATATYPE_NULL) MPI_Type_free(&bytes);
    return rc;
}

flm_status flm_comm_gather(flm_comm *comm, const void *mine, int64_t count, void *all, int root)
{
    flm_status rc = FLM_OK;
    if (count < 0) FLM_FAIL(FLM_E_ARG, "comm: negative count in a gather: %lld", (long long)count);
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int n = (int)(count - at < CHUNK ? count - at : CHUNK);
        char *to = comm->rank == root ? (char *)all + at : NULL;
        FLM_TRY(gather_chunk(comm, (const char *)mine + at, n, count, to, root));
    }
done:
    return rc;
}
