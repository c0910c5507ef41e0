/* io_folder.h - for the tests of files: a folder of their own, and answers that all ranks agree on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_IO_FOLDER_H
#define FLM_TESTS_IO_FOLDER_H

#include "comm/comm.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* fixture_ok - passed when it is so on every rank; rank 0 prints. Collective. */
static inline int fixture_ok(flm_comm *comm, int ok, const char *name)
{
    int64_t bad = !ok;
    if (!ok && flm_comm_rank(comm) > 0) printf("# rank %d: %s: %s\n", flm_comm_rank(comm), name, flm_err_message());
    if (flm_comm_max_i64(comm, &bad, 1) != FLM_OK) bad = 1;
    if (flm_comm_rank(comm) == 0 && !tap_ok(bad == 0, "%s", name)) printf("# %s\n", flm_err_message());
    return bad == 0;
}

/* A new folder below the current one, the same on every rank. Collective. */
static inline void fixture_folder(flm_comm *comm, char path[32])
{
    strcpy(path, "io-test.XXXXXX");
    if (flm_comm_rank(comm) == 0 && !mkdtemp(path)) path[0] = '\0';
    if (flm_comm_broadcast(comm, path, 32, 0) != FLM_OK) path[0] = '\0';
}

/* Removes a folder and its files; false when it holds anything but files, or is not there. */
static inline bool fixture_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    return rmdir(folder) == 0;
}

/* How many files a folder holds, hidden ones included. */
static inline int fixture_files(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int n = 0;
    while (dir && (entry = readdir(dir))) n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir) closedir(dir);
    return n;
}

static inline bool fixture_exists(const char *folder, const char *name)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return lstat(path, &st) == 0;
}

/* Turns one bit of a byte around. */
static inline bool fixture_flip(const char *path, int64_t at, int bit)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    bool ok = fd >= 0 && pread(fd, &byte, 1, at) == 1;
    byte ^= (unsigned char)(1 << bit);
    ok = ok && pwrite(fd, &byte, 1, at) == 1;
    if (fd >= 0) close(fd);
    return ok;
}

#endif
