/* conform_distill.c - the ops of a distillation against double: errors between two softmaxes and a residual, mixtures
 * by sample, GELU by erf. SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { LOSS, GRAD, FROM, TO, RESIDUAL, BIAS, COEFFICIENT, OPERANDS };

typedef struct numbers {
    bool softmax_backward;
    float cap;
} numbers;

static flm_status distill_error(flm_backend *be, const operand *o, const void *arg)
{
    const numbers *with = arg;
    return flm_op_distill_error(be, &(flm_distill_error){.loss = &o[LOSS].t,
                                                         .grad = &o[GRAD].t,
                                                         .from = &o[FROM].t,
                                                         .to = &o[TO].t,
                                                         .residual = &o[RESIDUAL].t,
                                                         .bias = &o[BIAS].t,
                                                         .coefficient = &o[COEFFICIENT].t,
                                                         .logit_cap = with->cap,
                                                         .softmax_backward = with->softmax_backward});
}

/* p = softmax(cap(x)); slope: the derivative of the cap. */
static void probabilities(const double *x, int64_t V, double cap, double *p, double *slope)
{
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < V; j++) {
        const double c = cap > 0 ? cosh(fmin(fabs(x[j]) / cap, 400)) : 1;
        p[j] = cap > 0 ? cap * tanh(x[j] / cap) : x[j];
        slope[j] = 1 / (c * c);
        max = fmax(max, p[j]);
    }
    for (int64_t j = 0; j < V; j++) sum += p[j] = exp(p[j] - max);
    for (int64_t j = 0; j < V; j++) p[j] /= sum;
}

/* One row's loss, err and gradient; size: the magnitudes of what err and the gradient are summed from. A capped logit
 * has the error of tanh, 5e-7, times the cap; the derivative of the cap has twice that of tanh, whatever its own size.
 */
static double reference_row(const double *from, const double *to, const double *residual, const double *bias,
                            const double *c, const numbers *with, int64_t V, double *err, double *grad,
                            double *size_err, double *size_grad)
{
    const double cap = (double)with->cap, wide = 1 + cap / 2;
    double *p = doubles(V), *q = doubles(V), *slope = doubles(V), *unused = doubles(V), loss = 0, dot = 0, size_dot = 0;
    probabilities(to, V, cap, q, unused);
    probabilities(from, V, cap, p, slope);
    for (int64_t j = 0; j < V; j++) {
        err[j] = c[0] * (q[j] - p[j]) + c[1] * residual[j] + c[2] * bias[j];
        size_err[j] = fabs(c[0]) * (q[j] + p[j]) * wide + fabs(c[1] * residual[j]) + fabs(c[2] * bias[j]);
        loss += err[j] * err[j];
        dot += p[j] * err[j];
        size_dot += p[j] * size_err[j] * wide;
    }
    for (int64_t j = 0; j < V; j++) {
        const double size_slope = cap > 0 ? slope[j] * wide + 0.25 : 1;
        grad[j] = c[3] * (with->softmax_backward ? p[j] * (err[j] - dot) * slope[j] : err[j]);
        size_grad[j] =
            fabs(c[3]) * (with->softmax_backward ? p[j] * (size_err[j] + size_dot) * size_slope : size_err[j]);
    }
    free(p);
    free(q);
    free(slope);
    free(unused);
    return loss;
}

static flm_status distill_over_from(flm_backend *be, const operand *o, const void *arg)
{
    operand with[OPERANDS];
    memcpy(with, o, sizeof with);
    with[GRAD].t = o[FROM].t;
    return distill_error(be, with, arg);
}

static flm_status distill_over_residual(flm_backend *be, const operand *o, const void *arg)
{
    operand with[OPERANDS];
    memcpy(with, o, sizeof with);
    with[GRAD].t = o[RESIDUAL].t;
    return distill_error(be, with, arg);
}

enum { ORDINARY, EXTREME, EQUAL };
static const char *const kinds[] = {"ordinary", "of 1e4", "equal"};

static void logits_fill(operand *x, int kind)
{
    for (int64_t i = 0; i < flm_tensor_elements(&x->t); i++)
        put(&x->t, i, kind == EQUAL ? 2.5 : kind == EXTREME ? (draw() < 0 ? -1e4 : 1e4) : 8 * draw());
    operand_note(x);
}

/* The same through fewer tensors: f32 gradients over residual, or from, and none at all. */
static void test_aliases(operand *o, const numbers *with)
{
    static const char *const what[] = {"grad may be residual", "grad may be from", "no gradient: the same loss"};
    static const conform_call calls[] = {distill_over_residual, distill_over_from, distill_error};
    static const int grad_in[] = {RESIDUAL, FROM, GRAD};
    const size_t loss_bytes = flm_tensor_bytes(&o[LOSS].t);
    void *loss = malloc(loss_bytes + 1);
    if (loss == NULL) abort();
    memcpy(loss, o[LOSS].t.data, loss_bytes);
    const operand own = o[GRAD];
    for (int how = 0; how < 3; how++) {
        if (how == 1 && !with->softmax_backward) continue;
        for (int k = FROM; k <= RESIDUAL; k++)
            for (int64_t i = 0; i < flm_tensor_elements(&o[k].t); i++) put(&o[k].t, i, o[k].before[i]);
        o[GRAD].t = flm_tensor_none();
        const bool done = conform_once(conform_be[1], calls[how], o, OPERANDS, with) == FLM_OK;
        tap_ok(done && memcmp(loss, o[LOSS].t.data, loss_bytes) == 0 &&
                   (how == 2 || conform_same(&own.t, &o[grad_in[how]].t)),
               "%s", what[how]);
    }
    o[GRAD] = own;
    free(loss);
}

static void test_error(flm_dtype dtype, int64_t R, int64_t V, int kind, numbers with)
{
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_F32, NAN, R),
                           operand_rows(dtype, NAN, R, V),
                           operand_rows(FLM_DTYPE_F32, 1, R, V),
                           operand_rows(FLM_DTYPE_F32, 1, R, V),
                           operand_rows(FLM_DTYPE_F32, 0.1, R, V),
                           operand_1d(FLM_DTYPE_F32, 0.1, V),
                           operand_2d(FLM_DTYPE_F32, 1, R, FLM_DISTILL_COEFFICIENTS)};
    double *loss = doubles(R), *size_loss = doubles(R), *err = doubles(R * V), *grad = doubles(R * V);
    double *size_err = doubles(R * V), *size_grad = doubles(R * V);
    char name[128];
    snprintf(name, sizeof name, "distill_error %s R=%d V=%d, logits %s, cap %g%s%s", flm_dtype_name(dtype), (int)R,
             (int)V, kinds[kind], (double)with.cap, with.softmax_backward ? ", through the softmax" : "",
             conform_paddings[conform_rows]);
    logits_fill(&o[FROM], kind);
    logits_fill(&o[TO], kind);
    conform_run(distill_error, o, OPERANDS, &with, name);
    for (int64_t r = 0; r < R; r++) {
        const int64_t at = r * V;
        loss[r] = reference_row(o[FROM].before + at, o[TO].before + at, o[RESIDUAL].before + at, o[BIAS].before,
                                o[COEFFICIENT].before + r * FLM_DISTILL_COEFFICIENTS, &with, V, err + at, grad + at,
                                size_err + at, size_grad + at);
        for (int64_t j = at; j < at + V; j++) size_loss[r] += size_err[j] * size_err[j];
    }
    /* p to 1e-6 (conform_softmax.c: an exponential and the sum of others), and some roundings of the sums. */
    conform_close(&o[LOSS].t, loss, size_loss, 4e-6, "loss");
    conform_close(&o[RESIDUAL].t, err, size_err, 2e-6, "err");
    conform_close(&o[GRAD].t, grad, size_grad, 4e-6, "grad");
    if (dtype == FLM_DTYPE_F32) test_aliases(o, &with);
    operands_free(o, OPERANDS);
    double *rest[] = {loss, size_loss, err, grad, size_err, size_grad};
    for (int i = 0; i < 6; i++) free(rest[i]);
}

/* The formula of `softmax_backward`, which test_error holds the op against, is the loss's derivative by from's logits.
 */
static void test_differences(float cap)
{
    const numbers with = {true, cap};
    enum { V = 7 };
    double x[V], to[V], residual[V], bias[V], err[V], grad[V], size[V], rest[V], worst = 0;
    const double h = 1e-5, c[] = {0.7, 1.3, -0.4, -2 * 0.7}; /* c[3] = -2 c[0]: of the plain loss */
    for (int j = 0; j < V; j++) {
        x[j] = 2 * draw();
        to[j] = 2 * draw();
        residual[j] = draw();
        bias[j] = draw();
    }
    for (int j = 0; j < V; j++) {
        const double kept = x[j];
        x[j] = kept + h;
        const double up = reference_row(x, to, residual, bias, c, &with, V, err, grad, size, rest);
        x[j] = kept - h;
        const double down = reference_row(x, to, residual, bias, c, &with, V, err, grad, size, rest);
        x[j] = kept;
        reference_row(x, to, residual, bias, c, &with, V, err, grad, size, rest);
        const double e = fabs((up - down) / (2 * h) - grad[j]);
        if (!(e <= worst)) worst = e;
    }
    tap_ok(worst <= 1e-8, "the formula is the gradient through the softmax, cap %g: off by %.2g", (double)cap, worst);
}

static int combined; /* tensors */

static flm_status combine(flm_backend *be, const operand *o, const void *arg)
{
    flm_tensor x[FLM_COMBINE_MAX];
    (void)arg;
    for (int k = 0; k < combined; k++) x[k] = o[2 + k].t;
    return flm_op_sample_combine(be, &o[0].t, &o[1].t, x, combined);
}

static flm_status combine_in_place(flm_backend *be, const operand *o, const void *arg)
{
    flm_tensor x[FLM_COMBINE_MAX];
    (void)arg;
    for (int k = 0; k < combined; k++) x[k] = o[2 + k].t;
    return flm_op_sample_combine(be, &x[combined - 1], &o[1].t, x, combined);
}

static void test_combine(flm_dtype dtype, int64_t B, int64_t L, int64_t d, int count)
{
    operand o[2 + FLM_COMBINE_MAX] = {operand_3d(dtype, NAN, B, L, d), operand_2d(FLM_DTYPE_F32, 2, B, count)};
    double *y = doubles(B * L * d), *size = doubles(B * L * d);
    char name[96];
    snprintf(name, sizeof name, "sample_combine %s [%d, %d, %d] of %d", flm_dtype_name(dtype), (int)B, (int)L, (int)d,
             count);
    for (int k = 0; k < count; k++) o[2 + k] = operand_3d(dtype, 3, B, L, d);
    combined = count;
    conform_run(combine, o, 2 + count, NULL, name);
    for (int64_t i = 0; i < B * L * d; i++)
        for (int k = 0; k < count; k++) {
            const double term = o[1].before[i / (L * d) * count + k] * o[2 + k].before[i];
            y[i] += term;
            size[i] += fabs(term);
        }
    conform_close(&o[0].t, y, size, 3e-7, "y"); /* a rounding a term, and one a sum, of 2^-24 each */
    const size_t bytes = flm_tensor_bytes(&o[0].t);
    tap_ok(conform_once(conform_be[1], combine_in_place, o, 2 + count, NULL) == FLM_OK &&
               memcmp(o[0].t.data, o[1 + count].t.data, bytes) == 0,
           "y may be the last x");
    free(y);
    free(size);
    operands_free(o, 2 + count);
}

enum { WEIGHED, WEIGH_L, FACTOR, WEIGH_OPERANDS };

static flm_status weigh(flm_backend *be, const operand *o, const void *arg)
{
    return flm_op_distill_weigh(be, &o[WEIGHED].t, &o[WEIGH_L].t, &o[FACTOR].t, *(const double *)arg);
}

static void test_weigh(int64_t B, int64_t L)
{
    const double scale = 0.013;
    operand o[WEIGH_OPERANDS] = {operand_2d(FLM_DTYPE_F32, 2, B * L, FLM_DISTILL_COEFFICIENTS),
                                 operand_2d(FLM_DTYPE_F32, 3, B, 1), operand_1d(FLM_DTYPE_F64, 2, B)};
    double *ref = doubles(B * L * FLM_DISTILL_COEFFICIENTS);
    for (int64_t i = 0; i < B * L * FLM_DISTILL_COEFFICIENTS; i++) {
        const int64_t b = i / FLM_DISTILL_COEFFICIENTS / L;
        ref[i] = i % FLM_DISTILL_COEFFICIENTS < 3 ? o[WEIGHED].before[i]
                                                  : o[FACTOR].before[b] * exp(-o[WEIGH_L].before[b]) * scale;
    }
    conform_run(weigh, o, WEIGH_OPERANDS, &scale, "distill_weigh");
    conform_close(&o[WEIGHED].t, ref, NULL, 1e-12, "distill_weigh"); /* one rounding to fp32 */
    if (B > 1) conform_refuses(weigh, o, WEIGH_OPERANDS, &scale, "distill_weigh");
    operands_free(o, WEIGH_OPERANDS);
    free(ref);
}

enum { TOTAL, GRAD_L, OF_LOSS, LOSS_L, LOSS_OPERANDS };

static flm_status weigh_loss(flm_backend *be, const operand *o, const void *arg)
{
    return flm_op_distill_loss(be, &o[TOTAL].t, &o[GRAD_L].t, &o[OF_LOSS].t, &o[LOSS_L].t, *(const double *)arg);
}

static void test_loss(int64_t B, int64_t L)
{
    const double scale = 0.7;
    operand o[LOSS_OPERANDS] = {operand_1d(FLM_DTYPE_F64, 2, 1), operand_2d(FLM_DTYPE_F32, NAN, B, 1),
                                operand_1d(FLM_DTYPE_F32, 2, B * L), operand_2d(FLM_DTYPE_F32, 1, B, 1)};
    double *grad = doubles(B), *size = doubles(B), total = o[TOTAL].before[0], total_size = fabs(total);
    for (int64_t b = 0; b < B; b++) {
        double sum = 0;
        for (int64_t i = 0; i < L; i++) {
            sum += o[OF_LOSS].before[b * L + i];
            size[b] += fabs(o[OF_LOSS].before[b * L + i]);
        }
        const double weight = exp(-o[LOSS_L].before[b]), rest = (double)L * o[LOSS_L].before[b];
        total += sum * weight + rest;
        total_size += size[b] * weight + fabs(rest);
        grad[b] = ((double)L - sum * weight) * scale;
        size[b] = ((double)L + size[b] * weight) * scale;
    }
    conform_run(weigh_loss, o, LOSS_OPERANDS, &scale, "distill_loss");
    conform_close(&o[GRAD_L].t, grad, size, 1e-12, "distill_loss: gradient");
    tap_close(get(&o[TOTAL].t, 0), total, 1e-15 * (double)(B * L + 8) * total_size,
              "distill_loss: sum"); /* any order */
    if (B > 1) conform_refuses(weigh_loss, o, LOSS_OPERANDS, &scale, "distill_loss");
    operands_free(o, LOSS_OPERANDS);
    free(grad);
    free(size);
}

static flm_status gelu(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_gelu_erf(be, &o[0].t, &o[1].t);
}

static flm_status gelu_backward(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_gelu_erf_backward(be, &o[0].t, &o[2].t, &o[1].t);
}

static double gelu_of(double x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2)); }

static double gelu_slope(double x) { return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI); }

/* 1 + erf loses its digits where x is negative, the op does not: 1e-15 beside what is there. */
static void test_gelu(int64_t n)
{
    static const double special[] = {0, -0.0, 1e-30, 40, -40, 1e30, -1e30, 6, -6};
    operand o[3] = {operand_1d(FLM_DTYPE_F32, NAN, n), operand_1d(FLM_DTYPE_F32, 4, n),
                    operand_1d(FLM_DTYPE_F32, 2, n)};
    double *y = doubles(n), *size = doubles(n), worst = 0;
    for (int64_t i = 0; i < n && i < 9; i++) put(&o[1].t, i, special[i]);
    operand_note(&o[1]);
    conform_run(gelu, o, 2, NULL, "gelu_erf");
    for (int64_t i = 0; i < n; i++) {
        y[i] = gelu_of(o[1].before[i]);
        size[i] = fabs(o[1].before[i]);
    }
    conform_close(&o[0].t, y, size, 1e-15, "gelu_erf: y");
    conform_run(gelu_backward, o, 3, NULL, "gelu_erf_backward");
    for (int64_t i = 0; i < n; i++) {
        const double x = o[1].before[i], slope = gelu_slope(x), h = 1e-5;
        if (fabs(x) < 10) worst = fmax(worst, fabs((gelu_of(x + h) - gelu_of(x - h)) / (2 * h) - slope));
        y[i] = o[2].before[i] * slope;
        size[i] = fabs(o[2].before[i]);
    }
    conform_close(&o[0].t, y, size, 1e-15, "gelu_erf_backward: grad_x");
    tap_ok(worst <= 1e-9, "its formula is the derivative: off by %.2g", worst);
    free(y);
    free(size);
    operands_free(o, 3);
}

static void test_errors(void)
{
    const numbers with = {false, 0};
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_F32, 1, 3),    operand_2d(FLM_DTYPE_BF16, 1, 3, 5),
                           operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_2d(FLM_DTYPE_F32, 1, 3, 5),
                           operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_1d(FLM_DTYPE_F32, 1, 5),
                           operand_2d(FLM_DTYPE_F32, 1, 3, 4)};
    operand moved[OPERANDS];
    memcpy(moved, o, sizeof moved);
    moved[GRAD].t = flm_tensor_none();
    for (int k = 0; k < OPERANDS; k++) {
        if (k == GRAD) continue;
        moved[k].t.dim[0]++;
        tap_ok(distill_error(conform_be[0], moved, &with) == FLM_E_SHAPE, "distill_error: argument %d longer", k);
        moved[k].t = flm_tensor_none();
        tap_ok(distill_error(conform_be[0], moved, &with) == FLM_E_SHAPE, "distill_error: argument %d absent", k);
        moved[k].t = o[k].t;
    }
    moved[GRAD].t = o[GRAD].t;
    moved[GRAD].t.dim[1] = 4;
    tap_ok(distill_error(conform_be[0], moved, &with) == FLM_E_SHAPE, "distill_error: a gradient of another size");
    moved[GRAD].t = flm_tensor_none();
    tap_ok(conform_refused_padded(distill_error, moved, COEFFICIENT, &with) &&
               conform_refused_padded(distill_error, moved, BIAS, &with) &&
               conform_refused_padded(distill_error, moved, LOSS, &with),
           "distill_error: refuses padded coefficients, bias and losses");
    moved[GRAD].t = o[RESIDUAL].t;
    moved[GRAD].t.row_stride = FLM_TENSOR_PAD;
    tap_ok(distill_error(conform_be[0], moved, &with) == FLM_E_SHAPE,
           "distill_error: a gradient in place of errors whose rows lie elsewhere");
    moved[GRAD].t = o[GRAD].t;
    tap_ok(distill_error(conform_be[0], moved, &(numbers){false, -1}) == FLM_E_ARG, "distill_error: %s",
           flm_err_message());
    operands_free(o, OPERANDS);
    operand c[4] = {operand_3d(FLM_DTYPE_F32, 1, 2, 3, 4), operand_2d(FLM_DTYPE_F32, 1, 2, 2),
                    operand_3d(FLM_DTYPE_F32, 1, 2, 3, 4), operand_3d(FLM_DTYPE_F32, 1, 2, 3, 4)};
    combined = 2;
    conform_refuses(combine, c, 4, NULL, "sample_combine");
    conform_refuses_padded(combine, c, 4, NULL, "sample_combine");
    combined = 0;
    tap_ok(combine(conform_be[0], c, NULL) == FLM_E_SHAPE, "sample_combine: of nothing");
    operands_free(c, 4);
    operand g[3] = {operand_1d(FLM_DTYPE_F32, 1, 5), operand_1d(FLM_DTYPE_F32, 1, 5), operand_1d(FLM_DTYPE_F32, 1, 5)};
    conform_refuses(gelu, g, 2, NULL, "gelu_erf");
    conform_refuses(gelu_backward, g, 3, NULL, "gelu_erf_backward");
    operands_free(g, 3);
    flm_err_clear();
}

/* Logits of 1e4 saturate both caps, ordinary ones the smaller. */
static void test_capped(bool softmax_backward)
{
    static const float caps[] = {2.5f, 30};
    for (int c = 0; c < 2; c++)
        for (int kind = ORDINARY; kind <= EQUAL; kind++) {
            const numbers with = {softmax_backward, caps[c]};
            test_error(FLM_DTYPE_F32, 7, 65, kind, with);
            test_error(FLM_DTYPE_BF16, 5, 1025, kind, with);
            test_error(FLM_DTYPE_F32, 1, 1, kind, with);
            test_error(FLM_DTYPE_F32, 2, 50258, kind, with);
        }
}

int main(void)
{
    static const int64_t sizes[][2] = {{0, 5}, {1, 1}, {3, 7}, {65, 64}, {5, 1025}, {2, 50258}};
    if (!conform_begin()) {
        tap_ok(0, "backends: %s", flm_err_message());
        return tap_end();
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int dtype = 0; dtype < 2; dtype++)
            for (int softmax_backward = 0; softmax_backward < 2; softmax_backward++)
                test_error(dtype ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, sizes[i][0], sizes[i][1], ORDINARY,
                           (numbers){softmax_backward, 0});
    for (conform_rows = CONFORM_NAN; conform_rows < CONFORM_PADDINGS; conform_rows++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int softmax_backward = 0; softmax_backward < 2; softmax_backward++) {
                test_error(FLM_DTYPE_F32, sizes[i][0], sizes[i][1], ORDINARY, (numbers){softmax_backward, 30});
                test_error(FLM_DTYPE_BF16, sizes[i][0], sizes[i][1], EXTREME, (numbers){softmax_backward, 0});
            }
    conform_rows = CONFORM_BARE;
    for (int softmax_backward = 0; softmax_backward < 2; softmax_backward++) {
        test_error(FLM_DTYPE_F32, 7, 65, EXTREME, (numbers){softmax_backward, 0});
        test_error(FLM_DTYPE_BF16, 7, 65, EQUAL, (numbers){softmax_backward, 0});
    }
    for (int softmax_backward = 0; softmax_backward < 2; softmax_backward++) test_capped(softmax_backward);
    for (int k = 0; k < 3; k++) test_differences(((const float[]){0, 2.5f, 30})[k]);
    for (int count = 1; count <= FLM_COMBINE_MAX; count++) {
        test_combine(FLM_DTYPE_F32, 3, 5, 7, count);
        test_combine(FLM_DTYPE_BF16, 1, 1, 1, count);
    }
    test_combine(FLM_DTYPE_F32, 2, 129, 130, 3); /* more than one block of elements */
    test_combine(FLM_DTYPE_BF16, 2, 129, 130, 3);
    test_combine(FLM_DTYPE_F32, 0, 3, 4, 2);
    test_weigh(1, 1);
    test_weigh(3, 65);
    test_weigh(64, 17);
    test_loss(1, 1);
    test_loss(3, 65);
    test_loss(300, 7);
    test_loss(2, 1025);
    test_gelu(1);
    test_gelu(1001);
    test_errors();
    return conform_end();
}
