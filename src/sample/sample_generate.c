/* sample_generate.c - see sample_generate.h. SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_generate.h"

#include "base/base_log.h"
#include "base/base_philox.h"
#include "base/base_progress.h"
#include "base/base_share.h"
#include "sample/sample_internal.h"
#include "score/score_report.h"
#include "score/score_statistics.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 1 << 20 };

static flm_status parse_steps(flm_generation *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_options_int_list("steps", g->o->steps, 1, STEPS_MAX, &g->steps, &g->steps_count));
    for (int i = 0; i < g->steps_count; i++)
        for (int k = 0; k < i; k++)
            if (g->steps[k] == g->steps[i])
                FLM_FAIL(FLM_E_USAGE, "--steps %s: %" PRId64 " is given twice", g->o->steps, g->steps[i]);
done:
    return rc;
}

/* Makes samples [first, first + count) unless all of them are present. */
static flm_status make_block(flm_generation *g, int64_t steps, int64_t first, int64_t count)
{
    flm_status rc = FLM_OK;
    bool complete = true;
    const flm_sampling how = {.steps = steps,
                              .noise_level = g->o->noise_level,
                              .noise = {NULL, flm_philox_stream((uint64_t)g->o->seed, FLM_RANDOM_SAMPLE, 0, 0), first}};
    FLM_TRY(flm_samples_check_rows(g->file, steps, first, count, g->present));
    for (int64_t i = 0; i < count; i++) complete = complete && g->present[i];
    if (complete) goto done;
    FLM_TRY(flm_generation_name_weights(g, flm_sampler_run(g->sampler, count, &how, g->ids)));
    FLM_TRY(flm_samples_write(g->file, steps, first, count, g->ids));
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

/* Blocks are distributed in rounds, one a rank; *stopped: a stop was requested before the last round. Collective. Ranks
 * do not agree on failures here: a rank that fails ends the job at once, and the rows in the file are valid. */
static flm_status make_all(flm_generation *g, bool (*stop_requested)(void), bool *stopped)
{
    flm_status rc = FLM_OK;
    const int64_t N = g->o->samples, batch = g->dit->max_batch, blocks = (N + batch - 1) / batch;
    const int64_t rank = flm_comm_rank(g->comm), size = flm_comm_size(g->comm);
    flm_progress progress = flm_progress_begin(0, rank == 0);
    double total = 0, done_steps = 0;
    for (int s = 0; s < g->steps_count; s++) total += (double)(g->steps[s] * ((blocks + size - 1) / size));
    if (blocks < size)
        flm_log(FLM_LOG_INFO,
                "%" PRId64 " samples in blocks of --batch %" PRId64 ": only %" PRId64 " of %" PRId64 " ranks have work",
                N, batch, blocks, size);
    for (int s = 0; s < g->steps_count; s++)
        for (int64_t block = rank; block - rank < blocks; block += size) {
            FLM_TRY(any_stop_requested(g->comm, stop_requested, stopped));
            if (*stopped) goto done;
            const int64_t first = block * batch, count = N - first < batch ? N - first : batch;
            if (block < blocks) FLM_TRY(make_block(g, g->steps[s], first, count));
            done_steps += (double)g->steps[s];
            flm_progress_show(&progress, done_steps, total, "samples of %" PRId64 " steps", g->steps[s]);
        }
done:
    flm_progress_clear(&progress);
    return rc;
}

/* The mean entropy of the samples of one number of steps. Collective. */
static flm_status compute_entropy(flm_generation *g, int64_t steps, double *mean)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const int64_t N = g->o->samples;
    const flm_share own = flm_share_of(N, flm_comm_rank(g->comm), flm_comm_size(g->comm));
    double sum = 0, part;
    for (int64_t i = own.first; i < own.first + own.count && local == FLM_OK; i++) {
        local = flm_samples_read(g->file, steps, i, 1, g->ids);
        if (local == FLM_OK) local = flm_statistics_sum_entropy(g->ids, 1, g->info.L, &part);
        if (local == FLM_OK) sum += part;
    }
    FLM_TRY(flm_comm_agree(g->comm, local));
    FLM_TRY(flm_comm_sum_f64(g->comm, &sum, 1));
    *mean = sum / (double)N;
done:
    return rc;
}

static flm_status print_text(flm_generation *g)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t bytes;
    rc = flm_tokenizer_create(g->info.vocabulary.name, &tokenizer);
    FLM_TRY(rc == FLM_E_ARG ? flm_err_prefix(FLM_E_FORMAT, g->path) : rc);
    if (strcmp(flm_tokenizer_sha256(tokenizer), g->info.vocabulary.sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its vocabulary %s (sha256 %.8s...) differs from this release's", g->path,
                 g->info.vocabulary.name, g->info.vocabulary.sha256);
    for (int s = 0; s < g->steps_count; s++)
        for (int64_t i = 0; i < g->o->samples; i++) {
            FLM_TRY(flm_samples_read(g->file, g->steps[s], i, 1, g->ids));
            FLM_TRY(flm_tokenizer_decode(tokenizer, g->ids, (size_t)g->info.L, &text, &bytes));
            printf("== sample %" PRId64 ", %" PRId64 " steps\n", i, g->steps[s]);
            fwrite(text, 1, bytes, stdout);
            putchar('\n');
            free(text);
            text = NULL;
        }
done:
    free(text);
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}

static flm_status report(flm_generation *g)
{
    flm_status rc = FLM_OK;
    const bool is_root = flm_comm_rank(g->comm) == 0;
    double entropy;
    if (g->o->text) FLM_TRY(flm_comm_agree(g->comm, is_root ? print_text(g) : FLM_OK));
    if (is_root) printf("== %8s %8s %18s\n", "steps", "samples", "entropy (nats)");
    for (int s = 0; s < g->steps_count; s++) {
        FLM_TRY(compute_entropy(g, g->steps[s], &entropy));
        FLM_TRY(flm_comm_agree(g->comm, flm_samples_set_result(g->file, g->steps[s], "entropy", entropy)));
        if (is_root) printf("== %8" PRId64 " %8" PRId64 " %18.4f\n", g->steps[s], g->o->samples, entropy);
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

flm_status flm_generate_run(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                            bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    flm_generation g = {.comm = comm, .be = be, .o = options};
    flm_lock *lock = NULL; /* of --json */
    bool stopped = false;
    FLM_TRY(parse_steps(&g));
    FLM_TRY(check_scorer(&g, &lock));
    FLM_TRY(flm_generation_load(&g));
    flm_log(FLM_LOG_INFO, "%s", flm_backend_describe(be));
    FLM_TRY(flm_samples_open_write(comm, options->out, &g.info, g.steps, g.steps_count, &g.file));
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
        FLM_TRY(flm_generate_score(comm, be, options, g.steps, g.steps_count, stop_requested));
done:
    flm_lock_release(&lock);
    flm_generation_release(&g);
    return rc;
}
