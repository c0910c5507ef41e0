/* cmd_backend.c - opening the device of a program (cmd_backend.h). SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_backend.h"

#include "base/base_log.h"
#include "cmd/cmd_threads.h"
#include "process/process_affinity.h"

static flm_status set_matmul(flm_backend *be, flm_matmul_kind kind)
{
    return flm_err_prefix(flm_backend_set_matmul(be, kind), "--matmul");
}

/* To the cores near its GPU; several ranks of a node may share them. */
static flm_status bind(const flm_backend *be)
{
    flm_status rc = FLM_OK;
    char line[512];
    if (*flm_backend_identify(be) == '\0') goto done;
    FLM_TRY(flm_affinity_bind("/sys", flm_backend_identify(be), line, sizeof line));
    flm_log(FLM_LOG_INFO, "%s", line);
done:
    return rc;
}

flm_status flm_cmd_backend_open(flm_comm *world, const flm_comm_settings *comm, flm_device device, int64_t threads,
                                int matmul, flm_backend **out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = NULL;
    int64_t kind;
    int own_threads;

    flm_comm_configure(world, comm);
    FLM_TRY(flm_cmd_threads_choose(world, threads, &own_threads));
    FLM_TRY(flm_comm_agree(world, flm_backend_create(device, own_threads, flm_comm_local_rank(world), &be)));
    FLM_TRY(flm_comm_check_gpus(world, be));
    FLM_TRY(flm_comm_agree(world, bind(be)));
    if (matmul != FLM_MATMUL_AUTO) FLM_TRY(flm_comm_agree(world, set_matmul(be, (flm_matmul_kind)matmul)));
    kind = flm_backend_get_matmul(be);
    FLM_TRY(flm_comm_max_i64(world, &kind, 1));
    FLM_TRY(flm_comm_agree(world, set_matmul(be, (flm_matmul_kind)kind)));
    if (be->kind == FLM_BACKEND_CPU) FLM_TRY(flm_cmd_threads_report(world, own_threads));
    *out = be;
    be = NULL;
done:
    flm_backend_destroy(&be);
    return rc;
}
