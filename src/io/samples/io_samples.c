/* io_samples.c - see io_samples.h: rows by pwrite and pread, from all ranks, and results.
 *
 * A row that was never written is a hole: zeros, with checksum 0. That cannot be mistaken for a row: CRC-32C of n zero
 * bytes is 0 for no n below 2^31 - 1 (its generator is (x + 1) times a primitive polynomial of degree 31), and a row
 * has at most 4 MiB. Tokens go to the file before their checksum. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/samples/io_samples_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const flm_samples_info *flm_samples_get_info(const flm_samples *samples) { return &samples->info; }

int flm_samples_count(const flm_samples *samples) { return samples->count; }

const flm_samples_setting *flm_samples_get_setting(const flm_samples *samples, int set)
{
    return &samples->sets[set].setting;
}

const char *flm_samples_get_name(const flm_samples *samples, int set) { return samples->sets[set].group + 1; }

int flm_samples_find(const flm_samples *samples, const flm_samples_setting *setting)
{
    for (int i = 0; i < samples->count; i++)
        if (flm_samples_setting_compare(&samples->sets[i].setting, setting) == 0) return i;
    return -1;
}

const flm_samples_prompts *flm_samples_get_prompts(const flm_samples *samples) { return &samples->prompts; }

const int32_t *flm_samples_get_prompt(const flm_samples *samples, int64_t row)
{
    const flm_samples_prompts *p = &samples->prompts;
    return p->count > 0 ? p->tokens + row / (samples->info.samples / p->count) * samples->info.L : NULL;
}

flm_status flm_samples_check_set(const flm_samples *s, int set)
{
    flm_status rc = FLM_OK;
    if (set < 0 || set >= s->count) FLM_FAIL(FLM_E_ARG, "%s: has no set %d of samples", s->path, set);
done:
    return rc;
}

/* ---- rows ---- */

static flm_status range_check(const flm_samples *s, int set, int64_t first, int64_t count)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_samples_check_set(s, set));
    if (first < 0 || count < 0 || first > s->info.samples || count > s->info.samples - first)
        FLM_FAIL(FLM_E_ARG, "%s: %" PRId64 " rows from row %" PRId64 " on are outside its %" PRId64 " rows", s->path,
                 count, first, s->info.samples);
done:
    return rc;
}

/* Rows per transfer, so that neither a long file nor a long row needs much memory. */
static int64_t rows_at_once(const flm_samples *s)
{
    const int64_t rows = FLM_IO_BLOCK_BYTES / (s->info.L * (int64_t)sizeof(int32_t));
    return rows > 0 ? rows : 1;
}

static flm_status rows_read(const flm_samples *s, int set, int64_t first, int64_t count, int32_t *ids, uint32_t *sums)
{
    flm_status rc = FLM_OK;
    const int64_t row = s->info.L * (int64_t)sizeof *ids;

    FLM_TRY(flm_file_read_at(s->fd, s->path, ids, (size_t)(count * row), s->sets[set].tokens + first * row));
    FLM_TRY(flm_file_read_at(s->fd, s->path, sums, (size_t)count * sizeof *sums,
                             s->sets[set].checksums + first * (int64_t)sizeof *sums));
done:
    return rc;
}

flm_status flm_samples_check_rows(flm_samples *samples, int set, int64_t first, int64_t count, bool *present)
{
    flm_status rc = FLM_OK;
    const int64_t L = samples->info.L, max = rows_at_once(samples);
    int32_t *ids = malloc((size_t)(max * L) * sizeof *ids);
    uint32_t *sums = malloc((size_t)max * sizeof *sums);

    if (!ids || !sums) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", samples->path);
    FLM_TRY(range_check(samples, set, first, count));
    for (int64_t at = 0; at < count; at += max) {
        const int64_t n = count - at < max ? count - at : max;
        FLM_TRY(rows_read(samples, set, first + at, n, ids, sums));
        for (int64_t i = 0; i < n; i++)
            present[at + i] = flm_crc32c_update(0, ids + i * L, (size_t)L * sizeof *ids) == sums[i];
    }
done:
    free(sums);
    free(ids);
    return rc;
}

flm_status flm_samples_write(flm_samples *samples, int set, int64_t first, int64_t count, const int32_t *ids)
{
    flm_status rc = FLM_OK;
    const int64_t L = samples->info.L, row = L * (int64_t)sizeof *ids;
    uint32_t *sums = NULL;

    FLM_TRY(range_check(samples, set, first, count));
    if (!samples->write) FLM_FAIL(FLM_E_ARG, "%s: is open for reading only", samples->path);
    for (int64_t i = 0; i < count * L; i++)
        if (ids[i] < 0 || ids[i] >= samples->info.vocabulary.V)
            FLM_FAIL(FLM_E_ARG, "row %" PRId64 " has id %" PRId32 ", expected 0 to V - 1 (V = %" PRId64 ")",
                     first + i / L, ids[i], samples->info.vocabulary.V);
    sums = malloc(((size_t)count + 1) * sizeof *sums);
    if (!sums) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the checksums of %" PRId64 " rows", samples->path, count);
    for (int64_t i = 0; i < count; i++) sums[i] = flm_crc32c_update(0, ids + i * L, (size_t)row);
    FLM_TRY(flm_file_write_at(samples->fd, samples->path, ids, (size_t)(count * row),
                              samples->sets[set].tokens + first * row));
    FLM_TRY(flm_file_write_at(samples->fd, samples->path, sums, (size_t)count * sizeof *sums,
                              samples->sets[set].checksums + first * (int64_t)sizeof *sums));
done:
    free(sums);
    return rc;
}

/* Check a row against its checksum and the vocabulary. */
static flm_status row_check(const flm_samples *s, int set, int64_t row, const int32_t *ids, uint32_t sum)
{
    flm_status rc = FLM_OK;

    if (flm_crc32c_update(0, ids, (size_t)s->info.L * sizeof *ids) != sum)
        FLM_FAIL(FLM_E_CHECKSUM, "%s: %s: row %" PRId64 " is %s", s->path, flm_samples_get_name(s, set), row,
                 sum == 0 ? "missing" : "damaged");
    for (int64_t l = 0; l < s->info.L; l++)
        if (ids[l] < 0 || ids[l] >= s->info.vocabulary.V)
            FLM_FAIL(FLM_E_FORMAT, "%s: %s: row %" PRId64 " has id %" PRId32 ", expected 0 to V - 1 (V = %" PRId64 ")",
                     s->path, flm_samples_get_name(s, set), row, ids[l], s->info.vocabulary.V);
done:
    return rc;
}

flm_status flm_samples_read(flm_samples *samples, int set, int64_t first, int64_t count, int32_t *ids)
{
    flm_status rc = FLM_OK;
    uint32_t *sums = NULL;

    FLM_TRY(range_check(samples, set, first, count));
    sums = malloc(((size_t)count + 1) * sizeof *sums);
    if (!sums) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for the checksums of %" PRId64 " rows", samples->path, count);
    FLM_TRY(rows_read(samples, set, first, count, ids, sums));
    for (int64_t i = 0; i < count; i++) FLM_TRY(row_check(samples, set, first + i, ids + i * samples->info.L, sums[i]));
done:
    free(sums);
    return rc;
}

flm_status flm_samples_verify(flm_samples *samples, int set, int64_t *rows)
{
    flm_status rc = FLM_OK;
    const int64_t L = samples->info.L, N = samples->info.samples, max = rows_at_once(samples);
    int32_t *ids = malloc((size_t)(max * L) * sizeof *ids);
    uint32_t *sums = malloc((size_t)max * sizeof *sums);
    int64_t there = 0;

    if (!ids || !sums) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to read it", samples->path);
    FLM_TRY(range_check(samples, set, 0, 0));
    for (int64_t at = 0; at < N; at += max) {
        const int64_t n = N - at < max ? N - at : max;
        FLM_TRY(rows_read(samples, set, at, n, ids, sums));
        for (int64_t i = 0; i < n; i++) {
            if (sums[i] == 0 && flm_crc32c_update(0, ids + i * L, (size_t)L * sizeof *ids) != 0)
                continue; /* never written */
            FLM_TRY(row_check(samples, set, at + i, ids + i * L, sums[i]));
            there++;
        }
    }
    *rows = there;
done:
    free(sums);
    free(ids);
    return rc;
}

/* ---- results, closing ---- */

/* Remember an attribute; text NULL: a number. One that is set twice has its last value. */
static flm_status attribute_set(flm_samples *s, int set, const char *name, double value, const char *text)
{
    flm_status rc = FLM_OK;
    flm_samples_attribute *grown, one = {.set = set, .value = value};

    FLM_TRY(range_check(s, set, 0, 0));
    if (!s->write) FLM_FAIL(FLM_E_ARG, "%s: is open for reading only", s->path);
    if (!name[0] || strlen(name) >= sizeof one.name)
        FLM_FAIL(FLM_E_ARG, "\"%s\" is not a valid name of a result", name);
    strcpy(one.name, name);
    grown = realloc(s->pending, (size_t)(s->pending_count + 1) * sizeof *grown);
    if (grown) s->pending = grown;
    if (!grown || (text && !(one.text = strdup(text)))) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a result", s->path);
    s->pending[s->pending_count++] = one;
done:
    return rc;
}

flm_status flm_samples_set_result(flm_samples *samples, int set, const char *name, double value)
{
    return attribute_set(samples, set, name, value, NULL);
}

flm_status flm_samples_set_scorer(flm_samples *samples, int set, const char *scorer, const char *protocol)
{
    flm_status rc = FLM_OK;
    FLM_TRY(attribute_set(samples, set, "scorer", 0, scorer));
    FLM_TRY(attribute_set(samples, set, "protocol", 0, protocol));
done:
    return rc;
}

static flm_status write_pending(void *context, hid_t file)
{
    flm_status rc = FLM_OK;
    const flm_samples *s = context;
    hid_t group = H5I_INVALID_HID;

    for (int i = 0; i < s->pending_count; i++) {
        const flm_samples_attribute *a = &s->pending[i];
        FLM_H5(group = H5Gopen2(file, s->sets[a->set].group, H5P_DEFAULT));
        FLM_TRY(a->text ? flm_h5_set_string(group, a->name, a->text) : flm_h5_set_f64(group, a->name, a->value));
        flm_h5_close(&group);
    }
done:
    flm_h5_close(&group);
    return rc;
}

static void release_pending(flm_samples *s)
{
    for (int i = 0; i < s->pending_count; i++) free(s->pending[i].text);
    free(s->pending);
    s->pending = NULL;
    s->pending_count = 0;
}

/* Whether the file has all these attributes already: the same command again leaves it alone. */
static flm_status is_written(const flm_samples *s, bool *written)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID;
    char text[1024];
    bool same = true;

    FLM_TRY(flm_h5_open(s->path, false, &file, NULL));
    for (int i = 0; i < s->pending_count && same; i++) {
        const flm_samples_attribute *a = &s->pending[i];
        double value;
        FLM_H5(group = H5Gopen2(file, s->sets[a->set].group, H5P_DEFAULT));
        same = H5Aexists(group, a->name) > 0 &&
               (a->text
                    ? flm_h5_get_string(group, a->name, text, sizeof text) == FLM_OK && strcmp(text, a->text) == 0
                    : flm_h5_get_f64(group, a->name, &value) == FLM_OK && memcmp(&value, &a->value, sizeof value) == 0);
        flm_h5_close(&group);
    }
    flm_err_clear();
    *written = same;
done:
    flm_h5_close(&group);
    flm_h5_close(&file);
    return rc;
}

/* Rank 0: the attributes into the file, unless they are there. */
static flm_status commit(flm_samples *s)
{
    flm_status rc = FLM_OK;
    int64_t more = 1 << 16;
    bool written = false;

    FLM_TRY(is_written(s, &written));
    if (written) goto done;
    for (int i = 0; i < s->pending_count; i++)
        more += 1024 + (s->pending[i].text ? (int64_t)strlen(s->pending[i].text) : 0);
    FLM_TRY(flm_h5_edit(s->path, "samples", more, write_pending, s));
done:
    return rc;
}

flm_status flm_samples_commit(flm_comm *comm, flm_samples *samples)
{
    flm_status rc = FLM_OK, local = FLM_OK;

    if (fsync(samples->fd) != 0)
        local = flm_err_raise(flm_status_from_errno(errno), __FILE__, __LINE__, "%s: cannot be synced: %s",
                              samples->path, strerror(errno));
    FLM_TRY(flm_comm_agree(comm, local)); /* the rows and scores of all ranks are in the file that is copied */
    samples->write = false;
    if (flm_comm_rank(comm) == 0) local = commit(samples);
    FLM_TRY(flm_comm_agree(comm, local));
done:
    release_pending(samples);
    return rc;
}

flm_status flm_samples_close(flm_samples **samples)
{
    flm_status rc = FLM_OK;
    flm_samples *s = *samples;

    if (!s) return FLM_OK;
    *samples = NULL;
    if (s->fd >= 0 && s->write) rc = flm_file_sync_close(&s->fd, s->path);
    if (s->fd >= 0) close(s->fd);
    flm_lock_release(&s->lock);
    release_pending(s);
    free((int32_t *)s->prompts.tokens);
    free(s->sets);
    free(s);
    return rc;
}
