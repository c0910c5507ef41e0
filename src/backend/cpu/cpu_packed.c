/* cpu_packed.c - operands b of matmuls in a layout of the matmul's own, which are kept while the operand is held
 * (flm_backend_hold). Leaves the layouts to those who pack. SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_internal.h"

static bool is_same(const flm_tensor *a, const flm_tensor *b)
{
    return a->data == b->data && a->dtype == b->dtype && a->dim[0] == b->dim[0] && a->dim[1] == b->dim[1] &&
           flm_tensor_row_stride(a) == flm_tensor_row_stride(b);
}

/* The place of a held tensor; -1: it is not held. */
static int find_held(const flm_cpu *cpu, const flm_tensor *t)
{
    for (int i = 0; i < FLM_CPU_HELD; i++)
        if (cpu->held[i].count > 0 && is_same(&cpu->held[i].tensor, t)) return i;
    return -1;
}

void flm_cpu_hold(flm_backend *be, const flm_tensor *t)
{
    flm_cpu *cpu = be->state;
    int at = find_held(cpu, t);
    for (int i = 0; at < 0 && i < FLM_CPU_HELD; i++)
        if (cpu->held[i].count == 0) at = i;
    if (at < 0) return; /* all places are taken: it is packed in each matmul */
    cpu->held[at].tensor = *t;
    cpu->held[at].count++;
}

void flm_cpu_let_go(flm_backend *be, const flm_tensor *t)
{
    flm_cpu *cpu = be->state;
    const int at = find_held(cpu, t);
    if (at < 0 || --cpu->held[at].count > 0) return;
    for (int i = 0; i < FLM_CPU_PACKINGS; i++)
        if (cpu->packing[i].layout != NULL && cpu->packing[i].held == at) cpu->packing[i].layout = NULL;
}

/* The unused memory to pack in: the smallest that is large enough, else the largest; -1: all is used. */
static int find_memory(const flm_cpu *cpu, size_t bytes)
{
    int best = -1;
    for (int i = 0; i < FLM_CPU_PACKINGS; i++) {
        if (cpu->packing[i].layout != NULL) continue;
        const size_t has = cpu->packing[i].bytes, had = best < 0 ? 0 : cpu->packing[best].bytes;
        if (best < 0 || (has >= bytes ? had < bytes || has < had : had < bytes && has > had)) best = i;
    }
    return best;
}

flm_status flm_cpu_packed(flm_backend *be, const flm_tensor *b, const void *layout, size_t bytes, void **out,
                          bool *packed)
{
    flm_status rc = FLM_OK;
    flm_cpu *cpu = be->state;
    const int held = find_held(cpu, b), at = held < 0 ? -1 : find_memory(cpu, bytes);
    *packed = false;
    for (int i = 0; i < FLM_CPU_PACKINGS && held >= 0; i++) {
        if (cpu->packing[i].layout != layout || cpu->packing[i].held != held) continue;
        *out = cpu->packing[i].data;
        *packed = cpu->packing[i].full;
        goto done;
    }
    if (at < 0) {
        FLM_TRY(flm_cpu_scratch(be, FLM_CPU_PACKED, bytes, out));
        goto done;
    }
    if (cpu->packing[at].bytes < bytes) {
        flm_cpu_memory.release(be, cpu->packing[at].data);
        cpu->packing[at].data = NULL;
        cpu->packing[at].bytes = 0;
        FLM_TRY(flm_cpu_memory.alloc(be, bytes, &cpu->packing[at].data));
        cpu->packing[at].bytes = bytes;
    }
    cpu->packing[at].held = held;
    cpu->packing[at].layout = layout;
    cpu->packing[at].full = false;
    *out = cpu->packing[at].data;
done:
    return rc;
}

void flm_cpu_keep_packed(flm_backend *be, const void *memory)
{
    flm_cpu *cpu = be->state;
    for (int i = 0; i < FLM_CPU_PACKINGS; i++)
        if (cpu->packing[i].layout != NULL && cpu->packing[i].data == memory) cpu->packing[i].full = true;
}

void flm_cpu_release_packed(flm_backend *be)
{
    flm_cpu *cpu = be->state;
    for (int i = 0; i < FLM_CPU_PACKINGS; i++) flm_cpu_memory.release(be, cpu->packing[i].data);
}
