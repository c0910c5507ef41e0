/* cmd_generate.c - see cmd_generate.h. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_generate.h"

#include "base/base_log.h"
#include "base/base_philox.h"
#include "base/base_progress.h"
#include "flow/flow_sampler.h"
#include "io/io_samples.h"
#include "model/model_load.h"
#include "score/score_entropy.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, STEPS_MOST = 1 << 20 };
/* Rows of logits at once when --chunk does not say: about so many logits. */
enum { CHUNK_LOGITS = 1 << 24, CHUNK_LEAST = 64 };

typedef struct generation {
    flm_comm *comm;
    flm_backend *be;
    const flm_generate_options *o;
    char path[PATH_BYTES]; /* of the checkpoint */
    int64_t *steps;        /* [steps_count] */
    int steps_count;
    flm_samples_info info;
    flm_checkpoint *checkpoint;
    flm_samples *file;
    flm_weights *weights;
    flm_noise_basis *basis;
    flm_gamma *gamma;
    flm_dit *dit;
    flm_sampler *sampler;
    int32_t *ids;  /* [batch, L] */
    bool *present; /* [batch] */
} generation;

static const char *set_of(const flm_generate_options *o) { return o->weights == 0 ? "ema" : "weights"; }

static flm_status parse_steps(generation *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_options_int_list("steps", g->o->steps, 1, STEPS_MOST, &g->steps, &g->steps_count));
    for (int i = 0; i < g->steps_count; i++)
        for (int k = 0; k < i; k++)
            if (g->steps[k] == g->steps[i])
                FLM_FAIL(FLM_E_USAGE, "--steps %s: %" PRId64 " stands there twice", g->o->steps, g->steps[i]);
done:
    return rc;
}

/* A run directory, its checkpoints' directory, or a checkpoint: the checkpoint's path. */
static flm_status find_checkpoint(generation *g)
{
    static const char *const inside[] = {"/checkpoints/latest", "/latest"};
    flm_status rc = FLM_OK;
    struct stat status;
    const char *given = g->o->checkpoint;
    if (strlen(given) + 32 > PATH_BYTES) FLM_FAIL(FLM_E_USAGE, "--checkpoint: the path is too long");
    snprintf(g->path, sizeof g->path, "%s", given);
    if (stat(given, &status) != 0 || !S_ISDIR(status.st_mode)) goto done;
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        snprintf(g->path, sizeof g->path, "%s%s", given, inside[i]);
        if (stat(g->path, &status) == 0) goto done;
    }
    FLM_FAIL(FLM_E_USAGE, "--checkpoint %s: a directory without checkpoints/latest or latest", given);
done:
    return rc;
}

static flm_status fill_info(generation *g, flm_dtype act)
{
    flm_status rc = FLM_OK;
    const flm_checkpoint_info *from = flm_checkpoint_get_info(g->checkpoint);
    if (strcmp(from->kind, "flm") != 0)
        FLM_FAIL(FLM_E_UNSUPPORTED, "%s is a checkpoint of kind %s; samples are made from kind flm", g->path, from->kind);
    g->info = (flm_samples_info){.vocabulary = from->vocabulary,
                                 .samples = g->o->samples,
                                 .L = from->L,
                                 .seed = g->o->seed,
                                 .checkpoint_step = from->step};
    snprintf(g->info.kind, sizeof g->info.kind, "%s", from->kind);
    snprintf(g->info.weights, sizeof g->info.weights, "%s", g->o->weights == 0 ? "ema" : "raw");
    snprintf(g->info.precision, sizeof g->info.precision, "%s", act == FLM_DTYPE_BF16 ? "bf16" : "fp32");
    if (strlen(g->o->checkpoint) >= sizeof g->info.checkpoint)
        FLM_FAIL(FLM_E_USAGE, "--checkpoint: a path of %zu bytes; the samples file has room for %zu",
                 strlen(g->o->checkpoint), sizeof g->info.checkpoint - 1);
    snprintf(g->info.checkpoint, sizeof g->info.checkpoint, "%s", g->o->checkpoint);
done:
    return rc;
}

/* The network with its weights, without what training needs. */
static flm_status load_network(generation *g)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape;
    const flm_precision precision = flm_backend_precision(g->be, (flm_precision)g->o->precision);
    const flm_dtype act = precision == FLM_PRECISION_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
    FLM_TRY(find_checkpoint(g));
    FLM_TRY(flm_checkpoint_open(g->path, &g->checkpoint));
    FLM_TRY(fill_info(g, act));
    FLM_TRY(flm_model_load_shape(g->checkpoint, &shape));
    const int64_t batch = g->o->batch < g->o->samples ? g->o->batch : g->o->samples;
    int64_t chunk = g->o->chunk ? g->o->chunk : CHUNK_LOGITS / shape.V;
    if (chunk < CHUNK_LEAST && g->o->chunk == 0) chunk = CHUNK_LEAST;
    if (chunk > batch * shape.L) chunk = batch * shape.L;
    FLM_TRY(flm_gamma_create(shape.V, &g->gamma));
    FLM_TRY(flm_weights_create(g->be, &shape, act, 1, false, &g->weights));
    FLM_TRY(flm_model_load(g->weights, g->checkpoint, set_of(g->o)));
    FLM_TRY(flm_noise_create(g->be, shape.V, shape.d, &g->basis));
    FLM_TRY(flm_dit_create(g->be, &shape, act, batch, chunk, false, &g->dit));
    FLM_TRY(flm_sampler_create(g->dit, g->weights, g->basis, g->gamma, &g->sampler));
    g->ids = malloc((size_t)(batch * shape.L) * sizeof *g->ids);
    g->present = malloc((size_t)batch * sizeof *g->present);
    if (g->ids == NULL || g->present == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %lld samples", (long long)batch);
done:
    return rc;
}

/* Samples [first, first + count) where one of them is missing. */
static flm_status make_block(generation *g, int64_t steps, int64_t first, int64_t count)
{
    flm_status rc = FLM_OK;
    bool whole = true;
    const flm_noise_source noise = {NULL, flm_philox_stream((uint64_t)g->o->seed, FLM_RANDOM_SAMPLE, 0, 0), first};
    FLM_TRY(flm_samples_present(g->file, steps, first, count, g->present));
    for (int64_t i = 0; i < count; i++) whole = whole && g->present[i];
    if (whole) goto done;
    FLM_TRY(flm_sampler_run(g->sampler, count, steps, &noise, g->ids));
    FLM_TRY(flm_samples_write(g->file, steps, first, count, g->ids));
done:
    return rc;
}

/* This rank's blocks of every number of steps; *stopped when asked to end before the last. */
static flm_status make_all(generation *g, bool (*stop_requested)(void), bool *stopped)
{
    flm_status rc = FLM_OK;
    const int64_t N = g->o->samples, batch = g->dit->B_most, blocks = (N + batch - 1) / batch;
    const int64_t rank = flm_comm_rank(g->comm), size = flm_comm_size(g->comm);
    flm_progress progress = flm_progress_begin(0, rank == 0);
    double total = 0, done_steps = 0;
    for (int s = 0; s < g->steps_count; s++) total += (double)(g->steps[s] * ((blocks - rank + size - 1) / size));
    for (int s = 0; s < g->steps_count; s++)
        for (int64_t block = rank; block < blocks; block += size) {
            *stopped = stop_requested();
            if (*stopped) goto done;
            const int64_t first = block * batch, count = N - first < batch ? N - first : batch;
            FLM_TRY(make_block(g, g->steps[s], first, count));
            done_steps += (double)g->steps[s];
            flm_progress_show(&progress, done_steps, total, "samples of %" PRId64 " steps", g->steps[s]);
        }
done:
    flm_progress_clear(&progress);
    return rc;
}

/* The mean entropy of one number of steps, over all ranks. */
static flm_status entropy_of(generation *g, int64_t steps, double *mean)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const int64_t N = g->o->samples, rank = flm_comm_rank(g->comm), size = flm_comm_size(g->comm);
    double sum = 0, part;
    for (int64_t i = N * rank / size; i < N * (rank + 1) / size && local == FLM_OK; i++) {
        local = flm_samples_read(g->file, steps, i, 1, g->ids);
        if (local == FLM_OK) local = flm_score_entropy(g->ids, 1, g->info.L, &part);
        if (local == FLM_OK) sum += part;
    }
    FLM_TRY(flm_comm_agree(g->comm, local));
    FLM_TRY(flm_comm_sum_f64(g->comm, &sum, 1));
    *mean = sum / (double)N;
done:
    return rc;
}

static flm_status print_text(generation *g)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t bytes;
    FLM_TRY(flm_tokenizer_create(g->info.vocabulary.name, &tokenizer));
    if (strcmp(flm_tokenizer_sha256(tokenizer), g->info.vocabulary.sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "the checkpoint's vocabulary %s (sha256 %.8s...) is not this release's",
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

static flm_status report(generation *g)
{
    flm_status rc = FLM_OK;
    const bool speak = flm_comm_rank(g->comm) == 0;
    double entropy;
    if (g->o->text) FLM_TRY(flm_comm_agree(g->comm, speak ? print_text(g) : FLM_OK));
    if (speak) printf("== %8s %8s %18s\n", "steps", "samples", "entropy (nats)");
    for (int s = 0; s < g->steps_count; s++) {
        FLM_TRY(entropy_of(g, g->steps[s], &entropy));
        FLM_TRY(flm_samples_set_result(g->comm, g->file, g->steps[s], "entropy", entropy));
        if (speak) printf("== %8" PRId64 " %8" PRId64 " %18.4f\n", g->steps[s], g->o->samples, entropy);
    }
done:
    return rc;
}

static void release_network(generation *g)
{
    flm_sampler_destroy(&g->sampler);
    flm_dit_destroy(&g->dit);
    flm_noise_destroy(&g->basis);
    flm_weights_destroy(&g->weights);
    flm_gamma_destroy(&g->gamma);
}

flm_status flm_generate_run(flm_comm *comm, flm_backend *be, const flm_generate_options *options,
                            bool (*stop_requested)(void))
{
    flm_status rc = FLM_OK;
    generation g = {.comm = comm, .be = be, .o = options};
    bool stopped = false;
    int64_t stops;
    FLM_TRY(parse_steps(&g));
    FLM_TRY(flm_comm_agree(comm, load_network(&g)));
    flm_log(FLM_LOG_INFO, "%s", flm_backend_describe(be));
    FLM_TRY(flm_samples_open_write(comm, options->out, &g.info, g.steps, g.steps_count, &g.file));
    FLM_TRY(flm_noise_update(g.basis, comm, &g.weights->w.E));
    FLM_TRY(flm_comm_agree(comm, make_all(&g, stop_requested, &stopped)));
    stops = stopped;
    FLM_TRY(flm_comm_max_i64(comm, &stops, 1));
    if (stops) {
        flm_log(FLM_LOG_INFO, "stopped early; %s keeps what was made, the same command makes the rest", options->out);
        FLM_FAIL(FLM_E_INTERRUPTED, "stopped early");
    }
    FLM_TRY(report(&g));
    FLM_TRY(flm_comm_agree(comm, flm_samples_close(&g.file)));
    release_network(&g); /* GPT-2 takes its place */
    if (options->score[0] || options->json[0])
        FLM_TRY(flm_generate_score(comm, be, options, g.steps, g.steps_count, stop_requested));
done:
    flm_samples_close(&g.file);
    release_network(&g);
    flm_checkpoint_close(&g.checkpoint);
    free(g.steps);
    free(g.ids);
    free(g.present);
    return rc;
}
