/* comm_probe.c - whether MPI really sends and receives the memory of a device. That the library was built with CUDA
 * does not mean that the network component in use reads it: such a one ends in a segmentation fault, or sends other
 * bytes. SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm_internal.h"

#include <signal.h>
#include <unistd.h>

/* Nothing can be repaired inside MPI: say why, and end as without a handler. */
static void explain(int number)
{
    static const char text[] =
        "error: MPI says that it can send GPU memory, and crashed when it did; set --cuda-aware-mpi "
        "off\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(1);
    signal(number, SIG_DFL);
    raise(number);
}

/* Eight bytes from each rank's device to that of the next rank. */
static flm_status exchange(flm_comm *comm, void *received, void *sent)
{
    flm_status rc = FLM_OK;
    const struct sigaction handle = {.sa_handler = explain};
    struct sigaction segv, bus;
    const int next = (comm->rank + 1) % comm->size, previous = (comm->rank + comm->size - 1) % comm->size;
    MPI_Request receive = MPI_REQUEST_NULL, send = MPI_REQUEST_NULL;
    sigaction(SIGSEGV, &handle, &segv);
    sigaction(SIGBUS, &handle, &bus);
    FLM_MPI(MPI_Irecv(received, FLM_COMM_PROBE, MPI_BYTE, previous, 0, comm->roll, &receive));
    FLM_MPI(MPI_Isend(sent, FLM_COMM_PROBE, MPI_BYTE, next, 0, comm->roll, &send));
    FLM_TRY(comm->transport->finish(comm, &receive));
    FLM_TRY(comm->transport->finish(comm, &send));
done:
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return rc;
}

flm_status flm_comm_probe_device(flm_comm *comm, flm_backend *be, bool *works)
{
    flm_status rc = FLM_OK;
    void *sent = NULL, *received = NULL, *host = NULL;
    int64_t wrong = 0;
    rc = be->memory->alloc(be, FLM_COMM_PROBE, &sent);
    if (rc == FLM_OK) rc = be->memory->alloc(be, FLM_COMM_PROBE, &received);
    if (rc == FLM_OK) rc = be->memory->host_alloc(be, FLM_COMM_PROBE, &host);
    FLM_TRY(flm_comm_agree(comm, rc));
    unsigned char *bytes = host;
    for (int i = 0; i < FLM_COMM_PROBE; i++) bytes[i] = (unsigned char)(comm->rank * 7 + i + 1);
    FLM_TRY(be->memory->to_device(be, sent, bytes, FLM_COMM_PROBE));
    FLM_TRY(be->memory->zero(be, received, FLM_COMM_PROBE));
    FLM_TRY(be->stream->sync(be));
    FLM_TRY(exchange(comm, received, sent));
    FLM_TRY(be->memory->to_host(be, bytes, received, FLM_COMM_PROBE));
    FLM_TRY(be->stream->sync(be));
    const int previous = (comm->rank + comm->size - 1) % comm->size;
    for (int i = 0; i < FLM_COMM_PROBE; i++) wrong += bytes[i] != (unsigned char)(previous * 7 + i + 1);
    FLM_TRY(flm_comm_max_i64(comm, &wrong, 1));
    *works = wrong == 0;
done:
    be->memory->host_release(be, host);
    be->memory->release(be, received);
    be->memory->release(be, sent);
    return rc;
}
