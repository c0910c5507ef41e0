/* cmd_train_main.c - main of flm_train and flm_distill. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_backend.h"
#include "cmd/cmd_train_options.h"
#include "process/process.h"

const char *const flm_schedule_choices[] = {"constant", "linear", "cosine", NULL};
const char *const flm_target_weights_choices[] = {"raw", "ema", NULL};

int flm_cmd_train_options_run(const flm_options_spec *spec, int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *options = NULL;
    flm_train_options o = {0};
    bool stop = false;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(spec, argc, argv, &o, flm_comm_rank(world) == 0, &stop, &options));
    if (stop) goto done;
    FLM_TRY(flm_cmd_backend_open(world, &o.comm, o.plan ? FLM_DEVICE_PLAN : (flm_device)o.device, o.threads, o.matmul,
                                 &be));
    FLM_TRY(flm_comm_attach(world, be));
    FLM_TRY(flm_train_run(world, be, &o, options, flm_process_stop_requested));
done:
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    flm_options_destroy(&options);
    flm_comm_detach(world);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
