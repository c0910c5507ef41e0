/* conform_embed.c - states in embedded form and normal random numbers (model.md section 4) against double.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "tests/conform/conform_common.h"

enum { STATE, NOISE, TABLE, TOKENS, G, OPERANDS }; /* STATE is grad_x in the scatter, TABLE grad_E */

static flm_status embed(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_embed_state(be, &o[STATE].t, &o[NOISE].t, &o[TABLE].t, &o[TOKENS].t, &o[G].t);
}

static flm_status embed_in_place(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_embed_state(be, &o[NOISE].t, &o[NOISE].t, &o[TABLE].t, &o[TOKENS].t, &o[G].t);
}

static flm_status scatter(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_embed_scatter(be, &o[TABLE].t, &o[STATE].t, &o[TOKENS].t, &o[G].t);
}

static flm_status scale(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_sample_scale(be, &o[0].t, &o[1].t, &o[2].t);
}

static flm_status scale_in_place(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_sample_scale(be, &o[1].t, &o[1].t, &o[2].t);
}

/* by_token: g has an element a token. */
static void operands_make(operand *o, int64_t B, int64_t L, int64_t d, int64_t V, double state, bool by_token)
{
    o[STATE] = operand_3d(FLM_DTYPE_F32, state, B, L, d);
    o[NOISE] = operand_3d(FLM_DTYPE_F32, 3, B, L, d);
    o[TABLE] = operand_2d(FLM_DTYPE_F32, 1, V, d);
    o[TOKENS] = operand_tokens(2, (const int64_t[]){B, L}, V);
    o[G] = by_token ? operand_2d(FLM_DTYPE_F32, 1, B, L) : operand_1d(FLM_DTYPE_F32, 1, B);
}

static void test_state_of(int64_t B, int64_t L, int64_t d, int64_t V, bool by_token)
{
    operand o[OPERANDS];
    double *x = doubles(B * L * d), *size = doubles(B * L * d), *table = doubles(V * d), *size_table = doubles(V * d);
    char name[96];
    snprintf(name, sizeof name, "B=%d L=%d d=%d V=%d, g by %s", (int)B, (int)L, (int)d, (int)V,
             by_token ? "token" : "sequence");
    operands_make(o, B, L, d, V, NAN, by_token);
    for (int64_t i = 0; by_token && i < B * L; i += 2) put(&o[G].t, i, 1);
    operand_note(&o[G]);
    for (int64_t i = 0; i < V * d; i++) table[i] = o[TABLE].before[i], size_table[i] = fabs(table[i]);
    conform_run(embed, o, OPERANDS, NULL, name);
    for (int64_t i = 0; i < B * L * d; i++) {
        int64_t row = i / d, at = (int64_t)o[TOKENS].before[row] * d + i % d;
        double g = o[G].before[by_token ? row : row / L];
        x[i] = (1 - g) * o[NOISE].before[i] + g * o[TABLE].before[at];
        size[i] = fabs((1 - g) * o[NOISE].before[i]) + fabs(g * o[TABLE].before[at]);
        put(&o[STATE].t, i, o[NOISE].before[i]);
        table[at] += g * o[NOISE].before[i];
        size_table[at] += fabs(g * o[NOISE].before[i]);
    }
    if (conform_once(conform_be[0], embed, o, OPERANDS, NULL) != FLM_OK) abort();
    conform_close(&o[STATE].t, x, size, 2e-7, "embed_state");
    if (conform_once(conform_be[1], embed_in_place, o, OPERANDS, NULL) != FLM_OK) abort();
    tap_ok(B * L == 0 || memcmp(o[NOISE].t.data, o[STATE].t.data, flm_tensor_bytes(&o[STATE].t)) == 0,
           "x may be noise");
    for (int64_t i = 0; i < B * L * d; i++) put(&o[STATE].t, i, o[NOISE].before[i]);
    conform_run(scatter, o, OPERANDS, NULL, name);
    /* As many roundings as a token occurs, in order. */
    conform_close(&o[TABLE].t, table, size_table, 2e-6, "embed_scatter");
    operands_free(o, OPERANDS);
    double *rest[] = {x, size, table, size_table};
    for (int i = 0; i < 4; i++) free(rest[i]);
}

static void test_state(int64_t B, int64_t L, int64_t d, int64_t V)
{
    test_state_of(B, L, d, V, false);
    test_state_of(B, L, d, V, true);
}

/* Rows of a token are added in the order of their positions, which shows where they cancel. The tokens agree in one
 * byte or the other, which exercises a sort by digits. */
static void test_order(void)
{
    enum { ROWS = 64, V = 600 };
    static const int32_t tokens[] = {1, 257, 258, 513, 2};
    operand o[OPERANDS];
    double *ref = doubles(V);
    bool right = true;
    operands_make(o, 1, ROWS, 1, V, 0, false);
    for (int64_t i = 0; i < V; i++) put(&o[TABLE].t, i, 0);
    put(&o[G].t, 0, 1);
    for (int64_t i = 0; i < ROWS; i++) {
        const int32_t token = tokens[(int)((draw() + 1) * 2.5 * (1 - 0x1p-40))];
        const double value = draw() < 0 ? floor(8 * draw()) : draw() < 0 ? -0x1p30 : 0x1p30;
        put(&o[TOKENS].t, i, token);
        put(&o[STATE].t, i, value);
        ref[token] = (double)(float)(ref[token] + value);
    }
    conform_run(scatter, o, OPERANDS, NULL, "embed_scatter of what cancels");
    for (int64_t i = 0; i < V; i++) right = right && get(&o[TABLE].t, i) == ref[i];
    tap_ok(right, "embed_scatter adds in order");
    operands_free(o, OPERANDS);
    free(ref);
}

/* y f32 [B, L, d], g by token. */
static void test_scale_tokens(int64_t B, int64_t L, int64_t d)
{
    operand o[3] = {operand_3d(FLM_DTYPE_F32, NAN, B, L, d), operand_3d(FLM_DTYPE_F32, 3, B, L, d),
                    operand_2d(FLM_DTYPE_F32, 1, B, L)};
    double *y = doubles(B * L * d);
    for (int64_t i = 0; i < B * L * d; i++) y[i] = (1 - o[2].before[i / d]) * o[1].before[i];
    conform_run(scale, o, 3, NULL, "sample_scale by token");
    conform_close(&o[0].t, y, NULL, 2e-7, "sample_scale by token");
    operands_free(o, 3);
    free(y);
}

static void test_scale(int64_t B, int64_t n)
{
    operand o[3] = {operand_2d(FLM_DTYPE_F32, NAN, B, n), operand_2d(FLM_DTYPE_F32, 3, B, n),
                    operand_1d(FLM_DTYPE_F32, 1, B)};
    double *y = doubles(B * n);
    for (int64_t i = 0; i < B * n; i++) y[i] = (1 - o[2].before[i / n]) * o[1].before[i];
    conform_run(scale, o, 3, NULL, "sample_scale");
    conform_close(&o[0].t, y, NULL, 2e-7, "sample_scale");
    if (conform_once(conform_be[1], scale_in_place, o, 3, NULL) != FLM_OK) abort();
    tap_ok(B * n == 0 || memcmp(o[0].t.data, o[1].t.data, flm_tensor_bytes(&o[0].t)) == 0, "y may be x");
    operands_free(o, 3);
    free(y);
}

typedef struct draws {
    uint64_t stream;
    int64_t first;
} draws;

static flm_status normal(flm_backend *be, const operand *o, const void *arg)
{
    const draws *from = arg;
    return flm_op_normal(be, &o[0].t, from->stream, from->first);
}

/* Component i of position l by backend_ops.h, in double. */
static double normal_reference(const draws *from, int64_t b, int64_t l, int64_t i)
{
    const uint64_t sample = (uint64_t)(from->first + b);
    const flm_philox4 r =
        flm_philox4x32(from->stream, (uint32_t)sample, (uint32_t)(sample >> 32), (uint32_t)l, (uint32_t)(i / 4));
    const uint32_t *pair = &r.v[i % 4 / 2 * 2];
    const double radius = sqrt(-2 * log(((double)pair[0] + 0.5) * 0x1p-32));
    const double angle = 6.283185307179586476925 * (double)pair[1] * 0x1p-32;
    return radius * (i % 2 ? sin(angle) : cos(angle));
}

static void test_normal(int64_t B, int64_t L, int64_t K, const draws *from)
{
    operand o = operand_3d(FLM_DTYPE_F32, NAN, B, L, K);
    char name[96];
    double worst = 0;
    bool same = true;
    snprintf(name, sizeof name, "normal B=%d L=%d K=%d", (int)B, (int)L, (int)K);
    conform_run(normal, &o, 1, from, name);
    /* u in fp32 near 1 moves the radius by 2^-24 / radius: 2.4e-4 at the smallest. */
    for (int64_t i = 0; i < B * L * K; i++) {
        double ref = normal_reference(from, i / K / L, i / K % L, i % K), e = fabs(get(&o.t, i) - ref);
        e /= 2e-6 + (fabs(ref) < 0.1 ? 2.5e-4 : 0);
        worst = worse(worst, e);
    }
    tap_ok(worst <= 1, "%s: off by %.2f of what rounding explains", name, worst);
    for (int64_t b = 0; b < B; b++) {
        const draws one = {from->stream, from->first + b};
        operand part = operand_3d(FLM_DTYPE_F32, NAN, 1, L, K);
        if (conform_once(conform_be[b % 3], normal, &part, 1, &one) != FLM_OK) abort();
        same = same && memcmp(part.t.data, (const float *)o.t.data + b * L * K, flm_tensor_bytes(&part.t)) == 0;
        operands_free(&part, 1);
    }
    tap_ok(same, "%s: samples drawn one by one are the same", name);
    operands_free(&o, 1);
}

/* Five standard deviations each. */
static void test_statistics(void)
{
    const draws from = {99, 3};
    const int64_t n = 8 * 128 * 768;
    operand o = operand_3d(FLM_DTYPE_F32, NAN, 8, 128, 768);
    double mean = 0, square = 0, fourth = 0, max = 0, pair[4] = {0};
    static const int64_t lag[4] = {1, 2, 768, 128 * 768};
    if (conform_once(conform_be[1], normal, &o, 1, &from) != FLM_OK) abort();
    for (int64_t i = 0; i < n; i++) {
        double x = get(&o.t, i);
        mean += x / (double)n;
        square += x * x / (double)n;
        fourth += x * x * x * x / (double)n;
        max = fabs(x) > max ? fabs(x) : max;
        for (int k = 0; k < 4; k++) pair[k] += x * get(&o.t, (i + lag[k]) % n) / (double)n;
    }
    tap_close(mean, 0, 5 / sqrt((double)n), "mean");
    tap_close(square, 1, 5 * sqrt(2 / (double)n), "variance");
    tap_close(fourth, 3, 5 * sqrt(96 / (double)n), "fourth moment");
    tap_ok(max > 4 && max < 6.8, "the largest of %d is %.2f", (int)n, max);
    for (int k = 0; k < 4; k++) {
        char name[64];
        snprintf(name, sizeof name, "correlation with the number %d further", (int)lag[k]);
        tap_close(pair[k], 0, 5 / sqrt((double)n), name);
    }
    operands_free(&o, 1);
}

/* Row `row` of x alone is not a number. */
static bool one_row_poisoned(const flm_tensor *x, int64_t row)
{
    bool right = true;
    for (int64_t i = 0; i < flm_tensor_elements(x); i++)
        right = right && (bool)isnan(get(x, i)) == (i / flm_tensor_last(x) == row);
    return right;
}

/* A token outside the vocabulary: refused by host backends; on devices it makes its own row NaN, and row 0 of a
 * gradient.
 */
static void test_outside(void)
{
    static const int32_t outside[] = {11, -1, INT32_MAX, INT32_MIN};
    operand o[OPERANDS];
    operands_make(o, 2, 5, 7, 11, 1, false);
    for (int i = 0; i < 4; i++) {
        put(&o[TOKENS].t, 9, outside[i]);
        for (int64_t k = 0; k < 11 * 7; k++) put(&o[TABLE].t, k, 1);
        if (conform_be[0]->host_memory) {
            tap_ok(conform_once(conform_be[0], embed, o, OPERANDS, NULL) == FLM_E_ARG &&
                       conform_once(conform_be[0], scatter, o, OPERANDS, NULL) == FLM_E_ARG,
                   "token %ld of 11", (long)outside[i]);
            continue;
        }
        bool right =
            conform_once(conform_be[0], embed, o, OPERANDS, NULL) == FLM_OK && one_row_poisoned(&o[STATE].t, 9);
        for (int64_t k = 0; k < 2 * 5 * 7; k++) put(&o[STATE].t, k, 1);
        conform_run(scatter, o, OPERANDS, NULL, "a token outside the vocabulary"); /* touches no guard, either */
        tap_ok(right && one_row_poisoned(&o[TABLE].t, 0), "token %ld of 11", (long)outside[i]);
    }
    flm_err_clear();
    operands_free(o, OPERANDS);
}

static flm_status learned(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_embed_learned(be, &o[0].t, &o[1].t, &o[2].t, &o[3].t, &o[4].t);
}

static void test_learned(int64_t R, int64_t d)
{
    operand o[] = {operand_2d(FLM_DTYPE_F32, NAN, R, d), operand_2d(FLM_DTYPE_F32, 1, 11, d),
                   operand_2d(FLM_DTYPE_F32, 1, 7, d), operand_tokens(1, &R, 11), operand_tokens(1, &R, 7)};
    const bool host = conform_be[0]->host_memory;
    double *ref = doubles(R * d);
    for (int64_t i = 0; i < R * d; i++)
        ref[i] = get(&o[1].t, (int64_t)get(&o[3].t, i / d) * d + i % d) +
                 get(&o[2].t, (int64_t)get(&o[4].t, i / d) * d + i % d);
    conform_run(learned, o, 5, NULL, "embed_learned");
    conform_close(&o[0].t, ref, NULL, 0, "embed_learned");
    conform_refuses(learned, o, 1, NULL, "embed_learned");
    for (int which = 3; R > 0 && which < 5; which++) {
        const double kept = get(&o[which].t, R - 1);
        put(&o[which].t, R - 1, which == 3 ? 11 : -1);
        const flm_status rc = conform_once(conform_be[0], learned, o, 5, NULL);
        tap_ok(host ? rc == FLM_E_ARG : rc == FLM_OK && one_row_poisoned(&o[0].t, R - 1), "%s",
               which == 3 ? "a token outside the vocabulary" : "a position below 0");
        put(&o[which].t, R - 1, kept);
    }
    flm_err_clear();
    free(ref);
    operands_free(o, 5);
}

static flm_status known(flm_backend *be, const operand *o, const void *arg)
{
    return flm_op_embed_known(be, &o[STATE].t, &o[NOISE].t, &o[TABLE].t, &o[TOKENS].t, *(const float *)arg);
}

/* Rows of tokens that are not negative; the others keep what they hold, NaN included. */
static void test_known(int64_t B, int64_t L, int64_t d, float g)
{
    enum { V = 11 };
    operand o[G];
    double *x = doubles(B * L * d), *size = doubles(B * L * d);
    const bool host = conform_be[0]->host_memory;
    bool kept = true;
    o[STATE] = operand_3d(FLM_DTYPE_F32, 1, B, L, d);
    o[NOISE] = operand_3d(FLM_DTYPE_F32, 3, B, L, d);
    o[TABLE] = operand_2d(FLM_DTYPE_F32, 1, V, d);
    o[TOKENS] = operand_tokens(2, (const int64_t[]){B, L}, V);
    for (int64_t i = 0; i < B * L; i += 3) put(&o[TOKENS].t, i, i % 2 ? -1 : INT32_MIN);
    operand_note(&o[TOKENS]);
    conform_run(known, o, G, &g, "embed_known");
    for (int64_t i = 0; i < B * L * d; i++) {
        const int64_t token = (int64_t)o[TOKENS].before[i / d];
        const double noise = (1 - (double)g) * o[NOISE].before[i],
                     data = token < 0 ? 0 : (double)g * o[TABLE].before[token * d + i % d];
        x[i] = token < 0 ? o[STATE].before[i] : noise + data;
        size[i] = fabs(noise) + fabs(data);
        kept = kept && (token >= 0 || get(&o[STATE].t, i) == x[i]);
    }
    tap_ok(kept, "B=%d L=%d d=%d: states of negative tokens are kept", (int)B, (int)L, (int)d);
    conform_close(&o[STATE].t, x, size, 2e-7, "embed_known");
    if (B * L > 1) {
        put(&o[TOKENS].t, 1, V);
        const flm_status rc = conform_once(conform_be[0], known, o, G, &g);
        tap_ok(host ? rc == FLM_E_ARG : rc == FLM_OK && isnan(get(&o[STATE].t, d)), "a token outside the vocabulary");
    }
    const float outside[] = {-0.5f, 1.5f, NAN};
    for (int k = 0; k < 3; k++)
        tap_ok(known(conform_be[0], o, &outside[k]) == FLM_E_ARG, "g %g is refused", (double)outside[k]);
    o[TABLE].t.dim[1]++;
    tap_ok(known(conform_be[0], o, &g) == FLM_E_SHAPE, "an embedding of another width");
    o[TABLE].t.dim[1]--;
    flm_err_clear();
    operands_free(o, G);
    free(x);
    free(size);
}

static void test_errors(void)
{
    operand o[OPERANDS], s[3] = {operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_2d(FLM_DTYPE_F32, 1, 3, 5),
                                 operand_1d(FLM_DTYPE_F32, 1, 3)};
    const draws from = {1, 0};
    operands_make(o, 2, 5, 7, 11, 1, false);
    /* A longer embedding is another vocabulary, so the table's size alone may change: arguments 0, 1, 3, 4. */
    flm_tensor good = o[TABLE].t;
    conform_refuses(embed, o, TABLE, NULL, "embed_state");
    o[TABLE].t.dim[1] = 8;
    tap_ok(embed(conform_be[0], o, NULL) == FLM_E_SHAPE, "an embedding of another width");
    tap_ok(scatter(conform_be[0], o, NULL) == FLM_E_SHAPE, "a gradient of another width");
    o[TABLE].t = good;
    o[G].t.dim[0] = 3;
    tap_ok(embed(conform_be[0], o, NULL) == FLM_E_SHAPE, "g of another length");
    o[G].t.dim[0] = 2;
    good = o[G].t;
    o[G].t = flm_tensor_2d(good.data, FLM_DTYPE_F32, 2, 4);
    tap_ok(embed(conform_be[0], o, NULL) == FLM_E_SHAPE && scatter(conform_be[0], o, NULL) == FLM_E_SHAPE,
           "g of fewer tokens");
    o[G].t = good;
    conform_refuses(scale, s, 3, NULL, "sample_scale");
    s[0].t.dtype = FLM_DTYPE_BF16;
    tap_ok(normal(conform_be[0], s, &from) == FLM_E_SHAPE, "normal numbers of another dtype");
    flm_err_clear();
    operands_free(o, OPERANDS);
    operands_free(s, 3);
}

int main(void)
{
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    test_state(1, 1, 1, 1);
    test_state(2, 7, 65, 3);
    test_state(3, 65, 129, 500);
    test_state(2, 64, 768, 1000);
    test_state(0, 5, 8, 4);
    test_state(3, 700, 5, 2);     /* runs over many blocks of a device's sort, which has more than one tile */
    test_state(1, 300, 3, 70000); /* digits of a sort beyond the second */
    test_order();
    test_scale(1, 1);
    test_scale(3, 65);
    test_scale(2, 40000);
    test_scale(0, 3);
    test_scale_tokens(3, 7, 65);
    test_scale_tokens(2, 0, 4);
    test_normal(1, 1, 1, &(draws){1, 0});
    test_normal(3, 7, 65, &(draws){2, ((int64_t)1 << 32) - 1});
    test_normal(4, 5, 768, &(draws){UINT64_MAX, 1000});
    test_normal(2, 3, 63, &(draws){3, 0});
    test_normal(0, 3, 8, &(draws){3, 0});
    test_statistics();
    test_learned(1, 1);
    test_learned(65, 37);
    test_learned(9, 768);
    test_learned(0, 4);
    test_known(1, 1, 1, 0.25f);
    test_known(2, 7, 65, 0);
    test_known(3, 65, 129, 0.75f);
    test_known(2, 5, 768, 1);
    test_known(0, 5, 8, 0.5f);
    test_outside();
    test_errors();
    return conform_end();
}
