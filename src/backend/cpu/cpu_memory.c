/* cpu_memory.c - the backend "cpu": its memory table, and how much memory is left.
 *
 * Linux grants more memory than it has and kills the process later, so a request is first compared with the free
 * memory: of the machine, and of the control groups of the process (a batch job's limit). SPDX-License-Identifier:
 * Apache-2.0 */
#include "backend/cpu/cpu_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, PATH_BYTES = 1024, HUGE_PAGE = 2 << 20 };

/* The number after `name` at the start of a line of a small kernel file; name "" takes the file's first word.
 * False if the file, the line or the number is missing ("max" is not a number). */
static bool kernel_number(const char *path, const char *name, uint64_t *value)
{
    char row[256];
    bool found = false;
    FILE *file = fopen(path, "r");

    while (file && !found && fgets(row, sizeof row, file))
        found = strncmp(row, name, strlen(name)) == 0 && sscanf(row + strlen(name), "%" SCNu64, value) == 1;
    if (file) fclose(file);
    return found;
}

/* Memory left in one control group (version 2): limit - used; memory of the page cache counts as free. */
static uint64_t group_room(const char *group)
{
    char path[PATH_BYTES + 64];
    uint64_t max = 0, used = 0, cached = 0;

    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
    if (!kernel_number(path, "", &max)) return UINT64_MAX;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", group);
    if (!kernel_number(path, "", &used)) return UINT64_MAX;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", group);
    if (!kernel_number(path, "inactive_file ", &cached)) cached = 0;
    used -= cached < used ? cached : used;
    return max > used ? max - used : 0;
}

/* The minimum over the process's control group and all its parents. */
static uint64_t groups_room(void)
{
    char row[PATH_BYTES];
    uint64_t min = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "r");

    while (file && fgets(row, sizeof row, file)) {
        if (strncmp(row, "0::", 3) != 0) continue; /* version 1 */
        char *group = row + 3, *slash = group + strcspn(group, "\n");
        do { /* from the process's own group up to the root, "" */
            *slash = '\0';
            uint64_t room = group_room(group);
            if (room < min) min = room;
        } while ((slash = strrchr(group, '/')));
    }
    if (file) fclose(file);
    return min;
}

static flm_status memory_available_cpu(flm_backend *be, size_t *bytes)
{
    uint64_t free_kib = 0, swap_kib = 0, room = groups_room(), machine;

    (void)be;
    if (!kernel_number("/proc/meminfo", "MemAvailable:", &free_kib))
        return flm_err_raise(FLM_E_DEVICE, __FILE__, __LINE__, "/proc/meminfo does not contain MemAvailable");
    if (!kernel_number("/proc/meminfo", "SwapFree:", &swap_kib)) swap_kib = 0;
    machine = (free_kib + swap_kib) * 1024;
    *bytes = (size_t)(machine < room ? machine : room);
    return FLM_OK;
}

static flm_status memory_alloc_cpu(flm_backend *be, size_t bytes, void **out)
{
    flm_status rc = FLM_OK;
    size_t available = 0, align = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGN;
    void *data = NULL;

    FLM_TRY(memory_available_cpu(be, &available));
    if (bytes <= available) data = aligned_alloc(align, bytes ? (bytes + align - 1) / align * align : align);
    if (!data)
        FLM_FAIL(FLM_E_NOMEM, "%.1f MiB of memory requested, %.1f MiB free", (double)bytes / 0x1p20,
                 (double)available / 0x1p20);
    /* Matmuls read columns of matrices, one row stride apart: with small pages most accesses would miss the TLB. Only a
     * hint: a kernel without huge pages uses small ones. */
    if (align == HUGE_PAGE) madvise(data, bytes, MADV_HUGEPAGE);
    *out = data;
done:
    return rc;
}

static void memory_release_cpu(flm_backend *be, void *data)
{
    (void)be;
    free(data);
}

/* Empty copies may have NULL pointers, which memcpy does not allow. */
static flm_status memory_copy_cpu(flm_backend *be, void *to, const void *from, size_t bytes)
{
    (void)be;
    if (bytes) memcpy(to, from, bytes);
    return FLM_OK;
}

/* Threads share what is long: one alone does not reach the memory's bandwidth. */
static flm_status memory_zero_cpu(flm_backend *be, void *device, size_t bytes)
{
    const size_t part = HUGE_PAGE;
    const int threads = be->state != NULL && bytes > part ? flm_cpu_threads(be) : 1;
#pragma omp parallel for num_threads(threads)
    for (size_t at = 0; at < bytes; at += part) memset((char *)device + at, 0, bytes - at < part ? bytes - at : part);
    return FLM_OK;
}

const flm_memory flm_cpu_memory = {
    .alloc = memory_alloc_cpu,
    .release = memory_release_cpu,
    .host_alloc = memory_alloc_cpu,
    .host_release = memory_release_cpu,
    .to_device = memory_copy_cpu,
    .to_host = memory_copy_cpu,
    .copy = memory_copy_cpu,
    .zero = memory_zero_cpu,
    .available = memory_available_cpu,
};
