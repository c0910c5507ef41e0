/* flm_train.c - the program: shards in, checkpoints and metrics out. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_options.h"
#include "cmd/cmd_run.h"
#include "train/train_run.h"

#define AT(field) offsetof(flm_train_options, field)
#define MOST      9007199254740992.0 /* 2^53: what a double counts exactly */

static const flm_option table[] = {
    {"data", FLM_OPTION_STRING, AT(data), NULL, 0, 0, NULL, "Files", "DIR", "Shards (flm_shard)", true},
    {"out", FLM_OPTION_STRING, AT(out), NULL, 0, 0, NULL, "Files", "DIR",
     "Run directory: config.ini, metrics.jsonl, checkpoints/", true},
    {"resume", FLM_OPTION_STRING, AT(resume), "auto", 0, 0, NULL, "Files", "auto|no|FILE",
     "Go on from the run directory's newest whole checkpoint; from nothing; or from this checkpoint", false},
    {"preset", FLM_OPTION_STRING, AT(preset), "small", 0, 0, NULL, "Network", "small|tiny",
     "Sizes: small d 768, H 12, c 128, N 12; tiny d 128, H 4, c 64, N 4", false},
    {"hidden-size", FLM_OPTION_INT, AT(hidden_size), "0", 0, 65536, NULL, "Network", "d", "0: the preset's", false},
    {"heads", FLM_OPTION_INT, AT(heads), "0", 0, 4096, NULL, "Network", "H", "0: the preset's", false},
    {"cond-size", FLM_OPTION_INT, AT(cond_size), "0", 0, 65536, NULL, "Network", "c", "0: the preset's", false},
    {"blocks", FLM_OPTION_INT, AT(blocks), "0", 0, 4096, NULL, "Network", "N", "0: the preset's", false},
    {"dropout", FLM_OPTION_FLOAT, AT(dropout), "0.1", 0, 0.9, NULL, "Network", "P", "After attention and MLP", false},
    {"steps", FLM_OPTION_INT, AT(steps), "1000000", 1, MOST, NULL, "Training", "N", "Updates in all", false},
    {"batch", FLM_OPTION_INT, AT(batch), "512", 1, 1 << 24, NULL, "Training", "N",
     "Sequences a step, all ranks together", false},
    {"micro-batch", FLM_OPTION_INT, AT(micro_batch), "0", 0, 1 << 24, NULL, "Training", "N",
     "Sequences a rank holds at once; 0: about 8192 tokens", false},
    {"chunk", FLM_OPTION_INT, AT(chunk), "0", 0, 1 << 24, NULL, "Training", "N",
     "Rows of logits held at once; 0: about 16 M logits", false},
    {"lr", FLM_OPTION_FLOAT, AT(lr), "3e-4", 0, 1e3, NULL, "Training", "RATE", "Learning rate after the warm-up", false},
    {"warmup", FLM_OPTION_INT, AT(warmup), "2500", 0, MOST, NULL, "Training", "N", "Updates of linear warm-up", false},
    {"beta1", FLM_OPTION_FLOAT, AT(beta1), "0.9", 0, 0.999999, NULL, "Training", "B", "AdamW", false},
    {"beta2", FLM_OPTION_FLOAT, AT(beta2), "0.999", 0, 0.999999, NULL, "Training", "B", "AdamW", false},
    {"eps", FLM_OPTION_FLOAT, AT(eps), "1e-8", 1e-30, 1, NULL, "Training", "E", "AdamW", false},
    {"weight-decay", FLM_OPTION_FLOAT, AT(weight_decay), "0", 0, 10, NULL, "Training", "D", "AdamW", false},
    {"clip", FLM_OPTION_FLOAT, AT(clip), "1", 1e-9, 1e9, NULL, "Training", "NORM",
     "Gradients are scaled down to this global norm", false},
    {"ema-decay", FLM_OPTION_FLOAT, AT(ema_decay), "0.9999", 0, 0.9999999, NULL, "Training", "D",
     "Of the averaged weights", false},
    {"eval-every", FLM_OPTION_INT, AT(eval_every), "5000", 0, MOST, NULL, "Reports", "N",
     "Steps between validations; 0: at the end alone", false},
    {"eval-rows", FLM_OPTION_INT, AT(eval_rows), "4096", 0, MOST, NULL, "Reports", "N",
     "Held-out rows to validate on; 0: all", false},
    {"eval-only", FLM_OPTION_BOOL, AT(eval_only), "no", 0, 0, NULL, "Reports", NULL,
     "Validate the newest checkpoint and end", false},
    {"checkpoint-every", FLM_OPTION_INT, AT(checkpoint_every), "20000", 0, MOST, NULL, "Reports", "N",
     "Steps between checkpoints; 0: at the end alone", false},
    {"keep", FLM_OPTION_INT, AT(keep), "2", 0, 1 << 20, NULL, "Reports", "N", "Checkpoints to keep; 0: all", false},
    {"log-every", FLM_OPTION_INT, AT(log_every), "100", 0, MOST, NULL, "Reports", "N",
     "Steps between reports; 0: at the end alone", false},
    {"peak-tflops", FLM_OPTION_FLOAT, AT(peak_tflops), "0", 0, 1e6, NULL, "Reports", "TFLOPS",
     "Peak of a rank's device, for the share of it in the reports; 0: not known", false},
    FLM_OPTIONS_COMMON(flm_train_options),
};

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *options = NULL;
    flm_train_options o = {0};
    bool stop = false;
    FLM_TRY(flm_run_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse("flm_train", "Train a flow language model on shards.", NULL, table,
                              sizeof table / sizeof table[0], argc, argv, &o, flm_comm_rank(world) == 0, &stop,
                              &options));
    if (stop) goto done;
    FLM_TRY(flm_comm_agree(world, flm_backend_create((flm_device)o.device, (int)o.threads,
                                                     flm_comm_local_rank(world), &be)));
    FLM_TRY(flm_train_run(world, be, &o, options, flm_run_stop_requested));
done:
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_run_fail(rc);
    flm_options_destroy(&options);
    flm_backend_destroy(&be);
    return flm_run_finish(rc, &world);
}
