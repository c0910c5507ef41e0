/* io_lock.c - see io_lock.h. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: locks of open file descriptions are a GNU extension */

#include "io/io_lock.h"

#include "base/base_clock.h"
#include "base/base_log.h"
#include "base/base_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HOLDER_BYTES = 256, POLL_MS = 50 };
/* How long a lock is tried: by another job (its processes may be ending), and by the same batch job. The second is
 * longer than the lease of an NFS server, 90 s by default. */
static const double other_seconds = 2, same_seconds = 120;

struct flm_lock {
    int fd;
    char path[FLM_PATH_BYTES]; /* of the lock file */
};

typedef enum attempt { TAKEN, BUSY, AGAIN, UNSUPPORTED } attempt;

/* The batch job that this process belongs to, or NULL. */
static const char *batch_job(void)
{
    static const char *const names[] = {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *id = getenv(names[i]);
        if (id && *id) return id;
    }
    return NULL;
}

static void holder_describe(char text[HOLDER_BYTES])
{
    char host[64] = "unknown";
    const char *job = batch_job();
    gethostname(host, sizeof host - 1);
    snprintf(text, HOLDER_BYTES, "host %s, job %.64s, pid %ld", host, job ? job : "none", (long)getpid());
}

/* The content of the lock file, with only printable characters. */
static void holder_read(int fd, char text[HOLDER_BYTES])
{
    const ssize_t got = pread(fd, text, HOLDER_BYTES - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    if (!*text) snprintf(text, HOLDER_BYTES, "unknown");
}

/* Whether the holder belongs to this process's batch job. */
static bool is_same_job(const char *holder)
{
    char job[80];
    const char *id = batch_job();
    if (!id) return false;
    snprintf(job, sizeof job, ", job %.64s,", id);
    return strstr(holder, job) != NULL;
}

static int set_lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int failed;
#ifdef F_OFD_SETLK
    do failed = fcntl(fd, F_OFD_SETLK, &whole);
    while (failed != 0 && errno == EINTR);
    if (failed == 0 || errno != EINVAL) return failed; /* EINVAL: a kernel without them */
#endif
    do failed = fcntl(fd, F_SETLK, &whole);
    while (failed != 0 && errno == EINTR);
    return failed;
}

/* Lock the file that has the name now: the previous holder removes its file, so the one opened may no longer have it.
 */
static flm_status try_lock(flm_lock *lock, const char *what, attempt *result)
{
    flm_status rc = FLM_OK;
    struct stat opened, named;

    lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock->fd < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be written: %s", what, strerror(errno));
    *result = AGAIN;
    if (set_lock(lock->fd) == 0) {
        if (fstat(lock->fd, &opened) == 0 && stat(lock->path, &named) == 0 && opened.st_ino == named.st_ino &&
            opened.st_dev == named.st_dev)
            *result = TAKEN;
    } else if (errno == EAGAIN || errno == EACCES) {
        *result = BUSY;
    } else if (errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOLCK || errno == EINVAL) {
        *result = UNSUPPORTED;
    } else {
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be locked: %s", lock->path, strerror(errno));
    }
done:
    return rc;
}

static void pause_ms(long ms)
{
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&span, NULL);
}

/* Try until the lock is taken or the time is over. lock->path is set. */
static flm_status acquire(flm_lock *lock, const char *what)
{
    flm_status rc = FLM_OK;
    const double begin = flm_clock_seconds();
    char holder[HOLDER_BYTES];

    for (bool waiting = false;;) {
        attempt result = AGAIN;
        FLM_TRY(try_lock(lock, what, &result));
        if (result == TAKEN) break;
        if (result == UNSUPPORTED) {
            flm_log(FLM_LOG_WARN, "%s: this file system has no locks, so that a second job on %s is not noticed",
                    lock->path, what);
            break;
        }
        if (result == BUSY) holder_read(lock->fd, holder);
        close(lock->fd);
        lock->fd = -1;
        if (result == AGAIN) continue;
        const bool same = is_same_job(holder);
        if (flm_clock_seconds() - begin > (same ? same_seconds : other_seconds))
            FLM_FAIL(FLM_E_LOCKED, "%s: another job writes there (%s); wait until it has ended, or use another output",
                     what, holder);
        if (same && !waiting) flm_log(FLM_LOG_INFO, "%s: waiting for the end of %s", what, holder);
        waiting = true;
        pause_ms(POLL_MS);
    }
    holder_describe(holder);
    strcat(holder, "\n");
    /* For messages only: a failure, on a full disk for example, does not weaken the lock. */
    if (ftruncate(lock->fd, 0) != 0 || pwrite(lock->fd, holder, strlen(holder), 0) < 0)
        flm_log(FLM_LOG_WARN, "%s: cannot be written: %s", lock->path, strerror(errno));
done:
    return rc;
}

static flm_status lock_create(const char *lock_path, const char *what, flm_lock **out)
{
    flm_status rc = FLM_OK;
    flm_lock *lock = calloc(1, sizeof *lock);

    if (!lock) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its lock", what);
    lock->fd = -1;
    FLM_TRY(flm_path_format(lock->path, "%s", lock_path));
    FLM_TRY(acquire(lock, what));
    *out = lock;
    lock = NULL;
done:
    if (lock && lock->fd >= 0) close(lock->fd);
    free(lock);
    return rc;
}

flm_status flm_lock_directory(const char *directory, flm_lock **out)
{
    flm_status rc = FLM_OK;
    char path[FLM_PATH_BYTES];

    FLM_TRY(flm_path_join(path, directory, ".lock"));
    FLM_TRY(lock_create(path, directory, out));
done:
    return rc;
}

flm_status flm_lock_file(const char *path, flm_lock **out)
{
    flm_status rc = FLM_OK;
    char directory[FLM_PATH_BYTES], lock_path[FLM_PATH_BYTES], *real = realpath(path, NULL);
    const char *resolved = real ? real : path;

    FLM_TRY(flm_path_directory(directory, resolved));
    FLM_TRY(flm_path_format(lock_path, "%s/.%s.lock", directory, flm_path_name(resolved)));
    FLM_TRY(lock_create(lock_path, path, out));
done:
    free(real);
    return rc;
}

void flm_lock_release(flm_lock **lock)
{
    flm_lock *l = *lock;

    if (!l) return;
    *lock = NULL;
    unlink(l->path); /* before the lock goes, so that nobody locks a file that is about to lose its name */
    close(l->fd);
    free(l);
}
