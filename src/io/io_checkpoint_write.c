/* io_checkpoint_write.c - a checkpoint written by all ranks: the layout, the data, their checksums, the name.
 *
 * Owns the order of these steps. Rank 0 creates the file with checksums of zero. Every rank streams its slices,
 * in chunks that end at the ends of blocks: a chunk is copied from the device, checksummed and written once. Rank 0
 * combines the chunks' checksums to those of the blocks, which also proves that the slices cover every element once,
 * writes them into the layout, and only then publishes the file. Until then the file has its temporary name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_crc32c.h"
#include "io/io_checkpoint_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The part of one block that one slice has. Only 64-bit integers, as ranks exchange it as bytes. */
typedef struct chunk {
    int64_t block;        /* counted over all datasets; -1: padding */
    int64_t begin, bytes; /* inside the block */
    int64_t crc;
} chunk;

typedef struct writing {
    const char *directory;
    char path[FLM_PATH_BYTES]; /* the temporary file */
    const flm_checkpoint_dataset *datasets;
    int datasets_count;
    const flm_checkpoint_slice *slices;
    int slices_count;
    int64_t *first_block; /* [datasets_count + 1] */
    int64_t *offset;      /* [datasets_count] of the data in the file */
    chunk *chunks;        /* [chunks_count] of this rank, padded to max_chunks */
    int64_t chunks_count, max_chunks;
    flm_backend *be; /* of slices that the host cannot read; NULL: there are none */
    void *staging;   /* one block of them */
} writing;

/* Sizes and ranges of this rank's arguments; whether the slices of all ranks fit together is known at the end. */
static flm_status check_arguments(const writing *w, int64_t step)
{
    flm_status rc = FLM_OK;

    if (step < 0 || w->datasets_count < 1 || w->slices_count < 0)
        FLM_FAIL(FLM_E_ARG, "invalid checkpoint: step %" PRId64 ", %d datasets", step, w->datasets_count);
    for (int i = 0; i < w->datasets_count; i++) FLM_TRY(flm_checkpoint_check_dataset(&w->datasets[i]));
    for (int i = 0; i < w->slices_count; i++) {
        const flm_checkpoint_slice *s = &w->slices[i];
        int64_t elements;
        if (s->dataset < 0 || s->dataset >= w->datasets_count)
            FLM_FAIL(FLM_E_ARG, "slice %d refers to dataset %d, expected less than %d", i, s->dataset,
                     w->datasets_count);
        elements = flm_checkpoint_elements(&w->datasets[s->dataset]);
        if (s->first < 0 || s->count < 0 || s->first > elements || s->count > elements - s->first)
            FLM_FAIL(FLM_E_ARG, "slice %d: %" PRId64 " elements from element %" PRId64 " of %s, which has %" PRId64, i,
                     s->count, s->first, w->datasets[s->dataset].name, elements);
    }
done:
    return rc;
}

/* Host memory for one block of the slices that the host cannot read, if there are any. */
static flm_status create_staging(writing *w)
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

static int64_t blocks_touched(const flm_checkpoint_slice *s)
{
    const int64_t begin = s->first * (int64_t)sizeof(float), end = begin + s->count * (int64_t)sizeof(float);
    return s->count == 0 ? 0 : (end - 1) / FLM_IO_BLOCK_BYTES - begin / FLM_IO_BLOCK_BYTES + 1;
}

static flm_status prepare(writing *w, int64_t step)
{
    flm_status rc = FLM_OK;
    char name[FLM_CHECKPOINT_NAME_BYTES];

    FLM_TRY(check_arguments(w, step));
    flm_checkpoint_temporary_name(step, name);
    FLM_TRY(flm_path_join(w->path, w->directory, name));
    w->first_block = calloc((size_t)w->datasets_count + 1, sizeof *w->first_block);
    w->offset = calloc((size_t)w->datasets_count, sizeof *w->offset);
    if (!w->first_block || !w->offset) FLM_FAIL(FLM_E_NOMEM, "no memory for the table of a checkpoint");
    for (int i = 0; i < w->datasets_count; i++)
        w->first_block[i + 1] = w->first_block[i] + flm_checkpoint_blocks(&w->datasets[i]);
    for (int i = 0; i < w->slices_count; i++) w->chunks_count += blocks_touched(&w->slices[i]);
    FLM_TRY(create_staging(w));
done:
    return rc;
}

/* Rank 0: the directory, and the file without data and checksums. */
static flm_status create_file(writing *w, const flm_checkpoint_info *info, const flm_setting *settings,
                              int settings_count)
{
    flm_status rc = FLM_OK;

    if (mkdir(w->directory, 0777) != 0 && errno != EEXIST)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be created: %s", w->directory, strerror(errno));
    flm_checkpoint_sweep(w->directory);
    FLM_TRY(flm_checkpoint_lay_out(w->path, info, settings, settings_count, w->datasets, w->datasets_count, w->offset));
done:
    return rc;
}

/* One chunk of a slice, from its byte `at`: copied from the device where the host cannot read it, checksummed and
 * written. */
static flm_status write_chunk(const writing *w, int fd, const flm_checkpoint_slice *s, int64_t at, chunk *c)
{
    flm_status rc = FLM_OK;
    const char *data = (const char *)s->data + at;
    const int64_t to = w->offset[s->dataset] + s->first * (int64_t)sizeof(float) + at;

    if (s->be != NULL && s->be == w->be) {
        FLM_TRY(w->be->memory->to_host(w->be, w->staging, data, (size_t)c->bytes));
        FLM_TRY(w->be->stream->sync(w->be));
        data = w->staging;
    }
    c->crc = flm_crc32c_update(0, data, (size_t)c->bytes);
    FLM_TRY(flm_file_write_at(fd, w->path, data, (size_t)c->bytes, to));
done:
    return rc;
}

/* Write and sync this rank's data, and record their chunks. */
static flm_status write_slices(writing *w)
{
    flm_status rc = FLM_OK;
    chunk *c;
    int fd = -1;

    c = w->chunks = calloc((size_t)w->max_chunks, sizeof *w->chunks);
    if (!w->chunks) FLM_FAIL(FLM_E_NOMEM, "no memory for the checksums of a checkpoint");
    FLM_TRY(flm_file_open(w->path, O_WRONLY, &fd));
    for (int i = 0; i < w->slices_count; i++) {
        const flm_checkpoint_slice *s = &w->slices[i];
        const int64_t begin = s->first * (int64_t)sizeof(float), end = begin + s->count * (int64_t)sizeof(float);
        for (int64_t at = begin; at < end; at += c->bytes, c++) {
            const int64_t in_block = at % FLM_IO_BLOCK_BYTES, rest = FLM_IO_BLOCK_BYTES - in_block;
            c->block = w->first_block[s->dataset] + at / FLM_IO_BLOCK_BYTES;
            c->begin = in_block;
            c->bytes = rest < end - at ? rest : end - at;
            FLM_TRY(write_chunk(w, fd, s, at - begin, c));
        }
    }
    for (; c < w->chunks + w->max_chunks; c++) c->block = -1;
    FLM_TRY(flm_file_sync_close(&fd, w->path));
done:
    if (fd >= 0) close(fd);
    return rc;
}

static int by_offset(const void *a, const void *b)
{
    const chunk *x = a, *y = b;
    if (x->block != y->block) return x->block < y->block ? -1 : 1;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* The checksum of block `block` of dataset d, from chunks in order; *next moves past them. */
static flm_status combine_block(const writing *w, int d, int64_t block, const chunk *all, int64_t count, int64_t *next,
                                uint32_t *crc)
{
    flm_status rc = FLM_OK;
    const char *name = w->datasets[d].name;
    const int64_t inside = block - w->first_block[d];
    const int64_t rest =
        flm_checkpoint_elements(&w->datasets[d]) * (int64_t)sizeof(float) - inside * FLM_IO_BLOCK_BYTES;
    const int64_t bytes = rest < FLM_IO_BLOCK_BYTES ? rest : FLM_IO_BLOCK_BYTES;
    int64_t at = 0;

    *crc = 0;
    for (; *next < count && all[*next].block == block; ++*next) {
        const chunk *c = &all[*next];
        if (c->begin < at)
            FLM_FAIL(FLM_E_ARG, "%s: slices overlap at element %" PRId64, name,
                     (inside * FLM_IO_BLOCK_BYTES + c->begin) / (int64_t)sizeof(float));
        if (c->begin > at) break;
        *crc = flm_crc32c_combine(*crc, (uint32_t)c->crc, (uint64_t)c->bytes);
        at += c->bytes;
    }
    if (at < bytes)
        FLM_FAIL(FLM_E_ARG, "%s: no slice has element %" PRId64, name,
                 (inside * FLM_IO_BLOCK_BYTES + at) / (int64_t)sizeof(float));
done:
    return rc;
}

/* Rank 0: the blocks' checksums from the chunks of all ranks, into the file. */
static flm_status write_checksums(const writing *w, chunk *all, int64_t count)
{
    flm_status rc = FLM_OK;
    const int64_t blocks = w->first_block[w->datasets_count];
    uint32_t *crc = calloc((size_t)blocks, sizeof *crc);
    int64_t next = 0;

    if (!crc) FLM_FAIL(FLM_E_NOMEM, "no memory for the checksums of a checkpoint");
    qsort(all, (size_t)count, sizeof *all, by_offset);
    while (next < count && all[next].block < 0) next++;
    for (int i = 0; i < w->datasets_count; i++)
        for (int64_t b = w->first_block[i]; b < w->first_block[i + 1]; b++)
            FLM_TRY(combine_block(w, i, b, all, count, &next, &crc[b]));
    FLM_TRY(flm_checkpoint_write_checksums(w->path, w->datasets, w->datasets_count, crc));
done:
    free(crc);
    return rc;
}

/* Gather all ranks' chunks on rank 0, which completes the file. Collective. */
static flm_status gather_checksums(flm_comm *comm, writing *w)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const bool root = flm_comm_rank(comm) == 0;
    const int64_t count = w->max_chunks * flm_comm_size(comm);
    chunk *all = NULL;

    if (root && !(all = calloc((size_t)count, sizeof *all)))
        local = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for the checksums of a checkpoint");
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_gather(comm, w->chunks, w->max_chunks * (int64_t)sizeof *all, all, 0));
    if (root) local = write_checksums(w, all, count);
    FLM_TRY(flm_comm_agree(comm, local));
done:
    free(all);
    return rc;
}

flm_status flm_checkpoint_write(flm_comm *comm, const char *directory, const flm_checkpoint_info *info,
                                const flm_setting *settings, int settings_count, const flm_checkpoint_dataset *datasets,
                                int datasets_count, const flm_checkpoint_slice *slices, int slices_count, int keep)
{
    flm_status rc = FLM_OK, local = FLM_OK;
    const bool root = flm_comm_rank(comm) == 0;
    bool unfinished = false;
    writing w = {.directory = directory,
                 .datasets = datasets,
                 .datasets_count = datasets_count,
                 .slices = slices,
                 .slices_count = slices_count};

    FLM_TRY(flm_comm_agree(comm, prepare(&w, info->step)));
    w.max_chunks = w.chunks_count;
    FLM_TRY(flm_comm_max_i64(comm, &w.max_chunks, 1));
    if (w.max_chunks == 0) FLM_FAIL(FLM_E_ARG, "%s: no slice has element 0", datasets[0].name);
    unfinished = true;
    if (root) local = create_file(&w, info, settings, settings_count);
    FLM_TRY(flm_comm_agree(comm, local));
    FLM_TRY(flm_comm_broadcast(comm, w.offset, w.datasets_count * (int64_t)sizeof *w.offset, 0));
    FLM_TRY(flm_comm_agree(comm, write_slices(&w)));
    FLM_TRY(gather_checksums(comm, &w));
    if (root) local = flm_checkpoint_publish(directory, info->step);
    FLM_TRY(flm_comm_agree(comm, local));
    unfinished = false;
    if (root) flm_checkpoint_prune(directory, info->step, keep);
done:
    if (root && unfinished) unlink(w.path);
    if (w.be) w.be->memory->host_release(w.be, w.staging);
    free(w.chunks);
    free(w.offset);
    free(w.first_block);
    return rc;
}
