/* cmd_train_options.h - what flm_train and flm_distill share: rows of their tables (files, schedule, reports), and
 * main. Rows are macros, because an option table is an array. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CMD_TRAIN_OPTIONS_H
#define FLM_CMD_TRAIN_OPTIONS_H

#include "cmd/cmd_options.h"
#include "train/train_run.h"

#define AT(field)     offsetof(flm_train_options, field)
#define FLM_EXACT_MAX 9007199254740992.0 /* 2^53: what a double counts exactly */

/* flm_train_main - the whole of a program whose table fills flm_train_options: options, device, run. Returns main's
 * exit status, or ends the job. Collective over the world. */
int flm_train_main(const char *program, const char *purpose, const flm_option *table, int count, int argc, char **argv);

/* clang-format off: a row a line, as in any other table */
#define FLM_OPTIONS_RUN                                                                                            \
    {"data", FLM_OPTION_STRING, AT(data), NULL, 0, 0, NULL, "Files", "DIR", "Shards (flm_shard)", true},           \
        {"out",   FLM_OPTION_STRING,                                                                               \
         AT(out), NULL,                                                                                            \
         0,       0,                                                                                               \
         NULL,    "Files",                                                                                         \
         "DIR",   "Run directory: config.ini, metrics.jsonl, checkpoints/",                                        \
         true},                                                                                                    \
    {                                                                                                              \
        "resume", FLM_OPTION_STRING, AT(resume), "auto", 0, 0, NULL, "Files", "auto|no|FILE",                      \
            "Go on from the run directory's newest whole checkpoint; from nothing; or from this checkpoint", false \
    }

#define FLM_OPTIONS_TRAINING                                                                                            \
    {                                                                                                                   \
        "dropout", FLM_OPTION_FLOAT,          AT(dropout), "0.1", 0, 0.9, NULL, "Training",                             \
        "P",       "After attention and MLP", false},                                                                   \
        {"steps", FLM_OPTION_INT, AT(steps), "1000000",        1,    FLM_EXACT_MAX,                                     \
         NULL,    "Training",     "N",       "Updates in all", false},                                                  \
        {"batch", FLM_OPTION_INT, AT(batch),  "512", 1,                                                                 \
         1 << 24, NULL,           "Training", "N",   "Sequences a step, all ranks together",                            \
         false},                                                                                                        \
        {"micro-batch",                                                                                                 \
         FLM_OPTION_INT,                                                                                                \
         AT(micro_batch),                                                                                               \
         "0",                                                                                                           \
         0,                                                                                                             \
         1 << 24,                                                                                                       \
         NULL,                                                                                                          \
         "Training",                                                                                                    \
         "N",                                                                                                           \
         "Sequences a rank holds at once; 0: about 8192 tokens, 16384 on a GPU",                                        \
         false},                                                                                                        \
        {"chunk", FLM_OPTION_INT, AT(chunk),  "0", 0,                                                                   \
         1 << 24, NULL,           "Training", "N", "Rows of logits held at once; 0: about 16 M logits, 256 M on a GPU", \
         false},                                                                                                        \
        {"recompute",                                                                                                   \
         FLM_OPTION_BOOL,                                                                                               \
         AT(recompute),                                                                                                 \
         "no",                                                                                                          \
         0,                                                                                                             \
         0,                                                                                                             \
         NULL,                                                                                                          \
         "Training",                                                                                                    \
         NULL,                                                                                                          \
         "Make activations again in the backward pass: less memory, a third more time",                                 \
         false},                                                                                                        \
        {"lr", FLM_OPTION_FLOAT, AT(lr), "3e-4", 0, 1e3, NULL, "Training", "RATE", "Learning rate after the warm-up",   \
         false},                                                                                                        \
        {"warmup",      FLM_OPTION_INT, AT(warmup), "2500", 0,                                                          \
         FLM_EXACT_MAX, NULL,           "Training", "N",    "Updates of linear warm-up",                                \
         false},                                                                                                        \
        {"lr-decay",                                                                                                    \
         FLM_OPTION_INT,                                                                                                \
         AT(lr_decay),                                                                                                  \
         "0",                                                                                                           \
         0,                                                                                                             \
         FLM_EXACT_MAX,                                                                                                 \
         NULL,                                                                                                          \
         "Training",                                                                                                    \
         "N",                                                                                                           \
         "The last updates of --steps, over which the rate falls to zero; 0: it stays, as published",                   \
         false},                                                                                                        \
        {"beta1", FLM_OPTION_FLOAT, AT(beta1), "0.9", 0, 0.999999, NULL, "Training", "B", "AdamW", false},              \
        {"beta2", FLM_OPTION_FLOAT, AT(beta2), "0.999", 0, 0.999999, NULL, "Training", "B", "AdamW", false},            \
        {"eps", FLM_OPTION_FLOAT, AT(eps), "1e-8", 1e-30, 1, NULL, "Training", "E", "AdamW", false},                    \
        {"weight-decay", FLM_OPTION_FLOAT, AT(weight_decay), "0", 0, 10, NULL, "Training", "D", "AdamW", false},        \
        {"clip",   FLM_OPTION_FLOAT,                                                                                    \
         AT(clip), "1",                                                                                                 \
         1e-9,     1e9,                                                                                                 \
         NULL,     "Training",                                                                                          \
         "NORM",   "Gradients are scaled down to this global norm",                                                     \
         false},                                                                                                        \
    {                                                                                                                   \
        "ema-decay", FLM_OPTION_FLOAT, AT(ema_decay), "0.9999", 0, 0.9999999, NULL, "Training", "D",                    \
            "Of the averaged weights", false                                                                            \
    }

#define FLM_OPTIONS_REPORTS                                                                                              \
    {"eval-every",  FLM_OPTION_INT, AT(eval_every), "5000", 0,                                                           \
     FLM_EXACT_MAX, NULL,           "Reports",      "N",    "Steps between validations; 0: at the end alone",            \
     false},                                                                                                             \
        {"eval-rows",   FLM_OPTION_INT, AT(eval_rows), "4096", 0,                                                        \
         FLM_EXACT_MAX, NULL,           "Reports",     "N",    "Held-out rows to validate on; 0: all",                   \
         false},                                                                                                         \
        {"eval-samples",                                                                                                 \
         FLM_OPTION_INT,                                                                                                 \
         AT(eval_samples),                                                                                               \
         "0",                                                                                                            \
         0,                                                                                                              \
         1 << 24,                                                                                                        \
         NULL,                                                                                                           \
         "Reports",                                                                                                      \
         "N",                                                                                                            \
         "Samples to make at every validation, and report the entropy of; 0: none",                                      \
         false},                                                                                                         \
        {"eval-steps",                                                                                                   \
         FLM_OPTION_LIST,                                                                                                \
         AT(eval_steps),                                                                                                 \
         "1,2,4,32",                                                                                                     \
         0,                                                                                                              \
         0,                                                                                                              \
         NULL,                                                                                                           \
         "Reports",                                                                                                      \
         "N[,N...]",                                                                                                     \
         "Numbers of steps to make them with",                                                                           \
         false},                                                                                                         \
        {"eval-only",                                                                                                    \
         FLM_OPTION_BOOL,                                                                                                \
         AT(eval_only),                                                                                                  \
         "no",                                                                                                           \
         0,                                                                                                              \
         0,                                                                                                              \
         NULL,                                                                                                           \
         "Reports",                                                                                                      \
         NULL,                                                                                                           \
         "Validate the newest checkpoint and end",                                                                       \
         false},                                                                                                         \
        {"plan",   FLM_OPTION_BOOL,                                                                                      \
         AT(plan), "no",                                                                                                 \
         0,        0,                                                                                                    \
         NULL,     "Reports",                                                                                            \
         NULL,     "Print the memory that a rank would take on its device, by part, and end; on any machine",            \
         false},                                                                                                         \
        {"checkpoint-every",                                                                                             \
         FLM_OPTION_INT,                                                                                                 \
         AT(checkpoint_every),                                                                                           \
         "20000",                                                                                                        \
         0,                                                                                                              \
         FLM_EXACT_MAX,                                                                                                  \
         NULL,                                                                                                           \
         "Reports",                                                                                                      \
         "N",                                                                                                            \
         "Steps between checkpoints; 0: at the end alone",                                                               \
         false},                                                                                                         \
        {"keep", FLM_OPTION_INT, AT(keep), "2", 0, 1 << 20, NULL, "Reports", "N", "Checkpoints to keep; 0: all", false}, \
        {"log-every",   FLM_OPTION_INT, AT(log_every), "100", 0,                                                         \
         FLM_EXACT_MAX, NULL,           "Reports",     "N",   "Steps between reports; 0: at the end alone",              \
         false},                                                                                                         \
    {                                                                                                                    \
        "peak-tflops", FLM_OPTION_FLOAT, AT(peak_tflops), "0", 0, 1e6, NULL, "Reports", "TFLOPS",                        \
            "Peak of a rank's device, for the share of it in the reports; 0: not known", false                           \
    }
/* clang-format on */

#endif
