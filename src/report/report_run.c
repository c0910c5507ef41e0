/* report_run.c - see report_run.h. SPDX-License-Identifier: Apache-2.0 */
#include "report/report_run.h"

#include "base/base_file.h"
#include "base/base_log.h"
#include "base/base_path.h"
#include "process/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[FLM_METRICS] = {
    "step",
    "epoch",
    "tokens_seen",
    "loss",
    "loss_diagonal",
    "loss_off_diagonal",
    "valid_loss",
    "grad_norm",
    "lr",
    "tokens_per_second",
    "flops_utilisation",
    "seconds_data",
    "seconds_compute",
    "seconds_communication",
    "memory_bytes",
    "sample_steps",
    "sample_entropy",
};

static bool has(const char *directory, const char *name)
{
    char path[FLM_PATH_BYTES];
    struct stat st;
    return snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path && lstat(path, &st) == 0;
}

bool flm_report_run_recognise(const char *path) { return has(path, "metrics.jsonl") || has(path, "checkpoints"); }

/* ---- metrics.jsonl ---- */

static flm_status add_line(flm_report_run *run, int64_t *room, const json_t *line)
{
    flm_status rc = FLM_OK;
    if (run->count == *room) {
        const int64_t more = *room > 0 ? 2 * *room : 256;
        double *grown = realloc(run->values, (size_t)(more * FLM_METRICS) * sizeof *grown);
        if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for %" PRId64 " lines", more);
        run->values = grown;
        *room = more;
    }
    for (int m = 0; m < FLM_METRICS; m++) {
        const json_t *value = json_object_get(line, names[m]);
        run->values[run->count * FLM_METRICS + m] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    run->count++;
done:
    return rc;
}

/* A line: of a start, of a step, or of something else, which is passed over. */
static flm_status take_line(flm_report_run *run, int64_t *room, const char *text, size_t bytes, int64_t number)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *line = json_loadb(text, bytes, 0, &error);
    if (!line) FLM_FAIL(FLM_E_FORMAT, "line %" PRId64 ": is not JSON (file damaged?): %s", number, error.text);
    if (!json_is_object(line)) FLM_FAIL(FLM_E_FORMAT, "line %" PRId64 ": is not a JSON object", number);
    if (json_is_integer(json_object_get(line, "step"))) {
        FLM_TRY(add_line(run, room, line));
    } else if (json_is_integer(json_object_get(line, "start"))) {
        if (json_array_append(run->starts, line) != 0) FLM_FAIL(FLM_E_NOMEM, "no memory for line %" PRId64, number);
        const json_t *config = json_object_get(line, "config");
        if (json_is_object(config)) run->config = config;
    }
done:
    json_decref(line);
    return rc;
}

static flm_status read_metrics(flm_report_run *run, const char *path)
{
    flm_status rc = FLM_OK;
    char *text = NULL;
    size_t room_bytes = 0;
    ssize_t bytes;
    struct stat st;
    int64_t room = 0, number = 0;
    FILE *file = NULL;
    int fd = -1;
    FLM_TRY(flm_file_open(path, O_RDONLY, &fd));
    file = fdopen(fd, "r");
    if (!file || fstat(fd, &st) != 0)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    run->has_metrics = true;
    run->modified = st.st_mtime;
    while ((bytes = getline(&text, &room_bytes, file)) > 0) {
        number++;
        if (text[bytes - 1] != '\n') { /* it is being written, or the run was killed while it was */
            run->open = true;
            break;
        }
        FLM_TRY(flm_err_prefix(take_line(run, &room, text, (size_t)bytes, number), path));
    }
    if (ferror(file)) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
done:
    free(text);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- checkpoints ---- */

static int is_checkpoint(const struct dirent *entry)
{
    const char *name = entry->d_name;
    const size_t digits = strncmp(name, "step-", 5) == 0 ? strspn(name + 5, "0123456789") : 0;
    return digits >= 8 && digits <= 16 && strcmp(name + 5 + digits, ".h5") == 0;
}

/* Structure and attributes. A file that cannot be read is no failure, unless memory is. */
static flm_status read_checkpoint(const char *path, flm_report_checkpoint *c)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *file = NULL;
    const flm_checkpoint_dataset *d;
    struct stat st;
    int count;
    rc = flm_checkpoint_open(path, &file);
    if (rc == FLM_E_NOMEM) goto done;
    if (flm_file_was_removed(rc, path)) {
        flm_err_clear();
        return FLM_OK;
    }
    c->bytes = stat(path, &st) == 0 ? st.st_size : 0;
    if (rc != FLM_OK) {
        flm_log(FLM_LOG_WARN, "warning: %s", flm_err_message());
        c->problem = strdup(flm_err_message());
        flm_err_clear();
        rc = FLM_OK;
        if (!c->problem) FLM_FAIL(FLM_E_NOMEM, "%s: no memory", path);
        goto done;
    }
    c->info = *flm_checkpoint_get_info(file);
    d = flm_checkpoint_get_datasets(file, &count);
    for (int i = 0; i < count; i++)
        if (strncmp(d[i].name, "weights/", 8) == 0) c->parameters += flm_checkpoint_elements(&d[i]);
done:
    flm_checkpoint_close(&file);
    return rc;
}

static flm_status read_checkpoints(flm_report_run *run, const char *directory)
{
    flm_status rc = FLM_OK;
    struct dirent **entries = NULL;
    char path[FLM_PATH_BYTES], target[64] = "";
    int count = scandir(directory, &entries, is_checkpoint, alphasort);
    if (count < 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be listed: %s", directory, strerror(errno));
    run->checkpoints = calloc((size_t)count + 1, sizeof *run->checkpoints);
    if (!run->checkpoints) FLM_FAIL(FLM_E_NOMEM, "%s: no memory to list it", directory);
    FLM_TRY(flm_path_join(path, directory, "latest"));
    if (readlink(path, target, sizeof target - 1) < 0) target[0] = '\0';
    for (int i = 0; i < count; i++) {
        flm_report_checkpoint *c = &run->checkpoints[run->checkpoints_count];
        FLM_TRY(flm_process_poll());
        FLM_TRY(flm_path_join(path, directory, entries[i]->d_name));
        snprintf(c->name, sizeof c->name, "%.31s", entries[i]->d_name);
        c->latest = strcmp(c->name, target) == 0;
        FLM_TRY(read_checkpoint(path, c));
        if (c->bytes > 0) run->checkpoints_count++; /* else the run has removed it meanwhile */
    }
done:
    for (int i = 0; i < count; i++) free(entries[i]);
    free(entries);
    return rc;
}

flm_status flm_report_run_read(const char *path, flm_report_run *out)
{
    flm_status rc = FLM_OK;
    flm_report_run run = {.path = path, .name = path, .starts = json_array()};
    char below[FLM_PATH_BYTES];
    if (!run.starts) FLM_FAIL(FLM_E_NOMEM, "%s: no memory", path);
    FLM_TRY(flm_path_join(below, path, "metrics.jsonl"));
    if (has(path, "metrics.jsonl")) FLM_TRY(read_metrics(&run, below));
    FLM_TRY(flm_path_join(below, path, "checkpoints"));
    if (has(path, "checkpoints")) FLM_TRY(read_checkpoints(&run, below));
    *out = run;
    run = (flm_report_run){0};
done:
    flm_report_run_free(&run);
    return rc;
}

void flm_report_run_free(flm_report_run *run)
{
    for (int i = 0; i < run->checkpoints_count; i++) free(run->checkpoints[i].problem);
    free(run->checkpoints);
    free(run->values);
    json_decref(run->starts);
    *run = (flm_report_run){0};
}

/* ---- questions ---- */

const char *flm_report_run_setting(const flm_report_run *run, const char *option)
{
    return json_string_value(json_object_get(run->config, option));
}

const flm_report_checkpoint *flm_report_run_newest(const flm_report_run *run)
{
    for (int i = run->checkpoints_count - 1; i >= 0; i--)
        if (!run->checkpoints[i].problem) return &run->checkpoints[i];
    return NULL;
}

const char *flm_report_run_kind(const flm_report_run *run)
{
    const flm_report_checkpoint *newest = flm_report_run_newest(run);
    const char *kind = newest ? newest->info.kind : flm_report_run_setting(run, "objective");
    if (!kind) kind = flm_report_run_setting(run, "method");
    return kind ? kind : "";
}

int64_t flm_report_run_step(const flm_report_run *run)
{
    const flm_report_checkpoint *newest = flm_report_run_newest(run);
    int64_t step = newest ? newest->info.step : 0;
    for (int64_t i = 0; i < run->count; i++) {
        const double value = flm_report_run_value(run, i, FLM_METRIC_STEP);
        if (value > (double)step) step = (int64_t)value;
    }
    return step;
}

int64_t flm_report_run_steps(const flm_report_run *run)
{
    const char *steps = flm_report_run_setting(run, "steps");
    return steps ? strtoll(steps, NULL, 10) : 0;
}
