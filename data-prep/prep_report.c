/* prep_report.c - what flm_shard says: a line while it works, a report at the end. SPDX-License-Identifier: Apache-2.0
 */
#include "prep.h"

#include "base/base_log.h"
#include "base/base_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMONEST = 10 };

static const double SHOW_SECONDS = 0.25;

/* Of the pass under way: this rank's share, which rank 0 takes for everybody's. */
static struct progress {
    const char *pass;
    int64_t bytes_all, bytes, documents;
    double begun, shown, reading;
    int ranks;
    bool first, terminal;
} progress;

/* What the passes of this rank took, for the report. */
enum { PASSES = 3 };
typedef struct pass_time {
    const char *name;
    double seconds, reading;
} pass_time;
static pass_time passes[PASSES];
static int passes_count;

void prep_progress_begin(const char *pass, int64_t bytes, flm_comm *comm)
{
    const double now = flm_seconds();

    progress = (struct progress){.pass = pass,
                                 .bytes_all = bytes,
                                 .begun = now,
                                 .shown = now,
                                 .ranks = flm_comm_size(comm),
                                 .first = flm_comm_rank(comm) == 0,
                                 .terminal = isatty(STDERR_FILENO) == 1};
}

static void show(double now)
{
    enum { WIDTH = 20 };
    const double seconds = now - progress.begun, rate = (double)progress.bytes / seconds;
    double part = progress.bytes_all > 0 ? (double)progress.bytes / (double)progress.bytes_all : 1;
    char bar[WIDTH + 1];

    if (part > 1) part = 1;
    for (int i = 0; i < WIDTH; i++) bar[i] = i < (int)(part * WIDTH) ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r%-6s [%s] %3.0f %%  %.1f MB/s  %.0f documents/s  %.0f s left \033[K", progress.pass, bar,
            100 * part, rate * progress.ranks / 1e6, (double)progress.documents * progress.ranks / seconds,
            rate > 0 ? (double)(progress.bytes_all - progress.bytes) / rate : 0);
    progress.shown = now;
}

void prep_progress_add(int64_t bytes)
{
    progress.bytes += bytes;
    progress.documents++;
    if (!progress.first || !progress.terminal || progress.documents % 64 != 0) return;
    const double now = flm_seconds();
    if (now - progress.shown > SHOW_SECONDS) show(now);
}

void prep_progress_read(double seconds) { progress.reading += seconds; }

void prep_progress_end(void)
{
    const double seconds = flm_seconds() - progress.begun;

    if (progress.first && progress.terminal) fputs("\r\033[K", stderr);
    flm_log(FLM_LOG_INFO,
            "%s: %lld documents, %.1f MB by this rank in %.2f s, %.2f s of them reading and decompressing",
            progress.pass, (long long)progress.documents, (double)progress.bytes / 1e6, seconds, progress.reading);
    if (passes_count < PASSES) passes[passes_count++] = (pass_time){progress.pass, seconds, progress.reading};
}

/* A token as it can be printed: quoted, control characters and quotes as \xNN. */
static flm_status print_token(const prep_job *job, int32_t id, double share)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t bytes = 0;

    FLM_TRY(flm_tokenizer_decode(job->tokenizer, &id, 1, &text, &bytes));
    printf("    %6d  \"", id);
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    printf("\"  %.2f %%\n", 100 * share);
done:
    free(text);
    return rc;
}

static flm_status print_commonest(const prep_job *job)
{
    flm_status rc = FLM_OK;
    const int64_t V = job->info.vocabulary.V;
    int32_t best[COMMONEST];
    int count = 0;

    for (int32_t id = 0; id < V; id++) { /* insertion into the few best; the lower id first among equals */
        int at = count;
        if (job->commonness[id] == 0) continue;
        while (at > 0 && job->commonness[best[at - 1]] < job->commonness[id]) at--;
        if (at == COMMONEST) continue;
        if (count < COMMONEST) count++;
        memmove(best + at + 1, best + at, (size_t)(count - 1 - at) * sizeof *best);
        best[at] = id;
    }
    printf("  commonest tokens\n");
    for (int i = 0; i < count; i++)
        FLM_TRY(print_token(job, best[i], (double)job->commonness[best[i]] / (double)job->ids));
done:
    return rc;
}

/* Of all inputs; what there is nothing of is not mentioned. */
static void print_tally(const prep_job *job)
{
    prep_tally sum = {0};

    for (int i = 0; i < job->inputs_count; i++) {
        const prep_tally *t = &job->inputs[i].tally;
        sum.members += t->members;
        sum.bad_lines += t->bad_lines;
        if (i >= job->manifest_count) continue; /* the same file again */
        sum.passed += t->passed;
        sum.leaving += t->leaving;
    }
    printf("  text        %lld files, %lld bytes\n", (long long)sum.members, (long long)job->text_bytes);
    if (sum.passed > 0) printf("  passed over %lld members that are no text by name\n", (long long)sum.passed);
    if (sum.leaving > 0)
        printf("  names       %lld members are named as if outside the archive\n", (long long)sum.leaving);
    if (sum.bad_lines > 0) printf("  bad lines   %lld passed over\n", (long long)sum.bad_lines);
}

static void print_times(void)
{
    printf("  seconds    ");
    for (int i = 0; i < passes_count; i++)
        printf(" %s %.2f (reading and decompressing %.2f)%s", passes[i].name, passes[i].seconds, passes[i].reading,
               i + 1 < passes_count ? "," : "\n");
}

flm_status prep_report(const prep_job *job)
{
    flm_status rc = FLM_OK;
    const int64_t documents = job->split_first[PREP_SPLITS];

    printf("flm_shard: %s is whole\n", job->out);
    printf("  inputs      %d, %lld bytes\n", job->manifest_count, (long long)job->bytes);
    print_tally(job);
    printf("  documents   %lld\n", (long long)documents);
    printf("  tokens      %lld, %.1f a document, its end included\n", (long long)job->ids,
           (double)job->ids / (double)documents);
    printf("  replaced    %lld sequences that were not UTF-8\n", (long long)job->replaced);
    for (int i = 0; i < job->splits_count; i++) {
        const flm_shard_split *s = &job->splits[i];
        printf("  %-9s   %lld documents, %lld rows of %lld, %d shards, %lld tokens dropped at the ends of groups\n",
               s->name, (long long)s->documents, (long long)s->rows, (long long)job->length, s->shards,
               (long long)s->dropped);
    }
    print_times();
    FLM_TRY(print_commonest(job));
done:
    return rc;
}
