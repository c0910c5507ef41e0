/* cpu_matmul.c - how this processor computes bf16 matmuls fastest, found by running all ways.
 * Leaves to others: the matmul (cpu_onednn.c, cpu_amx_matmul.c). SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_amx.h"
#include "backend/cpu/cpu_internal.h"
#include "base/base_log.h"

#include <time.h>

/* A layer, small: some tens of milliseconds on one core. */
enum { PROBE_TOKENS = 512, PROBE_WIDTH = 768, PROBE_ROUNDS = 7 };

/* A kind must be so much faster than those before it to be chosen, so that of two of about the same speed it is not
 * chance that decides. */
#define PROBE_MARGIN 1.4

/* CPU time of this thread: unlike the time that passes, it does not depend on what else the machine is doing. */
static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The matmuls of a linear layer: forward, gradient of its input, gradient of its weights.
 * bf16 x, y [tokens, width], W [width, width]; f32 grad [width, width]. */
static flm_status run_layer(flm_backend *be, const flm_tensor *x, const flm_tensor *W, const flm_tensor *y,
                            const flm_tensor *grad)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_cpu_matmul(be, &(flm_matmul){.a = x, .b = W, .c = y, .transpose_b = true}));
    FLM_TRY(flm_cpu_matmul(be, &(flm_matmul){.a = x, .b = W, .c = y}));
    FLM_TRY(flm_cpu_matmul(be, &(flm_matmul){.a = y, .b = x, .c = grad, .transpose_a = true, .accumulate = true}));
done:
    return rc;
}

/* Seconds of a layer by this kind, if that is less than *seconds or that is 0. */
static flm_status measure(flm_backend *be, flm_matmul_kind kind, const flm_tensor layer[4], double *seconds)
{
    flm_status rc = FLM_OK;
    ((flm_cpu *)be->state)->matmul = kind;
    const double begin = thread_seconds();
    FLM_TRY(run_layer(be, &layer[0], &layer[1], &layer[2], &layer[3]));
    const double end = thread_seconds();
    if (*seconds == 0 || end - begin < *seconds) *seconds = end - begin;
done:
    return rc;
}

/* The kind that takes the least of these times; 0: not measured. */
static flm_matmul_kind choose(const double seconds[FLM_MATMUL_KINDS])
{
    flm_matmul_kind best = FLM_MATMUL_AUTO;
    for (int kind = FLM_MATMUL_AMX; kind < FLM_MATMUL_KINDS; kind++)
        if (seconds[kind] > 0 && (best == FLM_MATMUL_AUTO || seconds[best] > PROBE_MARGIN * seconds[kind]))
            best = (flm_matmul_kind)kind;
    return best;
}

/* Whether a kind took so much longer than another that it is not run again. */
static bool is_hopeless(const double seconds[FLM_MATMUL_KINDS], flm_matmul_kind kind)
{
    enum { FACTOR = 3 };
    const flm_matmul_kind best = choose(seconds);
    return best != FLM_MATMUL_AUTO && seconds[kind] > FACTOR * seconds[best];
}

/* The fastest of several runs of each kind, in turn. The first, which creates the primitives, is never the fastest. */
static flm_status compare(flm_backend *be, flm_matmul_kind *fastest)
{
    flm_status rc = FLM_OK;
    flm_tensor layer[] = {flm_tensor_2d(NULL, FLM_DTYPE_BF16, PROBE_TOKENS, PROBE_WIDTH),
                          flm_tensor_2d(NULL, FLM_DTYPE_BF16, PROBE_WIDTH, PROBE_WIDTH),
                          flm_tensor_2d(NULL, FLM_DTYPE_BF16, PROBE_TOKENS, PROBE_WIDTH),
                          flm_tensor_2d(NULL, FLM_DTYPE_F32, PROBE_WIDTH, PROBE_WIDTH)};
    enum { TENSORS = sizeof layer / sizeof layer[0] };
    const bool has[FLM_MATMUL_KINDS] = {false, flm_amx_supported(), true, true};
    double seconds[FLM_MATMUL_KINDS] = {0};
    size_t bytes = 0;
    void *data = NULL;

    for (int i = 0; i < TENSORS; i++) bytes += flm_tensor_bytes(&layer[i]);
    FLM_TRY(be->memory->alloc(be, bytes, &data));
    FLM_TRY(be->memory->zero(be, data, bytes));
    for (int i = 0, at = 0; i < TENSORS; at += (int)flm_tensor_bytes(&layer[i++])) layer[i].data = (char *)data + at;
    for (int i = 0; i < PROBE_ROUNDS; i++)
        for (int kind = FLM_MATMUL_AMX; kind < FLM_MATMUL_KINDS; kind++)
            if (has[kind] && !is_hopeless(seconds, (flm_matmul_kind)kind))
                FLM_TRY(measure(be, (flm_matmul_kind)kind, layer, &seconds[kind]));
    *fastest = choose(seconds);
    for (int kind = FLM_MATMUL_AMX; kind < FLM_MATMUL_KINDS; kind++)
        if (has[kind])
            flm_log(FLM_LOG_DEBUG, "bf16 matmuls of kind %s: %.2f ms for a small layer",
                    flm_backend_name_matmul((flm_matmul_kind)kind), 1e3 * seconds[kind]);
done:
    be->memory->release(be, data);
    return rc;
}

/* On one thread, whose CPU time is that of the matmul, and with an engine of its own: a primitive keeps the number of
 * threads with which it was created. */
static flm_status probe(flm_backend *be, flm_matmul_kind *fastest)
{
    flm_status rc = FLM_OK;
    flm_cpu *cpu = be->state;
    const int threads = cpu->threads;
    struct flm_onednn *const onednn = cpu->onednn;

    cpu->onednn = NULL;
    cpu->threads = 1;
    FLM_TRY(flm_cpu_onednn_create(&cpu->onednn));
    FLM_TRY(compare(be, fastest));
done:
    flm_cpu_onednn_destroy(&cpu->onednn);
    cpu->onednn = onednn;
    cpu->threads = threads;
    return rc;
}

flm_status flm_cpu_set_matmul(flm_backend *be, flm_matmul_kind asked)
{
    flm_status rc = FLM_OK;
    flm_matmul_kind kind = asked;
    bool has_bf16;
    FLM_TRY(flm_cpu_onednn_has_bf16(be, &has_bf16));
    if (asked == FLM_MATMUL_AMX && !(has_bf16 && flm_amx_supported()))
        FLM_FAIL(FLM_E_UNSUPPORTED,
                 "this processor has no bf16 tiles (Intel AMX); use a matmul of kind native or fp32");
    if (asked == FLM_MATMUL_NATIVE && !has_bf16)
        FLM_FAIL(FLM_E_UNSUPPORTED, "oneDNN has no bf16 matmul on this processor; use a matmul of kind fp32");
    if (asked == FLM_MATMUL_AUTO && !has_bf16) kind = FLM_MATMUL_FP32;
    if (kind == FLM_MATMUL_AUTO) FLM_TRY(probe(be, &kind));
    ((flm_cpu *)be->state)->matmul = kind;
done:
    return rc;
}
