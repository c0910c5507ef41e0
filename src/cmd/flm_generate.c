/* flm_generate.c - generates text: a checkpoint in, a samples file out. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_arguments.h"
#include "cmd/cmd_backend.h"
#include "cmd/cmd_options.h"
#include "process/process.h"
#include "sample/sample_generate.h"

#define FLM_OPT_STRUCT flm_generate_options

static const flm_option rows[] = {
    FLM_OPT_GROUP("Files"),
    FLM_OPT_STRING("checkpoint", checkpoint, NULL, "FILE|DIR",
                   "checkpoint to sample from, or a run directory (its newest checkpoint)", .required = true),
    FLM_OPT_STRING("teacher", teacher, "", "FILE|DIR",
                   "for kind fmlm-two-model: the teacher, if it is no longer at the path recorded in the checkpoint"),
    FLM_OPT_STRING("out", out, NULL, "FILE", "samples file to write\ncreated, or resumed if the same command began it",
                   .required = true),
    FLM_OPT_BOOL("text", text, "no", "also print the samples as text"),
    FLM_OPT_GROUP("Prompts"),
    FLM_OPT_STRING(
        "prompts", prompts, "", "FILE",
        "lines of JSON, each with a prompt\n"
        "{\"prefix\": TEXT} begins the sample; {\"text\": TEXT} has masks, each of which is a token to fill in; "
        "{\"tokens\": [ID, null, ...]} has null for tokens to fill in"),
    FLM_OPT_STRING("mask", mask, "[MASK]", "STRING", "what stands for a token to fill in"),
    FLM_OPT_INT("samples-per-prompt", samples_per_prompt, "1", "N", "number of samples of each prompt", .min = 1,
                .limit = 1 << 24),
    FLM_OPT_GROUP("Sampling"),
    FLM_OPT_CHOICE("weights", weights, "ema", flm_weights_choices, "EMA weights, or raw (those of the last step)"),
    FLM_OPT_INT("samples", samples, "64", "N",
                "number of samples to generate with each number of steps, without prompts", .min = 1),
    FLM_OPT_CHOICE("sampler", sampler, "auto", flm_generate_sampler_names,
                   "flow = all tokens at once\nblocks = blocks of positions, from left to right\n"
                   "refine = rounds, each of which commits the most confident tokens and begins the others again\n"
                   "auto = refine for kind fmlm-any-order, flow for the others, which have no other sampler"),
    FLM_OPT_LIST("steps", steps, "auto", "N[,N...]",
                 "numbers of sampling steps (of a block, of a round); each gives its own set of samples\n"
                 "auto = 128 for flow, 8 for blocks, 1 for refine"),
    FLM_OPT_INT("block-length", block_length, "32", "N", "positions of a block, for sampler blocks", .min = 1,
                .limit = 1 << 20),
    FLM_OPT_INT("rounds", rounds, "8", "N", "number of rounds, for sampler refine", .min = 1, .limit = 1 << 20),
    FLM_OPT_FLOAT("threshold", threshold, "0.999", "P",
                  "for sampler refine: commit tokens from this confidence on\nnegative = only those of --budget",
                  .min = -1, .max = 1),
    FLM_OPT_STRING("budget", budget, "uniform", "uniform|N",
                   "for sampler refine: tokens of a sample to commit in a round, however confident\n"
                   "uniform = those left divided by the rounds left"),
    FLM_OPT_BOOL("fresh-noise", fresh_noise, "yes",
                 "for sampler refine: begin tokens again from new noise; no = from their first noise"),
    FLM_OPT_LIST(
        "noise-level", noise_level, "0", "G[,G...]",
        "amount of fresh noise at every step, from 0 to 1, for kinds fmlm and fmlm-two-stage; each combination "
        "with --steps gives its own set of samples\n"
        "0 = none; the published figures use 0.8 (LM1B) and 1 (OpenWebText)"),
    FLM_OPT_LIST(
        "temperature", temperature, "0", "T[,T...]",
        "temperature at which tokens are drawn in the last step, from 0 to 100; each combination with --steps and "
        "--noise-level gives its own set of samples\n"
        "0 = none: the most probable token is taken"),
    FLM_OPT_INT("top-k", top_k, "0", "K", "draw from the K most probable tokens\n0 = from all", .max = INT32_MAX),
    FLM_OPT_FLOAT("top-p", top_p, "1", "P",
                  "draw from the fewest most probable tokens that have the share P of the probability", .max = 1),
    FLM_OPT_INT("batch", batch, "64", "N", "samples to generate at once per rank", .min = 1, .limit = 1 << 24),
    FLM_OPT_INT("chunk", chunk, "0", "N", FLM_CMD_CHUNK_HELP, .limit = 1 << 24),
    FLM_OPT_GROUP("Scoring"),
    FLM_OPT_STRING("score", score, "", "FILE", "also score the samples, as flm_score does, with this GPT-2 checkpoint"),
    FLM_OPT_CHOICE("protocol", protocol.kind, "clean", flm_score_protocol_names, FLM_SCORE_PROTOCOL_HELP),
    FLM_OPT_INT("score-batch", protocol.batch, "8", "N",
                "texts to score at once per rank; with --protocol published also the number of texts in a padded batch",
                .min = 1, .limit = 1 << 20),
    FLM_OPT_STRING("json", json, "", "FILE",
                   "write generative_ppl, entropy and generated_seqs to this file, in the format of the published "
                   "evaluation\n"
                   "with several numbers of steps: one JSON object for each"),
    FLM_CMD_OPTIONS_COMMON,
};

static const flm_option_rename renamed[] = {
    {.old_name = "logit-cap", .reason = "the logit cap is that of the checkpoint; flm_inspect shows it"}, {0}};

static const flm_options_spec spec = {
    .program = "flm_generate",
    .purpose = "Generate text from a checkpoint. Run the same command again to resume.",
    FLM_OPT_ROWS(rows),
    .renamed = renamed,
};

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *options = NULL;
    flm_generate_options o = {0};
    bool stop = false;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, flm_comm_rank(world) == 0, &stop, &options));
    if (stop) goto done;
    o.samples_given = flm_options_given(options, "samples");
    FLM_TRY(flm_cmd_backend_open(world, &o.comm, (flm_device)o.device, o.threads, o.matmul, &be));
    FLM_TRY(flm_generate_run(world, be, &o, flm_process_stop_requested));
done:
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    flm_options_destroy(&options);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
