/* report_samples.c - the section with samples as text: tokens shaded by the scorer's negative log-likelihood, known
 * tokens of prompts marked. SPDX-License-Identifier: Apache-2.0 */
#include "process/process.h"
#include "report/report_html.h"
#include "report/report_internal.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHADES = 10, MAX_CHARACTER_TOKENS = 4 /* a character of UTF-8 has at most four bytes */ };

static const double nats_a_shade =
    1.2; /* the last one begins at 10.8, about the uniform distribution over GPT-2's tokens */

/* What one samples file needs to be shown. */
typedef struct viewer {
    flm_report_page *page;
    flm_samples *samples;
    flm_tokenizer *tokenizer; /* of the rows; NULL: unknown */
    flm_tokenizer *gpt2;      /* of the scorer's tokens; NULL: not needed yet */
    int32_t *ids;             /* [L] */
} viewer;

/* ---- text ---- */

/* Line breaks are shown. */
static flm_status put_visible(FILE *out, const char *text, size_t bytes)
{
    flm_status rc = FLM_OK;
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        const size_t length = end ? (size_t)(end - text) - at : bytes - at;
        FLM_TRY(flm_html_put_bytes(out, text + at, length));
        if (end) fputs("↵\n", out);
        at += length + (end != NULL);
    }
done:
    return rc;
}

static flm_status put_ids(flm_tokenizer *tokenizer, const int32_t *ids, int64_t count, FILE *out)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes;
    FLM_TRY(flm_tokenizer_decode(tokenizer, ids, (size_t)count, &text, &bytes));
    FLM_TRY(put_visible(out, text, bytes));
done:
    free(text);
    return rc;
}

/* A row, with the tokens that its prompt gave marked. */
static flm_status put_row(const viewer *v, const int32_t *prompt)
{
    flm_status rc = FLM_OK;
    FILE *out = v->page->out;
    const int64_t L = flm_samples_get_info(v->samples)->L;
    for (int64_t from = 0, to; from < L; from = to) {
        const bool known = prompt && prompt[from] != FLM_SAMPLES_FREE;
        for (to = from + 1; to < L && (prompt && prompt[to] != FLM_SAMPLES_FREE) == known;) to++;
        if (known) fputs("<mark>", out);
        FLM_TRY(put_ids(v->tokenizer, v->ids + from, to - from, out));
        if (known) fputs("</mark>", out);
    }
done:
    return rc;
}

/* ---- shaded text ---- */

static bool ends_in_replacement(const char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text + bytes - 3, "\xef\xbf\xbd", 3) == 0;
}

/* How many of the next tokens belong together, as a character is in pieces in them; *text: what they say. */
static flm_status find_group(flm_tokenizer *gpt2, const int32_t *ids, int64_t count, int64_t *group, char **text,
                             size_t *bytes)
{
    flm_status rc = FLM_OK;
    for (int64_t n = 1; n <= MAX_CHARACTER_TOKENS && n <= count; n++) {
        free(*text);
        *text = NULL;
        FLM_TRY(flm_tokenizer_decode(gpt2, ids, (size_t)n, text, bytes));
        *group = n;
        if (!ends_in_replacement(*text, *bytes)) goto done;
    }
    free(*text); /* the bytes are no UTF-8 */
    *text = NULL;
    *group = 1;
    FLM_TRY(flm_tokenizer_decode(gpt2, ids, 1, text, bytes));
done:
    return rc;
}

/* The scorer's tokens of a row. */
static flm_status put_shaded(const viewer *v, const int32_t *ids, const float *nll, int64_t count)
{
    flm_status rc = FLM_OK;
    char *text = NULL, number[FLM_HTML_NUMBER_BYTES], chance[FLM_HTML_NUMBER_BYTES];
    FILE *out = v->page->out;
    size_t bytes;
    for (int64_t i = 0, n = 1; i < count; i += n) {
        double sum = 0;
        FLM_TRY(find_group(v->gpt2, ids + i, count - i, &n, &text, &bytes));
        for (int64_t k = 0; k < n; k++) sum += nll[i + k];
        const int shade = sum > 0 ? (int)fmin(sum / nats_a_shade, SHADES - 1) : 0;
        if (i == 0) /* nothing predicts it */
            fputs("<span>", out);
        else
            fprintf(out, "<span class=\"t%d\" title=\"%s nats, p = %s\">", shade, flm_html_number(sum, number),
                    flm_html_number(exp(-sum), chance));
        FLM_TRY(put_visible(out, text, bytes));
        fputs("</span>", out);
    }
done:
    free(text);
    return rc;
}

/* The scorer's tokens of a row, if the file has them; *done: it has. */
static flm_status put_scored_row(viewer *v, int set, int64_t row, bool *done)
{
    flm_status rc = FLM_OK;
    const int64_t T = flm_samples_get_token_length(v->samples, set);
    int32_t *ids = NULL;
    float *nll = NULL;
    int64_t count = 0;
    *done = false;
    if (T == 0) return FLM_OK;
    ids = malloc((size_t)T * sizeof *ids);
    nll = malloc((size_t)T * sizeof *nll);
    if (!ids || !nll) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " tokens", T);
    if (!v->gpt2) FLM_TRY(flm_tokenizer_create("gpt2", &v->gpt2));
    FLM_TRY(flm_samples_read_tokens(v->samples, set, row, ids, nll, done));
    while (*done && count < T && ids[count] >= 0 && ids[count] < flm_tokenizer_size(v->gpt2)) count++;
    if (*done && count < T && ids[count] >= 0)
        FLM_FAIL(FLM_E_FORMAT, "row %" PRId64 ": token %" PRId32 " of the scorer is not one of GPT-2", row, ids[count]);
    if (*done) FLM_TRY(put_shaded(v, ids, nll, count));
done:
    free(ids);
    free(nll);
    return rc;
}

/* ---- rows ---- */

/* Where the known tokens are, for a row whose text is shown in the scorer's tokens. */
static flm_status put_prompt(const viewer *v, const int32_t *prompt)
{
    flm_status rc = FLM_OK;
    FILE *out = v->page->out;
    const int64_t L = flm_samples_get_info(v->samples)->L;
    fputs("<p class=\"prompt\">Prompt: ", out);
    for (int64_t from = 0, to; from < L; from = to) {
        const bool known = prompt[from] != FLM_SAMPLES_FREE;
        for (to = from + 1; to < L && (prompt[to] != FLM_SAMPLES_FREE) == known;) to++;
        if (known)
            FLM_TRY(put_ids(v->tokenizer, prompt + from, to - from, out));
        else
            fprintf(out, "<i>[%" PRId64 " token%s]</i>", to - from, to - from == 1 ? "" : "s");
    }
    fputs("</p>\n", out);
done:
    return rc;
}

static flm_status write_row(viewer *v, int set, int64_t row)
{
    flm_status rc = FLM_OK;
    const int32_t *prompt = flm_samples_get_prompt(v->samples, row);
    FILE *out = v->page->out;
    bool shaded;
    FLM_TRY(flm_samples_read(v->samples, set, row, 1, v->ids));
    fprintf(out, "<li value=\"%" PRId64 "\">", row);
    if (prompt && flm_samples_get_token_length(v->samples, set) > 0) FLM_TRY(put_prompt(v, prompt));
    fputs("<p class=\"text\">", out);
    FLM_TRY(put_scored_row(v, set, row, &shaded));
    if (!shaded) FLM_TRY(put_row(v, prompt));
    fputs("</p></li>\n", out);
done:
    return rc;
}

/* The k-th row to show: the first ones, or those of different prompts in turn. */
static int64_t row_of(const viewer *v, int64_t k)
{
    const int64_t prompts = flm_samples_get_prompts(v->samples)->count;
    return prompts == 0 ? k : k % prompts * (flm_samples_get_info(v->samples)->samples / prompts) + k / prompts;
}

static flm_status write_set(viewer *v, const flm_report_set *set, bool open)
{
    flm_status rc = FLM_OK;
    FILE *out = v->page->out;
    const int64_t rows = flm_samples_get_info(v->samples)->samples;
    char text[FLM_SAMPLES_SETTING_BYTES];
    int64_t shown = 0;
    bool present;
    fprintf(out, "<details%s><summary>", open ? " open" : "");
    FLM_TRY(
        flm_html_put_text(out, flm_samples_setting_describe(flm_samples_get_setting(v->samples, set->index), text)));
    fputs("</summary>\n<ol class=\"samples\">\n", out);
    for (int64_t k = 0; k < rows && shown < v->page->options->samples; k++) {
        const int64_t row = row_of(v, k);
        FLM_TRY(flm_process_poll());
        FLM_TRY(flm_samples_check_rows(v->samples, set->index, row, 1, &present));
        if (!present) continue;
        FLM_TRY(write_row(v, set->index, row));
        shown++;
    }
    fputs("</ol>\n", out);
    if (shown == 0)
        fputs("<p class=\"lacks\">No row yet: the job that draws them goes on, or was interrupted.</p>\n", out);
    fputs("</details>\n", out);
done:
    return rc;
}

/* The tokeniser of a file's rows, if this release has it. */
static flm_status open_tokenizer(viewer *v)
{
    flm_status rc = FLM_OK;
    const flm_vocabulary *vocabulary = &flm_samples_get_info(v->samples)->vocabulary;
    rc = flm_tokenizer_create(vocabulary->name, &v->tokenizer);
    if (rc == FLM_E_ARG) {
        flm_err_clear();
        rc = FLM_OK;
    }
    FLM_TRY(rc);
    if (v->tokenizer && (strcmp(flm_tokenizer_sha256(v->tokenizer), vocabulary->sha256) != 0 ||
                         flm_tokenizer_size(v->tokenizer) != vocabulary->V))
        flm_tokenizer_destroy(&v->tokenizer);
done:
    return rc;
}

static flm_status write_file(flm_report_page *page, int file)
{
    flm_status rc = FLM_OK;
    const flm_report_file *f = &page->sets.files[file];
    viewer v = {.page = page, .samples = f->samples};
    int last = -1;
    if (!v.samples) return FLM_OK;
    v.ids = malloc((size_t)flm_samples_get_info(v.samples)->L * sizeof *v.ids);
    if (!v.ids) FLM_FAIL(FLM_E_NOMEM, "no memory for a row");
    FLM_TRY(open_tokenizer(&v));
    fputs("<h3>", page->out);
    FLM_TRY(flm_html_put_text(page->out, f->name));
    fprintf(page->out, " <small>kind %s, step %" PRId64 "</small></h3>\n", flm_samples_get_info(v.samples)->kind,
            flm_samples_get_info(v.samples)->checkpoint_step);
    for (int i = 0; i < page->sets.count; i++)
        if (page->sets.sets[i].file == file && page->sets.sets[i].index >= 0) last = i;
    if (!v.tokenizer)
        fputs("<p class=\"lacks\">This release does not have the vocabulary of these samples.</p>\n", page->out);
    for (int i = 0; v.tokenizer && i < page->sets.count; i++)
        if (page->sets.sets[i].file == file && page->sets.sets[i].index >= 0)
            FLM_TRY(write_set(&v, &page->sets.sets[i], i == last));
done:
    free(v.ids);
    flm_tokenizer_destroy(&v.tokenizer);
    flm_tokenizer_destroy(&v.gpt2);
    return flm_err_prefix(rc, f->path);
}

static bool any_shaded(const flm_report_page *page)
{
    for (int i = 0; i < page->sets.count; i++) {
        const flm_report_set *s = &page->sets.sets[i];
        if (s->index >= 0 && flm_samples_get_token_length(page->sets.files[s->file].samples, s->index) > 0) return true;
    }
    return false;
}

static bool any_prompts(const flm_report_page *page)
{
    for (int i = 0; i < page->sets.files_count; i++)
        if (page->sets.files[i].samples && flm_samples_get_prompts(page->sets.files[i].samples)->count > 0) return true;
    return false;
}

static void write_shades(FILE *out)
{
    fputs("<p class=\"shades\" aria-label=\"shades\">", out);
    for (int i = 0; i < SHADES; i++)
        fprintf(out, "<span class=\"t%d\">%s%g</span>", i, i == SHADES - 1 ? "≥ " : "", i * nats_a_shade);
    fputs(" nats a token</p>\n", out);
}

flm_status flm_report_page_write_samples(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    bool any = false;
    for (int i = 0; i < page->sets.files_count; i++) any = any || page->sets.files[i].samples;
    if (!any) {
        flm_report_page_lacks(page, "samples", "Samples",
                              "No samples: give a samples file of <code>flm_generate</code>.");
        return FLM_OK;
    }
    if (any_shaded(page)) {
        flm_report_page_begin(page, "samples", "Samples",
                              "The stronger its shade, the less the scorer expected a token after those before it; the "
                              "pointer shows the number.");
        write_shades(page->out);
    } else {
        flm_report_page_begin(
            page, "samples", "Samples",
            "Not shaded by likelihood: <code>flm_score --gpt2 GPT2.h5 --token-nll SAMPLES.h5</code> adds "
            "what that needs.");
    }
    if (any_prompts(page)) fputs("<p>Marked: the tokens that the prompt gave.</p>\n", page->out);
    for (int i = 0; i < page->sets.files_count; i++) FLM_TRY(write_file(page, i));
    flm_report_page_end(page);
done:
    return rc;
}
