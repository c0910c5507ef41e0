/* process_affinity.c - see process_affinity.h. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: cpu_set_t is a GNU extension */

#include "process/process_affinity.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_BYTES = 4096, PATH_BYTES = 1024 };

/* One number of a list, which moves on; -1 where there is none. */
static long number(const char **at)
{
    char *end;
    if (!isdigit((unsigned char)**at)) return -1;
    const long n = strtol(*at, &end, 10);
    *at = end;
    return n;
}

/* "0-3,8,10-11" as a set. Cores beyond CPU_SETSIZE are left out. */
static flm_status parse(const char *list, cpu_set_t *set, const char *path)
{
    flm_status rc = FLM_OK;
    const char *at = list;
    CPU_ZERO(set);
    while (*at && *at != '\n') {
        const long first = number(&at), last = *at == '-' ? (at++, number(&at)) : first;
        if (first < 0 || last < first || (*at != ',' && *at != '\n' && *at != '\0'))
            FLM_FAIL(FLM_E_FORMAT, "%s: \"%.60s\" is not a list of cores", path, list);
        for (long i = first; i <= last && i < CPU_SETSIZE; i++) CPU_SET((size_t)i, set);
        if (*at == ',') at++;
    }
done:
    return rc;
}

/* The opposite of parse, cut to what fits. */
static void print(const cpu_set_t *set, char *text, size_t bytes)
{
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < CPU_SETSIZE && used < bytes; i++) {
        if (!CPU_ISSET(i, set)) continue;
        size_t last = i;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set)) last++;
        used += (size_t)snprintf(text + used, bytes - used, last > i ? "%s%zu-%zu" : "%s%zu", used ? "," : "", i, last);
        i = last;
    }
}

/* All threads that there are; one that ends meanwhile is no error. */
static flm_status bind_threads(const cpu_set_t *set)
{
    flm_status rc = FLM_OK;
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    if (tasks == NULL) {
        if (sched_setaffinity(0, sizeof *set, set) != 0)
            FLM_FAIL(FLM_E_IO, "cannot bind to cores: %s", strerror(errno));
        goto done;
    }
    while ((task = readdir(tasks)) != NULL) {
        const int id = atoi(task->d_name);
        if (id > 0 && sched_setaffinity(id, sizeof *set, set) != 0 && errno != ESRCH)
            FLM_FAIL(FLM_E_IO, "cannot bind thread %d to cores: %s", id, strerror(errno));
    }
done:
    if (tasks != NULL) closedir(tasks);
    return rc;
}

flm_status flm_affinity_bind(const char *root, const char *bus, char *line, size_t bytes)
{
    flm_status rc = FLM_OK;
    char path[PATH_BYTES], list[LIST_BYTES] = "", text[LIST_BYTES], lower[64] = "";
    cpu_set_t near, have, both;
    FILE *file = NULL;
    for (size_t i = 0; bus[i] && i + 1 < sizeof lower; i++) lower[i] = (char)tolower((unsigned char)bus[i]);
    snprintf(path, sizeof path, "%s/bus/pci/devices/%s/local_cpulist", root, lower);
    file = fopen(path, "r");
    if (file == NULL || fgets(list, sizeof list, file) == NULL || *list == '\n') {
        snprintf(line, bytes, "the cores near GPU %s are not known (%s): not bound", bus, path);
        goto done;
    }
    FLM_TRY(parse(list, &near, path));
    if (sched_getaffinity(0, sizeof have, &have) != 0)
        FLM_FAIL(FLM_E_IO, "cannot read which cores this process may use: %s", strerror(errno));
    CPU_AND(&both, &near, &have);
    print(CPU_COUNT(&both) ? &both : &near, text, sizeof text);
    if (CPU_COUNT(&both) == 0) {
        snprintf(line, bytes, "this process may use none of the cores near GPU %s (%s): not bound; copies are slower",
                 bus, text);
        goto done;
    }
    FLM_TRY(bind_threads(&both));
    snprintf(line, bytes, "bound to the cores near GPU %s: %s", bus, text);
done:
    if (file != NULL) fclose(file);
    return rc;
}
