/* flm_generate.c - the program: a checkpoint in, a samples file out. SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_options.h"
#include "process/process.h"
#include "sample/sample_generate.h"

#define AT(field)     offsetof(flm_generate_options, field)
#define FLM_EXACT_MAX 9007199254740992.0 /* 2^53: what a double counts exactly */

static const char *const weights_choices[] = {"ema", "raw", NULL};

static const flm_option table[] = {
    {"checkpoint", FLM_OPTION_STRING, AT(checkpoint), NULL, 0, 0, NULL, "Files", "FILE|DIR",
     "A checkpoint of any kind (flm, fmlm-two-model, fmlm-two-stage), or a run directory: its newest", true},
    {"teacher", FLM_OPTION_STRING, AT(teacher), "", 0, 0, NULL, "Files", "FILE|DIR",
     "The teacher of an fmlm-two-model checkpoint, if it has moved", false},
    {"out", FLM_OPTION_STRING, AT(out), NULL, 0, 0, NULL, "Files", "FILE",
     "Samples file; one begun by the same command is finished", true},
    {"text", FLM_OPTION_BOOL, AT(text), "no", 0, 0, NULL, "Files", NULL, "Print the samples as text too", false},
    {"weights", FLM_OPTION_CHOICE, AT(weights), "ema", 0, 0, weights_choices, "Sampling", "SET",
     "The averaged weights, or those of the last step", false},
    {"samples", FLM_OPTION_INT, AT(samples), "64", 1, FLM_EXACT_MAX, NULL, "Sampling", "N",
     "Samples of each number of steps", false},
    {"steps", FLM_OPTION_LIST, AT(steps), "128", 0, 0, NULL, "Sampling", "N[,N...]", "Euler steps a sample", false},
    {"batch", FLM_OPTION_INT, AT(batch), "64", 1, 1 << 24, NULL, "Sampling", "N", "Samples a rank makes at once",
     false},
    {"chunk", FLM_OPTION_INT, AT(chunk), "0", 0, 1 << 24, NULL, "Sampling", "N",
     "Rows of logits held at once; 0: about 16 M logits, 256 M on a GPU", false},
    {"score", FLM_OPTION_STRING, AT(score), "", 0, 0, NULL, "Scoring", "FILE",
     "Then score the samples with this GPT-2 (flm_convert makes one), as flm_score does", false},
    {"score-batch", FLM_OPTION_INT, AT(score_batch), "8", 1, 1 << 20, NULL, "Scoring", "N",
     "Texts a rank scores at once", false},
    {"json", FLM_OPTION_STRING, AT(json), "", 0, 0, NULL, "Scoring", "FILE",
     "generative_ppl, entropy and generated_seqs, as the published evaluation writes them; of several numbers of steps "
     "an "
     "object for each",
     false},
    FLM_OPTIONS_COMMON(flm_generate_options),
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
    FLM_TRY(flm_options_parse("flm_generate", "Generate text from a checkpoint.", NULL, table,
                              sizeof table / sizeof table[0], argc, argv, &o, flm_comm_rank(world) == 0, &stop,
                              &options));
    if (stop) goto done;
    FLM_TRY(flm_comm_agree(world,
                           flm_backend_create((flm_device)o.device, (int)o.threads, flm_comm_local_rank(world), &be)));
    FLM_TRY(flm_generate_run(world, be, &o, flm_process_stop_requested));
done:
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    flm_options_destroy(&options);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
