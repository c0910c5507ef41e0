/* sample_text.c - samples as text on stdout. SPDX-License-Identifier: Apache-2.0 */
#include "sample/sample_internal.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static flm_status print_ids(flm_tokenizer *tokenizer, const int32_t *ids, int64_t count)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes;
    FLM_TRY(flm_tokenizer_decode(tokenizer, ids, (size_t)count, &text, &bytes));
    fwrite(text, 1, bytes, stdout);
done:
    free(text);
    return rc;
}

/* A prompt up to its last known token: the begin id is left out, and the mask stands for a token to fill in.
 * *inside: whether there is one. */
static flm_status print_prompt(const flm_generation *g, flm_tokenizer *tokenizer, const int32_t *prompt, int64_t *end,
                               bool *inside)
{
    flm_status rc = FLM_OK;
    *inside = false;
    for (*end = g->info.L; *end > 0 && prompt[*end - 1] < 0; --*end) continue;
    for (int64_t l = prompt[0] == g->info.vocabulary.begin_id; l < *end;) {
        int64_t next = l;
        while (next < *end && prompt[next] >= 0) next++;
        if (next > l) FLM_TRY(print_ids(tokenizer, prompt + l, next - l));
        if (next < *end) fputs(g->o->mask, stdout);
        *inside = *inside || next < *end;
        l = next + (next < *end);
    }
    putchar('\n');
done:
    return rc;
}

/* Sample i. With a prompt: the prompt, then what follows it, or all of the row if tokens inside it were filled in. */
static flm_status print_sample(const flm_generation *g, flm_tokenizer *tokenizer, int64_t i, const char *setting)
{
    flm_status rc = FLM_OK;
    const int32_t *prompt = flm_samples_get_prompt(g->file, i);
    int64_t end = 0;
    bool inside = true;
    printf("== sample %" PRId64 ", %s", i, setting);
    if (prompt != NULL) {
        printf(", prompt %" PRId64 "\n-- prompt\n", i / g->o->samples_per_prompt);
        FLM_TRY(print_prompt(g, tokenizer, prompt, &end, &inside));
        fputs(inside ? "-- filled in\n" : "-- completion\n", stdout);
        if (inside) end = prompt[0] == g->info.vocabulary.begin_id;
    } else {
        putchar('\n');
    }
    FLM_TRY(print_ids(tokenizer, g->ids + end, g->info.L - end));
    putchar('\n');
done:
    return rc;
}

flm_status flm_generation_print_text(flm_generation *g)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    char setting[FLM_SAMPLES_SETTING_BYTES];
    rc = flm_tokenizer_create(g->info.vocabulary.name, &tokenizer);
    FLM_TRY(rc == FLM_E_ARG ? flm_err_prefix(FLM_E_FORMAT, g->path) : rc);
    if (strcmp(flm_tokenizer_sha256(tokenizer), g->info.vocabulary.sha256) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "%s: its vocabulary %s (sha256 %.8s...) differs from this release's", g->path,
                 g->info.vocabulary.name, g->info.vocabulary.sha256);
    for (int s = 0; s < g->count; s++)
        for (int64_t i = 0; i < g->info.samples; i++) {
            FLM_TRY(flm_samples_read(g->file, g->sets[s], i, 1, g->ids));
            FLM_TRY(print_sample(g, tokenizer, i, flm_samples_setting_describe(&g->settings[s], setting)));
        }
done:
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}
