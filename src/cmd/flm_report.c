/* flm_report.c - one HTML page about runs and their samples. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "process/process.h"
#include "report/report.h"

#define FLM_OPT_STRUCT flm_report_options

static const flm_option rows[] = {
    FLM_OPT_GROUP("Report"),
    FLM_OPT_STRING("out", out, "report.html", "FILE", "the page to write; an older one is replaced"),
    FLM_OPT_STRING("title", title, "Flow language models", "TEXT", "heading of the page"),
    FLM_OPT_INT("samples", samples, "4", "N", "number of samples to show of each setting of the sampler",
                .limit = 1 << 20),
};

static const flm_options_spec spec = {
    .program = "flm_report",
    .purpose =
        "Write one self-contained HTML page about runs: settings, training curves, quality against sampling steps, "
        "samples, checkpoints and machine. A PATH is a run directory, whose samples files are found, a samples "
        "file, a directory of samples files, or the file of flm_score --json.",
    .arguments = "PATH...",
    FLM_OPT_ROWS(rows),
};

static flm_status report(const flm_options *options, const flm_report_options *o)
{
    int count;
    const char *const *paths = flm_options_positional(options, &count);
    return flm_report_write(paths, count, o);
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *options = NULL;
    flm_report_options o = {0};
    bool stop = false, is_root;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    is_root = flm_comm_rank(world) == 0;
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, is_root, &stop, &options));
    if (!stop) FLM_TRY(flm_comm_agree(world, is_root ? report(options, &o) : FLM_OK));
done:
    flm_options_destroy(&options);
    return flm_process_finish(rc, &world);
}
