/* flm_score.c - scores samples and texts: generative perplexity, entropy and diversity.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_backend.h"
#include "cmd/cmd_options.h"
#include "process/process.h"
#include "sample/sample_checkpoints.h"
#include "score/score_files.h"
#include "source/source_options.h"

#include <stdlib.h>

#define FLM_OPT_STRUCT flm_score_options

static const flm_option rows[] = {
    FLM_OPT_GROUP("Files"),
    FLM_OPT_STRING("gpt2", gpt2, "", "FILE",
                   "GPT-2 checkpoint to score with, made by flm_convert; the published figures use gpt2-large"),
    FLM_OPT_STRING("json", json, "", "FILE",
                   "also write the results to this file; flm_report and scripts/plot-scores plot them"),
    FLM_OPT_STRING("scores-dir", scores_dir, "", "DIR",
                   "directory to store scores of text files in, and to reuse them from (scores of a samples file are "
                   "stored in that file)"),
    FLM_OPT_GROUP("Input"),
    FLM_OPT_LIST("steps", steps, "", "N[,N...]",
                 "score only samples with these numbers of steps (default: all)\n"
                 "with --compare: also the numbers of steps to sample checkpoints with"),
    FLM_OPT_CHOICE("documents", source.documents, "line", flm_source_documents_names,
                   "what a text is in plain text: a line, a block of lines between blank lines, or a file"),
    FLM_SOURCE_OPTIONS(source),
    FLM_OPT_GROUP("Scoring"),
    FLM_OPT_INT("batch", batch, "8", "N", "texts to score at once per rank", .min = 1, .limit = 1 << 20),
    FLM_OPT_CHOICE("protocol", protocol.kind, "clean", flm_score_protocol_names, FLM_SCORE_PROTOCOL_HELP),
    FLM_OPT_INT("score-batch", protocol.batch, "8", "N", "with --protocol published: number of texts in a padded batch",
                .min = 1, .limit = 1 << 20),
    FLM_OPT_INT("length", length, "0", "N",
                "maximum number of GPT-2 tokens to score of each text\n0 = the length of the samples; for text files, "
                "GPT-2's maximum",
                .limit = 1 << 20),
    FLM_OPT_BOOL("token-nll", token_nll, "no",
                 "also keep GPT-2's tokens and their negative log-likelihoods in samples files"),
    FLM_OPT_INT("chunk", chunk, "0", "N", FLM_CMD_CHUNK_HELP, .limit = 1 << 24),
    FLM_OPT_INT("bootstrap", bootstrap, "1000", "N", "bootstrap resamples for the confidence interval of Gen-PPL",
                .min = 1, .limit = 1 << 24),
    FLM_OPT_GROUP("Comparison"),
    FLM_OPT_BOOL("compare", compare, "no",
                 "sample checkpoints, then show all files in one table, with a line for each number of steps\n"
                 "without --gpt2: only from scores that samples files already contain"),
    FLM_OPT_BOOL("sweep", sweep, "no",
                 "as --compare, for many settings: after the table, show the frontier of Gen-PPL and entropy; "
                 "scripts/plot-scores draws it from --json"),
    FLM_OPT_LIST("noise-level", noise_level, "0", "G[,G...]",
                 "noise levels to sample checkpoints with, each with every number of --steps"),
    FLM_OPT_LIST("temperature", temperature, "0", "T[,T...]",
                 "temperatures to sample checkpoints with, each with every noise level and number of steps"),
    FLM_OPT_STRING("samples-dir", samples_dir, "", "DIR",
                   "directory to store samples of checkpoints in, and to reuse them from"),
    FLM_OPT_INT("samples", samples, "64", "N", "number of samples to generate from a checkpoint with each setting",
                .min = 1),
    FLM_OPT_INT("sample-batch", sample_batch, "64", "N", "samples to generate at once per rank", .min = 1,
                .limit = 1 << 24),
    FLM_OPT_STRING("shards", shards, "", "DIR",
                   "directory of the training data: also show which share of the 4-, 8- and 16-grams of tokens occurs "
                   "in its split train"),
    FLM_OPT_BOOL("baselines", baselines, "no",
                 "also score null baselines: texts drawn from the unigrams and the bigrams of --shards"),
    FLM_OPT_STRING("reference", reference, "", "FILE|DIR",
                   "reference texts: also show MAUVE against them\n"
                   "a file of texts, a samples file of one set, or a directory of shards (its split valid)"),
    FLM_OPT_GROUP("Limits"),
    FLM_SOURCE_LIMITS(source),
    FLM_CMD_OPTIONS_COMMON,
};

static const flm_option_rename renamed[] = {{.old_name = "keep", .new_name = "scores-dir"}, {0}};

static const flm_options_spec spec = {
    .program = "flm_score",
    .purpose =
        "Score texts with GPT-2: generative perplexity (Gen-PPL), entropy and diversity. A FILE is a samples file "
        "of flm_generate, or plain text, JSON lines or an archive of them, compressed or not; with --compare also a "
        "checkpoint.",
    .arguments = "FILE...",
    FLM_OPT_ROWS(rows),
    .renamed = renamed,
};

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *options = NULL;
    flm_score_options o = {0};
    char **files = NULL;
    bool stop = false;
    int count = 0;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, flm_comm_rank(world) == 0, &stop, &options));
    if (stop) goto done;
    o.compare = o.compare || o.sweep;
    const char *const *paths = flm_options_positional(options, &count);
    FLM_TRY(flm_cmd_backend_open(world, &o.comm, (flm_device)o.device, o.threads, o.matmul, &be));
    files = calloc((size_t)count + 1, sizeof *files);
    FLM_TRY(flm_comm_agree(world, files ? FLM_OK : flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory")));
    if (o.compare) FLM_TRY(flm_score_files_check(world, &o));
    FLM_TRY(flm_sample_checkpoints_generate(world, be, &o, paths, count, files, flm_process_stop_requested));
    FLM_TRY(flm_score_files_run(world, be, &o, (const char *const *)files, count, flm_process_stop_requested));
done:
    for (int i = 0; files && i < count; i++) free(files[i]);
    free(files);
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    flm_options_destroy(&options);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
