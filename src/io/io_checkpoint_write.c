/* io_checkpoint_write.c - a checkpoint written by all ranks: sums first, then the layout, the data, the name.
 *
 * Owns the order in which things happen. Every rank checksums its own slices in pieces cut at the blocks' ends; rank 0
 * joins them to the blocks' sums, which also shows that the slices cover everything once, and lays the file out.
 * Refuses to rename before every rank has synced. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/io_checkpoint_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one slice has of one block. */
typedef struct piece {
    int64_t block;        /* counted over all datasets; -1: padding */
    int64_t begin, bytes; /* inside the block */
    int64_t crc;
} piece;

typedef struct writing {
    const char *directory;
    char path[FLM_PATH_BYTES]; /* the temporary file */
    const flm_checkpoint_dataset *datasets;
    int datasets_count;
    const flm_checkpoint_slice *slices;
    int slices_count;
    int64_t *first_block; /* [datasets_count + 1] */
    int64_t *offset;      /* [datasets_count] of the data in the file */
    piece *pieces;        /* [pieces_count] this rank's, padded to max_chunks */
    int64_t pieces_count, max_chunks;
    flm_backend *be; /* of slices that the host cannot read; NULL: there are none */
    void *staging;   /* a block of theirs */
} writing;

static flm_status dataset_check(const flm_checkpoint_dataset *d, int number)
{
    flm_status rc = FLM_OK;
    int64_t bytes = sizeof(float);

    if (!memchr(d->name, '\0', sizeof d->name) || !d->name[0])
        FLM_FAIL(FLM_E_ARG, "a checkpoint's dataset %d has no name, or one without an end", number);
    if (d->ndim < 1 || d->ndim > 2) FLM_FAIL(FLM_E_ARG, "dataset %s has %d dimensions", d->name, d->ndim);
    for (int k = 0; k < d->ndim; k++)
        if (d->dim[k] < 1 || __builtin_mul_overflow(bytes, d->dim[k], &bytes))
            FLM_FAIL(FLM_E_ARG, "dataset %s: axis %d has %" PRId64 " elements", d->name, k, d->dim[k]);
done:
    return rc;
}

/* This rank's part alone: sizes and ranges. */
static flm_status arguments_check(const writing *w, int64_t step)
{
    flm_status rc = FLM_OK;

    if (step < 0 || w->datasets_count < 1 || w->slices_count < 0)
        FLM_FAIL(FLM_E_ARG, "a checkpoint of step %" PRId64 " with %d datasets", step, w->datasets_count);
    for (int i = 0; i < w->datasets_count; i++) FLM_TRY(dataset_check(&w->datasets[i], i));
    for (int i = 0; i < w->slices_count; i++) {
        const flm_checkpoint_slice *s = &w->slices[i];
        int64_t elements;
        if (s->dataset < 0 || s->dataset >= w->datasets_count)
            FLM_FAIL(FLM_E_ARG, "slice %d is of dataset %d, there are %d", i, s->dataset, w->datasets_count);
        elements = flm_checkpoint_elements(&w->datasets[s->dataset]);
        if (s->first < 0 || s->count < 0 || s->first > elements || s->count > elements - s->first)
            FLM_FAIL(FLM_E_ARG, "slice %d: %" PRId64 " elements from %" PRId64 " of %s, which has %" PRId64, i,
                     s->count, s->first, w->datasets[s->dataset].name, elements);
    }
done:
    return rc;
}

/* Room for a block of slices in memory that the host cannot read, where there are any. */
static flm_status staging_make(writing *w)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < w->slices_count; i++) {
        flm_backend *be = w->slices[i].be;
        if (be == NULL || be->host_memory) continue;
        if (w->be == NULL) FLM_TRY(be->memory->host_alloc(be, FLM_IO_BLOCK_BYTES, &w->staging));
        w->be = be;
    }
done:
    return rc;
}

/* bytes (a block at most, of device memory) of a slice from its byte `at`, where the host can read them. */
static flm_status slice_bytes(const writing *w, const flm_checkpoint_slice *s, int64_t at, int64_t bytes,
                              const char **out)
{
    flm_status rc = FLM_OK;
    const char *data = (const char *)s->data + at;
    if (s->be != NULL && s->be == w->be) {
        FLM_TRY(w->be->memory->to_host(w->be, w->staging, data, (size_t)bytes));
        FLM_TRY(w->be->stream->sync(w->be));
        data = w->staging;
    }
    *out = data;
done:
    return rc;
}

static int64_t blocks_touched(const flm_checkpoint_slice *s)
{
    const int64_t begin = s->first * (int64_t)sizeof(float), end = begin + s->count * (int64_t)sizeof(float);
    return s->count == 0 ? 0 : (end - 1) / FLM_IO_BLOCK_BYTES - begin / FLM_IO_BLOCK_BYTES + 1;
}

static flm_status prepare(writing *w, int64_t step)
{
    flm_status rc = FLM_OK;
    char name[FLM_CHECKPOINT_NAME_BYTES];

    FLM_TRY(arguments_check(w, step));
    flm_checkpoint_temporary(step, name);
    FLM_TRY(flm_path_join(w->path, w->directory, name));
    w->first_block = calloc((size_t)w->datasets_count + 1, sizeof *w->first_block);
    w->offset = calloc((size_t)w->datasets_count, sizeof *w->offset);
    if (!w->first_block || !w->offset) FLM_FAIL(FLM_E_NOMEM, "no memory for the table of a checkpoint");
    for (int i = 0; i < w->datasets_count; i++)
        w->first_block[i + 1] = w->first_block[i] + flm_checkpoint_blocks(&w->datasets[i]);
    for (int i = 0; i < w->slices_count; i++) w->pieces_count += blocks_touched(&w->slices[i]);
    FLM_TRY(staging_make(w));
done:
    return rc;
}

/* Checksums this rank's data. */
static flm_status pieces_make(writing *w)
{
    flm_status rc = FLM_OK;
    piece *p;

    p = w->pieces = calloc((size_t)w->max_chunks, sizeof *w->pieces);
    if (!w->pieces) FLM_FAIL(FLM_E_NOMEM, "no memory for the sums of a checkpoint");
    for (int i = 0; i < w->slices_count; i++) {
        const flm_checkpoint_slice *s = &w->slices[i];
        const int64_t begin = s->first * (int64_t)sizeof(float), end = begin + s->count * (int64_t)sizeof(float);
        const char *data = NULL;
        for (int64_t at = begin; at < end; at += p->bytes, p++) {
            p->block = w->first_block[s->dataset] + at / FLM_IO_BLOCK_BYTES;
            p->begin = at % FLM_IO_BLOCK_BYTES;
            p->bytes = FLM_IO_BLOCK_BYTES - p->begin < end - at ? FLM_IO_BLOCK_BYTES - p->begin : end - at;
            FLM_TRY(slice_bytes(w, s, at - begin, p->bytes, &data));
            p->crc = flm_crc32c(0, data, (size_t)p->bytes);
        }
    }
    for (; p < w->pieces + w->max_chunks; p++) p->block = -1;
done:
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->block != y->block) return x->block < y->block ? -1 : 1;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* The sum of block `block` of dataset d, from pieces that stand in order; *next moves behind them. */
static flm_status block_join(const writing *w, int d, int64_t block, const piece *all, int64_t count, int64_t *next,
                             uint32_t *sum)
{
    flm_status rc = FLM_OK;
    const char *name = w->datasets[d].name;
    const int64_t inside = block - w->first_block[d];
    const int64_t rest =
        flm_checkpoint_elements(&w->datasets[d]) * (int64_t)sizeof(float) - inside * FLM_IO_BLOCK_BYTES;
    const int64_t bytes = rest < FLM_IO_BLOCK_BYTES ? rest : FLM_IO_BLOCK_BYTES;
    int64_t at = 0;

    *sum = 0;
    for (; *next < count && all[*next].block == block; ++*next) {
        const piece *p = &all[*next];
        if (p->begin < at)
            FLM_FAIL(FLM_E_ARG, "%s: slices overlap at element %" PRId64, name,
                     (inside * FLM_IO_BLOCK_BYTES + p->begin) / (int64_t)sizeof(float));
        if (p->begin > at) break;
        *sum = flm_crc32c_combine(*sum, (uint32_t)p->crc, (uint64_t)p->bytes);
        at += p->bytes;
    }
    if (at < bytes)
        FLM_FAIL(FLM_E_ARG, "%s: no slice has element %" PRId64, name,
                 (inside * FLM_IO_BLOCK_BYTES + at) / (int64_t)sizeof(float));
done:
    return rc;
}

/* Room for the structure beside the data; more than HDF5 takes, so that what was reserved suffices. */
static int64_t file_bytes(const writing *w, const flm_setting *settings, int settings_count)
{
    int64_t bytes = 1 << 16;

    for (int i = 0; i < settings_count; i++)
        bytes += 512 + (int64_t)strlen(settings[i].name) + (int64_t)strlen(settings[i].value);
    for (int i = 0; i < w->datasets_count; i++)
        bytes += 1024 + flm_checkpoint_elements(&w->datasets[i]) * (int64_t)sizeof(float) +
                 flm_checkpoint_blocks(&w->datasets[i]) * (int64_t)sizeof(uint32_t);
    return bytes;
}

/* Rank 0: the blocks' sums from everybody's pieces, and the file without its data. */
static flm_status lay_out(writing *w, const flm_checkpoint_info *info, const flm_setting *settings, int settings_count,
                          piece *all, int64_t count)
{
    flm_status rc = FLM_OK;
    const int64_t blocks = w->first_block[w->datasets_count];
    uint32_t *sums = calloc((size_t)blocks, sizeof *sums), **of = calloc((size_t)w->datasets_count, sizeof *of);
    int64_t next = 0;

    if (!sums || !of) FLM_FAIL(FLM_E_NOMEM, "no memory for the sums of a checkpoint");
    qsort(all, (size_t)count, sizeof *all, by_place);
    while (next < count && all[next].block < 0) next++;
    for (int i = 0; i < w->datasets_count; i++) {
        of[i] = sums + w->first_block[i];
        for (int64_t b = w->first_block[i]; b < w->first_block[i + 1]; b++)
            FLM_TRY(block_join(w, i, b, all, count, &next, &sums[b]));
    }
    if (mkdir(w->directory, 0777) != 0 && errno != EEXIST)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be made: %s", w->directory, strerror(errno));
    flm_checkpoint_sweep(w->directory);
    FLM_TRY(flm_file_reserve(w->path, file_bytes(w, settings, settings_count)));
    FLM_TRY(
        flm_checkpoint_lay_out(w->path, info, settings, settings_count, w->datasets, w->datasets_count, of, w->offset));
done:
    free(of);
    free(sums);
    return rc;
}

/* Brings all ranks' pieces to rank 0, which lays the file out. Collective. */
static flm_status gather_and_lay_out(flm_comm *comm, writing *w, const flm_checkpoint_info *info,
                                     const flm_setting *settings, int settings_count)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const bool root = flm_comm_rank(comm) == 0;
    piece *all = NULL;
    int64_t count;

    w->max_chunks = w->pieces_count;
    FLM_TRY(flm_comm_max_i64(comm, &w->max_chunks, 1));
    count = w->max_chunks * flm_comm_size(comm);
    if (w->max_chunks == 0) FLM_FAIL(FLM_E_ARG, "%s: no slice has element 0", w->datasets[0].name);
    local = pieces_make(w);
    if (root && local == FLM_OK && !(all = calloc((size_t)count, sizeof *all)))
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for the sums of a checkpoint");
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_gather(comm, w->pieces, w->max_chunks * (int64_t)sizeof *all, all, 0));
    if (root) local = lay_out(w, info, settings, settings_count, all, count);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_broadcast(comm, w->offset, w->datasets_count * (int64_t)sizeof *w->offset, 0));
done:
    free(all);
    return rc;
}

/* This rank's data, on the disk when it returns. */
static flm_status slices_write(const writing *w)
{
    flm_status rc = FLM_OK;
    int fd = -1;

    FLM_TRY(flm_file_open(w->path, O_WRONLY, &fd));
    for (int i = 0; i < w->slices_count; i++) {
        const flm_checkpoint_slice *s = &w->slices[i];
        const int64_t to = w->offset[s->dataset] + s->first * (int64_t)sizeof(float);
        const int64_t bytes = s->count * (int64_t)sizeof(float),
                      max = s->be != NULL && s->be == w->be ? FLM_IO_BLOCK_BYTES : bytes;
        for (int64_t at = 0; at < bytes; at += max) {
            const int64_t n = bytes - at < max ? bytes - at : max;
            const char *data = NULL;
            FLM_TRY(slice_bytes(w, s, at, n, &data));
            FLM_TRY(flm_file_write_at(fd, w->path, data, (size_t)n, to + at));
        }
    }
    FLM_TRY(flm_file_sync_close(&fd, w->path));
done:
    if (fd >= 0) close(fd);
    return rc;
}

flm_status flm_checkpoint_write(flm_comm *comm, const char *directory, const flm_checkpoint_info *info,
                                const flm_setting *settings, int settings_count, const flm_checkpoint_dataset *datasets,
                                int datasets_count, const flm_checkpoint_slice *slices, int slices_count, int keep)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const bool root = flm_comm_rank(comm) == 0;
    bool begun = false;
    writing w = {.directory = directory,
                 .datasets = datasets,
                 .datasets_count = datasets_count,
                 .slices = slices,
                 .slices_count = slices_count};

    FLM_TRY(flm_comm_agree(comm, prepare(&w, info->step)));
    begun = true;
    FLM_TRY(gather_and_lay_out(comm, &w, info, settings, settings_count));
    FLM_TRY(flm_comm_agree(comm, slices_write(&w)));
    if (root) local = flm_checkpoint_publish(directory, info->step);
    FLM_TRY(flm_comm_agree(comm, local));
    begun = false;
    if (root) flm_checkpoint_prune(directory, info->step, keep);
done:
    if (root && begun) unlink(w.path); /* whatever is there of it; often nothing */
    if (w.be) w.be->memory->host_release(w.be, w.staging);
    free(w.pieces);
    free(w.offset);
    free(w.first_block);
    return rc;
}
