/* conform_softmax.c - softmax, cross-entropy and argmax against double. SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { LOGITS, TARGET, LOSS, GRAD, OPERANDS };

typedef struct numbers {
    float scale, cap; /* of softmax: the cap alone */
} numbers;

static flm_status xent(flm_backend *be, const operand *o, const void *arg)
{
    const numbers *with = arg;
    return flm_op_softmax_xent(be, &o[LOSS].t, &o[GRAD].t, &o[LOGITS].t, &o[TARGET].t, with->scale, with->cap);
}

static flm_status xent_in_place(flm_backend *be, const operand *o, const void *arg)
{
    const numbers *with = arg;
    return flm_op_softmax_xent(be, &o[LOSS].t, &o[LOGITS].t, &o[LOGITS].t, &o[TARGET].t, with->scale, with->cap);
}

static flm_status softmax(flm_backend *be, const operand *o, const void *arg)
{
    return flm_op_softmax(be, &o[0].t, &o[1].t, ((const numbers *)arg)->cap);
}

static flm_status softmax_in_place(flm_backend *be, const operand *o, const void *arg)
{
    return flm_op_softmax(be, &o[1].t, &o[1].t, ((const numbers *)arg)->cap);
}

static flm_status argmax(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_argmax(be, &o[0].t, &o[1].t);
}

static double loss_of(const double *x, int64_t V, int64_t target)
{
    double max = x[0], sum = 0;
    for (int64_t j = 1; j < V; j++) max = x[j] > max ? x[j] : max;
    for (int64_t j = 0; j < V; j++) sum += exp(x[j] - max);
    return log(sum) + max - x[target];
}

/* p, and its own magnitude; a gradient's is that of p and of the one it is taken from. */
static void probabilities(const double *x, int64_t V, double *p)
{
    const double lse = loss_of(x, V, 0) + x[0];
    for (int64_t j = 0; j < V; j++) p[j] = exp(x[j] - lse);
}

/* y = cap(x); slope: its derivative. cap 0: x itself. */
static void cap_logits(const double *x, int64_t V, double cap, double *y, double *slope)
{
    for (int64_t j = 0; j < V; j++) {
        const double c = cap > 0 ? cosh(fmin(fabs(x[j]) / cap, 400)) : 1;
        y[j] = cap > 0 ? cap * tanh(x[j] / cap) : x[j];
        slope[j] = 1 / (c * c);
    }
}

enum { ORDINARY, EQUAL, EXTREME, PEAKED };
static const char *const kinds[] = {"ordinary", "equal", "of 1e4", "one far above"};

static void logits_fill(operand *x, int kind)
{
    const int64_t V = x->t.dim[1];
    for (int64_t i = 0; i < flm_tensor_elements(&x->t); i++) {
        double value = 8 * draw();
        if (kind == EQUAL) value = -3.25;
        if (kind == EXTREME) value = draw() < 0 ? -1e4 : 1e4;
        if (kind == PEAKED && i % V == V / 2) value = 300;
        put(&x->t, i, value);
    }
    operand_note(x);
}

/* The reference of a row: its loss and gradient, and the sizes that their tolerances refer to. The sum of V
 * exponentials has the error of its partial sums, and a capped logit that of tanh, 5e-7, times the cap; the derivative
 * of the cap has twice that of tanh, whatever its own size. */
static void xent_row(const double *x, int64_t V, int64_t target, const numbers *with, double *loss, double *size,
                     double *grad, double *size_grad)
{
    const double cap = (double)with->cap, scale = (double)with->scale;
    double *y = doubles(V), *slope = doubles(V);
    cap_logits(x, V, cap, y, slope);
    *loss = loss_of(y, V, target);
    *size = 1 + *loss + 3 * cap + (double)V / 256;
    probabilities(y, V, grad);
    for (int64_t j = 0; j < V; j++) {
        const double whole = j == target ? 1 : grad[j];
        grad[j] = scale * (grad[j] - (j == target)) * slope[j];
        size_grad[j] = scale * whole * (cap > 0 ? slope[j] * (1 + cap / 3) + 0.25 : 1);
    }
    free(y);
    free(slope);
}

static void test_xent(flm_dtype dtype, int64_t R, int64_t V, int kind, float cap)
{
    const numbers with = {0.37f, cap};
    operand o[OPERANDS] = {operand_rows(FLM_DTYPE_F32, 1, R, V), operand_tokens(1, (const int64_t[]){R}, V),
                           operand_1d(FLM_DTYPE_F32, NAN, R), operand_rows(dtype, NAN, R, V)};
    double *loss = doubles(R), *size = doubles(R), *grad = doubles(R * V), *size_grad = doubles(R * V);
    char name[96];
    snprintf(name, sizeof name, "%s R=%d V=%d, logits %s, cap %g%s", flm_dtype_name(dtype), (int)R, (int)V, kinds[kind],
             (double)cap, conform_paddings[conform_rows]);
    logits_fill(&o[LOGITS], kind);
    conform_run(xent, o, OPERANDS, &with, name);
    for (int64_t r = 0; r < R; r++)
        xent_row(o[LOGITS].before + r * V, V, (int64_t)o[TARGET].before[r], &with, loss + r, size + r, grad + r * V,
                 size_grad + r * V);
    /* Sums of 1024 terms in fp32, in one lane without vectors; the exponential's argument has an error of 2^-24 of it.
     */
    conform_close(&o[LOSS].t, loss, size, 3e-7, "loss");
    conform_close(&o[GRAD].t, grad, size_grad, 4e-6, "grad");
    operand only[OPERANDS] = {o[LOGITS], o[TARGET], operand_1d(FLM_DTYPE_F32, NAN, R), {flm_tensor_none(), NULL}};
    if (conform_once(conform_be[1], xent, only, OPERANDS, &with) != FLM_OK) abort();
    tap_ok(R == 0 || memcmp(only[LOSS].t.data, o[LOSS].t.data, flm_tensor_bytes(&o[LOSS].t)) == 0,
           "without grad: the same loss");
    if (dtype == FLM_DTYPE_F32) {
        if (conform_once(conform_be[1], xent_in_place, only, OPERANDS, &with) != FLM_OK) abort();
        tap_ok(conform_same(&o[LOGITS].t, &o[GRAD].t), "grad may be logits");
    }
    operands_free(&only[LOSS], 1);
    operands_free(o, OPERANDS);
    double *rest[] = {loss, size, grad, size_grad};
    for (int i = 0; i < 4; i++) free(rest[i]);
}

/* The gradient formula that test_xent checks the operation against agrees with central differences of the loss. */
static void test_differences(float cap)
{
    enum { V = 7 };
    const numbers with = {1, cap};
    double x[V], grad[V], rest[V], size, unused, worst = 0, h = 1e-5;
    for (int j = 0; j < V; j++) x[j] = 2 * draw();
    xent_row(x, V, 3, &with, &unused, &size, grad, rest);
    for (int j = 0; j < V; j++) {
        double up, down, ignored[V], kept = x[j];
        x[j] = kept + h;
        xent_row(x, V, 3, &with, &up, &size, ignored, rest);
        x[j] = kept - h;
        xent_row(x, V, 3, &with, &down, &size, ignored, rest);
        x[j] = kept;
        worst = worse(worst, fabs((up - down) / (2 * h) - grad[j]));
    }
    tap_ok(worst <= 1e-9, "(softmax - onehot) cap' is the gradient, cap %g: off by %.2g", (double)cap, worst);
}

static void test_softmax(flm_dtype dtype, int64_t R, int64_t V, int kind, float cap)
{
    const numbers with = {0, cap};
    operand o[2] = {operand_rows(dtype, NAN, R, V), operand_rows(FLM_DTYPE_F32, 1, R, V)};
    double *p = doubles(R * V), *y = doubles(V), *slope = doubles(V);
    char name[96];
    snprintf(name, sizeof name, "softmax %s R=%d V=%d, logits %s, cap %g%s", flm_dtype_name(dtype), (int)R, (int)V,
             kinds[kind], (double)cap, conform_paddings[conform_rows]);
    logits_fill(&o[1], kind);
    for (int64_t r = 0; r < R; r++) {
        cap_logits(o[1].before + r * V, V, (double)cap, y, slope);
        probabilities(y, V, p + r * V);
    }
    conform_run(softmax, o, 2, &with, name);
    conform_close(&o[0].t, p, NULL, 4e-6 * (1 + (double)cap / 3), "p"); /* of a capped logit: see xent_row */
    if (dtype == FLM_DTYPE_F32) {
        if (conform_once(conform_be[1], softmax_in_place, o, 2, &with) != FLM_OK) abort();
        tap_ok(conform_same(&o[0].t, &o[1].t), "p may be logits");
    }
    operands_free(o, 2);
    free(p);
    free(y);
    free(slope);
}

static void test_argmax(int64_t R, int64_t V)
{
    operand o[2] = {operand_1d(FLM_DTYPE_I32, 0, R), operand_rows(FLM_DTYPE_F32, 5, R, V)};
    bool right = true;
    for (int64_t i = 0; i < R * V; i++) put(&o[1].t, i, floor(o[1].before[i])); /* with ties */
    conform_run(argmax, o, 2, NULL, "argmax");
    for (int64_t r = 0; r < R; r++) {
        int64_t best = 0;
        for (int64_t j = 1; j < V; j++)
            if (o[1].before[r * V + j] > o[1].before[r * V + best]) best = j;
        right = right && ((const int32_t *)o[0].t.data)[r] == best;
    }
    tap_ok(right, "argmax R=%d V=%d%s: the first of the largest", (int)R, (int)V, conform_paddings[conform_rows]);
    for (int64_t at = 0; at < R * V; at += R * V / 5 + 1) {
        put(&o[1].t, at, NAN);
        const flm_status rc = conform_once(conform_be[1], argmax, o, 2, NULL);
        const bool host = conform_be[1]->host_memory;
        tap_ok(host ? rc == FLM_E_NUMERIC : rc == FLM_OK && ((const int32_t *)o[0].t.data)[at / V] == -1,
               "a NaN at %d: %s", (int)at, host ? flm_err_message() : "-1");
        put(&o[1].t, at, o[1].before[at]);
    }
    for (int64_t i = 0; i < R * V; i++) put(&o[1].t, i, -INFINITY);
    tap_ok(conform_once(conform_be[1], argmax, o, 2, NULL) == FLM_OK && (R == 0 || *(const int32_t *)o[0].t.data == 0),
           "nothing but -infinity: the first");
    flm_err_clear();
    operands_free(o, 2);
}

/* A target outside the row: refused by host backends; on devices its loss and gradient are NaN. */
static void test_outside(void)
{
    static const int32_t outside[] = {5, -1, INT32_MAX, INT32_MIN};
    const numbers with = {1, 0};
    operand o[OPERANDS] = {operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_tokens(1, (const int64_t[]){3}, 5),
                           operand_1d(FLM_DTYPE_F32, 1, 3), operand_2d(FLM_DTYPE_BF16, 1, 3, 5)};
    for (int k = 0; k < 4; k++) {
        put(&o[TARGET].t, 2, outside[k]);
        const flm_status rc = conform_once(conform_be[0], xent, o, OPERANDS, &with);
        bool right = rc == FLM_OK && isnan(get(&o[LOSS].t, 2)) && !isnan(get(&o[LOSS].t, 1));
        for (int i = 0; i < 15; i++) right = right && (bool)isnan(get(&o[GRAD].t, i)) == (i >= 10);
        tap_ok(conform_be[0]->host_memory ? rc == FLM_E_ARG : right, "target %ld of 5", (long)outside[k]);
    }
    flm_err_clear();
    operands_free(o, OPERANDS);
}

/* A cap of no use: too small or too large, negative, not a number. */
static void test_caps(operand *x, operand *p)
{
    static const float caps[] = {-1, 0.05f, 1001, INFINITY, -INFINITY, NAN};
    for (size_t k = 0; k < sizeof caps / sizeof *caps; k++) {
        const numbers with = {1, caps[k]};
        tap_ok(xent(conform_be[0], x, &with) == FLM_E_ARG && softmax(conform_be[0], p, &with) == FLM_E_ARG,
               "a cap of %g: %s", (double)caps[k], flm_err_message());
    }
}

static void test_errors(void)
{
    const numbers with = {1, 0};
    operand o[OPERANDS] = {operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_tokens(1, (const int64_t[]){3}, 5),
                           operand_1d(FLM_DTYPE_F32, 1, 3), operand_2d(FLM_DTYPE_BF16, 1, 3, 5)};
    operand i[2] = {operand_1d(FLM_DTYPE_I32, 1, 3), operand_2d(FLM_DTYPE_F32, 1, 3, 5)};
    conform_refuses(xent, o, GRAD, &with, "softmax_xent");
    o[GRAD].t.dim[1] = 4;
    tap_ok(xent(conform_be[0], o, &with) == FLM_E_SHAPE, "a gradient of another size");
    o[GRAD].t.dim[1] = 5;
    tap_ok(conform_refused_padded(xent, o, TARGET, &with) && conform_refused_padded(xent, o, LOSS, &with),
           "softmax_xent: refuses padded targets and losses");
    conform_refuses(argmax, i, 2, NULL, "argmax");
    conform_refuses_padded(argmax, i, 1, NULL, "argmax");
    operand s[2] = {operand_2d(FLM_DTYPE_BF16, 1, 3, 5), operand_2d(FLM_DTYPE_F32, 1, 3, 5)};
    conform_refuses(softmax, s, 2, &with, "softmax");
    test_caps(o, s);
    const flm_tensor p = s[0].t;
    s[0].t = s[1].t;
    s[0].t.row_stride = FLM_TENSOR_PAD;
    tap_ok(softmax(conform_be[0], s, &with) == FLM_E_SHAPE, "softmax: p in place of logits whose rows lie elsewhere");
    s[0].t = p;
    flm_err_clear();
    operands_free(o, OPERANDS);
    operands_free(i, 2);
    operands_free(s, 2);
}

static const float caps[] = {0, 2.5f, 30}; /* logits of 1e4 saturate them; ordinary ones the first */
enum { CAPS = sizeof caps / sizeof *caps };

static void test_shape(int64_t R, int64_t V, int kind)
{
    for (int c = 0; c < CAPS; c++) {
        test_xent(FLM_DTYPE_F32, R, V, kind, caps[c]);
        test_xent(FLM_DTYPE_BF16, R, V, kind, caps[c]);
        test_softmax(FLM_DTYPE_F32, R, V, kind, caps[c]);
        test_softmax(FLM_DTYPE_BF16, R, V, kind, caps[c]);
    }
}

int main(void)
{
    static const int64_t shapes[][2] = {{1, 1},    {3, 2},     {5, 7},     {7, 65}, {3, 1024},
                                        {4, 1025}, {2, 30522}, {2, 50258}, {0, 5}};
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (size_t c = 0; c < CAPS; c++) test_differences(caps[c]);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int kind = ORDINARY; kind <= PEAKED; kind++) test_shape(shapes[i][0], shapes[i][1], kind);
        test_argmax(shapes[i][0], shapes[i][1]);
    }
    for (conform_rows = CONFORM_NAN; conform_rows < CONFORM_PADDINGS; conform_rows++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            test_xent(FLM_DTYPE_F32, shapes[i][0], shapes[i][1], ORDINARY, 0);
            test_xent(FLM_DTYPE_F32, shapes[i][0], shapes[i][1], ORDINARY, 30);
            test_xent(FLM_DTYPE_BF16, shapes[i][0], shapes[i][1], EXTREME, 0);
            test_softmax(FLM_DTYPE_F32, shapes[i][0], shapes[i][1], EXTREME, 0);
            test_softmax(FLM_DTYPE_BF16, shapes[i][0], shapes[i][1], ORDINARY, 0);
            test_softmax(FLM_DTYPE_BF16, shapes[i][0], shapes[i][1], ORDINARY, 30);
            test_argmax(shapes[i][0], shapes[i][1]);
        }
    conform_rows = CONFORM_BARE;
    test_outside();
    test_errors();
    return conform_end();
}
