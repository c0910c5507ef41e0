/* prep_report.c - what flm_shard prints: a progress bar during a pass, a report at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prep.h"

#include "base/base_clock.h"
#include "base/base_log.h"
#include "base/base_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP_TOKENS = 10, SHOW_DOCUMENTS = 64 };

/* The current pass, on this rank. Rank 0 shows its own share, which is representative of all. */
static struct pass {
    const char *name;
    int64_t bytes_all, bytes, documents;
    double begin, reading; /* seconds: when it began; spent on reading and decompressing */
    int ranks;
    flm_progress bar;
} pass;

/* The times of this rank's passes, for the report. */
enum { PASSES = 3 };
typedef struct pass_time {
    const char *name;
    double seconds, reading;
} pass_time;
static pass_time passes[PASSES];
static int passes_count;

void flm_prep_progress_begin(const char *name, int64_t bytes, flm_comm *comm)
{
    pass = (struct pass){.name = name,
                         .bytes_all = bytes,
                         .begin = flm_clock_seconds(),
                         .ranks = flm_comm_size(comm),
                         .bar = flm_progress_begin(0, flm_comm_rank(comm) == 0)};
}

void flm_prep_progress_add(int64_t bytes)
{
    double seconds;

    pass.bytes += bytes;
    pass.documents++;
    if (!pass.bar.terminal || pass.documents % SHOW_DOCUMENTS != 0) return;
    seconds = flm_clock_seconds() - pass.begin;
    flm_progress_show(&pass.bar, (double)(pass.bytes < pass.bytes_all ? pass.bytes : pass.bytes_all),
                      (double)pass.bytes_all, "%s: %.1f MB/s, %.0f documents/s", pass.name,
                      (double)pass.bytes * pass.ranks / seconds / 1e6, (double)pass.documents * pass.ranks / seconds);
}

void flm_prep_progress_add_reading(double seconds) { pass.reading += seconds; }

void flm_prep_progress_end(void)
{
    const double seconds = flm_clock_seconds() - pass.begin;

    flm_progress_clear(&pass.bar);
    flm_log(FLM_LOG_INFO,
            "%s: this rank processed %lld documents, %.1f MB, in %.2f s, of which reading and decompressing %.2f s",
            pass.name, (long long)pass.documents, (double)pass.bytes / 1e6, seconds, pass.reading);
    if (passes_count < PASSES) passes[passes_count++] = (pass_time){pass.name, seconds, pass.reading};
}

/* Print a token quoted, with control characters, quotes and backslashes as \xNN. */
static flm_status print_token(const flm_prep_job *job, int32_t id, double share)
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

static flm_status print_top_tokens(const flm_prep_job *job)
{
    flm_status rc = FLM_OK;
    const int64_t V = job->info.vocabulary.V;
    int32_t best[TOP_TOKENS];
    int count = 0;

    /* insertion sort into the few best; of equal counts the lower id comes first */
    for (int32_t id = 0; id < V; id++) {
        int at = count;
        if (job->token_counts[id] == 0) continue;
        while (at > 0 && job->token_counts[best[at - 1]] < job->token_counts[id]) at--;
        if (at == TOP_TOKENS) continue;
        if (count < TOP_TOKENS) count++;
        memmove(best + at + 1, best + at, (size_t)(count - 1 - at) * sizeof *best);
        best[at] = id;
    }
    printf("  most frequent tokens\n");
    for (int i = 0; i < count; i++)
        FLM_TRY(print_token(job, best[i], (double)job->token_counts[best[i]] / (double)job->ids));
done:
    return rc;
}

static void print_count(const char *name, int64_t count, const char *what)
{
    if (count > 0) printf("  %-11s %lld %s\n", name, (long long)count, what);
}

/* The counts of all inputs, without those that are zero. */
static void print_tally(const flm_prep_job *job)
{
    flm_source_tally total = {0};

    for (int i = 0; i < job->inputs_count; i++) {
        flm_source_tally t = job->inputs[i].tally;
        /* the second part of a file: what is neither part was counted already */
        if (i >= job->manifest_count) t.skipped = t.escaping = t.system = t.deleted = 0;
        flm_source_tally_add(&total, &t);
    }
    printf("  text        %lld files, %lld bytes\n", (long long)total.members, (long long)job->text_bytes);
    print_count("skipped", total.skipped, "members that are not named as text");
    print_count("macOS", total.system, "members that macOS added, skipped");
    print_count("deleted", total.deleted, "members deleted from a zip, skipped");
    print_count("names", total.escaping, "members have names that escape the archive");
    print_count("decoded", total.decoded, "files of UTF-16 or UTF-32");
    print_count("marks", total.marks, "byte order marks of UTF-8 removed");
    print_count("bad lines", total.bad_lines, "skipped");
}

static void print_times(void)
{
    printf("  seconds    ");
    for (int i = 0; i < passes_count; i++)
        printf(" %s %.2f (reading and decompressing %.2f)%s", passes[i].name, passes[i].seconds, passes[i].reading,
               i + 1 < passes_count ? "," : "\n");
}

flm_status flm_prep_report(const flm_prep_job *job)
{
    flm_status rc = FLM_OK;
    const int64_t documents = job->split_first[FLM_PREP_SPLITS];

    printf("flm_shard: %s is complete\n", job->out);
    printf("  inputs      %d, %lld bytes\n", job->manifest_count, (long long)job->bytes);
    print_tally(job);
    printf("  documents   %lld\n", (long long)documents);
    printf("  tokens      %lld, %.1f per document, end ids included\n", (long long)job->ids,
           (double)job->ids / (double)documents);
    printf("  replaced    %lld invalid UTF-8 sequences\n", (long long)job->replaced);
    for (int i = 0; i < job->splits_count; i++) {
        const flm_shard_split *s = &job->splits[i];
        printf("  %-9s   %lld documents, %lld rows of %lld, %d shards, %lld tokens dropped at the ends of groups\n",
               s->name, (long long)s->documents, (long long)s->rows, (long long)job->length, s->shards,
               (long long)s->dropped);
    }
    print_times();
    FLM_TRY(print_top_tokens(job));
done:
    return rc;
}
