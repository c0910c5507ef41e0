/* flm_score.c - the program: samples and texts in, generative perplexity, entropy and diversity out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_options.h"
#include "process/process.h"
#include "sample/sample_checkpoints.h"
#include "score/score_files.h"

#include <stdlib.h>

#define AT(field)     offsetof(flm_score_options, field)
#define FLM_EXACT_MAX 9007199254740992.0 /* 2^53: what a double counts exactly */

static const char *const documents_choices[] = {"line", "file", NULL};

static const flm_option table[] = {
    {"gpt2", FLM_OPTION_STRING, AT(gpt2), "", 0, 0, NULL, "Files", "FILE",
     "The GPT-2 that scores, made by flm_convert; published figures use gpt2-large", false},
    {"json", FLM_OPTION_STRING, AT(json), "", 0, 0, NULL, "Files", "FILE",
     "Write the figures there too; scripts/plot-scores draws them", false},
    {"compare", FLM_OPTION_BOOL, AT(compare), "no", 0, 0, NULL, "Files", NULL,
     "Side by side, a line a number of steps; without --gpt2 of what the files say. Checkpoints are sampled first",
     false},
    {"samples-dir", FLM_OPTION_STRING, AT(samples_dir), "", 0, 0, NULL, "Files", "DIR",
     "Where samples of checkpoints that are compared go, and are found again", false},
    {"scores-dir", FLM_OPTION_STRING, AT(scores_dir), "", 0, 0, NULL, "Files", "DIR",
     "Store the scores of texts there, and reuse those that are there (samples files hold their own)", false},
    {"steps", FLM_OPTION_LIST, AT(steps), "", 0, 0, NULL, "Files", "N[,N...]",
     "Of samples files these numbers of steps, all when not given; of checkpoints the steps to sample with", false},
    {"field", FLM_OPTION_STRING, AT(field), "text", 0, 0, NULL, "Files", "NAME", "Where the text is in a line of JSON",
     false},
    {"documents", FLM_OPTION_CHOICE, AT(documents), "line", 0, 0, documents_choices, "Files", "line|file",
     "What a text is in a plain file", false},
    {"batch", FLM_OPTION_INT, AT(batch), "8", 1, 1 << 20, NULL, "Scoring", "N", "Texts a rank scores at once", false},
    {"length", FLM_OPTION_INT, AT(length), "0", 0, 1 << 20, NULL, "Scoring", "N",
     "GPT-2 tokens of a text at most; 0: as published, the samples' own length, and GPT-2's", false},
    {"chunk", FLM_OPTION_INT, AT(chunk), "0", 0, 1 << 24, NULL, "Scoring", "N",
     "Rows of logits held at once; 0: about 16 M logits, 256 M on a GPU", false},
    {"bootstrap", FLM_OPTION_INT, AT(bootstrap), "1000", 1, 1 << 24, NULL, "Scoring", "N",
     "Draws of samples for the interval of Gen-PPL", false},
    {"samples", FLM_OPTION_INT, AT(samples), "64", 1, FLM_EXACT_MAX, NULL, "Sampling of checkpoints", "N",
     "Samples of each number of steps", false},
    {"sample-batch", FLM_OPTION_INT, AT(sample_batch), "64", 1, 1 << 24, NULL, "Sampling of checkpoints", "N",
     "Samples a rank makes at once", false},
    FLM_OPTIONS_COMMON(flm_score_options),
};

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *words = NULL;
    flm_score_options o = {0};
    char **files = NULL;
    bool stop = false;
    int count = 0;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse("flm_score", "Score samples and texts with GPT-2.", "FILE...", table,
                              sizeof table / sizeof table[0], argc, argv, &o, flm_comm_rank(world) == 0, &stop,
                              &words));
    if (stop) goto done;
    const char *const *paths = flm_options_positional(words, &count);
    FLM_TRY(flm_comm_agree(world,
                           flm_backend_create((flm_device)o.device, (int)o.threads, flm_comm_local_rank(world), &be)));
    files = calloc((size_t)count + 1, sizeof *files);
    FLM_TRY(flm_comm_agree(world, files ? FLM_OK : flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory")));
    FLM_TRY(flm_sample_checkpoints_generate(world, be, &o, paths, count, files, flm_process_stop_requested));
    FLM_TRY(flm_score_files_run(world, be, &o, (const char *const *)files, count, flm_process_stop_requested));
done:
    for (int i = 0; files && i < count; i++) free(files[i]);
    free(files);
    if (rc != FLM_OK && rc != FLM_E_INTERRUPTED) flm_process_fail(rc);
    flm_options_destroy(&words);
    flm_backend_destroy(&be);
    return flm_process_finish(rc, &world);
}
