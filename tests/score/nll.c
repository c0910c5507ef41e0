/* nll.c - compares GPT-2's NLLs and last hidden states with those of another program: nll [options] GPT2.h5
 * EXPECTED.json, for a network of any shape (make_golden.py), in batches of 1, 2, 5 and all sequences. The last line is
 * "N passed, N failed". SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "process/process.h"
#include "score/score_gpt2.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct nll_options {
    int precision;
    double tolerance;
    int64_t chunk, threads;
} nll_options;

static const char *const precisions[] = {"fp32", "bf16", NULL};

#define FLM_OPT_STRUCT nll_options
static const flm_option rows[] = {
    FLM_OPT_GROUP("Comparison"),
    FLM_OPT_CHOICE("precision", precision, "fp32", precisions, "Operands of the matrix products"),
    FLM_OPT_FLOAT("tolerance", tolerance, "0", "T", "Relative error of a token's NLL; 0: 1e-4 in fp32, 2e-2 in bf16",
                  .max = 1),
    FLM_OPT_INT("chunk", chunk, "64", "N", "Rows of logits at once", .min = 1, .limit = 1 << 20),
    FLM_OPT_INT("threads", threads, "0", "N", "Threads", .max = 4096),
};

static const flm_options_spec spec = {
    .program = "nll",
    .purpose = "Compare GPT-2's scores with those of another program.",
    .arguments = "GPT2.h5 EXPECTED.json",
    FLM_OPT_ROWS(rows),
};

typedef struct sequences {
    int64_t count, *starts; /* [count + 1] */
    int32_t *ids;
    float *want, *have, *first; /* [starts[count]]; first: of batches of one */
    float *hidden, *features;   /* [count, d]: wanted, computed */
} sequences;

static flm_status read_sequences(const char *path, sequences *s)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *all = json_load_file(path, 0, &error), *one, *value;
    size_t n, i;
    if (!json_is_array(all)) FLM_FAIL(FLM_E_FORMAT, "%s: is not a JSON list: %s", path, error.text);
    s->count = (int64_t)json_array_size(all);
    s->starts = calloc((size_t)s->count + 1, sizeof *s->starts);
    if (!s->starts) abort();
    json_array_foreach(all, n, one) s->starts[n + 1] =
        s->starts[n] + (int64_t)json_array_size(json_object_get(one, "ids"));
    const size_t tokens = (size_t)s->starts[s->count] + 1;
    s->ids = calloc(tokens, sizeof *s->ids);
    s->want = calloc(tokens, sizeof *s->want);
    s->have = calloc(tokens, sizeof *s->have);
    s->first = calloc(tokens, sizeof *s->first);
    if (!s->ids || !s->want || !s->have || !s->first) abort();
    json_array_foreach(all, n, one)
    {
        json_array_foreach(json_object_get(one, "ids"), i, value) s->ids[s->starts[n] + (int64_t)i] =
            (int32_t)json_integer_value(value);
        json_array_foreach(json_object_get(one, "nll"), i, value) s->want[s->starts[n] + (int64_t)i + 1] =
            (float)json_number_value(value);
    }
done:
    json_decref(all);
    return rc;
}

static flm_status score(flm_gpt2 *gpt2, const sequences *s, int64_t batch)
{
    flm_status rc = FLM_OK;
    int64_t starts[65];
    for (int64_t at = 0; at < s->count; at += batch) {
        const int64_t B = s->count - at < batch ? s->count - at : batch;
        for (int64_t b = 0; b <= B; b++) starts[b] = s->starts[at + b] - s->starts[at];
        FLM_TRY(flm_gpt2_compute_nll(gpt2, s->ids + s->starts[at], starts, B, s->have + s->starts[at]));
    }
done:
    return rc;
}

/* The last hidden states, all sequences in one batch; the error is relative to the largest element. */
static flm_status compare_features(flm_gpt2 *gpt2, sequences *s, const char *path, double *error)
{
    flm_status rc = FLM_OK;
    const size_t d = (size_t)flm_gpt2_get_shape(gpt2)->d;
    json_t *all = json_load_file(path, 0, NULL), *one, *value;
    size_t n, i;
    double largest = 0;
    s->hidden = calloc((size_t)s->count * d, sizeof *s->hidden);
    s->features = calloc((size_t)s->count * d, sizeof *s->features);
    if (!all || !s->hidden || !s->features) abort();
    json_array_foreach(all, n, one)
    {
        const json_t *list = json_object_get(one, "hidden");
        if (json_array_size(list) != d) FLM_FAIL(FLM_E_FORMAT, "%s: needs a list \"hidden\" of %zu numbers", path, d);
        json_array_foreach(list, i, value) s->hidden[n * d + i] = (float)json_number_value(value);
    }
    FLM_TRY(flm_gpt2_compute_features(gpt2, s->ids, s->starts, s->count, s->features));
    *error = 0;
    for (i = 0; i < (size_t)s->count * d; i++) {
        largest = fmax(largest, fabs((double)s->hidden[i]));
        const double e = fabs((double)s->features[i] - (double)s->hidden[i]);
        if (isnan(e) || e > *error) *error = e;
    }
    *error /= largest;
done:
    json_decref(all);
    return rc;
}

static int report(const char *what, double error, double tolerance)
{
    const bool ok = error <= tolerance;
    printf("%s error %.3g tolerance %.3g %s\n", what, error, tolerance, ok ? "ok" : "FAIL");
    return !ok;
}

static double worst(const float *a, const float *b, int64_t n)
{
    double max = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - (double)b[i]) / fmax(fabs((double)b[i]), 1e-2);
        if (isnan(e) || e > max) max = e;
    }
    return max;
}

static flm_status compare(flm_backend *be, const nll_options *o, const char *const *path, int *failed)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    flm_gpt2 *gpt2 = NULL;
    sequences s = {0};
    const double tolerance = o->tolerance > 0 ? o->tolerance : o->precision == 0 ? 1e-4 : 2e-2;
    int64_t batches[] = {1, 2, 5, 64};
    char what[64];
    double error = NAN;
    FLM_TRY(read_sequences(path[1], &s));
    FLM_TRY(flm_checkpoint_open(path[0], &checkpoint));
    FLM_TRY(flm_gpt2_create(be, checkpoint, o->precision == 0 ? FLM_DTYPE_F32 : FLM_DTYPE_BF16,
                            flm_checkpoint_get_info(checkpoint)->L * (s.count < 64 ? s.count : 64), o->chunk, &gpt2));
    for (int i = 0; i < 4; i++) {
        FLM_TRY(score(gpt2, &s, batches[i]));
        snprintf(what, sizeof what, "nll, batch %d", (int)batches[i]);
        *failed += report(what, worst(s.have, s.want, s.starts[s.count]), tolerance);
        if (i == 0) memcpy(s.first, s.have, (size_t)s.starts[s.count] * sizeof *s.first);
        /* The batch does not change the order of a row's sums, but a library may divide a matmul differently. */
        snprintf(what, sizeof what, "batch %d against 1", (int)batches[i]);
        *failed += report(what, worst(s.have, s.first, s.starts[s.count]), o->precision == 0 ? 2e-6 : 2e-3);
    }
    FLM_TRY(compare_features(gpt2, &s, path[1], &error));
    *failed += report("hidden states", error, tolerance);
    printf("%d passed, %d failed\n", 9 - *failed, *failed);
done:
    free(s.starts);
    free(s.ids);
    free(s.want);
    free(s.have);
    free(s.first);
    free(s.hidden);
    free(s.features);
    flm_gpt2_destroy(&gpt2);
    flm_checkpoint_close(&checkpoint);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    flm_options *options = NULL;
    nll_options o = {0};
    bool stop = false;
    int count, failed = 0;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, true, &stop, &options));
    if (stop) goto done;
    const char *const *path = flm_options_positional(options, &count);
    if (count != 2) FLM_FAIL(FLM_E_USAGE, "two files are needed: GPT2.h5 and EXPECTED.json");
    FLM_TRY(flm_backend_create(FLM_DEVICE_CPU, (int)o.threads, 0, &be));
    FLM_TRY(compare(be, &o, path, &failed));
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    flm_options_destroy(&options);
    flm_backend_destroy(&be);
    const int status = flm_process_finish(rc, &world);
    return status == 0 && failed > 0 ? 1 : status;
}
