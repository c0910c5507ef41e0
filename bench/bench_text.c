/* bench_text.c - encoding and decoding on one thread: MB of text per second.
 *
 * The text is a file, cut at line ends into documents of about --document bytes, which are encoded one after the other
 * in every run. The first run is reported separately: it fills the cache of words. bench/bench_text.py compares the
 * figures with those of Hugging Face's tokenizers. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_common.h"

#include "base/base_file.h"
#include "base/base_options.h"
#include "text/text_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct options {
    int64_t runs, document;
    const char *name, *text, *vocab, *merges, *json;
} options;

#define FLM_OPT_STRUCT options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Benchmark"),
    FLM_OPT_STRING("tokenizer", name, "gpt2", "NAME", "bytes, bert-base-uncased or gpt2"),
    FLM_OPT_STRING("vocab", vocab, "", "FILE", "vocabulary to use instead of the published one"),
    FLM_OPT_STRING("merges", merges, "", "FILE", "merges file of that vocabulary"),
    FLM_OPT_STRING("text", text, NULL, "FILE", "the text", .required = true),
    FLM_OPT_INT("document", document, "4096", "N", "bytes of a document, cut at the next line's end", .min = 1,
                .limit = 1 << 30),
    FLM_OPT_INT("runs", runs, "5", "N", "timed runs", .min = BENCH_RUNS_MIN, .max = BENCH_RUNS_MAX),
    FLM_OPT_STRING("json", json, "", "FILE", "also write the results to this file, one JSON object per line"),
};

static const flm_options_spec spec = {
    .program = "bench_text",
    .purpose = "Measure the tokenizers on one thread.",
    FLM_OPT_ROWS(rows),
};

typedef struct work {
    flm_tokenizer *tokenizer;
    char *text;
    size_t bytes, document;
    flm_ids ids;
} work;

static flm_status read_text(const char *path, work *w)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_file_read(path, SIZE_MAX, &w->text, &w->bytes));
    if (w->bytes == 0) FLM_FAIL(FLM_E_FORMAT, "%s: is empty", path);
done:
    return rc;
}

static flm_status encode_all(void *arg)
{
    flm_status rc = FLM_OK;
    work *w = arg;

    w->ids.count = 0;
    for (size_t at = 0, end; at < w->bytes; at = end) {
        const char *line;
        end = w->bytes - at > w->document ? at + w->document : w->bytes;
        line = memchr(w->text + end, '\n', w->bytes - end);
        end = line ? (size_t)(line - w->text) + 1 : w->bytes;
        FLM_TRY(flm_tokenizer_encode(w->tokenizer, w->text + at, end - at, &w->ids, NULL));
    }
done:
    return rc;
}

static flm_status decode_all(void *arg)
{
    flm_status rc = FLM_OK;
    work *w = arg;
    char *text = NULL;
    size_t bytes;

    FLM_TRY(flm_tokenizer_decode(w->tokenizer, w->ids.ids, w->ids.count, &text, &bytes));
done:
    free(text);
    return rc;
}

static flm_status time_first(work *w, bench_seconds *s)
{
    flm_status rc = FLM_OK;
    struct timespec begin, end;
    double seconds;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    FLM_TRY(encode_all(w));
    clock_gettime(CLOCK_MONOTONIC, &end);
    seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    *s = (bench_seconds){seconds, seconds, seconds, 1};
done:
    return rc;
}

static flm_status report_one(bench_report *report, const options *o, const work *w, const char *what,
                             const bench_seconds *s)
{
    double mb = 1e-6 * (double)w->bytes;

    printf("%-18s %-12s %8.2f MB/s  (%.2f..%.2f, %d runs; %.1f MB, %zu ids)\n", o->name, what, mb / s->median,
           mb / s->max, mb / s->min, s->runs, mb, w->ids.count);
    return bench_report_line(report,
                             json_pack("{ss ss ss sf sI so}", "record", "text", "tokenizer", o->name, "what", what,
                                       "mb", mb, "ids", (json_int_t)w->ids.count, "seconds", bench_seconds_json(s)));
}

static flm_status bench(const flm_backend *be, const options *o)
{
    flm_status rc = FLM_OK;
    work w = {.document = (size_t)o->document};
    bench_report *report = NULL;
    bench_seconds s;

    FLM_TRY(flm_tokenizer_create_from(o->name, o->vocab, o->merges, &w.tokenizer));
    FLM_TRY(read_text(o->text, &w));
    FLM_TRY(bench_report_create("text", o->json, be, 1, &report));
    FLM_TRY(time_first(&w, &s));
    FLM_TRY(report_one(report, o, &w, "encode first", &s));
    FLM_TRY(bench_measure(NULL, encode_all, &w, (int)o->runs, &s));
    FLM_TRY(report_one(report, o, &w, "encode", &s));
    FLM_TRY(bench_measure(NULL, decode_all, &w, (int)o->runs, &s));
    FLM_TRY(report_one(report, o, &w, "decode", &s));
    FLM_TRY(bench_report_finish(&report));
done:
    if (report) bench_report_finish(&report);
    flm_tokenizer_destroy(&w.tokenizer);
    free(w.ids.ids);
    free(w.text);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_backend *be = NULL;
    flm_options *parsed = NULL;
    options o = {0};
    bool stop = false;

    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, true, &stop, &parsed));
    if (stop) goto done;
    FLM_TRY(flm_backend_create(FLM_DEVICE_CPU, 1, 0, &be));
    FLM_TRY(bench(be, &o));
done:
    if (rc != FLM_OK) fprintf(stderr, "bench_text: error: %s\n", flm_err_message());
    flm_backend_destroy(&be);
    flm_options_destroy(&parsed);
    return rc == FLM_OK ? 0 : rc == FLM_E_USAGE ? 2 : 1;
}
