/* prep_state.c - the state of an incomplete job in the output directory (prep.h). `.flm-shard` records the options and
 * inputs of the job, one a line; `.flm-shard.counts` has the results of pass 2. Which rows have been written follows
 * from their checksums, so a job that is killed at any moment can be resumed. SPDX-License-Identifier: Apache-2.0 */
#include "prep_corpus.h"

#include "base/base_crc32c.h"
#include "base/base_file.h"
#include "base/base_path.h"
#include "base/base_sha256.h"
#include "source/source_options.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD ".flm-shard"
#define COUNTS ".flm-shard.counts"

/* Read a small file; *text is malloc'd, with a NUL after *bytes, and NULL if there is no such file. */
static flm_status file_read(const char *path, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    struct stat st;

    *text = NULL;
    if (stat(path, &st) != 0 && errno == ENOENT) goto done;
    if (S_ISREG(st.st_mode) == 0) FLM_FAIL(FLM_E_MISMATCH, "%s: not a regular file", path);
    FLM_TRY(flm_file_read(path, SIZE_MAX, text, bytes));
done:
    return rc;
}

/* Everything that determines the content of the directory, one a line: options and, after the survey, inputs. malloc'd.
 */
static flm_status record_make(const flm_prep_job *job, bool surveyed, char **out)
{
    flm_status rc = FLM_OK;
    size_t bytes = 0;
    char *text = NULL;
    FILE *stream = open_memstream(&text, &bytes);

    if (!stream) FLM_FAIL(FLM_E_NOMEM, "no memory for a record");
    fprintf(stream, "flm-shard 1\ntokenizer = %s %s\nlength = %lld\ndocuments = %s\ngroup-docs = %lld\n",
            flm_tokenizer_name(job->tokenizer), flm_tokenizer_sha256(job->tokenizer), (long long)job->length,
            flm_source_documents_names[job->source.documents], (long long)job->group_docs);
    fprintf(stream, "shard-bytes = %lld\nvalid-last = %lld\ncorpus = %s\ninputs = %d for training, %d in all\n",
            (long long)job->shard_bytes, (long long)job->valid_last, job->corpus, job->valid_inputs, job->inputs_count);
    fprintf(stream, "clean = %s\nformat = %s%s\nfield = %s\nmembers = %s\non-bad-line = %s\n",
            flm_corpus_clean_name(job->clean), flm_source_format_names[job->source.format],
            job->source.allow_binary ? ", binary allowed" : "", job->source.field, job->source.members,
            flm_source_bad_line_names[job->source.on_bad_line]);
    for (int i = 0; surveyed && i < job->manifest_count; i++) {
        fprintf(stream, "input = %s %lld ", job->manifest[i].sha256, (long long)job->manifest[i].bytes);
        for (const char *p = job->manifest[i].name; *p; p++) fputc(*p == '\n' ? '?' : *p, stream);
        fputc('\n', stream);
    }
    if (fclose(stream) != 0) FLM_FAIL(FLM_E_NOMEM, "no memory for a record");
    *out = text;
    text = NULL;
done:
    free(text);
    return rc;
}

/* Compare with the record in the directory; the error names the first line that differs. */
static flm_status record_compare(const flm_prep_job *job, const char *have, const char *want)
{
    flm_status rc = FLM_OK;

    while (*want) {
        int a = (int)strcspn(have, "\n"), b = (int)strcspn(want, "\n");
        if (a != b || memcmp(have, want, (size_t)a) != 0)
            FLM_FAIL(FLM_E_MISMATCH,
                     "--out %s: was created by another command, with \"%.*s\" instead of \"%.*s\"; choose another "
                     "directory",
                     job->out, a < 160 ? a : 160, have, b < 160 ? b : 160, want);
        have += a + (have[a] == '\n');
        want += b + 1;
    }
done:
    return rc;
}

/* Names such as ".train-00000-of-00004.h5.tmp". */
static bool is_shard(const char *name)
{
    char split[16];
    int number, of, used = 0;

    name += *name == '.';
    if (sscanf(name, "%15[a-z]-%5d-of-%5d.h5%n", split, &number, &of, &used) != 3 || used == 0) return false;
    return !name[used] || strcmp(name + used, ".tmp") == 0 || strcmp(name + used, ".tmp.new") == 0;
}

/* Check that the directory contains only files of flm_shard; without a record, at most an unfinished record. Shards
 * that were being created when a job was killed are removed. */
static flm_status check_directory(const flm_prep_job *job, bool recorded)
{
    static const char *const own[] = {RECORD, RECORD ".tmp", COUNTS, COUNTS ".tmp", "index.h5", ".index.h5.tmp"};
    flm_status rc = FLM_OK;
    DIR *directory = opendir(job->out);

    if (!directory) FLM_FAIL(flm_status_from_errno(errno), "--out %s: cannot be read: %s", job->out, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(directory));) {
        const char *name = entry->d_name;
        bool known = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".lock") == 0 ||
                     strcmp(name, RECORD ".tmp") == 0;
        for (size_t i = 0; recorded && i < sizeof own / sizeof own[0]; i++) known = known || strcmp(name, own[i]) == 0;
        if (!known && !(recorded && is_shard(name)))
            FLM_FAIL(FLM_E_MISMATCH, "--out %s: the directory contains other files (%.128s); choose another one",
                     job->out, name);
        if (recorded && strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".new") == 0)
            unlinkat(dirfd(directory), name, 0);
    }
done:
    if (directory) closedir(directory);
    return rc;
}

flm_status flm_prep_state_lock(const flm_prep_job *job, flm_lock **lock)
{
    flm_status rc = FLM_OK;
    char index[FLM_PATH_BYTES];

    if (mkdir(job->out, 0777) != 0 && errno != EEXIST)
        FLM_FAIL(flm_status_from_errno(errno), "--out %s: cannot be created: %s", job->out, strerror(errno));
    FLM_TRY(flm_path_join(index, job->out, "index.h5"));
    if (access(index, F_OK) != 0) FLM_TRY(flm_lock_directory(job->out, lock)); /* a complete one is not written to */
done:
    return rc;
}

flm_status flm_prep_state_open(const flm_prep_job *job, bool surveyed, flm_prep_state *state)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES], *have = NULL, *want = NULL;
    size_t bytes = 0;
    bool finished;

    FLM_TRY(record_make(job, surveyed, &want));
    FLM_TRY(flm_path_join(path, job->out, "index.h5"));
    finished = access(path, F_OK) == 0;
    FLM_TRY(flm_path_join(path, job->out, RECORD));
    FLM_TRY(file_read(path, &have, &bytes));
    if (have) FLM_TRY(record_compare(job, have, want));
    if (!finished || !have) FLM_TRY(check_directory(job, have != NULL));
    if (surveyed && !have) FLM_TRY(flm_file_replace(path, want, strlen(want)));
    *state = finished ? FLM_PREP_FINISHED : FLM_PREP_BEGUN;
done:
    free(want);
    free(have);
    return rc;
}

/* The counts file, words of int64_t: magic, groups, V, replaced; token_counts; ids and checksums of the groups; CRC-32C
 * of everything before it. */
static const int64_t COUNTS_MAGIC = 0x31544e43544c46; /* "FLTCNT1" */

enum { COUNTS_HEAD = 4 };

static size_t counts_words(const flm_prep_job *job)
{
    return COUNTS_HEAD + (size_t)job->info.vocabulary.V + 2 * (size_t)job->groups + 1;
}

flm_status flm_prep_state_save_counts(const flm_prep_job *job)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES];
    const size_t words = counts_words(job), V = (size_t)job->info.vocabulary.V, groups = (size_t)job->groups;
    int64_t *all = calloc(words, sizeof *all);

    if (!all) FLM_FAIL(FLM_E_NOMEM, "no memory for the counts");
    FLM_TRY(flm_path_join(path, job->out, COUNTS));
    all[0] = COUNTS_MAGIC;
    all[1] = job->groups;
    all[2] = job->info.vocabulary.V;
    all[3] = job->replaced;
    memcpy(all + COUNTS_HEAD, job->token_counts, V * sizeof *all);
    memcpy(all + COUNTS_HEAD + V, job->group_ids, groups * sizeof *all);
    memcpy(all + COUNTS_HEAD + V + groups, job->group_checksums, groups * sizeof *all);
    all[words - 1] = flm_crc32c_update(0, all, (words - 1) * sizeof *all);
    FLM_TRY(flm_file_replace(path, all, words * sizeof *all));
done:
    free(all);
    return rc;
}

/* Counts that do not fit this job are ignored; the count is then repeated. */
flm_status flm_prep_state_load_counts(flm_prep_job *job, bool *loaded)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    const size_t words = counts_words(job), V = (size_t)job->info.vocabulary.V, groups = (size_t)job->groups;
    const int64_t *all;

    *loaded = false;
    FLM_TRY(flm_path_join(path, job->out, COUNTS));
    FLM_TRY(file_read(path, &text, &bytes));
    all = (const int64_t *)(void *)text;
    if (!text || bytes != words * sizeof *all || all[0] != COUNTS_MAGIC || all[1] != job->groups ||
        all[2] != job->info.vocabulary.V || all[words - 1] != flm_crc32c_update(0, all, (words - 1) * sizeof *all))
        goto done;
    job->replaced = all[3];
    job->token_counts = calloc(V, sizeof *all);
    job->group_ids = calloc(groups, sizeof *all);
    job->group_checksums = calloc(groups, sizeof *all);
    if (!job->token_counts || !job->group_ids || !job->group_checksums)
        FLM_FAIL(FLM_E_NOMEM, "no memory for the counts");
    memcpy(job->token_counts, all + COUNTS_HEAD, V * sizeof *all);
    memcpy(job->group_ids, all + COUNTS_HEAD + V, groups * sizeof *all);
    memcpy(job->group_checksums, all + COUNTS_HEAD + V + groups, groups * sizeof *all);
    *loaded = true;
done:
    free(text);
    return rc;
}

flm_status flm_prep_state_remove_counts(const flm_prep_job *job)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES];

    FLM_TRY(flm_path_join(path, job->out, COUNTS));
    if (unlink(path) != 0 && errno != ENOENT)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be removed: %s", path, strerror(errno));
done:
    return rc;
}
