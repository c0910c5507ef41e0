/* file.c - files read, written and replaced completely: interrupted, short and refused calls included.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES = 300000 };

static char pattern[BYTES];

static int holds(const char *path, const void *data, size_t bytes)
{
    char *text = NULL;
    size_t got = 0;
    const int same = flm_file_read(path, BYTES, &text, &got) == FLM_OK && got == bytes &&
                     memcmp(text, data, bytes) == 0 && text[bytes] == '\0';
    free(text);
    return same;
}

static void test_replace(void)
{
    tap_ok(flm_file_replace("one", pattern, BYTES) == FLM_OK && holds("one", pattern, BYTES), "a new file");
    tap_ok(flm_file_replace("one", "ab", 2) == FLM_OK && holds("one", "ab", 2), "replaced by a shorter one");
    tap_ok(flm_file_replace("one", "", 0) == FLM_OK && holds("one", "", 0), "replaced by an empty one");
    tap_ok(access("one.tmp", F_OK) != 0, "no temporary file is left");
    tap_ok(flm_file_replace("none/one", "ab", 2) == FLM_E_MISSING && strstr(flm_err_message(), "none/one.tmp") != NULL,
           "a directory that is missing: %s", flm_err_message());
    mkdir("folder", 0777);
    tap_ok(flm_file_replace("folder", "ab", 2) == FLM_E_MISSING && access("folder.tmp", F_OK) != 0,
           "a directory of that name: %s", flm_err_message());
    rmdir("folder");
}

static void test_read(void)
{
    char *text = NULL, head[8];
    size_t bytes = 0, got = 9;

    flm_file_replace("one", pattern, BYTES);
    tap_ok(flm_file_read("one", BYTES - 1, &text, &bytes) == FLM_E_FORMAT && text == NULL, "above the limit: %s",
           flm_err_message());
    tap_ok(flm_file_read("none", BYTES, &text, &bytes) == FLM_E_MISSING &&
               strstr(flm_err_message(), strerror(ENOENT)) != NULL,
           "no such file: %s", flm_err_message());
    tap_ok(flm_file_read(".", BYTES, &text, &bytes) == FLM_E_MISSING, "a directory: %s", flm_err_message());
    tap_ok(flm_file_read_head("one", head, sizeof head, &got) == FLM_OK && got == 8 && memcmp(head, pattern, 8) == 0,
           "the first bytes");
    flm_file_replace("short", "abc", 3);
    tap_ok(flm_file_read_head("short", head, sizeof head, &got) == FLM_OK && got == 3 &&
               memcmp(head, "abc\0\0\0\0\0", 8) == 0,
           "of a shorter file: zeros behind its end");
    tap_ok(mkfifo("fifo", 0666) == 0 && flm_file_read_head("fifo", head, sizeof head, &got) == FLM_E_FORMAT &&
               strstr(flm_err_message(), "is a pipe") != NULL,
           "a pipe without a writer, at once: %s", flm_err_message());
    tap_ok(flm_file_read("fifo", BYTES, &text, &bytes) == FLM_E_FORMAT, "the whole of a pipe: %s", flm_err_message());
    unlink("fifo");
    unlink("short");
}

static void test_at(void)
{
    char part[100];
    int fd = -1;

    flm_file_replace("one", pattern, BYTES);
    tap_ok(flm_file_open("one", O_RDWR, &fd) == FLM_OK, "opened");
    tap_ok(flm_file_write_at(fd, "one", "xyz", 3, 1000) == FLM_OK &&
               flm_file_read_at(fd, "one", part, sizeof part, 999) == FLM_OK && part[0] == pattern[999] &&
               memcmp(part + 1, "xyz", 3) == 0 && memcmp(part + 4, pattern + 1003, sizeof part - 4) == 0,
           "written and read at an offset");
    tap_ok(flm_file_read_at(fd, "one", part, sizeof part, BYTES - 40) == FLM_E_FORMAT &&
               strstr(flm_err_message(), "one: is truncated: it ends at byte 300000, 60 more") != NULL,
           "a file that ends earlier: %s", flm_err_message());
    tap_ok(flm_file_sync_close(&fd, "one") == FLM_OK && fd == -1, "closed");
}

/* The kernel writes what is below the limit, and refuses the rest at the next call. */
static void test_refused(void)
{
    const struct rlimit low = {1000, RLIM_INFINITY};
    struct rlimit before;
    int fd = -1;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    unlink("one");
    flm_file_replace("kept", "old", 3);
    setrlimit(RLIMIT_FSIZE, &low);
    errno = 0;
    flm_file_open("one", O_RDWR | O_CREAT, &fd);
    tap_ok(flm_file_write_at(fd, "one", pattern, BYTES, 0) == FLM_E_IO &&
               strstr(flm_err_message(), strerror(EFBIG)) != NULL,
           "a short write is followed by the reason: %s", flm_err_message());
    tap_ok(flm_file_append(fd, "one", pattern, BYTES) == FLM_E_IO && strstr(flm_err_message(), strerror(EFBIG)) != NULL,
           "so is a short append: %s", flm_err_message());
    tap_ok(flm_file_replace("kept", pattern, BYTES) == FLM_E_IO && holds("kept", "old", 3) &&
               access("kept.tmp", F_OK) != 0,
           "a file that cannot be replaced keeps what it holds: %s", flm_err_message());
    tap_ok(flm_file_reserve("one", BYTES) == FLM_E_IO, "nor can the space be reserved: %s", flm_err_message());
    setrlimit(RLIMIT_FSIZE, &before);
    close(fd);
    if (flm_file_open("/dev/full", O_WRONLY, &fd) == FLM_OK) {
        tap_ok(flm_file_append(fd, "/dev/full", "x", 1) == FLM_E_IO &&
                   strstr(flm_err_message(), strerror(ENOSPC)) != NULL,
               "a full device: %s", flm_err_message());
        close(fd);
    }
}

int main(void)
{
    char directory[] = "/tmp/flm-file-XXXXXX";

    for (size_t i = 0; i < BYTES; i++) pattern[i] = (char)(i * 7 + i / 251);
    if (!mkdtemp(directory) || chdir(directory) != 0) return 99;
    test_replace();
    test_read();
    test_at();
    test_refused();
    tap_ok(flm_file_sync_directory(".") == FLM_OK, "a directory is synced");
    unlink("one");
    unlink("kept");
    tap_ok(rmdir(directory) == 0, "nothing else is left");
    return tap_end();
}
