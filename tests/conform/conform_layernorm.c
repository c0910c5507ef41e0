/* conform_layernorm.c - layer normalisation with modulation, and its gradient (model.md sections 2 and 10), against
 * double. SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { X, W, MOD, MEAN, RSTD, Y, CONTEXT, FORWARD, GRAD_X = FORWARD, GRAD_W, GRAD_MOD, BACKWARD };

typedef struct sizes {
    int64_t B, L, d, M, shift, scale;
    bool context; /* two conditions a sequence */
} sizes;

static int64_t mod_rows(const sizes *n) { return n->context ? 2 * n->B : n->B; }

/* The row of mod for a row of x. */
static int64_t condition_of(const sizes *n, const operand *context, int64_t row)
{
    return row / n->L + (n->context && context->before[row] != 0 ? n->B : 0);
}

static flm_status forward(flm_backend *be, const operand *o, const void *arg)
{
    const sizes *n = arg;
    return flm_op_layernorm_modulate(be, &o[Y].t, &o[MEAN].t, &o[RSTD].t, &o[X].t, &o[W].t, &o[MOD].t, &o[CONTEXT].t,
                                     n->shift, n->scale);
}

/* Y is grad_y here. */
static flm_status backward(flm_backend *be, const operand *o, const void *arg)
{
    const sizes *n = arg;
    return flm_op_layernorm_modulate_backward(be, &o[GRAD_X].t, &o[GRAD_W].t, &o[GRAD_MOD].t, &o[Y].t, &o[X].t,
                                              &o[MEAN].t, &o[RSTD].t, &o[W].t, &o[MOD].t, &o[CONTEXT].t, n->shift,
                                              n->scale);
}

static void statistics(const sizes *n, const double *x, double *mean, double *rstd)
{
    double m = 0, v = 0;
    for (int64_t j = 0; j < n->d; j++) m += x[j] / (double)n->d;
    for (int64_t j = 0; j < n->d; j++) v += (x[j] - m) * (x[j] - m) / (double)n->d;
    *mean = m;
    *rstd = 1 / sqrt(v + 1e-5);
}

/* y of row (b, l); size: the magnitude that its rounding errors are relative to. */
static void reference_row(const sizes *n, const operand *o, int64_t row, double *y, double *size)
{
    double mean, rstd;
    const double *x = o[X].before, *w = o[W].before;
    const double *sample = o[MOD].before + condition_of(n, &o[CONTEXT], row) * n->M;
    statistics(n, x + row * n->d, &mean, &rstd);
    for (int64_t j = 0; j < n->d; j++) {
        double value = x[row * n->d + j], gain = rstd * w[j] * (1 + sample[n->scale + j]);
        y[j] = (value - mean) * gain + sample[n->shift + j];
        if (size) size[j] = (fabs(value) + fabs(mean)) * fabs(gain) + fabs(sample[n->shift + j]);
    }
}

static double loss(const sizes *n, const operand *o)
{
    double total = 0, *y = doubles(n->d);
    for (int64_t row = 0; row < n->B * n->L; row++) {
        reference_row(n, o, row, y, NULL);
        for (int64_t j = 0; j < n->d; j++) total += o[Y].before[row * n->d + j] * y[j];
    }
    free(y);
    return total;
}

static void operands_make(operand *o, const sizes *n, flm_dtype dtype, double offset)
{
    o[X] = operand_3d(FLM_DTYPE_F32, 2, n->B, n->L, n->d);
    o[W] = operand_1d(FLM_DTYPE_F32, 1.5, n->d);
    o[MOD] = operand_2d(FLM_DTYPE_F32, 1, mod_rows(n), n->M);
    o[MEAN] = operand_2d(FLM_DTYPE_F32, NAN, n->B, n->L);
    o[RSTD] = operand_2d(FLM_DTYPE_F32, NAN, n->B, n->L);
    o[Y] = operand_3d(dtype, NAN, n->B, n->L, n->d);
    o[CONTEXT] = n->context ? operand_tokens(2, (const int64_t[]){n->B, n->L}, 2) : (operand){flm_tensor_none(), NULL};
    for (int64_t i = 0; i < n->B * n->L * n->d; i++) put(&o[X].t, i, o[X].before[i] + offset);
}

/* A few fp32 operations and sums over d, in 16 or more lanes, or in one if the compiler does not vectorise, which
 * matters from a thousand terms on. */
static double unit_of(const sizes *n) { return n->d > 1100 ? 2e-6 : 1e-6; }

static void check_forward(operand *o, const sizes *n, const char *name)
{
    const int64_t rows = n->B * n->L;
    double *y = doubles(rows * n->d), *size = doubles(rows * n->d), *mean = doubles(rows), *rstd = doubles(rows);
    double *mean_size = doubles(rows);
    conform_run(forward, o, FORWARD, n, name);
    for (int64_t row = 0; row < rows; row++) {
        reference_row(n, o, row, y + row * n->d, size + row * n->d);
        statistics(n, o[X].before + row * n->d, &mean[row], &rstd[row]);
        for (int64_t j = 0; j < n->d; j++) mean_size[row] += fabs(o[X].before[row * n->d + j]) / (double)n->d;
    }
    conform_close(&o[Y].t, y, size, unit_of(n), "y");
    conform_close(&o[MEAN].t, mean, mean_size, 5e-7, "mean");
    conform_close(&o[RSTD].t, rstd, NULL, unit_of(n), "rstd");
    free(y);
    free(size);
    free(mean);
    free(rstd);
    free(mean_size);
}

/* The gradients by their formulas, and the magnitudes of their terms. */
typedef struct gradients {
    double *x, *w, *mod, *size_x, *size_w, *size_mod;
} gradients;

static void add_row(gradients *g, const operand *o, const sizes *n, int64_t row)
{
    const double *x = o[X].before + row * n->d, *w = o[W].before, *gy = o[Y].before + row * n->d;
    const int64_t b = condition_of(n, &o[CONTEXT], row);
    const double *sample = o[MOD].before + b * n->M;
    double mean, rstd, mean_g = 0, mean_gx = 0, size_g = 0, size_mean = 0;
    statistics(n, x, &mean, &rstd);
    for (int64_t j = 0; j < n->d; j++) size_mean += fabs(x[j]) / (double)n->d;
    for (int64_t j = 0; j < n->d; j++) {
        double hat = (x[j] - mean) * rstd, gain = w[j] * (1 + sample[n->scale + j]);
        mean_g += gy[j] * gain / (double)n->d;
        mean_gx += gy[j] * gain * hat / (double)n->d;
        size_g += fabs(gy[j] * gain) * (1 + fabs(hat)) / (double)n->d;
        g->w[j] += gy[j] * (1 + sample[n->scale + j]) * hat;
        g->size_w[j] += fabs(gy[j] * (1 + sample[n->scale + j]) * hat);
        g->mod[b * n->M + n->shift + j] += gy[j];
        g->size_mod[b * n->M + n->shift + j] += fabs(gy[j]);
        g->mod[b * n->M + n->scale + j] += gy[j] * w[j] * hat;
        /* Of a condition with few tokens the error of x - mean may be all that there is; that of the mean is one of a
         * sum over d, also where x and mean are small. */
        g->size_mod[b * n->M + n->scale + j] += fabs(gy[j] * w[j]) * (fabs(x[j]) + size_mean) * rstd;
    }
    for (int64_t j = 0; j < n->d; j++) {
        double hat = (x[j] - mean) * rstd, gain = w[j] * (1 + sample[n->scale + j]);
        g->x[row * n->d + j] += rstd * (gy[j] * gain - mean_g - hat * mean_gx);
        g->size_x[row * n->d + j] += rstd * (fabs(gy[j] * gain) + size_g * (1 + fabs(hat)));
    }
}

static double derivative(const sizes *n, operand *o, int which, int64_t i)
{
    double *values = o[which].before, kept = values[i], step = 1e-5, up, down;
    values[i] = kept + step;
    up = loss(n, o);
    values[i] = kept - step;
    down = loss(n, o);
    values[i] = kept;
    return (up - down) / (2 * step);
}

/* Third derivatives of a few units times the step squared, and fp64's 1e-16 over the step: below 1e-7. */
static void check_differences(operand *o, const sizes *n, const gradients *g)
{
    double worst = 0;
    const double *ref[] = {g->x, g->w, g->mod};
    for (int which = X; which <= MOD; which++)
        for (int64_t i = 0; i < flm_tensor_elements(&o[which].t); i++) {
            double base = which == X ? o[GRAD_X].before[i] : which == W ? o[GRAD_W].before[i] : 0;
            double e = fabs(ref[which][i] - base - derivative(n, o, which, i));
            worst = worse(worst, e);
        }
    tap_ok(worst <= 1e-6, "the formulas are the central differences: off by %.2g", worst);
}

static void check_backward(operand *o, const sizes *n, const char *name, bool differences)
{
    const int64_t all = n->B * n->L * n->d, columns = mod_rows(n) * n->M;
    gradients g = {doubles(all), doubles(n->d), doubles(columns), doubles(all), doubles(n->d), doubles(columns)};
    o[GRAD_X] = operand_3d(FLM_DTYPE_F32, 1, n->B, n->L, n->d);
    o[GRAD_W] = operand_1d(FLM_DTYPE_F32, 1, n->d);
    o[GRAD_MOD] = operand_2d(FLM_DTYPE_F32, 1, mod_rows(n), n->M);
    for (int64_t i = 0; i < all; i++) put(&o[Y].t, i, draw());
    conform_run(backward, o, BACKWARD, n, name);
    for (int64_t i = 0; i < all; i++) g.x[i] = o[GRAD_X].before[i], g.size_x[i] = fabs(g.x[i]);
    for (int64_t j = 0; j < n->d; j++) g.w[j] = o[GRAD_W].before[j], g.size_w[j] = fabs(g.w[j]);
    for (int64_t row = 0; row < n->B * n->L; row++) add_row(&g, o, n, row);
    if (differences) check_differences(o, n, &g);
    for (int64_t i = 0; i < columns; i++) { /* other columns stay as they are */
        int64_t c = i % n->M;
        if (!(c >= n->shift && c < n->shift + n->d) && !(c >= n->scale && c < n->scale + n->d))
            g.mod[i] = o[GRAD_MOD].before[i];
    }
    /* x^ carries the error of mean and rstd, some 1e-7 of it; block sums of 64 terms add little. */
    conform_close(&o[GRAD_X].t, g.x, g.size_x, unit_of(n), "grad_x");
    conform_close(&o[GRAD_W].t, g.w, g.size_w, unit_of(n), "grad_w");
    conform_close(&o[GRAD_MOD].t, g.mod, g.size_mod, unit_of(n), "grad_mod");
    double *rest[] = {g.x, g.w, g.mod, g.size_x, g.size_w, g.size_mod};
    for (int i = 0; i < 6; i++) free(rest[i]);
}

static void test_shape(flm_dtype dtype, const sizes *n, double offset)
{
    operand o[BACKWARD];
    char name[96];
    snprintf(name, sizeof name, "%s B=%d L=%d d=%d%s around %g", flm_dtype_name(dtype), (int)n->B, (int)n->L, (int)n->d,
             n->context ? " with context" : "", offset);
    operands_make(o, n, dtype, offset);
    check_forward(o, n, name);
    if (offset == 0) {
        check_backward(o, n, name, n->B * n->L * n->d < 200 && n->d > 1);
        operands_free(o, BACKWARD);
    } else
        operands_free(o, FORWARD);
}

static void test_errors(void)
{
    sizes n = {2, 5, 7, 21, 0, 14, false}, bad = n;
    operand o[BACKWARD];
    operands_make(o, &n, FLM_DTYPE_BF16, 0);
    conform_refuses(forward, o, CONTEXT, &n, "layernorm_modulate");
    check_forward(o, &n, "for the errors");
    check_backward(o, &n, "for the errors", false);
    conform_refuses(backward, o, CONTEXT, &n, "layernorm_modulate_backward");
    for (int k = FORWARD; k < BACKWARD; k++)
        tap_ok(conform_refused(backward, o, k, &n), "layernorm_modulate_backward: refuses argument %d", k);
    bad.scale = 15;
    tap_ok(forward(conform_be[0], o, &bad) == FLM_E_SHAPE, "columns beyond mod");
    bad.scale = -1;
    tap_ok(backward(conform_be[0], o, &bad) == FLM_E_SHAPE, "columns before mod");
    flm_err_clear();
    operands_free(o, BACKWARD);
    n.context = true;
    operands_make(o, &n, FLM_DTYPE_F32, 0);
    for (int k = MOD; k <= CONTEXT; k += CONTEXT - MOD) {
        const flm_tensor good = o[k].t;
        o[k].t.dim[0] -= 1;
        tap_ok(forward(conform_be[0], o, &n) == FLM_E_SHAPE, "%s with one row less", k == MOD ? "mod" : "context");
        o[k].t = good;
    }
    const flm_tensor context = o[CONTEXT].t;
    o[CONTEXT].t = flm_tensor_none();
    tap_ok(forward(conform_be[0], o, &n) == FLM_E_SHAPE, "two conditions a sequence without context");
    o[CONTEXT].t = context;
    flm_err_clear();
    operands_free(o, FORWARD);
}

int main(void)
{
    static const sizes shapes[] = {
        {1, 1, 1, 2, 0, 1, false},           {2, 3, 7, 42, 7, 14, false},        {3, 65, 65, 131, 66, 0, false},
        {2, 130, 16, 32, 16, 0, false},      {1, 7, 768, 4608, 0, 768, false},   {0, 3, 8, 16, 0, 8, false},
        {1, 17, 1028, 2056, 1028, 0, false}, {1, 2, 2051, 4102, 0, 2051, false}, {1, 1, 1, 2, 0, 1, true},
        {2, 3, 7, 42, 7, 14, true},          {3, 65, 65, 131, 66, 0, true},      {2, 130, 16, 32, 16, 0, true},
        {0, 3, 8, 16, 0, 8, true},           {1, 9, 768, 1536, 768, 0, true},    {1, 2, 2051, 4102, 0, 2051, true}};
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            test_shape(k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, &shapes[i], 0);
        test_shape(k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, &shapes[2], 1000);
    }
    test_errors();
    return conform_end();
}
