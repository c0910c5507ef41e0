/* cmd_train_options.h - what flm_train and flm_distill share: rows of their tables and main.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CMD_TRAIN_OPTIONS_H
#define FLM_CMD_TRAIN_OPTIONS_H

#include "cmd/cmd_options.h"
#include "train/train_run.h"

#define FLM_OPT_STRUCT flm_train_options

/* flm_cmd_train_options_run - main of a program whose rows fill flm_train_options: options, device, run. Returns the
 * exit status, or ends the job. Collective over the world. */
int flm_cmd_train_options_run(const flm_options_spec *spec, int argc, char **argv);

#define FLM_CMD_OPTIONS_FILES                                                                                      \
    FLM_OPT_STRING("data", data, NULL, "DIR", "directory of shards, made by flm_shard", .required = true),         \
        FLM_OPT_STRING(                                                                                            \
            "out", out, NULL, "DIR",                                                                               \
            "run directory for config.ini, metrics.jsonl and checkpoints/\ncreated, or resumed if it exists",      \
            .required = true),                                                                                     \
        FLM_OPT_STRING("resume", resume, "auto", "auto|no|FILE",                                                   \
                       "resume from the newest valid checkpoint in the run directory (auto), none (no), or FILE"), \
        FLM_OPT_BOOL("allow-changed-data", allow_changed_data, "no",                                               \
                     "resume even if the training rows differ from those that the checkpoint was trained on")

/* In the order of flm_lr_shape. */
extern const char *const flm_schedule_choices[];

/* In the order of flm_train_options.target_weights. */
extern const char *const flm_target_weights_choices[];

#define FLM_CMD_OPTIONS_INIT                                                                                  \
    FLM_OPT_STRING("init-from", init_from, "", "FILE|DIR",                                                    \
                   "start from the EMA weights of this checkpoint, or of the newest one in a run directory\n" \
                   "kinds flm, fmlm, fmlm-any-order and fmlm-two-stage; the optimiser state is not used")

#define FLM_CMD_OPTIONS_PSD                                                                                 \
    FLM_OPT_FLOAT("diagonal-fraction", diagonal_fraction, "0.5", "F",                                       \
                  "fraction of a batch that is trained with equal times, against the teacher or the data\n" \
                  "values other than 0.5 are rounded up to multiples of 1/32",                              \
                  .max = 1),                                                                                \
        FLM_OPT_INT("boundary", boundary, "32", "N",                                                        \
                    "of the other samples, one in N trains the whole jump from noise to text\n0 = none",    \
                    .limit = 1e9),                                                                          \
        FLM_OPT_CHOICE("target-weights", target_weights, "raw", flm_target_weights_choices,                 \
                       "weights to compute the targets of jumps with\n"                                     \
                       "raw = those of the last step, with dropout; ema = EMA weights, without dropout")

#define FLM_CMD_OPTIONS_TRAINING                                                                                       \
    FLM_OPT_GROUP("Training"), FLM_OPT_INT("steps", steps, "1000000", "N", "number of training steps", .min = 1),      \
        FLM_OPT_INT("batch", batch, "512", "N", "global batch size: sequences per step over all ranks", .min = 1,      \
                    .limit = 1 << 24),                                                                                 \
        FLM_OPT_FLOAT("lr", lr, "3e-4", "RATE", "learning rate after the warm-up", .limit = 1e3),                      \
        FLM_OPT_INT("warmup", warmup, "2500", "N", "steps of linear warm-up"),                                         \
        FLM_OPT_INT("lr-decay", lr_decay, "0", "N",                                                                    \
                    "number of last steps in which the rate falls to --lr-min\n0 = all after the warm-up; with "       \
                    "--schedule constant: none, and N > 0 is the same as linear"),                                     \
        FLM_OPT_CHOICE("schedule", schedule, "constant", flm_schedule_choices,                                         \
                       "how the learning rate falls at the end\nconstant = not at all, as in the published runs"),     \
        FLM_OPT_FLOAT("lr-min", lr_min, "0", "RATE", "learning rate that the decay ends with", .limit = 1e3),          \
        FLM_OPT_FLOAT("dropout", dropout, "0.1", "P", "dropout probability after attention and MLP", .max = 0.9),      \
        FLM_OPT_FLOAT("beta1", beta1, "0.9", "B", "decay of AdamW's first moment", .max = 0.999999),                   \
        FLM_OPT_FLOAT("beta2", beta2, "0.999", "B", "decay of AdamW's second moment", .max = 0.999999),                \
        FLM_OPT_FLOAT("eps", eps, "1e-8", "E", "AdamW's epsilon", .min = 1e-30, .limit = 1),                           \
        FLM_OPT_FLOAT("weight-decay", weight_decay, "0", "D", "AdamW's weight decay", .limit = 10),                    \
        FLM_OPT_FLOAT("clip", clip, "1", "NORM", "gradients with a larger global norm are scaled down to it",          \
                      .min = 1e-9, .limit = 1e9),                                                                      \
        FLM_OPT_FLOAT("ema-decay", ema_decay, "0.9999", "D", "decay of the EMA weights per step", .max = 0.9999999),   \
        FLM_OPT_GROUP("Memory and speed (results change by rounding only)"),                                           \
        FLM_OPT_INT("micro-batch", micro_batch, "0", "N",                                                              \
                    "sequences per rank in one forward and backward pass; gradients are "                              \
                    "accumulated over passes\n"                                                                        \
                    "0 = about 8192 tokens, 16384 on a GPU",                                                           \
                    .limit = 1 << 24),                                                                                 \
        FLM_OPT_INT("chunk", chunk, "0", "N", FLM_CMD_CHUNK_HELP, .limit = 1 << 24),                                   \
        FLM_OPT_BOOL("recompute", recompute, "no",                                                                     \
                     "recompute activations in the backward pass\nsaves memory, takes a third more time"),             \
        FLM_OPT_BOOL("plan", plan, "no",                                                                               \
                     "print the GPU memory that each rank would use, by parts, with storage, communication and, with " \
                     "--tokens-per-second or --peak-tflops, the time of the run; then exit\nworks without a GPU"),     \
        FLM_OPT_FLOAT("tokens-per-second", tokens_per_second, "0", "RATE",                                             \
                      "for --plan: measured speed of all ranks together, as metrics.jsonl has it\n0 = unknown",        \
                      .limit = 1e12)

#define FLM_CMD_OPTIONS_REPORTS                                                                                       \
    FLM_OPT_GROUP("Checkpoints and reports"),                                                                         \
        FLM_OPT_INT("checkpoint-every", checkpoint_every, "20000", "N",                                               \
                    "steps between checkpoints\n0 = only at the end"),                                                \
        FLM_OPT_INT("keep", keep, "2", "N", "number of newest checkpoints to keep\n0 = all", .limit = 1 << 20),       \
        FLM_OPT_INT("log-every", log_every, "100", "N", "steps between progress reports\n0 = only at the end"),       \
        FLM_OPT_FLOAT("peak-tflops", peak_tflops, "0", "TFLOPS",                                                      \
                      "peak speed of a rank's device, to report the utilisation\n0 = not reported", .limit = 1e6),    \
        FLM_OPT_FLOAT("stop-after", stop_after, "0", "MINUTES",                                                       \
                      "save the state and exit with code 75 after this time, as on a signal\n0 = no limit",           \
                      .limit = 1e7),                                                                                  \
        FLM_OPT_FLOAT("step-timeout", step_timeout, "0", "SECONDS",                                                   \
                      "longest time for a training step; then the job ends and names rank, node and last operation\n" \
                      "0 = no limit",                                                                                 \
                      .limit = 1e6),                                                                                  \
        FLM_OPT_GROUP("Validation"),                                                                                  \
        FLM_OPT_INT("eval-every", eval_every, "5000", "N", "steps between validations\n0 = only at the end"),         \
        FLM_OPT_INT("eval-rows", eval_rows, "4096", "N", "rows of the validation split to use\n0 = all"),             \
        FLM_OPT_INT("eval-samples", eval_samples, "0", "N",                                                           \
                    "samples to generate at each validation; their entropy is reported\n0 = none", .limit = 1 << 24), \
        FLM_OPT_LIST("eval-steps", eval_steps, "1,2,4,32", "N[,N...]",                                                \
                     "numbers of sampling steps for --eval-samples"),                                                 \
        FLM_OPT_BOOL("eval-only", eval_only, "no", "validate the newest checkpoint and exit")

#endif
