/* flm_shard.c - converts text to shards of token rows (prep.h). SPDX-License-Identifier: Apache-2.0 */
#include "prep.h"

#include "process/process.h"

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *options = NULL;
    flm_prep_job job = {.tokenizer = NULL};
    bool stop = false;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&flm_prep_options_spec, argc, argv, &job, flm_comm_rank(world) == 0, &stop, &options));
    if (stop) goto done;
    FLM_TRY(flm_prep_job_check(&job, options));
    if (*job.verify)
        FLM_TRY(flm_prep_verify(job.verify, world));
    else
        FLM_TRY(flm_prep_run(&job, world));
done:
    flm_prep_job_release(&job);
    flm_options_destroy(&options);
    return flm_process_finish(rc, &world);
}
