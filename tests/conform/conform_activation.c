/* conform_activation.c - GELU and its gradient, SiLU and the timestep features (model.md section 2) against double.
 * GELU as an epilogue of matmul: conform_matmul.c. SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { IN, GRAD_Y, GRAD_X, GRAD_B, OPERANDS };

static double gelu(double x) { return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); }

static double gelu_slope(double x)
{
    double t = tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x));
    double u = 0.79788456080286535588 * (1 + 3 * 0.044715 * x * x);
    return 0.5 * (1 + t) + (fabs(t) < 1 ? 0.5 * x * (1 - t * t) * u : 0);
}

static double silu(double x) { return x / (1 + exp(-x)); }

static double silu_slope(double x)
{
    double s = 1 / (1 + exp(-x));
    return s + x * s * (1 - s);
}

static void test_slopes(void)
{
    double worst = 0, h = 1e-5;
    for (double x = -20; x < 20; x += 0.0137) {
        double a = fabs((gelu(x + h) - gelu(x - h)) / (2 * h) - gelu_slope(x));
        double b = fabs((silu(x + h) - silu(x - h)) / (2 * h) - silu_slope(x));
        worst = worse(worst, a);
        worst = worse(worst, b);
    }
    tap_ok(worst <= 1e-8, "the slopes are the central differences: off by %.2g", worst);
}

static flm_status gelu_forward(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_gelu(be, &o[GRAD_Y].t, &o[IN].t);
}

static flm_status gelu_backward(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_gelu_backward(be, &o[GRAD_X].t, &o[GRAD_B].t, &o[IN].t, &o[GRAD_Y].t);
}

static flm_status gelu_backward_in_place(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_gelu_backward(be, &o[GRAD_Y].t, &o[GRAD_B].t, &o[IN].t, &o[GRAD_Y].t);
}

static flm_status silu_forward(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_silu(be, &o[GRAD_Y].t, &o[IN].t);
}

static flm_status silu_backward(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_silu_backward(be, &o[GRAD_X].t, &o[GRAD_Y].t, &o[IN].t);
}

static flm_status silu_backward_in_place(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_silu_backward(be, &o[GRAD_Y].t, &o[GRAD_Y].t, &o[IN].t);
}

static flm_status features(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_timestep_features(be, &o[1].t, &o[0].t);
}

/* Ordinary values, and some that an activation should never have. */
static void add_extremes(operand *x)
{
    static const double extreme[] = {0, -0.0, 12, -12, 30, -30, 1e4, -1e4, 1e18, -1e18, 3e38, -3e38, 1e-30};
    for (int64_t i = 0; i < flm_tensor_elements(&x->t) && i < 13; i++) put(&x->t, i * 5 % 13, extreme[i]);
    operand_note(x);
}

static void test_gelu(flm_dtype dtype, int64_t M, int64_t N, bool extremes)
{
    operand o[OPERANDS] = {operand_2d(dtype, 6, M, N), operand_2d(dtype, 1, M, N), operand_2d(dtype, NAN, M, N),
                           operand_1d(FLM_DTYPE_F32, 1, N)};
    double *x = doubles(M * N), *size = doubles(M * N), *b = doubles(N), *size_b = doubles(N);
    char name[96];
    snprintf(name, sizeof name, "gelu_backward %s M=%d N=%d", flm_dtype_name(dtype), (int)M, (int)N);
    if (extremes && M * N >= 13) add_extremes(&o[IN]);
    conform_run(gelu_backward, o, OPERANDS, NULL, name);
    for (int64_t j = 0; j < N; j++) b[j] = o[GRAD_B].before[j], size_b[j] = fabs(b[j]);
    for (int64_t i = 0; i < M * N; i++) {
        x[i] = o[GRAD_Y].before[i] * gelu_slope(o[IN].before[i]);
        size[i] = fabs(o[GRAD_Y].before[i]);
        b[i % N] += x[i];
        size_b[i % N] += fabs(o[GRAD_Y].before[i]);
    }
    /* The argument z of the logistic function has an error of about 1e-7 z, which the factors of the slope damp. */
    conform_close(&o[GRAD_X].t, x, size, 1e-6, "grad_x");
    conform_close(&o[GRAD_B].t, b, size_b, 1e-6, "grad_b");
    if (conform_once(conform_be[1], gelu_backward_in_place, o, OPERANDS, NULL) != FLM_OK) abort();
    tap_ok(M * N == 0 || memcmp(o[GRAD_Y].t.data, o[GRAD_X].t.data, flm_tensor_bytes(&o[GRAD_X].t)) == 0,
           "grad_x may be grad_y");
    operands_free(o, OPERANDS);
    double *rest[] = {x, size, b, size_b};
    for (int i = 0; i < 4; i++) free(rest[i]);
}

/* The operation of its own: on CPUs. */
static void test_gelu_forward(flm_dtype dtype, int64_t M, int64_t N)
{
    operand o[2] = {operand_2d(dtype, 6, M, N), operand_2d(dtype, NAN, M, N)};
    double *y = doubles(M * N), *size = doubles(M * N);
    char name[96];
    if (conform_be[0]->kind != FLM_BACKEND_CPU) {
        tap_ok(gelu_forward(conform_be[0], o, NULL) == FLM_E_UNSUPPORTED, "gelu is an operation of CPUs alone");
        flm_err_clear();
    } else {
        snprintf(name, sizeof name, "gelu %s M=%d N=%d", flm_dtype_name(dtype), (int)M, (int)N);
        if (M * N >= 13) add_extremes(&o[IN]);
        conform_run(gelu_forward, o, 2, NULL, name);
        for (int64_t i = 0; i < M * N; i++) {
            y[i] = gelu(o[IN].before[i]);
            size[i] = fabs(o[IN].before[i]);
        }
        conform_close(&o[GRAD_Y].t, y, size, 1e-6, "gelu");
    }
    operands_free(o, 2);
    free(y);
    free(size);
}

static void test_silu(int64_t M, int64_t N)
{
    operand o[3] = {operand_2d(FLM_DTYPE_F32, 8, M, N), operand_2d(FLM_DTYPE_F32, NAN, M, N),
                    operand_2d(FLM_DTYPE_F32, NAN, M, N)};
    double *y = doubles(M * N), *slope = doubles(M * N);
    if (M * N >= 13) add_extremes(&o[IN]);
    conform_run(silu_forward, o, 2, NULL, "silu");
    for (int64_t i = 0; i < M * N; i++) {
        put(&o[GRAD_Y].t, i, draw());
        y[i] = silu(o[IN].before[i]);
        slope[i] = get(&o[GRAD_Y].t, i) * silu_slope(o[IN].before[i]);
    }
    if (conform_once(conform_be[0], silu_forward, o, 2, NULL) != FLM_OK) abort();
    conform_close(&o[GRAD_Y].t, y, NULL, 1e-7, "silu");
    for (int64_t i = 0; i < M * N; i++) {
        put(&o[GRAD_Y].t, i, draw());
        slope[i] = get(&o[GRAD_Y].t, i) * silu_slope(o[IN].before[i]);
    }
    conform_run(silu_backward, o, 3, NULL, "silu_backward");
    conform_close(&o[GRAD_X].t, slope, NULL, 1e-7, "silu_backward");
    if (conform_once(conform_be[1], silu_backward_in_place, o, 3, NULL) != FLM_OK) abort();
    tap_ok(M * N == 0 || memcmp(o[GRAD_Y].t.data, o[GRAD_X].t.data, flm_tensor_bytes(&o[GRAD_X].t)) == 0,
           "grad_x may be grad_y");
    operands_free(o, 3);
    free(y);
    free(slope);
}

static void test_features(int64_t B, int64_t F)
{
    operand o[2] = {operand_1d(FLM_DTYPE_F32, 1, B), operand_2d(FLM_DTYPE_F32, NAN, B, F)};
    double *ref = doubles(B * F);
    for (int64_t b = 0; b < B; b++)
        for (int64_t j = 0; j < F / 2; j++) {
            double angle = o[0].before[b] * exp(-log(10000) * (double)j / (double)(F / 2));
            ref[b * F + j] = cos(angle);
            ref[b * F + F / 2 + j] = sin(angle);
        }
    conform_run(features, o, 2, NULL, "timestep_features");
    conform_close(&o[1].t, ref, NULL, 1e-7, "timestep_features");
    operands_free(o, 2);
    free(ref);
}

static void test_errors(void)
{
    operand o[OPERANDS] = {operand_2d(FLM_DTYPE_BF16, 1, 3, 5), operand_2d(FLM_DTYPE_BF16, 1, 3, 5),
                           operand_2d(FLM_DTYPE_BF16, 1, 3, 5), operand_1d(FLM_DTYPE_F32, 1, 5)};
    operand s[3] = {operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_2d(FLM_DTYPE_F32, 1, 3, 5),
                    operand_2d(FLM_DTYPE_F32, 1, 3, 5)};
    operand t[2] = {operand_1d(FLM_DTYPE_F32, 1, 3), operand_2d(FLM_DTYPE_F32, 1, 3, 7)};
    conform_refuses(gelu_backward, o, OPERANDS, NULL, "gelu_backward");
    conform_refuses(silu_forward, s, 2, NULL, "silu");
    conform_refuses(silu_backward, s, 3, NULL, "silu_backward");
    tap_ok(features(conform_be[0], t, NULL) == FLM_E_SHAPE, "an odd number of features");
    flm_err_clear();
    operands_free(o, OPERANDS);
    operands_free(s, 3);
    operands_free(t, 2);
}

int main(void)
{
    static const int64_t shapes[][2] = {{1, 1}, {1, 7}, {65, 65}, {3, 1000}, {130, 768}, {0, 5}};
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    test_slopes();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        test_gelu(FLM_DTYPE_F32, shapes[i][0], shapes[i][1], i % 2);
        test_gelu(FLM_DTYPE_BF16, shapes[i][0], shapes[i][1], i % 2);
        test_gelu_forward(FLM_DTYPE_F32, shapes[i][0], shapes[i][1]);
        test_gelu_forward(FLM_DTYPE_BF16, shapes[i][0], shapes[i][1]);
        test_silu(shapes[i][0], shapes[i][1]);
    }
    test_features(1, 2);
    test_features(7, 256);
    test_features(3, 30);
    test_errors();
    return conform_end();
}
