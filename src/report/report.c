/* report.c - see report.h: what the paths are, and the frame of the page. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_internal.h"

#include "base/base_file.h"
#include "base/base_log.h"
#include "base/base_path.h"
#include "base/base_version.h"
#include "h5/h5_format.h"
#include "report/report_chart.h"
#include "report/report_html.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what a path is ---- */

static flm_status add_run(flm_report_page *page, const char *path)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < page->runs_count; i++)
        if (flm_file_is_same(page->runs[i].path, path)) return FLM_OK;
    flm_report_run *grown = realloc(page->runs, (size_t)(page->runs_count + 1) * sizeof *grown);
    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for a list of runs");
    page->runs = grown;
    FLM_TRY(flm_report_run_read(path, &page->runs[page->runs_count]));
    page->runs_count++;
done:
    return rc;
}

static int is_hdf5_name(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 3 && strcmp(entry->d_name + length - 3, ".h5") == 0;
}

/* A file that was found, not named: one that cannot be used is reported as a warning. */
static flm_status add_found(flm_report_page *page, const char *path, int *found)
{
    flm_status rc = FLM_OK;
    const char *kind = "";
    rc = flm_format_identify(path, &kind);
    if (rc == FLM_OK && strcmp(kind, "samples") != 0) return FLM_OK;
    if (rc == FLM_OK) rc = flm_report_sets_add_samples(&page->sets, path);
    if (rc == FLM_E_NOMEM) return rc;
    *found += rc == FLM_OK;
    if (rc != FLM_OK) flm_log(FLM_LOG_WARN, "warning: %s; it is left out", flm_err_message());
    flm_err_clear();
    return FLM_OK;
}

/* The samples files of a directory; *found: how many it has. */
static flm_status add_directory(flm_report_page *page, const char *directory, int *found)
{
    flm_status rc = FLM_OK;
    struct dirent **entries = NULL;
    char path[FLM_PATH_BYTES];
    int count = scandir(directory, &entries, is_hdf5_name, alphasort);
    *found = 0;
    if (count < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be listed: %s", directory, strerror(errno));
    for (int i = 0; i < count; i++) {
        FLM_TRY(flm_path_join(path, directory, entries[i]->d_name));
        FLM_TRY(add_found(page, path, found));
    }
done:
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);
    return rc;
}

static flm_status add_file(flm_report_page *page, const char *path, bool json)
{
    flm_status rc = FLM_OK;
    char head[64] = "";
    const char *kind;
    bool hdf5;
    FLM_TRY(flm_format_is_hdf5(path, &hdf5));
    if (!hdf5) {
        FLM_TRY(flm_file_read_head(path, head, sizeof head - 1, NULL));
        if (head[strspn(head, " \t\r\n")] != '[')
            FLM_FAIL(FLM_E_FORMAT, "%s: is neither a run directory nor a samples file nor the JSON of flm_score", path);
        if (json) FLM_TRY(flm_report_sets_add_json(&page->sets, path));
    } else if (!json) {
        FLM_TRY(flm_format_identify(path, &kind));
        if (strcmp(kind, "samples") != 0)
            FLM_FAIL(FLM_E_FORMAT,
                     "%s: is a file of kind %s; expected a run directory, a samples file or JSON of flm_score", path,
                     kind);
        FLM_TRY(flm_report_sets_add_samples(&page->sets, path));
    }
done:
    return rc;
}

/* Adds what a path names. json: the JSON of flm_score is read, and nothing else, as it completes the samples files. */
static flm_status add_path(flm_report_page *page, const char *path, bool json)
{
    flm_status rc = FLM_OK;
    struct stat st;
    int found;
    bool run;
    if (stat(path, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return add_file(page, path, json);
    if (json) return FLM_OK;
    run = flm_report_run_recognise(path);
    if (run) FLM_TRY(add_run(page, path));
    FLM_TRY(add_directory(page, path, &found));
    if (!run && found == 0)
        FLM_FAIL(FLM_E_FORMAT,
                 "%s: is not a run directory: it has neither metrics.jsonl nor checkpoints/ nor a samples file", path);
done:
    return rc;
}

/* ---- short names ---- */

/* The end of a path that begins after its n-th slash from the end, the whole path if it has fewer. */
static const char *tail_of(const char *path, int slashes)
{
    const char *at = path + strlen(path);
    while (at > path && at[-1] == '/') at--; /* of "runs/a/" */
    for (; at > path; at--)
        if (at[-1] == '/' && slashes-- == 0) break;
    return at;
}

/* Names for people: for each path the shortest end of whole parts that no other path has. names, slashes_min [count].
 */
static void shorten(const char **names, const char *const *paths, const int *slashes_min, int count)
{
    for (int i = 0; i < count; i++) {
        bool unique = false;
        for (int slashes = slashes_min[i]; !unique; slashes++) {
            names[i] = tail_of(paths[i], slashes);
            unique = names[i] == paths[i] || slashes > 8;
            for (int k = 0; !unique; k++) {
                if (k == count) unique = true;
                if (k < count && k != i && strcmp(tail_of(paths[k], slashes), names[i]) == 0) break;
            }
        }
    }
}

/* Whether a file is directly in the directory of a run. */
static bool is_in_run(const flm_report_page *page, const char *path)
{
    char directory[FLM_PATH_BYTES];
    if (flm_path_directory(directory, path) != FLM_OK) return false;
    for (int i = 0; i < page->runs_count; i++)
        if (flm_file_is_same(directory, page->runs[i].path)) return true;
    return false;
}

static flm_status name_all(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    const int runs = page->runs_count, files = page->sets.files_count, max = runs > files ? runs : files;
    const char **paths = calloc((size_t)(2 * max + 1), sizeof *paths), **names = paths + max;
    int *slashes = calloc((size_t)max + 1, sizeof *slashes);
    if (!paths || !slashes) FLM_FAIL(FLM_E_NOMEM, "no memory for the names of files");
    for (int i = 0; i < runs; i++) paths[i] = page->runs[i].path;
    shorten(names, paths, slashes, runs);
    for (int i = 0; i < runs; i++) page->runs[i].name = names[i];
    for (int i = 0; i < files; i++) {
        paths[i] = page->sets.files[i].path;
        slashes[i] = is_in_run(page, paths[i]);
    }
    shorten(names, paths, slashes, files);
    for (int i = 0; i < files; i++) page->sets.files[i].name = names[i];
done:
    free(slashes);
    free(paths);
    return rc;
}

/* ---- the page ---- */

void flm_report_page_begin(flm_report_page *page, const char *id, const char *heading, const char *introduction)
{
    fprintf(page->out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, heading);
    if (introduction) fprintf(page->out, "<p>%s</p>\n", introduction);
}

void flm_report_page_end(flm_report_page *page) { fputs("</section>\n", page->out); }

void flm_report_page_lacks(flm_report_page *page, const char *id, const char *heading, const char *needed)
{
    flm_report_page_begin(page, id, heading, NULL);
    fprintf(page->out, "<p class=\"lacks\">%s</p>\n", needed);
    flm_report_page_end(page);
}

flm_status flm_report_page_put_run(flm_report_page *page, int run)
{
    flm_chart_write_key(run, run / FLM_CHART_COLORS, page->out);
    return flm_html_put_text(page->out, page->runs[run].name);
}

static flm_status write_head(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
          page->out);
    FLM_TRY(flm_html_put_text(page->out, page->options->title));
    fprintf(page->out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n<h1>", flm_report_style);
    FLM_TRY(flm_html_put_text(page->out, page->options->title));
    fputs(
        "</h1>\n<nav><a href=\"#runs\">Runs</a> <a href=\"#curves\">Training</a> <a href=\"#quality\">Quality</a> "
        "<a href=\"#samples\">Samples</a> <a href=\"#settings\">Settings</a> <a href=\"#checkpoints\">Checkpoints</a> "
        "<a href=\"#machine\">Machine</a></nav>\n</header>\n<main>\n",
        page->out);
done:
    return rc;
}

static flm_status write_page(flm_report_page *page)
{
    flm_status rc = FLM_OK;
    FLM_TRY(write_head(page));
    FLM_TRY(flm_report_page_write_runs(page));
    FLM_TRY(flm_report_page_write_curves(page));
    FLM_TRY(flm_report_page_write_quality(page));
    FLM_TRY(flm_report_page_write_samples(page));
    FLM_TRY(flm_report_page_write_settings(page));
    FLM_TRY(flm_report_page_write_checkpoints(page));
    FLM_TRY(flm_report_page_write_machine(page));
    fprintf(page->out, "</main>\n<footer>flm_report %s (%s)</footer>\n</body>\n</html>\n", flm_version_string(),
            flm_version_revision());
done:
    return rc;
}

/* An existing file is replaced only if it is a page. */
static flm_status check_output(const char *path)
{
    flm_status rc = FLM_OK;
    static const char start[] = "<!doctype html";
    char head[sizeof start] = "";
    FLM_TRY(flm_file_check_output(path));
    if (access(path, F_OK) != 0) goto done;
    FLM_TRY(flm_file_read_head(path, head, sizeof head - 1, NULL));
    if (*head && strncasecmp(head, start, sizeof start - 1) != 0)
        FLM_FAIL(FLM_E_USAGE, "--out %s: exists and is not an HTML page; it would be replaced", path);
done:
    return rc;
}

flm_status flm_report_write(const char *const *paths, int count, const flm_report_options *options)
{
    flm_status rc = FLM_OK;
    flm_report_page page = {.options = options};
    char *text = NULL;
    size_t bytes = 0;
    if (count == 0) FLM_FAIL(FLM_E_USAGE, "no run directory given; see --help");
    FLM_TRY(check_output(options->out));
    for (int json = 0; json <= 1; json++)
        for (int i = 0; i < count; i++) FLM_TRY(add_path(&page, paths[i], json == 1));
    FLM_TRY(name_all(&page));
    page.out = open_memstream(&text, &bytes);
    if (!page.out) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the page", options->out);
    FLM_TRY(write_page(&page));
    const bool failed = ferror(page.out) != 0, closed = fclose(page.out) == 0;
    page.out = NULL;
    if (failed || !closed) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the page", options->out);
    FLM_TRY(flm_file_replace(options->out, text, bytes));
    printf("%s: %d run%s, %d set%s of samples\n", options->out, page.runs_count, page.runs_count == 1 ? "" : "s",
           page.sets.count, page.sets.count == 1 ? "" : "s");
done:
    if (page.out) fclose(page.out);
    free(text);
    for (int i = 0; i < page.runs_count; i++) flm_report_run_free(&page.runs[i]);
    free(page.runs);
    flm_report_sets_free(&page.sets);
    return rc;
}
