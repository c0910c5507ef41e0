/* flm_inspect.c - describes files of the suite and verifies their checksums. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "inspect/inspect.h"
#include "process/process.h"

#define FLM_OPT_STRUCT flm_inspect_options

static const char *const no_yes[] = {"no", "yes", NULL};

static const flm_option rows[] = {
    FLM_OPT_GROUP("Inspection"),
    FLM_OPT_CHOICE("verify", verify, "yes", no_yes, "read all data and verify the checksums"),
    FLM_OPT_INT("rows", rows, "0", "N", "print the first N rows of tokens as text", .limit = 1e9),
};

static const flm_options_spec spec = {
    .program = "flm_inspect",
    .purpose =
        "Identify the suite's files and verify their checksums: checkpoints, samples, shards, and directories of "
        "them.",
    .arguments = "FILE|DIR...",
    FLM_OPT_ROWS(rows),
};

static flm_status inspect_all(const flm_options *options, const flm_inspect_options *o)
{
    flm_status rc = FLM_OK;
    int count;
    const char *const *paths = flm_options_positional(options, &count);

    if (count == 0) FLM_FAIL(FLM_E_USAGE, "no file or directory given; see --help");
    for (int i = 0; i < count; i++) FLM_TRY(flm_inspect_run(paths[i], o));
done:
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *options = NULL;
    flm_inspect_options o = {0};
    bool stop = false, is_root;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    is_root = flm_comm_rank(world) == 0;
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, is_root, &stop, &options));
    if (!stop) FLM_TRY(flm_comm_agree(world, is_root ? inspect_all(options, &o) : FLM_OK));
done:
    flm_options_destroy(&options);
    return flm_process_finish(rc, &world);
}
