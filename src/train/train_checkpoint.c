/* train_checkpoint.c - the sharded state as slices of datasets (train_checkpoint.h). SPDX-License-Identifier:
 * Apache-2.0 */
#include "train/train_checkpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MASTER = 0, EMA = 1, SETS = 4 };
static const char *const prefix[SETS] = {"weights", "ema", "optimizer/m", "optimizer/v"};

/* The part of parameter i of one set that is in this rank's slice; count 0 where there is none. */
static flm_checkpoint_slice own_part(const flm_optimizer *o, int set, int i)
{
    const flm_parameter *p = &o->weights->parameter[i];
    const flm_optimizer_slice *s = &o->slice[p->bucket];
    const flm_tensor *const of[SETS] = {&s->master, &s->ema, &s->m, &s->v};
    const int64_t slice = o->weights->bucket[p->bucket].slice, begin = flm_comm_rank(o->comm) * slice;
    const int64_t first = p->offset > begin ? p->offset : begin;
    const int64_t end = p->offset + p->count < begin + slice ? p->offset + p->count : begin + slice;
    if (first >= end) return (flm_checkpoint_slice){0};
    return (flm_checkpoint_slice){set * o->weights->parameters + i, first - p->offset, end - first,
                                  (float *)of[set]->data + (first - begin), o->weights->be};
}

static flm_checkpoint_dataset dataset_of(const flm_optimizer *o, int set, int i)
{
    const flm_parameter *p = &o->weights->parameter[i];
    flm_checkpoint_dataset dataset = {.ndim = p->ndim, .dim = {p->dim[0], p->dim[1]}};
    snprintf(dataset.name, sizeof dataset.name, "%s/%s", prefix[set], p->name);
    return dataset;
}

/* Read elements [part->first, + count) of a dataset into this rank's slice. On a device a staging buffer holds one
 * block of the file at a time, so that each block is read and its checksum verified once. */
static flm_status read_part(const flm_checkpoint *checkpoint, const char *name, const flm_checkpoint_slice *part,
                            float *staging)
{
    flm_status rc = FLM_OK;
    flm_backend *be = part->be;
    const int64_t block = FLM_CHECKPOINT_BLOCK;
    if (be->host_memory) return flm_checkpoint_read(checkpoint, name, part->first, part->count, part->data);
    for (int64_t at = part->first, end = at + part->count, n; at < end; at += n) {
        n = block - at % block < end - at ? block - at % block : end - at;
        FLM_TRY(flm_checkpoint_read(checkpoint, name, at, n, staging));
        FLM_TRY(be->memory->to_device(be, part->data + (at - part->first), staging, (size_t)n * sizeof *staging));
        FLM_TRY(be->stream->sync(be));
    }
done:
    return rc;
}

/* The staging buffer of read_part: one block of host memory, NULL where the slices are in host memory. */
static flm_status make_staging(const flm_optimizer *o, float **staging)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    void *data = NULL;
    assert(!o->ema_active);
    if (!be->host_memory) FLM_TRY(be->memory->host_alloc(be, FLM_CHECKPOINT_BLOCK * sizeof(float), &data));
    *staging = data;
done:
    return rc;
}

flm_status flm_train_checkpoint_write(flm_optimizer *o, const char *directory, const flm_checkpoint_info *info,
                                      const flm_setting *settings, int settings_count, int keep)
{
    flm_status rc = FLM_OK;
    const int datasets = SETS * o->weights->parameters;
    flm_checkpoint_dataset *dataset = calloc((size_t)datasets, sizeof *dataset);
    flm_checkpoint_slice *slice = calloc((size_t)datasets, sizeof *slice);
    int slices = 0;
    if (dataset == NULL || slice == NULL)
        rc = flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "no memory for the checkpoint's list of tensors");
    assert(!o->ema_active);
    FLM_TRY(flm_comm_agree(o->comm, rc));
    for (int set = 0; set < SETS; set++)
        for (int i = 0; i < o->weights->parameters; i++) {
            dataset[set * o->weights->parameters + i] = dataset_of(o, set, i);
            const flm_checkpoint_slice part = own_part(o, set, i);
            if (part.count > 0) slice[slices++] = part;
        }
    FLM_TRY(flm_checkpoint_write(o->comm, directory, info, settings, settings_count, dataset, datasets, slice, slices,
                                 keep));
done:
    free(dataset);
    free(slice);
    return rc;
}

static flm_status read_own(flm_optimizer *o, const flm_checkpoint *checkpoint)
{
    flm_status rc = FLM_OK;
    float *staging = NULL;
    FLM_TRY(make_staging(o, &staging));
    for (int set = 0; set < SETS; set++)
        for (int i = 0; i < o->weights->parameters; i++) {
            const flm_checkpoint_dataset dataset = dataset_of(o, set, i);
            const flm_checkpoint_slice part = own_part(o, set, i);
            FLM_TRY(flm_checkpoint_expect(checkpoint, dataset.name, dataset.ndim, dataset.dim));
            if (part.count > 0) FLM_TRY(read_part(checkpoint, dataset.name, &part, staging));
        }
done:
    if (staging) o->weights->be->memory->host_release(o->weights->be, staging);
    return rc;
}

flm_status flm_train_checkpoint_read(flm_optimizer *o, const flm_checkpoint *checkpoint)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_comm_agree(o->comm, read_own(o, checkpoint)));
    FLM_TRY(flm_optimizer_gather(o));
done:
    return rc;
}

static flm_status begin_own(flm_optimizer *o, const flm_checkpoint *teacher, const char *set, bool all)
{
    flm_status rc = FLM_OK;
    flm_backend *be = o->weights->be;
    float *staging = NULL;
    FLM_TRY(make_staging(o, &staging));
    for (int i = 0; i < o->weights->parameters; i++) {
        if (o->weights->parameter[i].reinit && !all) continue;
        flm_checkpoint_dataset dataset = dataset_of(o, 0, i);
        const flm_checkpoint_slice master = own_part(o, MASTER, i), ema = own_part(o, EMA, i);
        snprintf(dataset.name, sizeof dataset.name, "%s/%s", set, o->weights->parameter[i].name);
        FLM_TRY(flm_checkpoint_expect(teacher, dataset.name, dataset.ndim, dataset.dim));
        if (master.count == 0) continue;
        FLM_TRY(read_part(teacher, dataset.name, &master, staging));
        FLM_TRY(be->memory->copy(be, ema.data, master.data, (size_t)master.count * sizeof *master.data));
    }
done:
    if (staging) be->memory->host_release(be, staging);
    return rc;
}

flm_status flm_train_checkpoint_init_student(flm_optimizer *o, const flm_checkpoint *teacher, const char *set, bool all)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_comm_agree(o->comm, begin_own(o, teacher, set, all)));
    FLM_TRY(flm_optimizer_gather(o));
done:
    return rc;
}
