/* weights.c - the table of parameters, the buckets, and the initial values. SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5_schema.h"
#include "tests/unit/network.h"

#include <math.h>

static flm_backend *be;

enum { V = 37, d = 12, H = 3, c = 5, N = 2, F = 8 };
static const flm_model_shape shape = {
    .L = 7, .V = V, .d = d, .H = H, .c = c, .N = N, .F = F, .mlp_ratio = 4, .softcap = 50};

/* Names and sizes as in the golden files; columns 0: a vector. */
static const struct {
    const char *name;
    int64_t rows, columns;
} expected[] = {
    {"vocab_embed.embedding", V, d},
    {"sigma_map.mlp.0.weight", c, F},
    {"sigma_map.mlp.0.bias", c, 0},
    {"sigma_map.mlp.2.weight", c, c},
    {"sigma_map.mlp.2.bias", c, 0},
    {"blocks.0.adaLN_modulation.bias", 6 * d, 0},
    {"blocks.0.adaLN_modulation.weight", 6 * d, c},
    {"blocks.0.attn_out.weight", d, d},
    {"blocks.0.attn_qkv.weight", 3 * d, d},
    {"blocks.0.mlp.0.bias", 4 * d, 0},
    {"blocks.0.mlp.0.weight", 4 * d, d},
    {"blocks.0.mlp.2.bias", d, 0},
    {"blocks.0.mlp.2.weight", d, 4 * d},
    {"blocks.0.norm1.weight", d, 0},
    {"blocks.0.norm2.weight", d, 0},
    {"blocks.1.adaLN_modulation.bias", 6 * d, 0},
    {"blocks.1.adaLN_modulation.weight", 6 * d, c},
    {"blocks.1.attn_out.weight", d, d},
    {"blocks.1.attn_qkv.weight", 3 * d, d},
    {"blocks.1.mlp.0.bias", 4 * d, 0},
    {"blocks.1.mlp.0.weight", 4 * d, d},
    {"blocks.1.mlp.2.bias", d, 0},
    {"blocks.1.mlp.2.weight", d, 4 * d},
    {"blocks.1.norm1.weight", d, 0},
    {"blocks.1.norm2.weight", d, 0},
    {"output_layer.adaLN_modulation.bias", 2 * d, 0},
    {"output_layer.adaLN_modulation.weight", 2 * d, c},
    {"output_layer.linear.bias", V, 0},
    {"output_layer.linear.weight", V, d},
    {"output_layer.norm_final.weight", d, 0},
};
enum { EXPECTED = sizeof expected / sizeof *expected };

static void test_table(const flm_weights *w)
{
    tap_ok(w->parameters == EXPECTED, "%d parameters", (int)EXPECTED);
    for (int i = 0; i < EXPECTED; i++) {
        const int at = flm_parameter_find(w->parameter, w->parameters, expected[i].name),
                  ndim = expected[i].columns ? 2 : 1;
        const flm_parameter *p = &w->parameter[at < 0 ? 0 : at];
        tap_ok(at >= 0 && p->ndim == ndim && p->dim[0] == expected[i].rows &&
                   (ndim == 1 || p->dim[1] == expected[i].columns) &&
                   p->count == expected[i].rows * (ndim == 1 ? 1 : expected[i].columns),
               "%s", expected[i].name);
    }
    tap_ok(flm_parameter_find(w->parameter, w->parameters, "blocks.2.attn_out.weight") == -1, "no third block");
    tap_ok(strcmp(w->parameter[0].name, "vocab_embed.embedding") == 0, "the embedding is first");
}

static void test_buckets(const flm_weights *w)
{
    int64_t wrong = 0;
    for (int b = 0; b < w->buckets; b++) {
        const flm_bucket *bucket = &w->bucket[b];
        const bool matrices = b >= 2 && b % 2 == 0;
        int64_t end = 0;
        wrong += bucket->dtype != (matrices ? w->compute : FLM_DTYPE_F32) || bucket->count < 1;
        for (int i = bucket->first; i < bucket->first + bucket->count; i++) {
            const flm_parameter *p = &w->parameter[i];
            wrong += p->bucket != b || p->offset < end || p->offset % 16 != 0;
            end = p->offset + p->count;
        }
        wrong += bucket->slice * w->size < end || bucket->slice % (b == FLM_BUCKET_EMBEDDING ? d : 16) != 0;
        wrong += flm_tensor_elements(&bucket->compute) != bucket->slice * w->size ||
                 flm_tensor_elements(&bucket->grad) != bucket->slice * w->size;
    }
    tap_ok(wrong == 0, "%d ranks, %s: parameters are in their buckets, disjoint and aligned", w->size,
           flm_dtype_name(w->compute));
    const flm_parameter *last = &w->parameter[flm_parameter_find(w->parameter, w->parameters, "blocks.1.mlp.2.weight")];
    tap_ok(last->bucket == flm_bucket_block_matrices(1) &&
               (char *)w->w.block[1].W2.data - (char *)w->bucket[last->bucket].compute.data ==
                   last->offset * (int64_t)flm_dtype_size(w->compute) &&
               (char *)w->grad.block[1].W2.data - (char *)w->bucket[last->bucket].grad.data == last->offset * 4,
           "%d ranks, %s: the views point to them", w->size, flm_dtype_name(w->compute));
}

static void test_set(flm_weights *w)
{
    const int i = flm_parameter_find(w->parameter, w->parameters, "blocks.0.attn_out.weight");
    float *values = network_values(w, i), worst = 0;
    must(flm_weights_set(w, i, values));
    for (int64_t k = 0; k < d * d; k++) {
        const void *at = w->w.block[0].Wo.data;
        const float have =
            w->compute == FLM_DTYPE_F32 ? ((const float *)at)[k] : flm_bf16_to_f32(((const uint16_t *)at)[k]);
        const float want = w->compute == FLM_DTYPE_F32 ? values[k] : flm_bf16_to_f32(flm_bf16_from_f32(values[k]));
        const float e = fabsf(have - want);
        if (isnan(e) || e > worst) worst = e;
    }
    tap_ok(worst == 0, "a parameter set, as %s", flm_dtype_name(w->compute));
    memset(w->grad.block[0].Wo.data, 1, (size_t)(d * d) * sizeof *values);
    network_grad(w, i, values);
    tap_ok(memcmp(values, w->grad.block[0].Wo.data, (size_t)(d * d) * sizeof *values) == 0, "its gradient read");
    must(flm_weights_zero_grad(w));
    network_grad(w, i, values);
    for (int64_t k = 0; k < d * d; k++) worst = fmaxf(worst, fabsf(values[k]));
    tap_ok(worst == 0, "and zeroed");
    free(values);
}

/* Two-time networks have the parameters of an FLM at the same offsets, with the same initial values, and more after. */
static void test_kinds(const flm_weights *flm)
{
    static const char *const more[] = {"sigma_map_prime.mlp.0.weight",
                                       "sigma_map_prime.mlp.0.bias",
                                       "sigma_map_prime.mlp.2.weight",
                                       "sigma_map_prime.mlp.2.bias",
                                       "learnable_loss_weighting.s_embed.mlp.0.weight",
                                       "learnable_loss_weighting.s_embed.mlp.0.bias",
                                       "learnable_loss_weighting.s_embed.mlp.2.weight",
                                       "learnable_loss_weighting.s_embed.mlp.2.bias",
                                       "learnable_loss_weighting.mlp.0.weight",
                                       "learnable_loss_weighting.mlp.0.bias",
                                       "learnable_loss_weighting.mlp.2.weight",
                                       "learnable_loss_weighting.mlp.2.bias"};
    static const struct {
        flm_network network;
        int more, reinit, zero;
    } kinds[] = {{FLM_NETWORK_TWO_TIME, 4, 4, 2}, {FLM_NETWORK_RESIDUAL, 12, 16, 4}};
    for (int k = 0; k < 2; k++) {
        flm_weights *w = NULL;
        flm_model_shape two = shape;
        int wrong = 0, reinit = 0, zero = 0;
        two.network = kinds[k].network;
        must(flm_weights_create(be, &two, FLM_DTYPE_F32, 3, true, &w));
        for (int i = 0; i < EXPECTED; i++) {
            const flm_parameter *a = &flm->parameter[i], *b = &w->parameter[i];
            wrong += strcmp(a->name, b->name) != 0 || a->init != b->init || a->bucket != b->bucket ||
                     a->offset != b->offset || a->count != b->count || a->bound != b->bound || a->reinit;
        }
        for (int i = EXPECTED; i < w->parameters; i++) {
            const flm_parameter *p = &w->parameter[i];
            wrong += strcmp(p->name, more[i - EXPECTED]) != 0 || p->bucket != flm_bucket_two_time(N) || !p->reinit ||
                     p->offset % 16 != 0;
            zero += p->init == FLM_INIT_ZERO;
        }
        for (int i = 0; i < w->parameters; i++) reinit += w->parameter[i].reinit;
        tap_ok(wrong == 0 && w->parameters == EXPECTED + kinds[k].more && w->buckets == flm->buckets + 1,
               "network %d: the table of an FLM, and %d more parameters", k + 1, kinds[k].more);
        tap_ok(reinit == kinds[k].reinit && zero == kinds[k].zero,
               "network %d: %d parameters are reinitialised in a distillation, %d of the new ones to zero", k + 1,
               reinit, zero);
        tap_ok((char *)w->grad.t_end_b2.data - (char *)w->bucket[flm_bucket_two_time(N)].grad.data ==
                       w->parameter[EXPECTED + 3].offset * 4 &&
                   (w->w.weighting_W2.data != NULL) == (k == 1),
               "network %d: the views point to them", k + 1);
        flm_weights_destroy(&w);
    }
    flm_model_shape none = shape;
    flm_weights *w = NULL;
    none.network = (flm_network)(FLM_NETWORK_ANY_ORDER + 1);
    tap_ok(flm_weights_create(be, &none, FLM_DTYPE_F32, 1, false, &w) == FLM_E_ARG && w == NULL,
           "no further form of network");
    flm_err_clear();
}

/* A size in a schema: a number, a letter, or "4*d". */
static int64_t size_of(const char *text)
{
    char *end;
    const int64_t number = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 1;
    const char *letter = *text >= '0' && *text <= '9' ? end : text;
    if (*letter == '*') letter++;
    return number * (*letter == 'V' ? V : *letter == 'd' ? d : *letter == 'c' ? c : 1);
}

/* Each line of checkpoint.schema about weights has the name and shape of a parameter, and every parameter has a line,
 * except those of the loss-weighting network. */
static void test_schema(void)
{
    const flm_model_shape full = {
        .L = 7, .V = V, .d = d, .H = H, .c = c, .N = 1, .F = 256, .mlp_ratio = 4, .network = FLM_NETWORK_RESIDUAL};
    flm_parameter *table = NULL;
    int count = 0, found = 0, wrong = 0, without = 0;
    must(flm_parameter_make_table(&full, &table, &count));
    for (const char *line = strstr(flm_schema_text("checkpoint"), "\ndataset /weights/"); line != NULL;
         line = strstr(line + 1, "\ndataset /weights/")) {
        char pattern[64], name[64], sizes[2][8] = {"", ""}, *n;
        if (sscanf(line, "\ndataset /weights/%63s f32 [%7[^],], %7[^]]", pattern, sizes[0], sizes[1]) < 2) abort();
        if (strcmp(pattern, "*") == 0) continue;
        strcpy(name, pattern);
        if ((n = strstr(name, "<n>")) != NULL) sprintf(n, "0%s", strstr(pattern, "<n>") + 3);
        const int at = flm_parameter_find(table, count, name);
        found++;
        if (at < 0) {
            wrong++;
            continue;
        }
        wrong += table[at].dim[0] != size_of(sizes[0]) || (table[at].ndim == 2) != (sizes[1][0] != '\0') ||
                 (table[at].ndim == 2 && table[at].dim[1] != size_of(sizes[1]));
    }
    for (int i = 0; i < count; i++) without += strncmp(table[i].name, "learnable_loss_weighting.", 25) == 0;
    tap_ok(found == 24 && wrong == 0 && found + without == count,
           "checkpoint.schema: %d of %d parameters, %d wrong, %d without a line", found, count, wrong, without);
    free(table);
}

static double bound_of(const char *name)
{
    if (strstr(name, "norm") != NULL || strstr(name, "adaLN") != NULL || strstr(name, "output_layer") != NULL) return 0;
    if (strstr(name, "sigma_map.mlp.0") != NULL) return 1 / sqrt(F);
    if (strstr(name, "sigma_map.mlp.2") != NULL) return 1 / sqrt(c);
    return strstr(name, "mlp.2") != NULL ? 1 / sqrt(4 * d) : 1 / sqrt(d);
}

/* Of n values uniform in +-bound, the mean is within 5 bound / sqrt(3 n) with probability 1 - 6e-7, the mean of squares
 * within 5 bound^2 sqrt(4/45 / n) of bound^2 / 3; the seed is fixed. */
static void test_initial(const flm_weights *w)
{
    float values[V * d * 4 * 4];
    for (int i = 0; i < w->parameters; i++) {
        const flm_parameter *p = &w->parameter[i];
        const double bound = bound_of(p->name), n = (double)p->count, b2 = bound * bound;
        const double constant = strstr(p->name, "norm") != NULL ? 1 : 0;
        double mean = 0, square = 0, max = 0;
        float part[5];
        flm_parameter_initial(p, i, 9, 0, p->count, values);
        for (int64_t k = 0; k < p->count; k++) {
            mean += values[k] / n;
            square += values[k] * values[k] / n;
            max = fmax(max, fabs(values[k] - constant));
        }
        bool ok = bound == 0 ? max == 0
                             : max <= bound * (1 + 1e-6) && fabs(mean) <= 5 * bound / sqrt(3 * n) &&
                                   fabs(square - b2 / 3) <= 5 * b2 * sqrt(4.0 / 45 / n);
        for (int64_t first = 0; first < p->count; first += 3) {
            const int64_t count = p->count - first < 5 ? p->count - first : 5;
            flm_parameter_initial(p, i, 9, first, count, part);
            ok = ok && memcmp(part, values + first, (size_t)count * sizeof *part) == 0;
        }
        tap_ok(ok, "initial values of %s, also in parts", p->name);
    }
    float other[d * d];
    flm_parameter_initial(&w->parameter[flm_parameter_find(w->parameter, w->parameters, "blocks.0.attn_out.weight")], 6,
                          9, 0, d * d, values);
    flm_parameter_initial(&w->parameter[flm_parameter_find(w->parameter, w->parameters, "blocks.1.attn_out.weight")], 7,
                          9, 0, d * d, other);
    tap_ok(memcmp(values, other, sizeof other) != 0, "another parameter, other values");
}

int main(void)
{
    flm_weights *w = NULL;
    must(flm_backend_create(FLM_DEVICE_CPU, 1, 0, &be));
    for (int k = 0; k < 4; k++) {
        static const int sizes[] = {1, 3, 4, 64};
        must(flm_weights_create(be, &shape, k % 2 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, sizes[k], true, &w));
        if (k == 0) test_table(w);
        test_buckets(w);
        test_set(w);
        if (k == 0) test_initial(w);
        if (k == 0) test_kinds(w);
        flm_weights_destroy(&w);
    }
    test_schema();
    must(flm_weights_create(be, &shape, FLM_DTYPE_F32, 2, false, &w));
    tap_ok(w->grad.E.data == NULL && w->grad.block[1].W1.data == NULL && w->w.E.data != NULL, "without gradients");
    flm_weights_destroy(&w);
    tap_ok(flm_weights_create(be, &shape, FLM_DTYPE_F32, 0, true, &w) == FLM_E_ARG, "no ranks");
    tap_ok(flm_weights_create(be, &shape, FLM_DTYPE_F64, 1, true, &w) == FLM_E_ARG && w == NULL, "computing in f64");
    flm_backend_destroy(&be);
    return tap_end();
}
