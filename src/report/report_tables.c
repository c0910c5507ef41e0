/* report_tables.c - the sections about runs as a whole: overview, settings, checkpoints, machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "report/report_html.h"
#include "report/report_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- overview ---- */

/* The last number of a run that is not NaN; *step: of which step. */
static double last_of(const flm_report_run *run, flm_report_metric metric, int64_t *step)
{
    for (int64_t i = run->count - 1; i >= 0; i--) {
        const double value = flm_report_run_value(run, i, metric);
        if (isnan(value)) continue;
        if (step) *step = (int64_t)flm_report_run_value(run, i, FLM_METRIC_STEP);
        return value;
    }
    return NAN;
}

static double sum_of(const flm_report_run *run, flm_report_metric metric)
{
    double sum = 0;
    for (int64_t i = 0; i < run->count; i++) {
        const double value = flm_report_run_value(run, i, metric);
        if (!isnan(value)) sum += value;
    }
    return sum;
}

static double trained_seconds(const flm_report_run *run)
{
    return sum_of(run, FLM_METRIC_SECONDS_DATA) + sum_of(run, FLM_METRIC_SECONDS_COMPUTE) +
           sum_of(run, FLM_METRIC_SECONDS_COMMUNICATION);
}

static void put_progress(const flm_report_run *run, FILE *out)
{
    char a[FLM_HTML_NUMBER_BYTES], b[FLM_HTML_NUMBER_BYTES], when[32];
    const int64_t step = flm_report_run_step(run), steps = flm_report_run_steps(run);
    const bool unfinished = steps > 0 && step < steps;
    struct tm utc;
    fprintf(out, "<dt>Progress</dt><dd>step %s", flm_html_count(step, a));
    if (steps > 0) fprintf(out, " of %s", flm_html_count(steps, b));
    if (unfinished && run->has_metrics && gmtime_r(&run->modified, &utc) &&
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &utc) > 0)
        fprintf(out, ", <strong>not finished</strong>: last report %s UTC", when);
    fputs("</dd>\n", out);
    if (steps > 0)
        fprintf(out, "<dd class=\"progress\"><span style=\"width:%.0f%%\"></span></dd>\n",
                step < steps ? 100 * (double)step / (double)steps : 100);
}

static void put_losses(const flm_report_run *run, FILE *out)
{
    char a[FLM_HTML_NUMBER_BYTES], b[FLM_HTML_NUMBER_BYTES];
    int64_t step = 0;
    const double loss = last_of(run, FLM_METRIC_LOSS, NULL), valid = last_of(run, FLM_METRIC_VALID_LOSS, &step);
    if (!isnan(loss)) fprintf(out, "<dt>Loss</dt><dd>%s nats a token</dd>\n", flm_html_number(loss, a));
    if (!isnan(valid))
        fprintf(out, "<dt>Validation loss</dt><dd>%s at step %s</dd>\n", flm_html_number(valid, a),
                flm_html_count(step, b));
}

static flm_status put_network(const flm_report_run *run, FILE *out)
{
    flm_status rc = FLM_OK;
    char a[FLM_HTML_NUMBER_BYTES], b[FLM_HTML_NUMBER_BYTES];
    const flm_report_checkpoint *c = flm_report_run_newest(run);
    if (!c) return FLM_OK;
    fprintf(out,
            "<dt>Network</dt><dd>%s parameters: width %" PRId64 ", %" PRId64 " blocks of %" PRId64
            " heads, condition %" PRId64 "</dd>\n",
            flm_html_short((double)c->parameters, a), c->info.d, c->info.N, c->info.H, c->info.c);
    fprintf(out, "<dt>Text</dt><dd>%" PRId64 " tokens a sequence, tokeniser ", c->info.L);
    FLM_TRY(flm_html_put_text(out, c->info.vocabulary.name));
    fprintf(out, " (%s tokens)</dd>\n", flm_html_count(c->info.vocabulary.V, a));
    fprintf(out, "<dt>Trained on</dt><dd>%s tokens, %s passes over %s rows</dd>\n",
            flm_html_short((double)c->info.tokens_seen, a),
            c->info.data_rows > 0 ? flm_html_number((double)c->info.rows_read / (double)c->info.data_rows, b) : "–",
            c->info.data_rows > 0 ? flm_html_count(c->info.data_rows, (char[FLM_HTML_NUMBER_BYTES]){0}) : "–");
done:
    return rc;
}

static flm_status write_card(flm_report_page *page, int index)
{
    flm_status rc = FLM_OK;
    const flm_report_run *run = &page->runs[index];
    const double seconds = trained_seconds(run), tokens = last_of(run, FLM_METRIC_TOKENS_SEEN, NULL);
    char a[FLM_HTML_NUMBER_BYTES], b[FLM_HTML_NUMBER_BYTES];
    fputs("<article class=\"card\">\n<h3>", page->out);
    FLM_TRY(flm_report_page_put_run(page, index));
    fputs("</h3>\n<dl>\n<dt>Kind</dt><dd>", page->out);
    FLM_TRY(flm_html_put_text(page->out, *flm_report_run_kind(run) ? flm_report_run_kind(run) : "not recorded yet"));
    fputs("</dd>\n", page->out);
    put_progress(run, page->out);
    put_losses(run, page->out);
    FLM_TRY(put_network(run, page->out));
    if (seconds > 0)
        fprintf(page->out, "<dt>Time</dt><dd>%s, %s tokens a second</dd>\n", flm_html_seconds(seconds, a),
                flm_html_short(tokens / seconds, b));
    fputs("</dl>\n", page->out);
    if (run->open)
        fputs("<p class=\"note\">The last line of metrics.jsonl is incomplete and left out: the run goes on, or was "
              "killed while it wrote it.</p>\n",
              page->out);
    if (strcmp(run->path, run->name) != 0) {
        fputs("<p class=\"path\">", page->out);
        FLM_TRY(flm_html_put_text(page->out, run->path));
        fputs("</p>\n", page->out);
    }
    fputs("</article>\n", page->out);
done:
    return rc;
}

flm_status flm_report_page_write_runs(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    if (page->runs_count == 0) {
        flm_report_page_lacks(
            page, "runs", "Runs",
            "No run: give the directory of a run of <code>flm_train</code> or <code>flm_distill</code>.");
        return FLM_OK;
    }
    flm_report_page_begin(page, "runs", "Runs", NULL);
    fputs("<div class=\"cards\">\n", page->out);
    for (int i = 0; i < page->runs_count; i++) FLM_TRY(write_card(page, i));
    fputs("</div>\n", page->out);
    flm_report_page_end(page);
done:
    return rc;
}

/* ---- settings ---- */

static const char *setting_of(const flm_report_page *page, int run, const char *option)
{
    const char *value = flm_report_run_setting(&page->runs[run], option);
    return value ? value : "";
}

static bool differs(const flm_report_page *page, const char *option)
{
    for (int i = 1; i < page->runs_count; i++)
        if (strcmp(setting_of(page, i, option), setting_of(page, 0, option)) != 0) return true;
    return false;
}

/* Whether an option of a run is one of an earlier run, too. */
static bool was_listed(const flm_report_page *page, int run, const char *option)
{
    for (int i = 0; i < run; i++)
        if (flm_report_run_setting(&page->runs[i], option)) return true;
    return false;
}

static flm_status write_setting(flm_report_page *page, const char *option)
{
    flm_status rc = FLM_OK;
    fputs("<tr><th scope=\"row\">", page->out);
    FLM_TRY(flm_html_put_text(page->out, option));
    fputs("</th>", page->out);
    for (int i = 0; i < page->runs_count; i++) {
        const char *value = setting_of(page, i, option);
        fputs("<td>", page->out);
        FLM_TRY(flm_html_put_text(page->out, *value ? value : "–"));
        fputs("</td>", page->out);
    }
    fputs("</tr>\n", page->out);
done:
    return rc;
}

/* The options that the runs have in common, or those that they have not, in the order of the first run that has them.
 */
static flm_status write_options(flm_report_page *page, bool different)
{
    flm_status rc = FLM_OK;
    fputs("<div class=\"scroll\"><table class=\"settings\">\n<thead><tr><th scope=\"col\">option</th>", page->out);
    for (int i = 0; i < page->runs_count; i++) {
        fputs("<th scope=\"col\">", page->out);
        FLM_TRY(flm_report_page_put_run(page, i));
        fputs("</th>", page->out);
    }
    fputs("</tr></thead>\n<tbody>\n", page->out);
    for (int i = 0; i < page->runs_count; i++)
        for (void *at = json_object_iter((json_t *)page->runs[i].config); at;
             at = json_object_iter_next((json_t *)page->runs[i].config, at)) {
            const char *option = json_object_iter_key(at);
            if (!was_listed(page, i, option) && differs(page, option) == different)
                FLM_TRY(write_setting(page, option));
        }
    fputs("</tbody>\n</table></div>\n", page->out);
done:
    return rc;
}

flm_status flm_report_page_write_settings(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    bool any = false, different = false;
    for (int i = 0; i < page->runs_count; i++) any = any || json_object_size(page->runs[i].config) > 0;
    for (int i = 1; i < page->runs_count; i++)
        different = different || !json_equal(page->runs[i].config, page->runs[0].config);
    if (!any) {
        flm_report_page_lacks(page, "settings", "Settings",
                              "No settings: they are in the first line of a run's <code>metrics.jsonl</code>.");
        return FLM_OK;
    }
    flm_report_page_begin(page, "settings", "Settings", "All options, as the last start of each run resolved them.");
    if (different) {
        fputs("<h3>Options that differ</h3>\n", page->out);
        FLM_TRY(write_options(page, true));
    }
    fprintf(page->out, "<details%s><summary>%s</summary>\n", different ? "" : " open",
            different ? "Options that are the same" : "Options");
    FLM_TRY(write_options(page, false));
    fputs("</details>\n", page->out);
    flm_report_page_end(page);
done:
    return rc;
}

/* ---- checkpoints ---- */

/* The validation loss at a step, or NaN. */
static double valid_loss_at(const flm_report_run *run, int64_t step)
{
    for (int64_t i = run->count - 1; i >= 0; i--)
        if (flm_report_run_value(run, i, FLM_METRIC_STEP) == (double)step &&
            !isnan(flm_report_run_value(run, i, FLM_METRIC_VALID_LOSS)))
            return flm_report_run_value(run, i, FLM_METRIC_VALID_LOSS);
    return NAN;
}

/* "teacher, step 400: PATH" of each line of the lineage. */
static flm_status put_lineage(const char *lineage, FILE *out)
{
    flm_status rc = FLM_OK;
    char line[FLM_LINEAGE_BYTES], role[32], step[32];
    int path;
    while (*lineage) {
        const size_t length = strcspn(lineage, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, lineage);
        lineage += length + (lineage[length] == '\n');
        path = 0;
        if (sscanf(line, "%31s %*s %31s %n", role, step, &path) != 2 || path == 0) continue;
        FLM_TRY(flm_html_put_text(out, role));
        fputs(", step ", out);
        FLM_TRY(flm_html_put_text(out, step));
        fputs(": ", out);
        FLM_TRY(flm_html_put_text(out, line + path));
        fputs("<br>", out);
    }
done:
    return rc;
}

static flm_status write_checkpoint(flm_report_page *page, int run, const flm_report_checkpoint *c)
{
    flm_status rc = FLM_OK;
    char text[FLM_HTML_NUMBER_BYTES];
    FILE *out = page->out;
    fputs("<tr><th scope=\"row\">", out);
    FLM_TRY(flm_report_page_put_run(page, run));
    fprintf(out, "</th><td>%s%s</td><td class=\"n\">%s</td>", c->name, c->latest ? " <em>latest</em>" : "",
            flm_html_bytes((double)c->bytes, text));
    if (c->problem) {
        fputs("<td colspan=\"6\"><strong>cannot be read:</strong> ", out);
        FLM_TRY(flm_html_put_text(out, c->problem));
        fputs("</td></tr>\n", out);
        goto done;
    }
    fprintf(out, "<td class=\"n\">%s</td>", flm_html_count(c->info.step, text));
    fprintf(out, "<td class=\"n\">%s</td>", flm_html_number(valid_loss_at(&page->runs[run], c->info.step), text));
    fprintf(out, "<td class=\"n\">%s</td>", flm_html_short((double)c->info.tokens_seen, text));
    fputs("<td>", out);
    FLM_TRY(flm_html_put_text(out, c->info.kind));
    fputs("</td><td>", out);
    FLM_TRY(put_lineage(c->info.lineage, out));
    fputs("</td><td>", out);
    FLM_TRY(flm_html_put_text(out, c->info.program_version));
    fputs("</td></tr>\n", out);
done:
    return rc;
}

flm_status flm_report_page_write_checkpoints(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    int count = 0;
    for (int i = 0; i < page->runs_count; i++) count += page->runs[i].checkpoints_count;
    if (count == 0) {
        flm_report_page_lacks(
            page, "checkpoints", "Checkpoints",
            "No checkpoint: a run writes one every <code>--checkpoint-every</code> steps and at its end.");
        return FLM_OK;
    }
    flm_report_page_begin(page, "checkpoints", "Checkpoints",
                          "Structure and attributes were read, and not the weights: <code>flm_inspect</code> verifies "
                          "their checksums.");
    fputs(
        "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">run</th><th scope=\"col\">file</th>"
        "<th class=\"n\" scope=\"col\">size</th><th class=\"n\" scope=\"col\">step</th>"
        "<th class=\"n\" scope=\"col\">validation loss</th><th class=\"n\" scope=\"col\">tokens seen</th>"
        "<th scope=\"col\">kind</th><th scope=\"col\">distilled from</th><th scope=\"col\">program</th></tr></thead>\n"
        "<tbody>\n",
        page->out);
    for (int i = 0; i < page->runs_count; i++)
        for (int k = 0; k < page->runs[i].checkpoints_count; k++)
            FLM_TRY(write_checkpoint(page, i, &page->runs[i].checkpoints[k]));
    fputs("</tbody>\n</table></div>\n", page->out);
    flm_report_page_end(page);
done:
    return rc;
}

/* ---- machine ---- */

static flm_status write_starts(flm_report_page *page, int run)
{
    flm_status rc = FLM_OK;
    char text[FLM_HTML_NUMBER_BYTES];
    FILE *out = page->out;
    static const char *const keys[] = {"version", "revision", "device"};
    for (size_t i = 0; i < json_array_size(page->runs[run].starts); i++) {
        const json_t *start = json_array_get(page->runs[run].starts, i);
        fputs("<tr><th scope=\"row\">", out);
        FLM_TRY(flm_report_page_put_run(page, run));
        fprintf(out, "</th><td class=\"n\">%s</td><td class=\"n\">%s</td>",
                flm_html_count((int64_t)json_integer_value(json_object_get(start, "start")), text),
                flm_html_count((int64_t)json_integer_value(json_object_get(start, "ranks")),
                               (char[FLM_HTML_NUMBER_BYTES]){0}));
        for (int k = 0; k < 3; k++) {
            const char *value = json_string_value(json_object_get(start, keys[k]));
            fputs("<td>", out);
            FLM_TRY(flm_html_put_text(out, value ? value : "–"));
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
done:
    return rc;
}

static flm_status write_speed(flm_report_page *page, int run)
{
    flm_status rc = FLM_OK;
    const flm_report_run *r = &page->runs[run];
    const double seconds = trained_seconds(r), tokens = last_of(r, FLM_METRIC_TOKENS_SEEN, NULL);
    const double utilisation = last_of(r, FLM_METRIC_UTILISATION, NULL), memory = last_of(r, FLM_METRIC_MEMORY, NULL);
    static const flm_report_metric parts[] = {FLM_METRIC_SECONDS_COMPUTE, FLM_METRIC_SECONDS_DATA,
                                              FLM_METRIC_SECONDS_COMMUNICATION};
    char text[FLM_HTML_NUMBER_BYTES];
    FILE *out = page->out;
    if (!(seconds > 0)) return FLM_OK;
    fputs("<tr><th scope=\"row\">", out);
    FLM_TRY(flm_report_page_put_run(page, run));
    fprintf(out, "</th><td class=\"n\">%s</td>", flm_html_short(tokens / seconds, text));
    fprintf(out, "<td class=\"n\">%s</td>", flm_html_seconds(seconds / (double)flm_report_run_step(r), text));
    for (int k = 0; k < 3; k++) fprintf(out, "<td class=\"n\">%.1f %%</td>", 100 * sum_of(r, parts[k]) / seconds);
    fprintf(out, "<td class=\"n\">%s</td>", isnan(memory) ? "–" : flm_html_bytes(memory, text));
    if (isnan(utilisation))
        fputs("<td class=\"n\">–</td></tr>\n", out);
    else
        fprintf(out, "<td class=\"n\">%.1f %%</td></tr>\n", 100 * utilisation);
done:
    return rc;
}

flm_status flm_report_page_write_machine(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    size_t starts = 0;
    for (int i = 0; i < page->runs_count; i++) starts += json_array_size(page->runs[i].starts);
    if (starts == 0) {
        flm_report_page_lacks(page, "machine", "Machine",
                              "No machine: a run records it in <code>metrics.jsonl</code> when it starts.");
        return FLM_OK;
    }
    flm_report_page_begin(page, "machine", "Machine", NULL);
    fputs("<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">run</th><th class=\"n\" scope=\"col\">started "
          "at step"
          "</th><th class=\"n\" scope=\"col\">ranks</th><th scope=\"col\">version</th><th scope=\"col\">revision</th>"
          "<th scope=\"col\">device of the first rank</th></tr></thead>\n<tbody>\n",
          page->out);
    for (int i = 0; i < page->runs_count; i++) FLM_TRY(write_starts(page, i));
    fputs("</tbody>\n</table></div>\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">run</th>"
          "<th class=\"n\" scope=\"col\">tokens/s</th><th class=\"n\" scope=\"col\">time a step</th>"
          "<th class=\"n\" scope=\"col\">computing</th><th class=\"n\" scope=\"col\">waiting for data</th>"
          "<th class=\"n\" scope=\"col\">communication</th><th class=\"n\" scope=\"col\">memory</th>"
          "<th class=\"n\" scope=\"col\">FLOPs utilisation</th></tr></thead>\n<tbody>\n",
          page->out);
    for (int i = 0; i < page->runs_count; i++) FLM_TRY(write_speed(page, i));
    fputs(
        "</tbody>\n</table></div>\n<p class=\"note\">Times of the first rank, over all reports of the run; memory: its "
        "largest resident set.</p>\n",
        page->out);
    flm_report_page_end(page);
done:
    return rc;
}
