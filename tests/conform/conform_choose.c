/* conform_choose.c - tokens drawn from rows of scores: against the distribution in double, by the number that each row
 * draws; chi-square tests of many rows; a tail of many tokens of little probability.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "tests/conform/conform_common.h"

enum { INDEX, CONFIDENCE, X, OPERANDS, PLACE = OPERANDS, OPERANDS_PLACED };

typedef struct numbers {
    float cap;
    bool linear;
    double temperature, top_p;
    int64_t top_k, first_sample, first_row, L;
    uint64_t stream;
} numbers;

static flm_status choose_at(flm_backend *be, const operand *o, const numbers *with, const flm_tensor *place)
{
    return flm_op_choose(be, &(flm_choose){.index = &o[INDEX].t,
                                           .place = place,
                                           .confidence = &o[CONFIDENCE].t,
                                           .x = &o[X].t,
                                           .logit_cap = with->cap,
                                           .linear = with->linear,
                                           .temperature = with->temperature,
                                           .top_p = with->top_p,
                                           .top_k = with->top_k,
                                           .stream = with->stream,
                                           .first_sample = with->first_sample,
                                           .first_row = with->first_row,
                                           .L = with->L});
}

static flm_status choose(flm_backend *be, const operand *o, const void *arg)
{
    const flm_tensor none = flm_tensor_none();
    return choose_at(be, o, arg, &none);
}

static flm_status choose_placed(flm_backend *be, const operand *o, const void *arg)
{
    return choose_at(be, o, arg, &o[PLACE].t);
}

/* What a row is drawn by: p, the probabilities before temperature; w, the weights of the tokens that take part, 0 for
 * the others; total, their sum; edge, the weight of the last one that takes part. */
typedef struct reference {
    double *p, *w, total, edge;
} reference;

static const double *compared; /* the weights that by_weight sorts by */

static int by_weight(const void *a, const void *b)
{
    const int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    if (compared[i] != compared[j]) return compared[i] > compared[j] ? -1 : 1;
    return (i > j) - (i < j);
}

static reference reference_make(const double *x, int64_t V, const numbers *n)
{
    reference ref = {doubles(V), doubles(V), 0, 0};
    int64_t *order = malloc((size_t)V * sizeof *order), taken = 0;
    double sum = 0, max = -INFINITY, kept = 0, cap = (double)n->cap;
    if (order == NULL) abort();
    for (int64_t j = 0; j < V; j++) {
        ref.p[j] = n->linear ? fmax(x[j], 0) : cap > 0 ? cap * tanh(x[j] / cap) : x[j];
        max = fmax(max, ref.p[j]);
        order[j] = j;
    }
    for (int64_t j = 0; j < V; j++) {
        const double p = n->linear ? ref.p[j] / max : exp(ref.p[j] - max);
        ref.w[j] = n->linear ? pow(p, 1 / n->temperature) : exp((ref.p[j] - max) / n->temperature);
        ref.p[j] = p;
        sum += p;
    }
    for (int64_t j = 0; j < V; j++) ref.p[j] /= sum;
    compared = ref.w;
    qsort(order, (size_t)V, sizeof *order, by_weight);
    const int64_t k = n->top_k > 0 && n->top_k < V ? n->top_k : V;
    for (int64_t i = 0; i < k; i++) kept += ref.w[order[i]];
    while (taken < k && (n->top_p == 1 || taken == 0 || ref.total < n->top_p * kept))
        ref.total += ref.w[order[taken++]];
    ref.edge = ref.w[order[taken - 1]];
    for (int64_t i = taken; i < V; i++) ref.w[order[i]] = 0;
    free(order);
    return ref;
}

static void reference_free(reference *ref)
{
    free(ref->p);
    free(ref->w);
}

static double number_of(const numbers *n, int64_t row)
{
    const int64_t place = n->first_row + row;
    const flm_philox4 r =
        flm_philox_at(n->stream, (uint64_t)(n->first_sample + place / n->L), (uint32_t)(place % n->L), 0);
    return flm_philox_uniform(r.v[0], r.v[1]);
}

/* How far the drawn number is from the token's interval. Which token is the last to take part can differ by rounding.
 */
static double distance(const reference *ref, int64_t V, int64_t token, double u, bool limited)
{
    double before = 0;
    if (token < 0 || token >= V) return NAN;
    for (int64_t j = 0; j < token; j++) before += ref->w[j] / ref->total;
    const double after = before + ref->w[token] / ref->total, far = u < before ? before - u : u > after ? u - after : 0;
    return limited ? fmax(far - 2 * ref->edge / ref->total, 0) : far;
}

enum { ORDINARY, TIES, PEAKED, SHAPES };
static const char *const shapes[] = {"ordinary", "with ties", "one far above"};

static void fill(operand *x, int shape, bool linear)
{
    const int64_t V = x->t.dim[1];
    for (int64_t i = 0; i < flm_tensor_elements(&x->t); i++) {
        double value = linear ? draw() - 0.2 : 8 * draw();
        if (shape == TIES) value = linear ? 0.25 * floor(4 * draw()) : floor(3 * draw());
        if (shape == PEAKED && i % V == V / 2) value = linear ? 4 : 20;
        if (linear && i % V == 0) value = 0.5; /* a row has at least one weight */
        put(&x->t, i, value);
    }
    operand_note(x);
}

static void test_rows(int64_t R, int64_t V, int shape, const numbers *n)
{
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_I32, 0, R), operand_1d(FLM_DTYPE_F32, NAN, R),
                           operand_rows(FLM_DTYPE_F32, 1, R, V)};
    double *p = doubles(R), worst = 0;
    char name[160];
    fill(&o[X], shape, n->linear);
    snprintf(name, sizeof name, "R=%d V=%d %s%s, cap %g, T %g, top-k %d, top-p %g%s", (int)R, (int)V, shapes[shape],
             n->linear ? " weights" : "", (double)n->cap, n->temperature, (int)n->top_k, n->top_p,
             conform_paddings[conform_rows]);
    conform_run(choose, o, OPERANDS, n, name);
    for (int64_t r = 0; r < R; r++) {
        const int32_t token = ((const int32_t *)o[INDEX].t.data)[r];
        reference ref = reference_make(o[X].before + r * V, V, n);
        worst = worse(worst, distance(&ref, V, token, number_of(n, r), n->top_p < 1));
        p[r] = token >= 0 && token < V ? ref.p[token] : NAN;
        reference_free(&ref);
    }
    /* Weights have the error of an exponential, of the capped score divided by the temperature. */
    tap_ok(worst <= 2e-6 * (1 + (double)n->cap) * (1 + 1 / n->temperature), "%s: off by %.2g", name, worst);
    conform_close(&o[CONFIDENCE].t, p, NULL, 1e-5 * (1 + (double)n->cap / 3) * (1 + n->temperature), "confidence");
    operands_free(o, OPERANDS);
    free(p);
}

static const numbers settings[] = {{0, false, 1, 1, 0, 3, 5, 7, 11},      {30, false, 1, 1, 0, 3, 5, 7, 12},
                                   {30, false, 0.7, 1, 0, 0, 0, 64, 13},  {2.5f, false, 1.5, 0.9, 0, 1, 0, 2, 14},
                                   {0, false, 1, 1, 3, 0, 1, 3, 15},      {30, false, 0.5, 0.5, 40, 9, 2, 5, 16},
                                   {0, true, 1, 1, 0, 0, 0, 8, 17},       {0, true, 0.5, 0.8, 20, 0, 0, 8, 18},
                                   {30, false, 100, 0.01, 0, 0, 0, 8, 19}};

/* Rows that are not neighbours in the batch. */
static void test_places(int64_t R, int64_t V)
{
    const numbers n = {30, false, 1, 1, 0, 3, 5, 7, 20};
    operand o[OPERANDS_PLACED] = {operand_1d(FLM_DTYPE_I32, 0, R), operand_1d(FLM_DTYPE_F32, 0, R),
                                  operand_2d(FLM_DTYPE_F32, 1, R, V), operand_1d(FLM_DTYPE_I32, 0, R)};
    double worst = 0;
    fill(&o[X], ORDINARY, false);
    for (int64_t r = 0; r < R; r++) ((int32_t *)o[PLACE].t.data)[r] = (int32_t)(3 * (R - 1 - r) + 1);
    operand_note(&o[PLACE]);
    conform_run(choose_placed, o, OPERANDS_PLACED, &n, "rows at other places");
    for (int64_t r = 0; r < R; r++) {
        numbers at = n;
        at.first_row = ((const int32_t *)o[PLACE].t.data)[r];
        reference ref = reference_make(o[X].before + r * V, V, &n);
        worst = worse(worst, distance(&ref, V, ((const int32_t *)o[INDEX].t.data)[r], number_of(&at, 0), false));
        reference_free(&ref);
    }
    tap_ok(worst <= 2e-6 * (1 + (double)n.cap) * 2, "R=%d V=%d at other places: off by %.2g", (int)R, (int)V, worst);
    operands_free(o, OPERANDS_PLACED);
}

/* Temperature 0: what argmax gives, whatever the other settings, and its probability. */
static void test_argmax(int64_t R, int64_t V, float cap, bool linear)
{
    const numbers with = {cap, linear, 0, 0.5, 7, 0, 0, 4, 1};
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_I32, 0, R), operand_1d(FLM_DTYPE_F32, NAN, R),
                           operand_rows(FLM_DTYPE_F32, 1, R, V)};
    double *p = doubles(R);
    bool first = true, same;
    fill(&o[X], TIES, linear);
    conform_run(choose, o, OPERANDS, &with, "temperature 0");
    for (int64_t r = 0; r < R; r++) {
        const double *x = o[X].before + r * V;
        const numbers plain = {cap, linear, 1, 1, 0, 0, 0, 1, 0};
        reference ref = reference_make(x, V, &plain);
        int64_t best = 0;
        for (int64_t j = 1; j < V; j++)
            if (x[j] > x[best]) best = j;
        first = first && ((const int32_t *)o[INDEX].t.data)[r] == best;
        p[r] = ref.p[best];
        reference_free(&ref);
    }
    same = true;
    for (int64_t i = 0; i < R * V; i++) same = same && get(&o[X].t, i) == o[X].before[i];
    tap_ok(first && same, "R=%d V=%d, cap %g: the first of the largest, and scores are kept", (int)R, (int)V,
           (double)cap);
    conform_close(&o[CONFIDENCE].t, p, NULL, 4e-6 * (1 + (double)cap / 3), "confidence");
    operand only[OPERANDS] = {o[INDEX], {flm_tensor_none(), NULL}, o[X]};
    tap_ok(conform_once(conform_be[1], choose, only, OPERANDS, &with) == FLM_OK, "without confidence");
    operands_free(o, OPERANDS);
    free(p);
}

/* Many rows of equal scores: frequencies against probabilities. The chi-square statistic of n - 1 degrees of freedom
 * has the mean n - 1 and the variance 2 (n - 1). */
static void test_frequencies(const numbers *n)
{
#ifdef FLM_EMULATED
    enum { ROWS = 1500, V = 16 };
#else
    enum { ROWS = 20000, V = 16 };
#endif
    operand o[OPERANDS] = {
        operand_1d(FLM_DTYPE_I32, 0, ROWS), {flm_tensor_none(), NULL}, operand_2d(FLM_DTYPE_F32, 1, ROWS, V)};
    int64_t count[V] = {0}, outside = 0, free_ones = -1;
    double chi = 0;
    for (int64_t i = 0; i < ROWS * V; i++) {
        const int64_t j = i % V; /* ascending and descending, with two equal ones */
        put(&o[X].t, i, (n->linear ? 0.1 : 0.5) * (double)(j == 9 ? 8 : j < 11 ? j : 16 - j) - (n->linear ? 0.2 : 0));
    }
    operand_note(&o[X]);
    reference ref = reference_make(o[X].before, V, n);
    if (conform_once(conform_be[0], choose, o, OPERANDS, n) != FLM_OK) abort();
    for (int64_t r = 0; r < ROWS; r++) {
        const int32_t token = ((const int32_t *)o[INDEX].t.data)[r];
        if (token < 0 || token >= V || ref.w[token] == 0)
            outside++;
        else
            count[token]++;
    }
    for (int j = 0; j < V; j++) {
        const double expected = ROWS * ref.w[j] / ref.total;
        if (expected == 0) continue;
        free_ones++;
        chi += ((double)count[j] - expected) * ((double)count[j] - expected) / expected;
    }
    tap_ok(outside == 0 && chi <= (double)free_ones + 5 * sqrt(2 * (double)free_ones) + 1e-9,
           "T %g, top-k %d, top-p %g%s: chi-square %.1f of %d degrees of freedom, %d tokens that take no part",
           n->temperature, (int)n->top_k, n->top_p, n->linear ? " weights" : "", chi, (int)free_ones, (int)outside);
    reference_free(&ref);
    operands_free(o, OPERANDS);
}

/* A token with nearly all of the probability, first or in the middle, and many others of 5e-8 each: together they are
 * drawn as often as they should be, and not the same ones. */
static void test_tail(int64_t head, double top_p)
{
#ifdef FLM_EMULATED
    enum { V = 1 << 12, ROWS = 4, CALLS = 1 };
#else
    enum { V = 1 << 19, ROWS = 8, CALLS = 150 };
#endif
    const double p = 5e-8, tail = (V - 1) * p, score = log(p / (1 - tail));
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_I32, 0, ROWS), operand_1d(FLM_DTYPE_F32, 0, ROWS),
                           operand_2d(FLM_DTYPE_F32, 1, ROWS, V)};
    int64_t drawn = 0, repeated = 0, last = -1;
    double worst = 0;
    for (int64_t i = 0; i < ROWS * V; i++) put(&o[X].t, i, i % V == head ? 0 : score);
    operand_note(&o[X]);
    numbers n = {0, false, 1, top_p, 0, 0, 0, ROWS, 21};
    for (int call = 0; call < CALLS; call++) {
        n.first_sample = call;
        for (int64_t i = 0; i < ROWS * V && call > 0; i++) ((float *)o[X].t.data)[i] = (float)o[X].before[i];
        if (conform_once(conform_be[CONFORM_BACKENDS - 1], choose, o, OPERANDS, &n) != FLM_OK) abort();
        for (int64_t r = 0; r < ROWS; r++) {
            const int32_t token = ((const int32_t *)o[INDEX].t.data)[r];
            const double want = token == head ? 1 - tail : p, have = get(&o[CONFIDENCE].t, r);
            worst = worse(worst, fabs(have / want - 1));
            if (token == head) continue;
            drawn++;
            repeated += token == last;
            last = token;
        }
    }
    const double mean = ROWS * CALLS * tail;
    tap_ok(!(fabs((double)drawn - mean) > 4.5 * sqrt(mean) + 1) && repeated <= 1 && worst < 1e-4,
           "%d tokens of %g, the likely one at %d, top-p %g: drawn %d times, expected %.1f; confidence off by %.1g",
           V - 1, p, (int)head, top_p, (int)drawn, mean, worst);
    operands_free(o, OPERANDS);
}

static void test_nan(void)
{
    const numbers n = {30, false, 1, 1, 0, 0, 0, 4, 1};
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_I32, 0, 4), operand_1d(FLM_DTYPE_F32, 0, 4),
                           operand_2d(FLM_DTYPE_F32, 1, 4, 70)};
    const bool host = conform_be[1]->host_memory;
    for (int64_t at = 0; at < 280; at += 93) {
        put(&o[X].t, at, NAN);
        operand_note(&o[X]);
        const flm_status rc = conform_once(conform_be[1], choose, o, OPERANDS, &n);
        tap_ok(host ? rc == FLM_E_NUMERIC
                    : rc == FLM_OK && ((const int32_t *)o[INDEX].t.data)[at / 70] == -1 &&
                          isnan(get(&o[CONFIDENCE].t, at / 70)),
               "a NaN at %d: %s", (int)at, host ? flm_err_message() : "-1");
        for (int64_t i = 0; i < 280; i++) put(&o[X].t, i, 1);
    }
    const numbers linear = {0, true, 1, 1, 0, 0, 0, 4, 1};
    for (int64_t i = 70; i < 140; i++) put(&o[X].t, i, -1);
    operand_note(&o[X]);
    const flm_status rc = conform_once(conform_be[1], choose, o, OPERANDS, &linear);
    tap_ok(host ? rc == FLM_E_NUMERIC : rc == FLM_OK && ((const int32_t *)o[INDEX].t.data)[1] == -1,
           "no weight above 0");
    flm_err_clear();
    operands_free(o, OPERANDS);
}

static void test_errors(void)
{
    const numbers good = {0, false, 1, 1, 0, 0, 0, 1, 1};
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_I32, 0, 3), operand_1d(FLM_DTYPE_F32, 0, 3),
                           operand_2d(FLM_DTYPE_F32, 1, 3, 5)};
    tap_ok(conform_refused(choose, o, INDEX, &good) && conform_refused(choose, o, X, &good) &&
               conform_refused_padded(choose, o, INDEX, &good) && conform_refused_padded(choose, o, CONFIDENCE, &good),
           "choose: refuses arguments absent, of another dtype, rank and size, and padded ones");
    const struct {
        double temperature, top_p;
        int64_t top_k, L;
        float cap;
    } bad[] = {{-1, 1, 0, 1, 0},   {1e-4, 1, 0, 1, 0}, {101, 1, 0, 1, 0}, {NAN, 1, 0, 1, 0}, {1, 0, 0, 1, 0},
               {1, 1.01, 0, 1, 0}, {1, NAN, 0, 1, 0},  {1, 1, -1, 1, 0},  {1, 1, 0, 0, 0},   {1, 1, 0, 1, -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        numbers n = good;
        n.temperature = bad[i].temperature, n.top_p = bad[i].top_p, n.top_k = bad[i].top_k;
        n.L = bad[i].L, n.cap = bad[i].cap;
        tap_ok(choose(conform_be[0], o, &n) == FLM_E_ARG, "refused: %s", flm_err_message());
    }
    flm_err_clear();
    operands_free(o, OPERANDS);
}

int main(void)
{
    static const int64_t sizes[][2] = {{1, 1}, {3, 2}, {5, 7}, {7, 65}, {3, 1025}, {2, 30522}, {0, 5}};
    enum { SIZES = sizeof sizes / sizeof *sizes, SETTINGS = sizeof settings / sizeof *settings };
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (int i = 0; i < SIZES; i++)
        for (int s = 0; s < SETTINGS; s++)
            for (int shape = 0; shape < SHAPES; shape++) test_rows(sizes[i][0], sizes[i][1], shape, &settings[s]);
    for (conform_rows = CONFORM_NAN; conform_rows < CONFORM_PADDINGS; conform_rows++)
        for (int i = 0; i < SIZES; i++)
            for (int s = 1; s < SETTINGS; s += 4) test_rows(sizes[i][0], sizes[i][1], ORDINARY, &settings[s]);
    conform_rows = CONFORM_BARE;
    for (int i = 0; i < SIZES; i++) test_places(sizes[i][0], sizes[i][1]);
    for (int i = 0; i < SIZES; i++) {
        test_argmax(sizes[i][0], sizes[i][1], 0, false);
        test_argmax(sizes[i][0], sizes[i][1], 30, false);
        test_argmax(sizes[i][0], sizes[i][1], 0, true);
    }
    for (int s = 0; s < SETTINGS; s++) test_frequencies(&settings[s]);
    test_tail(0, 1);
    test_tail(1000, 1);
    test_tail(0, 0.999999);
    test_nan();
    test_errors();
    return conform_end();
}
