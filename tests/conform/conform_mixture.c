/* conform_mixture.c - cross entropy against a mixture of softmaxes, with and without a cap of the logits, against
 * double. SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { LOSS, GRAD, LOGITS, FIRST, SECOND, WEIGHT, OPERANDS };

static const float scale = 0.25f;
static float cap; /* of all three; 0: none */

static flm_status mixture(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_mixture_xent(be, &(flm_mixture_xent){.loss = &o[LOSS].t,
                                                       .grad = &o[GRAD].t,
                                                       .logits = &o[LOGITS].t,
                                                       .first = &o[FIRST].t,
                                                       .second = &o[SECOND].t,
                                                       .weight = &o[WEIGHT].t,
                                                       .scale = scale,
                                                       .logit_cap = cap});
}

static flm_status mixture_in_place(flm_backend *be, const operand *o, const void *arg)
{
    operand with[OPERANDS];
    memcpy(with, o, sizeof with);
    with[GRAD].t = o[LOGITS].t;
    return mixture(be, with, arg);
}

static double capped(double z) { return cap > 0 ? (double)cap * tanh(z / (double)cap) : z; }

/* p = softmax of the capped logits; returns the logarithm of the sum, with the maximum taken out. */
static double probabilities(const double *z, int64_t V, double *p, double *max)
{
    double sum = 0;
    *max = capped(z[0]);
    for (int64_t j = 1; j < V; j++) *max = capped(z[j]) > *max ? capped(z[j]) : *max;
    for (int64_t j = 0; j < V; j++) sum += p[j] = exp(capped(z[j]) - *max);
    for (int64_t j = 0; j < V; j++) p[j] /= sum;
    return log(sum);
}

/* One row's loss and gradient; size: the magnitudes of what they are summed from. second NULL: none. */
static double reference_row(const double *z, const double *first, const double *second, double weight, int64_t V,
                            double *grad, double *size_grad, double *size_loss)
{
    double *p = doubles(V), *q = doubles(V), *q2 = doubles(V), max, other;
    double loss = probabilities(z, V, p, &max), size = fabs(loss);
    probabilities(first, V, q, &other);
    if (second != NULL) probabilities(second, V, q2, &other);
    for (int64_t j = 0; j < V; j++) {
        const double target = second != NULL ? weight * q[j] + (1 - weight) * q2[j] : q[j],
                     t = tanh(z[j] / (double)cap);
        const double slope = cap > 0 ? 1 - t * t : 1;
        loss += target * (max - capped(z[j]));
        size += target * (1 + max - capped(z[j]));
        grad[j] = (p[j] - target) * (double)scale * slope;
        size_grad[j] = (p[j] + target) * (double)scale;
    }
    *size_loss = size;
    free(p);
    free(q);
    free(q2);
    return loss;
}

enum { ORDINARY, EXTREME, EQUAL };
static const char *const kinds[] = {"ordinary", "of 1e4", "equal"};

static void logits_fill(operand *x, int kind)
{
    for (int64_t i = 0; i < flm_tensor_elements(&x->t); i++)
        put(&x->t, i, kind == EQUAL ? 2.5 : kind == EXTREME ? (draw() < 0 ? -1e4 : 1e4) : 8 * draw());
    operand_note(x);
}

static void test_aliases(operand *o)
{
    const size_t bytes = flm_tensor_bytes(&o[LOSS].t);
    void *loss = malloc(bytes + 1);
    const operand own = o[GRAD];
    if (loss == NULL) abort();
    memcpy(loss, o[LOSS].t.data, bytes);
    for (int in_place = 0; in_place < 2; in_place++) {
        o[GRAD].t = flm_tensor_none();
        const bool done =
            conform_once(conform_be[1], in_place ? mixture_in_place : mixture, o, OPERANDS, NULL) == FLM_OK;
        tap_ok(done && memcmp(loss, o[LOSS].t.data, bytes) == 0 && (!in_place || conform_same(&own.t, &o[LOGITS].t)),
               "%s", in_place ? "grad may be logits" : "no gradient: the same loss");
    }
    o[GRAD] = own;
    free(loss);
}

static void test_mixture(flm_dtype dtype, int64_t R, int64_t V, int kind, bool two)
{
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_F32, NAN, R),    operand_rows(dtype, NAN, R, V),
                           operand_rows(FLM_DTYPE_F32, 1, R, V), operand_rows(FLM_DTYPE_F32, 1, R, V),
                           operand_rows(FLM_DTYPE_F32, 1, R, V), operand_1d(FLM_DTYPE_F32, 1, R)};
    const operand second = o[SECOND], weights = o[WEIGHT];
    double *loss = doubles(R), *size_loss = doubles(R), *grad = doubles(R * V), *size_grad = doubles(R * V);
    char name[128];
    snprintf(name, sizeof name, "mixture_xent %s R=%d V=%d, cap %g, logits %s%s%s", flm_dtype_name(dtype), (int)R,
             (int)V, (double)cap, kinds[kind], two ? ", two targets" : "", conform_paddings[conform_rows]);
    for (int k = LOGITS; k <= SECOND; k++) logits_fill(&o[k], kind);
    for (int64_t r = 0; r < R; r++) put(&o[WEIGHT].t, r, r == 0 ? 0 : r == 1 ? 1 : 0.5 + 0.5 * draw());
    operand_note(&o[WEIGHT]);
    if (!two) o[SECOND].t = o[WEIGHT].t = flm_tensor_none();
    conform_run(mixture, o, OPERANDS, NULL, name);
    for (int64_t r = 0; r < R; r++)
        loss[r] = reference_row(o[LOGITS].before + r * V, o[FIRST].before + r * V, two ? second.before + r * V : NULL,
                                two ? weights.before[r] : 1, V, grad + r * V, size_grad + r * V, &size_loss[r]);
    /* p to 1e-6 (conform_softmax.c); a cap has an absolute error of 4e-7 C, which the exponential makes relative. */
    const double unit = 4e-6 + 2e-6 * (double)cap;
    conform_close(&o[LOSS].t, loss, size_loss, unit, "loss");
    conform_close(&o[GRAD].t, grad, size_grad, unit, "grad");
    if (dtype == FLM_DTYPE_F32) test_aliases(o);
    o[SECOND] = second;
    o[WEIGHT] = weights;
    operands_free(o, OPERANDS);
    double *rest[] = {loss, size_loss, grad, size_grad};
    for (int i = 0; i < 4; i++) free(rest[i]);
}

/* The formula of the gradient is the loss's derivative by the logits. */
static void test_differences(void)
{
    enum { V = 7 };
    double z[V], first[V], second[V], grad[V], rest[V], size, worst = 0;
    const double h = 1e-5;
    for (int j = 0; j < V; j++) {
        z[j] = 4 * draw();
        first[j] = 4 * draw();
        second[j] = 4 * draw();
    }
    for (int j = 0; j < V; j++) {
        const double kept = z[j];
        z[j] = kept + h;
        const double up = reference_row(z, first, second, 0.3, V, grad, rest, &size);
        z[j] = kept - h;
        const double down = reference_row(z, first, second, 0.3, V, grad, rest, &size);
        z[j] = kept;
        reference_row(z, first, second, 0.3, V, grad, rest, &size);
        worst = worse(worst, fabs((up - down) / (2 * h) * (double)scale - grad[j]));
    }
    tap_ok(worst <= 1e-8, "cap %g: the formula is the gradient: off by %.2g", (double)cap, worst);
}

static void test_errors(void)
{
    operand o[OPERANDS] = {operand_1d(FLM_DTYPE_F32, 1, 3),    operand_2d(FLM_DTYPE_BF16, 1, 3, 5),
                           operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_2d(FLM_DTYPE_F32, 1, 3, 5),
                           operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_1d(FLM_DTYPE_F32, 1, 3)};
    for (int k = 0; k < OPERANDS; k++) {
        const flm_tensor kept = o[k].t;
        o[k].t.dim[0]++;
        tap_ok(mixture(conform_be[0], o, NULL) == FLM_E_SHAPE, "mixture_xent: argument %d longer", k);
        o[k].t = flm_tensor_none();
        if (k != GRAD && k != SECOND)
            tap_ok(mixture(conform_be[0], o, NULL) == FLM_E_SHAPE, "mixture_xent: argument %d absent", k);
        o[k].t = kept;
    }
    cap = -1;
    tap_ok(mixture(conform_be[0], o, NULL) == FLM_E_ARG, "mixture_xent: a negative cap");
    cap = 0;
    operands_free(o, OPERANDS);
    flm_err_clear();
}

int main(void)
{
    static const int64_t sizes[][2] = {{0, 5}, {1, 1}, {3, 7}, {65, 64}, {5, 1025}, {2, 50258}};
    static const float caps[] = {0, 30, 2.5f};
    if (!conform_begin()) {
        tap_ok(0, "backends: %s", flm_err_message());
        return tap_end();
    }
    for (size_t c = 0; c < sizeof caps / sizeof *caps; c++) {
        cap = caps[c];
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int dtype = 0; dtype < 2; dtype++)
                for (int two = 0; two < 2; two++)
                    test_mixture(dtype ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, sizes[i][0], sizes[i][1], ORDINARY, two);
        for (int two = 0; two < 2; two++) {
            test_mixture(FLM_DTYPE_F32, 7, 65, EXTREME, two);
            test_mixture(FLM_DTYPE_BF16, 7, 65, EQUAL, two);
        }
        test_differences();
    }
    cap = 30;
    for (conform_rows = CONFORM_NAN; conform_rows < CONFORM_PADDINGS; conform_rows++)
        for (int two = 0; two < 2; two++) {
            test_mixture(FLM_DTYPE_F32, 65, 65, ORDINARY, two);
            test_mixture(FLM_DTYPE_BF16, 3, 1025, ORDINARY, two);
        }
    conform_rows = CONFORM_BARE;
    test_errors();
    return conform_end();
}
