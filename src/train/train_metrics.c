/* train_metrics.c - metrics.jsonl and the progress bar (train_metrics.h). SPDX-License-Identifier: Apache-2.0 */
#include "train/train_metrics.h"

#include "base/base_clock.h"
#include "base/base_file.h"
#include "base/base_log.h"
#include "base/base_progress.h"
#include "base/base_version.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct flm_metrics {
    char *path;
    int fd;
    bool is_root;
    int ranks;
    flm_progress progress;
    double smooth, weight; /* running mean of the loss, shown by the bar */
    double begin_seconds;
    int64_t begin_step;
};

/* Weight of the previous value in the running mean. */
static const double smoothing = 0.98;

/* The step of a line, -1 where it has none (a line about a start). *valid: the line is a JSON object. */
static int64_t step_of(const char *line, size_t length, bool *valid)
{
    json_t *object = json_loadb(line, length, 0, NULL);
    const json_t *step = json_object_get(object, "step");
    const int64_t value = json_is_integer(step) ? (int64_t)json_integer_value(step) : -1;
    *valid = json_is_object(object);
    json_decref(object);
    return value;
}

/* The bytes to keep of the file: complete lines up to the first of a later step. */
static flm_status find_end(const char *path, int64_t step, off_t *keep)
{
    flm_status rc = FLM_OK;
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    bool valid;

    *keep = 0;
    if (file == NULL && errno != ENOENT)
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    while (file != NULL && (length = getline(&line, &capacity, file)) > 0) {
        if (line[length - 1] != '\n' || step_of(line, (size_t)length, &valid) > step || !valid) break;
        *keep += length;
    }
    if (file != NULL && ferror(file))
        FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
done:
    free(line);
    if (file != NULL) fclose(file);
    return rc;
}

/* Append a line with one write, so that readers see complete lines. Releases the object; NULL: no memory for it. */
static flm_status append(flm_metrics *m, json_t *object)
{
    flm_status rc = FLM_OK;
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL, *line = NULL;

    if (text != NULL) line = malloc(strlen(text) + 2);
    if (line == NULL) FLM_FAIL(FLM_E_NOMEM, "%s: no memory for a line", m->path);
    FLM_TRY(flm_file_append(m->fd, m->path, line, (size_t)sprintf(line, "%s\n", text)));
done:
    json_decref(object);
    free(text);
    free(line);
    return rc;
}

static flm_status record_start(flm_metrics *m, int64_t step, const flm_options *options, const char *describe, int size)
{
    json_t *config = json_object();
    for (int i = 0; config != NULL && i < flm_options_count(options); i++)
        json_object_set_new(config, flm_options_name(options, i),
                            json_string(flm_options_value(options, flm_options_name(options, i))));
    return append(m, json_pack("{s:I, s:s, s:s, s:s, s:i, s:o}", "start", (json_int_t)step, "version",
                               flm_version_string(), "revision", flm_version_revision(), "device", describe, "ranks",
                               size, "config", config));
}

flm_status flm_metrics_open(const flm_comm *comm, const char *path, int64_t step, const flm_options *options,
                            const char *describe, flm_metrics **out)
{
    flm_status rc = FLM_OK;
    flm_metrics *m = calloc(1, sizeof *m);
    off_t keep = 0;

    if (m == NULL) FLM_FAIL(FLM_E_NOMEM, "%s: no memory", path);
    *m = (flm_metrics){
        .fd = -1, .path = strdup(path), .is_root = flm_comm_rank(comm) == 0, .ranks = flm_comm_size(comm)};
    m->progress = flm_progress_begin((double)step, m->is_root);
    m->begin_seconds = flm_clock_seconds();
    m->begin_step = step;
    if (m->path == NULL) FLM_FAIL(FLM_E_NOMEM, "%s: no memory", path);
    if (m->is_root) {
        if (step > 0) FLM_TRY(find_end(path, step, &keep));
        FLM_TRY(flm_file_open(path, O_WRONLY | O_CREAT | O_APPEND, &m->fd));
        if (ftruncate(m->fd, keep) != 0)
            FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be truncated: %s", path, strerror(errno));
        FLM_TRY(record_start(m, step, options, describe, flm_comm_size(comm)));
    }
    *out = m;
    m = NULL;
done:
    flm_metrics_close(&m);
    return rc;
}

void flm_metrics_close(flm_metrics **metrics)
{
    flm_metrics *m = *metrics;
    if (m == NULL) return;
    flm_progress_clear(&m->progress);
    if (m->fd >= 0) close(m->fd);
    free(m->path);
    free(m);
    *metrics = NULL;
}

static void add_number(json_t *object, const char *prefix, const char *name, double value)
{
    char key[32];
    if (object == NULL || isnan(value)) return;
    snprintf(key, sizeof key, "%s%s", prefix, name);
    json_object_set_new(object, key, json_real(value));
}

/* What the loss is made of, with a prefix before the names. */
static void add_losses(json_t *object, const char *prefix, const flm_losses *losses)
{
    add_number(object, prefix, "error", losses->error);
    add_number(object, prefix, "loss_diagonal", losses->diagonal);
    add_number(object, prefix, "loss_off_diagonal", losses->off_diagonal);
}

flm_status flm_metrics_write_step(flm_metrics *m, const flm_metrics_step *r)
{
    flm_status rc = FLM_OK;
    char utilisation[48] = "";

    if (!m->is_root) return FLM_OK;
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "step", (json_int_t)r->step, "epoch",
                  (json_int_t)r->epoch, "tokens_seen", (json_int_t)r->tokens_seen, "loss", r->losses.loss, "grad_norm",
                  r->grad_norm, "lr", r->lr, "tokens_per_second", r->tokens_per_second, "seconds_data", r->seconds_data,
                  "seconds_compute", r->seconds_compute, "seconds_communication", r->seconds_communication,
                  "memory_bytes", (json_int_t)r->memory_bytes);
    add_losses(object, "", &r->losses);
    if (object != NULL && m->ranks > 1) {
        json_object_set_new(object, "seconds_slowest_rank", json_real(r->ranks.slowest));
        json_object_set_new(object, "slowest_rank", json_integer(r->ranks.slowest_rank));
        json_object_set_new(object, "seconds_fastest_rank", json_real(r->ranks.fastest));
        json_object_set_new(object, "fastest_rank", json_integer(r->ranks.fastest_rank));
    }
    if (object != NULL && r->utilisation > 0) {
        json_object_set_new(object, "flops_utilisation", json_real(r->utilisation));
        snprintf(utilisation, sizeof utilisation, ", %.1f %% of peak", 100 * r->utilisation);
    }
    FLM_TRY(append(m, object));
    if (!m->progress.terminal)
        flm_log(FLM_LOG_INFO, "step %" PRId64 ": loss %.4f, gradient norm %.3f, lr %.3g, %.0f tokens/s%s", r->step,
                r->losses.loss, r->grad_norm, r->lr, r->tokens_per_second, utilisation);
done:
    return rc;
}

flm_status flm_metrics_write_validation(flm_metrics *m, int64_t step, const flm_losses *losses, int64_t rows)
{
    flm_status rc = FLM_OK;

    if (!m->is_root) return FLM_OK;
    json_t *object = json_pack("{s:I, s:f, s:I}", "step", (json_int_t)step, "valid_loss", losses->loss, "valid_rows",
                               (json_int_t)rows);
    add_losses(object, "valid_", losses);
    FLM_TRY(append(m, object));
    flm_progress_clear(&m->progress);
    flm_log(FLM_LOG_INFO, "step %" PRId64 ": validation loss %.4f over %" PRId64 " rows", step, losses->loss, rows);
done:
    return rc;
}

flm_status flm_metrics_write_samples(flm_metrics *m, int64_t step, int64_t sample_steps, int64_t samples,
                                     double entropy)
{
    flm_status rc = FLM_OK;

    if (!m->is_root) return FLM_OK;
    FLM_TRY(append(m, json_pack("{s:I, s:I, s:I, s:f}", "step", (json_int_t)step, "sample_steps",
                                (json_int_t)sample_steps, "samples", (json_int_t)samples, "sample_entropy", entropy)));
    flm_progress_clear(&m->progress);
    flm_log(FLM_LOG_INFO, "step %" PRId64 ": entropy %.4f of %" PRId64 " samples in %" PRId64 " steps", step, entropy,
            samples, sample_steps);
done:
    return rc;
}

void flm_metrics_show_progress(flm_metrics *m, int64_t step, int64_t steps, double loss, int64_t tokens_per_step)
{
    const double speed = (double)((step - m->begin_step) * tokens_per_step) / (flm_clock_seconds() - m->begin_seconds);
    m->smooth = smoothing * m->smooth + (1 - smoothing) * loss;
    m->weight = smoothing * m->weight + (1 - smoothing);
    flm_progress_show(&m->progress, (double)step, (double)steps,
                      "step %" PRId64 "/%" PRId64 "  loss %.3f  %.0f tokens/s", step, steps, m->smooth / m->weight,
                      speed);
}
