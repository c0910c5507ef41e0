/* cpu_backend.c - the backend "cpu": its state, scratch memory, stream and table of ops.
 * Leaves to others: arithmetic; each family of operations has its own file. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_internal.h"
#include "backend/cpu/cpu_internal.h"

#include <assert.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than any machine has, and few enough that a larger request fails here and not inside OpenMP. */
enum { MAX_THREADS = 4096 };

flm_status flm_cpu_scratch(flm_backend *be, int slot, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    flm_cpu *cpu = be->state;
    void *data = NULL;

    assert(slot >= 0 && slot < FLM_CPU_SLOTS);
    if (bytes > cpu->slot[slot].bytes) {
        /* Released first: the old contents are not needed, and both together may not fit. */
        flm_cpu_memory.release(be, cpu->slot[slot].data);
        cpu->slot[slot].data = NULL;
        cpu->slot[slot].bytes = 0;
        FLM_TRY(flm_cpu_memory.alloc(be, bytes, &data));
        cpu->slot[slot].data = data;
        cpu->slot[slot].bytes = bytes;
    }
    *out = cpu->slot[slot].data;
done:
    return rc;
}

int flm_cpu_threads(const flm_backend *be) { return ((const flm_cpu *)be->state)->threads; }

/* Calls complete before they return. */
static flm_status stream_sync_cpu(flm_backend *be)
{
    (void)be;
    return FLM_OK;
}

static const flm_stream cpu_stream = {.sync = stream_sync_cpu};

#define FLM_OP(op, parameters, arguments) .op = flm_cpu_##op,
static const flm_ops cpu_ops = {
#include "backend/backend_ops.def"
};

static void cpu_close(flm_backend *be)
{
    flm_cpu *cpu = be->state;
    if (cpu) {
        for (int i = 0; i < FLM_CPU_SLOTS; i++) flm_cpu_memory.release(be, cpu->slot[i].data);
        flm_cpu_release_packed(be);
        flm_cpu_onednn_destroy(&cpu->onednn);
    }
    free(cpu);
    free(be);
}

static flm_matmul_kind cpu_get_matmul(const flm_backend *be) { return ((const flm_cpu *)be->state)->matmul; }

static const char *cpu_describe(const flm_backend *be) { return ((const flm_cpu *)be->state)->line; }

static const flm_backend_driver cpu_driver = {.close = cpu_close,
                                              .set_matmul = flm_cpu_set_matmul,
                                              .get_matmul = cpu_get_matmul,
                                              .hold = flm_cpu_hold,
                                              .let_go = flm_cpu_let_go,
                                              .describe = cpu_describe};

/* The processor's name as Linux reports it. */
static void processor_name(char *name, size_t size)
{
    char row[256];
    FILE *file = fopen("/proc/cpuinfo", "r");

    snprintf(name, size, "unknown processor");
    while (file && fgets(row, sizeof row, file)) {
        char *colon = strchr(row, ':');
        if (!colon || strncmp(row, "model name", 10) != 0) continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(name, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (file) fclose(file);
}

flm_status flm_cpu_open(int threads, flm_backend **out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = calloc(1, sizeof *be);
    flm_cpu *cpu = calloc(1, sizeof *cpu);
    char processor[96], onednn[96], lapack[96];

    if (!be || !cpu) FLM_FAIL(FLM_E_NOMEM, "cpu backend: out of memory (%zu bytes)", sizeof *be + sizeof *cpu);
    *be = (flm_backend){.kind = FLM_BACKEND_CPU,
                        .name = "cpu",
                        .memory = &flm_cpu_memory,
                        .stream = &cpu_stream,
                        .ops = &cpu_ops,
                        .host_memory = true,
                        .state = cpu,
                        .driver = &cpu_driver};
    cpu->threads = threads ? threads : omp_get_max_threads();
    if (cpu->threads > MAX_THREADS)
        FLM_FAIL(FLM_E_ARG, "cpu backend: %d threads requested, the maximum is %d", threads, MAX_THREADS);
    FLM_TRY(flm_cpu_onednn_create(&cpu->onednn));
    FLM_TRY(flm_cpu_lapack_begin(cpu->threads));
    FLM_TRY(flm_cpu_set_matmul(be, FLM_MATMUL_AUTO));
    processor_name(processor, sizeof processor);
    snprintf(cpu->line, sizeof cpu->line, "cpu: %s, %d thread%s, %s, %s", processor, cpu->threads,
             cpu->threads == 1 ? "" : "s", flm_cpu_onednn_describe(onednn, sizeof onednn),
             flm_cpu_lapack_describe(lapack, sizeof lapack));
    *out = be;
    be = NULL;
    cpu = NULL;
done:
    if (be && be->state)
        cpu_close(be);
    else {
        free(cpu);
        free(be);
    }
    return rc;
}
