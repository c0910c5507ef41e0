/* cpu_matmul.c - how this processor computes bf16 matmuls fastest, found by running both ways.
 * Leaves to others: the matmul (cpu_onednn.c). SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"
#include "base/base_log.h"

#include <float.h>
#include <time.h>

/* A layer's matmul, small: some milliseconds on one core. */
enum { PROBE_M = 256, PROBE_N = 768, PROBE_K = 768, PROBE_ROUNDS = 5 };

/* FP32 must be so much faster to be chosen, so that two ways of about the same speed are not chosen by chance. */
#define PROBE_MARGIN 1.2

/* CPU time of this thread: unlike the time that passes, it does not depend on what else the machine is doing. */
static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of one run of the kind, if that is less than *seconds. */
static flm_status measure(flm_backend *be, flm_matmul_kind kind, const flm_matmul *p, double *seconds)
{
    flm_status rc = FLM_OK;
    const double begin = thread_seconds();

    ((flm_cpu *)be->state)->matmul = kind;
    FLM_TRY(flm_cpu_matmul(be, p));
    const double end = thread_seconds();
    if (end - begin < *seconds) *seconds = end - begin;
done:
    return rc;
}

/* The fastest of several runs of each kind, in turn. The first, which creates the primitive, is never the fastest. */
static flm_status compare(flm_backend *be, flm_matmul_kind *faster)
{
    flm_status rc = FLM_OK;
    flm_tensor a = flm_tensor_2d(NULL, FLM_DTYPE_BF16, PROBE_M, PROBE_K);
    flm_tensor b = flm_tensor_2d(NULL, FLM_DTYPE_BF16, PROBE_N, PROBE_K);
    flm_tensor c = flm_tensor_2d(NULL, FLM_DTYPE_BF16, PROBE_M, PROBE_N);
    const flm_matmul p = {.a = &a, .b = &b, .c = &c, .transpose_b = true};
    const size_t bytes[] = {flm_tensor_bytes(&a), flm_tensor_bytes(&b), flm_tensor_bytes(&c)};
    void *data = NULL;
    double native = DBL_MAX, fp32 = DBL_MAX;

    FLM_TRY(be->memory->alloc(be, bytes[0] + bytes[1] + bytes[2], &data));
    FLM_TRY(be->memory->zero(be, data, bytes[0] + bytes[1] + bytes[2]));
    a.data = data;
    b.data = (char *)data + bytes[0];
    c.data = (char *)data + bytes[0] + bytes[1];
    for (int i = 0; i < PROBE_ROUNDS; i++) {
        FLM_TRY(measure(be, FLM_MATMUL_NATIVE, &p, &native));
        FLM_TRY(measure(be, FLM_MATMUL_FP32, &p, &fp32));
    }
    *faster = native > PROBE_MARGIN * fp32 ? FLM_MATMUL_FP32 : FLM_MATMUL_NATIVE;
    flm_log(FLM_LOG_DEBUG, "a bf16 matmul takes %.2f ms with bf16 instructions, %.2f ms in fp32", 1e3 * native,
            1e3 * fp32);
done:
    be->memory->release(be, data);
    return rc;
}

/* On one thread, whose CPU time is that of the matmul, and with an engine of its own: a primitive keeps the number of
 * threads with which it was created. */
static flm_status probe(flm_backend *be, flm_matmul_kind *faster)
{
    flm_status rc = FLM_OK;
    flm_cpu *cpu = be->state;
    const int threads = cpu->threads;
    struct flm_onednn *const onednn = cpu->onednn;

    cpu->onednn = NULL;
    cpu->threads = 1;
    FLM_TRY(flm_cpu_onednn_create(&cpu->onednn));
    FLM_TRY(compare(be, faster));
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
    if (asked == FLM_MATMUL_NATIVE && !has_bf16)
        FLM_FAIL(FLM_E_UNSUPPORTED, "oneDNN has no bf16 matmul on this processor; use a matmul of kind fp32");
    if (asked == FLM_MATMUL_AUTO && !has_bf16) kind = FLM_MATMUL_FP32;
    if (kind == FLM_MATMUL_AUTO) FLM_TRY(probe(be, &kind));
    ((flm_cpu *)be->state)->matmul = kind;
done:
    return rc;
}
