/* parity.c - the parity driver: compares golden files of any shape with what the suite computes, one line per quantity.
 *
 *     parity [--device cpu|cuda] [--precision fp32|bf16] [--micro-batch N] [--chunk N] FILE.h5...
 *
 * The last line is "N passed, N failed, N skipped"; exit status 1 if any failed. A file of another format or layout
 * counts as failed, and the others are still compared. SPDX-License-Identifier: Apache-2.0 */
#include "tests/parity/parity.h"

#include "base/base_options.h"
#include "process/process.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct parity_values {
    int device, precision;
    int64_t micro, chunk;
} parity_values;

static const char *const devices[] = {"cpu", "cuda", NULL};
static const char *const precisions[] = {"fp32", "bf16", NULL};

#define FLM_OPT_STRUCT parity_values
static const flm_option rows[] = {
    FLM_OPT_GROUP("Parity"),
    FLM_OPT_CHOICE("device", device, "cpu", devices, "Where to compute"),
    FLM_OPT_CHOICE("precision", precision, "fp32", precisions, "Operands of the matmuls"),
    FLM_OPT_INT("micro-batch", micro, "0", "N", "Sequences per micro-batch (0: all)", .limit = 1 << 20),
    FLM_OPT_INT("chunk", chunk, "0", "N", "Rows of logits at once (0: all)", .limit = 1 << 30),
};

static const flm_options_spec spec = {
    .program = "parity",
    .purpose = "Compare golden files with what the suite computes.",
    .arguments = "FILE.h5...",
    FLM_OPT_ROWS(rows),
};

/* Source: golden/README.md, "Tolerances". */
static const parity_tolerance tolerances[] = {
    {.gradient = 2e-5, .loss = 2e-5, .logits = 1e-4, .scores = 2e-5, .margin = 1e-4},
    {.gradient = 5e-2, .loss = 1e-2, .logits = 0.15, .scores = 3e-2, .margin = 4e-2},
};

void parity_compare(parity_run *run, double error, double tolerance, const char *quantity, ...)
{
    const bool ok = error <= tolerance;
    char name[128];
    va_list ap;
    va_start(ap, quantity);
    vsnprintf(name, sizeof name, quantity, ap);
    va_end(ap);
    printf("%s %s %s error %.3g tolerance %.3g %s\n", run->file, run->part, name, error, tolerance, ok ? "ok" : "FAIL");
    *(ok ? &run->passed : &run->failed) += 1;
}

void parity_skip(parity_run *run, const char *why)
{
    printf("%s %s skipped: %s\n", run->file, run->part, why);
    run->skipped++;
}

void parity_fail(parity_run *run, const char *why)
{
    printf("%s %s FAIL: %s\n", run->file, run->part, why);
    run->failed++;
}

/* One group of a file's root. */
static flm_status compare_group(parity_run *run, hid_t id, const char *name)
{
    static const parity_case cases[] = {
        {.part = "flm_loss", .loss = true, .kind = FLM_KIND_FLM},
        {.part = "distill_loss", .loss = true, .kind = FLM_KIND_FMLM_TWO_MODEL},
        {.part = "second_loss", .loss = true, .kind = FLM_KIND_FMLM_TWO_STAGE},
        {.part = "sample_flm", .loss = false, .kind = FLM_KIND_FLM},
        {.part = "sample_distill", .loss = false, .kind = FLM_KIND_FMLM_TWO_MODEL},
        {.part = "sample_second", .loss = false, .kind = FLM_KIND_FMLM_TWO_STAGE},
        {.part = "fmlm_loss", .loss = true, .kind = FLM_KIND_FMLM},
        {.part = "fmlm_loss_from_data", .loss = true, .kind = FLM_KIND_FMLM, .from_data = true},
        {.part = "sample_fmlm", .loss = false, .kind = FLM_KIND_FMLM},
        {.part = "any_order_loss", .loss = true, .kind = FLM_KIND_FMLM_ANY_ORDER, .from_data = true},
        {.part = "sample_blocks", .order = true, .kind = FLM_KIND_FMLM_ANY_ORDER},
        {.part = "sample_refine", .order = true, .kind = FLM_KIND_FMLM_ANY_ORDER},
    };
    flm_status rc = FLM_OK;
    parity_file file = {.id = id};
    if (strcmp(name, "weights") == 0) return FLM_OK;
    if (name[0] == 'K') return parity_gamma(run, id, name);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(name, cases[i].part) != 0) continue;
        FLM_TRY(parity_shape(id, &file.shape, &file.B));
        FLM_TRY((cases[i].loss ? parity_loss : cases[i].order ? parity_order : parity_samples)(run, &file, &cases[i]));
        goto done;
    }
    FLM_FAIL(FLM_E_FORMAT, "/%s: is not a case of golden files", name);
done:
    return rc;
}

/* An error becomes a line of the report. Only bf16 may be skipped, where the backend lacks it. */
static void report_error(parity_run *run, flm_status rc)
{
    if (rc == FLM_E_UNSUPPORTED && run->act == FLM_DTYPE_BF16)
        parity_skip(run, flm_err_message());
    else if (rc != FLM_OK)
        parity_fail(run, flm_err_message());
    flm_err_clear();
}

static void compare_file(parity_run *run, const char *path)
{
    hid_t id = H5I_INVALID_HID;
    int64_t members = 0;
    char name[64] = "";
    const char *slash = strrchr(path, '/');
    run->file = slash != NULL ? slash + 1 : path;
    run->part = "file";
    flm_status rc = parity_open(path, &id);
    if (rc == FLM_OK) rc = parity_members(id, "/", &members);
    report_error(run, rc);
    if (rc == FLM_OK && members == 0) parity_fail(run, "has no cases");
    for (int64_t i = 0; i < members; i++) {
        run->part = "file";
        rc = parity_member(id, "/", i, name, sizeof name);
        if (rc == FLM_OK) {
            run->part = name;
            rc = compare_group(run, id, name);
        }
        report_error(run, rc);
        fflush(stdout);
    }
    flm_h5_close(&id);
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *options = NULL;
    parity_values values = {0};
    parity_run run = {0};
    bool stop = false;
    int files = 0;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &values, flm_comm_rank(world) == 0, &stop, &options));
    if (stop) goto done;
    const char *const *file = flm_options_positional(options, &files);
    if (files == 0) FLM_FAIL(FLM_E_USAGE, "expected at least one golden file");
    if (flm_comm_size(world) != 1) FLM_FAIL(FLM_E_USAGE, "parity needs a single rank");
    FLM_TRY(flm_backend_create(values.device == 0 ? FLM_DEVICE_CPU : FLM_DEVICE_CUDA, 0, flm_comm_local_rank(world),
                               &run.be));
    run.comm = world;
    run.act = values.precision == 0 ? FLM_DTYPE_F32 : FLM_DTYPE_BF16;
    run.micro = values.micro;
    run.chunk = values.chunk;
    run.tolerance = tolerances[values.precision];
    for (int i = 0; i < files; i++) compare_file(&run, file[i]);
    printf("%d passed, %d failed, %d skipped\n", run.passed, run.failed, run.skipped);
done:
    flm_backend_destroy(&run.be);
    flm_options_destroy(&options);
    const int status = flm_process_finish(rc, &world);
    return status == 0 && run.failed > 0 ? 1 : status;
}
