/* train_plan.c - what --plan prints: memory, storage, communication and time of a run that is not made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "train/train_internal.h"

#include <inttypes.h>
#include <stdio.h>

/* Sets of fp32 weights in a checkpoint: weights, EMA, both moments (hdf5-schemas/checkpoint.schema). */
enum { CHECKPOINT_SETS = 4 };
/* Share of a device's peak where no rate was measured: an assumption, printed as such. */
static const double ASSUMED_SHARE = 0.4;

flm_status flm_run_check_plan(const flm_train_options *o)
{
    flm_status rc = FLM_OK;
    if (o->plan && o->eval_only) FLM_FAIL(FLM_E_USAGE, "--plan cannot be combined with --eval-only");
    if (o->plan && o->device == FLM_DEVICE_CPU)
        FLM_FAIL(FLM_E_USAGE, "--plan cannot be combined with --device cpu: it reports GPU memory");
    if (!o->plan && o->tokens_per_second > 0) FLM_FAIL(FLM_E_USAGE, "--tokens-per-second is for --plan");
done:
    return rc;
}

static void print_memory(const flm_run *run, const flm_run_shares *max_of)
{
    const flm_trainer_settings *s = &run->trainer->settings;
    printf("micro-batch of %" PRId64 " x %" PRId64 " tokens, %s: MiB of device memory per rank\n", max_of->micro_batch,
           s->shape.L, flm_dtype_name(s->act));
    for (int i = 0; i < FLM_TRAINER_MEMORY_PARTS; i++)
        if (max_of->part[i] > 0)
            printf("%10.1f  %s\n", (double)max_of->part[i] / (1 << 20), flm_trainer_memory_name(i));
    printf("%10.1f  total\n", (double)max_of->total / (1 << 20));
    if (max_of->sampling > 0)
        printf("%10.1f  extra while a validation generates samples\n", (double)max_of->sampling / (1 << 20));
}

static void print_storage(const flm_run *run)
{
    const flm_weights *w = run->trainer->weights;
    const int64_t L = run->trainer->settings.shape.L, rows = flm_shards_get_rows(run->train);
    double checkpoint = 0;
    for (int i = 0; i < w->parameters; i++)
        checkpoint += CHECKPOINT_SETS * sizeof(float) * (double)w->parameter[i].count;
    printf("storage: GB\n%10.2f  a checkpoint\n", checkpoint * 1e-9);
    if (run->o->keep > 0)
        printf("%10.2f  the run directory, with --keep %" PRId64 " and one that is being written\n",
               (double)(run->o->keep + 1) * checkpoint * 1e-9, run->o->keep);
    printf("%10.2f  rows of the training split: %" PRId64 " of %" PRId64 " tokens\n",
           (double)rows * (double)L * (w->shape.V <= 65536 ? 2 : 4) * 1e-9, rows, L);
}

/* Gradients are reduce-scattered in fp32 and weights all-gathered in their compute dtype: of each a rank sends the part
 * (n - 1) / n. Source: docs/scaling.md. */
static void print_communication(const flm_run *run)
{
    const flm_weights *w = run->trainer->weights;
    const int n = flm_comm_size(run->comm);
    double bytes = 0;
    for (int b = 0; b < w->buckets; b++)
        bytes += (double)w->bucket[b].slice * n * (double)(sizeof(float) + flm_dtype_size(w->bucket[b].dtype));
    if (n == 1)
        printf("communication: none with one rank; %.2f GB sent per rank and step with many\n", bytes * 1e-9);
    else
        printf("communication: %.2f GB sent per rank and step, on %d ranks\n", bytes * (n - 1) / n * 1e-9, n);
}

static void print_time(const flm_run *run)
{
    const flm_train_options *o = run->o;
    const flm_model_shape *s = &run->trainer->settings.shape;
    const double tokens = (double)o->steps * (double)o->batch * (double)s->L;
    const int n = flm_comm_size(run->comm);
    double rate = o->tokens_per_second;

    printf("work: %" PRId64 " steps, %.4g tokens, %.1f epochs\n", o->steps, tokens,
           (double)o->steps * (double)o->batch / (double)flm_shards_get_rows(run->train));
    if (rate <= 0 && o->peak_tflops > 0 && run->kind == &flm_kinds[FLM_KIND_FLM])
        rate = ASSUMED_SHARE * o->peak_tflops * 1e12 * n / (3 * flm_model_flops(s));
    if (rate <= 0) {
        printf("time: unknown; --tokens-per-second gives a measured speed%s\n",
               run->kind == &flm_kinds[FLM_KIND_FLM] ? ", --peak-tflops the peak of a rank's device" : "");
        return;
    }
    printf("time: %.2f days without validations, at %.0f tokens/s ", tokens / rate / 86400, rate);
    if (o->tokens_per_second > 0)
        printf("as measured (--tokens-per-second)\n");
    else
        printf("on %d rank%s, assuming %.0f %% of the peak of %g TFLOP/s (--peak-tflops)\n", n, n == 1 ? "" : "s",
               100 * ASSUMED_SHARE, o->peak_tflops);
}

void flm_run_print_plan(const flm_run *run, const flm_run_shares *max_of)
{
    if (flm_comm_rank(run->comm) != 0) return;
    print_memory(run, max_of);
    print_storage(run);
    print_communication(run);
    print_time(run);
}
