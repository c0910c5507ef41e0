/* sample_generate.c - see sample_generate.h. SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_generate.h"

#include "base/base_log.h"
#include "base/base_progress.h"
#include "base/base_share.h"
#include "sample/sample_internal.h"
#include "score/score_report.h"
#include "score/score_statistics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Makes samples [first, first + count) unless all of them are present. */
static flm_status make_block(flm_generation *g, int i, int64_t first, int64_t count)
{
    flm_status rc = FLM_OK;
    bool complete = true;
    const flm_sampling how = flm_generation_sampling(g, &g->settings[i], first, count);
    FLM_TRY(flm_samples_check_rows(g->file, g->sets[i], first, count, g->present));
    for (int64_t row = 0; row < count; row++) complete = complete && g->present[row];
    if (complete) goto done;
    FLM_TRY(flm_generation_name_weights(g, flm_sampler_run(g->sampler, count, &how, g->ids)));
    FLM_TRY(flm_samples_write(g->file, g->sets[i], first, count, g->ids));
done:
    return rc;
}

/* Whether a stop is requested on any rank. Collective. */
static flm_status any_stop_requested(flm_comm *comm, bool (*stop_requested)(void), bool *stopped)
{
    flm_status rc = FLM_OK;
    int64_t requested = stop_requested();
    FLM_TRY(flm_comm_max_i64(comm, &requested, 1));
    *stopped = requested != 0;
done:
    return rc;
}

/* How often the network is evaluated for a block of samples; for the progress bar. */
static double count_evaluations(const flm_generation *g, int i)
{
    const flm_samples_setting *s = &g->settings[i];
    const double times = s->sampler == FLM_SAMPLES_REFINE   ? (double)s->rounds
                         : s->sampler == FLM_SAMPLES_BLOCKS ? ceil((double)g->info.L / (double)s->block_length)
                                                            : 1;
    return times * (double)s->steps;
}

/* Blocks are distributed in rounds, one a rank; *stopped: a stop was requested before the last round. Collective. Ranks
 * do not agree on failures here: a rank that fails ends the job at once, and the rows in the file are valid. */
static flm_status make_all(flm_generation *g, bool (*stop_requested)(void), bool *stopped)
{
    flm_status rc = FLM_OK;
    const int64_t N = g->info.samples, batch = g->dit->max_batch, blocks = (N + batch - 1) / batch;
    const int64_t rank = flm_comm_rank(g->comm), size = flm_comm_size(g->comm);
    flm_progress progress = flm_progress_begin(0, rank == 0);
    char text[FLM_SAMPLES_SETTING_BYTES];
    double total = 0, done_steps = 0;
    for (int s = 0; s < g->count; s++) total += count_evaluations(g, s) * (double)((blocks + size - 1) / size);
    if (blocks < size)
        flm_log(FLM_LOG_INFO,
                "%" PRId64 " samples in blocks of --batch %" PRId64 ": only %" PRId64 " of %" PRId64 " ranks have work",
                N, batch, blocks, size);
    for (int s = 0; s < g->count; s++)
        for (int64_t block = rank; block - rank < blocks; block += size) {
            FLM_TRY(any_stop_requested(g->comm, stop_requested, stopped));
            if (*stopped) goto done;
            const int64_t first = block * batch, count = N - first < batch ? N - first : batch;
            if (block < blocks) FLM_TRY(make_block(g, s, first, count));
            done_steps += count_evaluations(g, s);
            flm_progress_show(&progress, done_steps, total, "samples of %s",
                              flm_samples_setting_describe(&g->settings[s], text));
        }
done:
    flm_progress_clear(&progress);
    return rc;
}

/* The mean entropy of the samples of a set. Collective. */
static flm_status compute_entropy(flm_generation *g, int set, double *mean)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const int64_t N = g->info.samples;
    const flm_share own = flm_share_of(N, flm_comm_rank(g->comm), flm_comm_size(g->comm));
    double sum = 0, part;
    for (int64_t i = own.first; i < own.first + own.count && local == FLM_OK; i++) {
        local = flm_samples_read(g->file, set, i, 1, g->ids);
        if (local == FLM_OK) local = flm_statistics_sum_entropy(g->ids, 1, g->info.L, &part);
        if (local == FLM_OK) sum += part;
    }
    FLM_TRY(flm_comm_agree(g->comm, local));
    FLM_TRY(flm_comm_sum_f64(g->comm, &sum, 1));
    *mean = sum / (double)N;
done:
    return rc;
}

static flm_status report(flm_generation *g)
{
    flm_status rc = FLM_OK;
    const bool is_root = flm_comm_rank(g->comm) == 0;
    double entropy;
    if (g->o->text) FLM_TRY(flm_comm_agree(g->comm, is_root ? flm_generation_print_text(g) : FLM_OK));
    if (is_root) printf("== %8s %8s %18s  %s\n", "steps", "samples", "entropy (nats)", "set");
    for (int s = 0; s < g->count; s++) {
        FLM_TRY(compute_entropy(g, g->sets[s], &entropy));
        FLM_TRY(flm_comm_agree(g->comm, flm_samples_set_result(g->file, g->sets[s], "entropy", entropy)));
        if (is_root)
            printf("== %8" PRId64 " %8" PRId64 " %18.4f  %s\n", g->settings[s].steps, g->info.samples, entropy,
                   flm_samples_get_name(g->file, g->sets[s]));
    }
done:
    return rc;
}

/* Checks the scorer's checkpoint and claims the name of the table before the samples are made, not after. */
static flm_status check_scorer(const flm_generation *g, flm_lock **lock)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    flm_checkpoint *gpt2 = NULL;
    if (g->o->score[0] && flm_comm_rank(g->comm) == 0) local = flm_checkpoint_open(g->o->score, &gpt2);
    if (local == FLM_OK && gpt2 != NULL && strcmp(flm_checkpoint_get_info(gpt2)->kind, "gpt2") != 0)
        local = flm_err_raise(FLM_E_MISMATCH, __FILE__, __LINE__,
                              "--score %s: expected a checkpoint of kind gpt2 (flm_convert makes one), found kind %s",
                              g->o->score, flm_checkpoint_get_info(gpt2)->kind);
    if (local == FLM_OK && g->o->json[0] && flm_comm_rank(g->comm) == 0)
        local = flm_score_report_claim(g->o->json, NULL, 0, lock);
    FLM_TRY(flm_comm_agree(g->comm, local));
done:
    flm_checkpoint_close(&gpt2);
    return rc;
}

/* A job that resumes computes as the file was begun, where the options leave the choice to a measurement. */
static flm_status adopt_choices(flm_backend *be, flm_generate_options *o)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    if (access(o->out, F_OK) != 0) goto done;
    if (flm_samples_open_read(o->out, &file) != FLM_OK) { /* flm_samples_open_write reports it */
        flm_err_clear();
        goto done;
    }
    const flm_samples_info *info = flm_samples_get_info(file);
    const bool bf16 = strcmp(info->precision, "bf16") == 0;
    if (o->precision == FLM_PRECISION_AUTO) o->precision = bf16 ? FLM_PRECISION_BF16 : FLM_PRECISION_FP32;
    if (o->matmul == FLM_MATMUL_AUTO && bf16 && info->matmul[0])
        FLM_TRY(flm_backend_set_matmul(be, flm_backend_find_matmul(info->matmul)));
done:
    flm_samples_close(&file);
    return rc;
}

flm_status flm_generate_run(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                            bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    flm_generate_options own = *options;
    flm_generation g = {.comm = comm, .be = be, .o = &own};
    flm_lock *lock = NULL; /* of --json */
    bool stopped = false;
    FLM_TRY(flm_generation_check_options(options));
    FLM_TRY(check_scorer(&g, &lock));
    FLM_TRY(flm_comm_agree(comm, adopt_choices(be, &own)));
    FLM_TRY(flm_generation_load(&g));
    flm_log(FLM_LOG_INFO, "%s", flm_backend_describe(be));
    FLM_TRY(flm_samples_open_write(comm, options->out, &g.info, g.prompts.count > 0 ? &g.prompts : NULL, g.settings,
                                   g.count, &g.file));
    for (int i = 0; i < g.count; i++) g.sets[i] = flm_samples_find(g.file, &g.settings[i]);
    FLM_TRY(make_all(&g, stop_requested, &stopped));
    if (stopped) {
        FLM_TRY(flm_comm_agree(comm, flm_samples_close(&g.file)));
        flm_log(FLM_LOG_INFO,
                "stopped early; the samples generated so far are in %s; run the same command again to resume",
                options->out);
        FLM_FAIL(FLM_E_INTERRUPTED, "stopped early");
    }
    FLM_TRY(flm_comm_barrier(comm)); /* the report reads the rows of all ranks */
    FLM_TRY(report(&g));
    FLM_TRY(flm_samples_commit(comm, g.file));
    FLM_TRY(flm_comm_agree(comm, flm_samples_close(&g.file)));
    flm_generation_release_network(&g); /* makes memory free for GPT-2 */
    if (options->score[0] || options->json[0])
        FLM_TRY(flm_generate_score(comm, be, options, g.settings, g.count, stop_requested));
done:
    flm_lock_release(&lock);
    flm_generation_release(&g);
    return rc;
}
