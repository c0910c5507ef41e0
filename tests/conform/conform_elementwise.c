/* conform_elementwise.c - column sums, a x + b y, casts, sums and scaled Gram matrices against double.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

static flm_status column_sum(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_column_sum(be, &o[0].t, &o[1].t);
}

static flm_status axpby(flm_backend *be, const operand *o, const void *arg)
{
    const float *factor = arg;
    return flm_op_axpby(be, &o[0].t, factor[0], &o[1].t, factor[1]);
}

static flm_status axpby_scaled(flm_backend *be, const operand *o, const void *arg)
{
    const float *factor = arg;
    return flm_op_axpby_scaled(be, &o[0].t, factor[0], &o[1].t, &o[2].t);
}

enum { OUT_R, OUT_SCALE, GRAM, GRAM_OPERANDS };

static flm_status gram_scale(flm_backend *be, const operand *o, const void *arg)
{
    const double *ridge = arg;
    return flm_op_gram_scale(
        be,
        &(flm_gram_scale){
            .R = &o[OUT_R].t, .scale = &o[OUT_SCALE].t, .gram = &o[GRAM].t, .ridge = ridge[0], .last_ridge = ridge[1]});
}

static flm_status cast(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_cast(be, &o[0].t, &o[1].t);
}

static flm_status sum(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_sum(be, &o[0].t, &o[1].t);
}

static flm_status sum_squares(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_sum_squares(be, &o[0].t, &o[1].t);
}

static void test_column_sum(flm_dtype dtype, int64_t M, int64_t N)
{
    operand o[2] = {operand_1d(FLM_DTYPE_F32, 1, N), operand_rows(dtype, 3, M, N)};
    double *ref = doubles(N), *size = doubles(N);
    char name[96];
    snprintf(name, sizeof name, "column_sum %s M=%d N=%d%s", flm_dtype_name(dtype), (int)M, (int)N,
             conform_paddings[conform_rows]);
    conform_run(column_sum, o, 2, NULL, name);
    for (int64_t j = 0; j < N; j++) ref[j] = o[0].before[j], size[j] = fabs(ref[j]);
    for (int64_t i = 0; i < M * N; i++) {
        ref[i % N] += o[1].before[i];
        size[i % N] += fabs(o[1].before[i]);
    }
    conform_close(&o[0].t, ref, size, 1e-6, name); /* blocks of 64 rows in fp32, rounding at random */
    operands_free(o, 2);
    free(ref);
    free(size);
}

static void test_axpby(int64_t M, int64_t N, float a, float b)
{
    operand o[3] = {operand_rows(FLM_DTYPE_F32, b == 0 ? (double)NAN : 2, M, N), operand_rows(FLM_DTYPE_F32, 2, M, N),
                    operand_1d(FLM_DTYPE_F32, 1, 1)};
    const float factor[2] = {a, b};
    double *ref = doubles(M * N), *size = doubles(M * N);
    char name[96];
    snprintf(name, sizeof name, "axpby M=%d N=%d, %g x + %g y%s", (int)M, (int)N, (double)a, (double)b,
             conform_paddings[conform_rows]);
    for (int64_t i = 0; i < M * N; i++) {
        double y = b == 0 ? 0 : (double)b * o[0].before[i];
        ref[i] = (double)a * o[1].before[i] + y;
        size[i] = fabs((double)a * o[1].before[i]) + fabs(y);
    }
    put(&o[2].t, 0, (double)b);
    conform_run(axpby, o, 2, factor, name);
    conform_close(&o[0].t, ref, size, 1.3e-7, name);
    for (int64_t i = 0; i < M * N; i++) put(&o[0].t, i, o[0].before[i]);
    conform_run(axpby_scaled, o, 3, factor, name);
    conform_close(&o[0].t, ref, size, 1.3e-7, name);
    operands_free(o, 3);
    free(ref);
    free(size);
}

/* The nearest bf16 of x by search, ties to the even one: what a cast from any dtype must give. */
static double nearest_bf16(double x)
{
    if (isnan(x) || isinf(x)) return x;
    uint16_t below = 0, above = 0x7F80; /* magnitudes; above stands for 2^128 until rounding is decided */
    double m = fabs(x), low, high;
    while (above - below > 1) {
        uint16_t middle = (uint16_t)((below + above) / 2);
        if ((double)flm_bf16_to_f32(middle) <= m)
            below = middle;
        else
            above = middle;
    }
    low = (double)flm_bf16_to_f32(below);
    high = above == 0x7F80 ? 0x1p128 : (double)flm_bf16_to_f32(above);
    bool up = m - low > high - m || (m - low == high - m && (below & 1));
    return copysign(up ? (above == 0x7F80 ? (double)INFINITY : high) : low, x);
}

static double cast_reference(double x, flm_dtype to)
{
    return to == FLM_DTYPE_BF16 ? nearest_bf16(x) : to == FLM_DTYPE_F32 ? (double)(float)x : x;
}

static bool same(double a, double b) { return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b); }

static void test_cast(flm_dtype to, flm_dtype from, int64_t rows, int64_t columns)
{
    const int64_t n = rows * columns;
    /* Ties, ties but for the last bit of fp64 or fp32, overflow, subnormals, what is not a number. */
    static const double special[] = {0,
                                     -0.0,
                                     1,
                                     0x1.01p0,
                                     0x1.03p0,
                                     0x1.01000000000001p0,
                                     0x1.00ffffffffffffp0,
                                     0x1.010002p0,
                                     0x1.00fffep0,
                                     0x1.01000001p0,
                                     -0x1.01000001p0,
                                     0x1.00ffffffp0,
                                     0x1.fffffep127,
                                     0x1.ffp127,
                                     0x1.fefffep127,
                                     1e300,
                                     -1e300,
                                     1e-300,
                                     0x1p-140,
                                     0x1.8p-134,
                                     0x1p-134,
                                     (double)INFINITY,
                                     -(double)INFINITY,
                                     (double)NAN};
    operand o[2] = {operand_rows(to, 0, rows, columns), operand_rows(from, 100, rows, columns)};
    char name[96];
    int64_t wrong = 0;
    for (int64_t i = 0; i < n && i < (int64_t)(sizeof special / sizeof special[0]); i++) put(&o[1].t, i, special[i]);
    snprintf(name, sizeof name, "cast %s to %s, %d x %d%s", flm_dtype_name(from), flm_dtype_name(to), (int)rows,
             (int)columns, conform_paddings[conform_rows]);
    conform_run(cast, o, 2, NULL, name);
    for (int64_t i = 0; i < n; i++) wrong += !same(get(&o[0].t, i), cast_reference(get(&o[1].t, i), to));
    tap_ok(wrong == 0, "%s: %d of %d wrong", name, (int)wrong, (int)n);
    operands_free(o, 2);
}

static void test_sums(int64_t n)
{
    operand o[2] = {operand_1d(FLM_DTYPE_F64, 1, 1), operand_1d(FLM_DTYPE_F32, 5, n)};
    const double before = o[0].before[0];
    long double ref = before, squares = before, size = fabsl(ref), size_squares = size; /* in fp64, 1e5 terms are off */
    for (int64_t i = 0; i < n; i++) {
        ref += o[1].before[i];
        squares += o[1].before[i] * o[1].before[i];
        size += fabs(o[1].before[i]);
        size_squares += o[1].before[i] * o[1].before[i];
    }
    conform_run(sum, o, 2, NULL, "sum");
    tap_close(get(&o[0].t, 0), (double)ref, 1e-13 * (double)size, "sum");
    put(&o[0].t, 0, before);
    conform_run(sum_squares, o, 2, NULL, "sum_squares");
    tap_close(get(&o[0].t, 0), (double)squares, 1e-13 * (double)size_squares, "sum_squares");
    if (n > 0) {
        put(&o[1].t, n - 1, INFINITY);
        if (conform_once(conform_be[1], sum_squares, o, 2, NULL) != FLM_OK) abort();
        tap_ok(isinf(get(&o[0].t, 0)), "an infinity shows");
    }
    operands_free(o, 2);
}

/* Row i, column j <= i of the scaled Gram matrix. */
static double scaled_element(const operand *gram, const double *s, double base, const double *ridge, int64_t k,
                             int64_t i, int64_t j)
{
    const int64_t d = gram->t.dim[1], own = i / d, of = j / d;
    const double scale = s[own] * s[of];
    double x = scale > 0 ? gram->before[((own * (own + 1) / 2 + of) * d + i % d) * d + j % d] / scale : 0;
    if (i == j) x += ridge[0] * base / (double)d;
    if (i == j && own == k - 1 && s[own] > 0) x += ridge[1] / (s[own] * s[own]) * base / (double)d;
    return x;
}

/* size: of the last factor beside the first one; 0: there is no difference. */
static void test_gram_scale(int64_t k, int64_t d, double size, double last_ridge)
{
    const double ridge[2] = {1e-3, last_ridge};
    operand o[GRAM_OPERANDS] = {operand_2d(FLM_DTYPE_F64, NAN, k * d, k * d), operand_2d(FLM_DTYPE_F32, NAN, k, 2),
                                operand_3d(FLM_DTYPE_F64, 1, k * (k + 1) / 2, d, d)};
    double s[FLM_GRAM_FACTORS] = {0}, base = 0;
    int wrong = 0;
    for (int64_t j = 0; j < k; j++)
        for (int64_t i = 0; i < d; i++) {
            const int64_t at = ((j * (j + 1) / 2 + j) * d + i) * d + i;
            put(&o[GRAM].t, at, (j == k - 1 ? size * size : 1) * (1.5 + draw()));
        }
    operand_note(&o[GRAM]);
    conform_run(gram_scale, o, GRAM_OPERANDS, ridge, "gram_scale");
    for (int64_t j = 0; j < k; j++) {
        for (int64_t i = 0; i < d; i++) s[j] += o[GRAM].before[((j * (j + 1) / 2 + j) * d + i) * d + i];
        if (j == 0) base = s[0];
        s[j] = j == 0 ? 1 : sqrt(s[j] / base);
        if (s[j] < FLM_GRAM_SCALE_MIN) s[j] = 0;
        wrong += !(fabs(get(&o[OUT_SCALE].t, 2 * j) - s[j]) <= 1.2e-7 * s[j]);
        wrong += !(fabs(get(&o[OUT_SCALE].t, 2 * j + 1) * s[j] - (s[j] > 0)) <= 1.2e-7);
    }
    for (int64_t i = 0; i < k * d; i++)
        for (int64_t j = 0; j < k * d; j++) {
            const double x = get(&o[OUT_R].t, i * k * d + j);
            const double ref = j > i ? 0 : scaled_element(&o[GRAM], s, base, ridge, k, i, j);
            wrong += j > i ? !isnan(x) : !(fabs(x - ref) <= 1e-14 * (double)(d + 8) * fabs(ref)); /* order of a trace */
        }
    tap_ok(wrong == 0, "gram_scale of %d factors of %d columns, the last one of size %g: %d wrong", (int)k, (int)d,
           size, wrong);
    operands_free(o, GRAM_OPERANDS);
}

/* Host backends refuse it; devices give a diagonal that a factorisation refuses. */
static void test_gram_not_finite(void)
{
    const double ridge[2] = {1e-3, 0};
    operand o[GRAM_OPERANDS] = {operand_2d(FLM_DTYPE_F64, NAN, 10, 10), operand_2d(FLM_DTYPE_F32, NAN, 2, 2),
                                operand_3d(FLM_DTYPE_F64, 1, 3, 5, 5)};
    put(&o[GRAM].t, (2 * 5 + 3) * 5 + 3, NAN);
    for (int64_t i = 0; i < 5; i++) put(&o[GRAM].t, i * 5 + i, 2);
    operand_note(&o[GRAM]);
    const flm_status rc = conform_once(conform_be[0], gram_scale, o, GRAM_OPERANDS, ridge);
    tap_ok(conform_be[0]->host_memory ? rc == FLM_E_NUMERIC : rc == FLM_OK && isnan(get(&o[OUT_R].t, 8 * 10 + 8)),
           "gram_scale of what is not finite");
    flm_err_clear();
    conform_refuses(gram_scale, o, GRAM_OPERANDS, ridge, "gram_scale");
    operands_free(o, GRAM_OPERANDS);
}

static void test_errors(void)
{
    const float factor[2] = {1, 1};
    operand c[2] = {operand_1d(FLM_DTYPE_F32, 1, 5), operand_2d(FLM_DTYPE_BF16, 1, 3, 5)};
    operand a[3] = {operand_2d(FLM_DTYPE_F32, 1, 3, 5), operand_2d(FLM_DTYPE_F32, 1, 3, 5),
                    operand_1d(FLM_DTYPE_F32, 1, 1)};
    operand s[2] = {operand_1d(FLM_DTYPE_F64, 1, 1), operand_1d(FLM_DTYPE_F32, 1, 3)};
    const flm_tensor none = flm_tensor_none();
    conform_refuses(column_sum, c, 1, NULL, "column_sum");
    tap_ok(flm_op_column_sum(conform_be[0], &c[0].t, &none) == FLM_E_SHAPE, "nothing to sum");
    conform_refuses(axpby, a, 2, factor, "axpby");
    conform_refuses(axpby_scaled, a, 3, factor, "axpby_scaled");
    conform_refuses(sum, s, 1, NULL, "sum");
    conform_refuses_padded(sum, s, 2, NULL, "sum");
    conform_refuses_padded(column_sum, c, 1, NULL, "column_sum");
    conform_refuses(sum_squares, s, 1, NULL, "sum_squares");
    tap_ok(flm_op_sum(conform_be[0], &s[0].t, &none) == FLM_E_SHAPE, "nothing to sum");
    tap_ok(flm_op_cast(conform_be[0], &a[0].t, &c[0].t) == FLM_E_SHAPE, "a cast to another size");
    tap_ok(flm_op_cast(conform_be[0], &a[0].t, &none) == FLM_E_SHAPE, "a cast of nothing");
    a[0].t.dtype = FLM_DTYPE_I32;
    tap_ok(cast(conform_be[0], a, NULL) == FLM_E_UNSUPPORTED, "a cast to integers");
    flm_err_clear();
    operands_free(c, 2);
    operands_free(a, 3);
    operands_free(s, 2);
}

int main(void)
{
    static const int64_t shapes[][2] = {{1, 1}, {7, 65}, {64, 3}, {65, 2049}, {300, 768}, {1100, 9}, {0, 5}, {5, 0}};
    static const flm_dtype dtypes[] = {FLM_DTYPE_F32, FLM_DTYPE_BF16, FLM_DTYPE_F64};
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (conform_rows = CONFORM_BARE; conform_rows < CONFORM_PADDINGS; conform_rows++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            test_column_sum(FLM_DTYPE_F32, shapes[i][0], shapes[i][1]);
            test_column_sum(FLM_DTYPE_BF16, shapes[i][0], shapes[i][1]);
            test_axpby(shapes[i][0], shapes[i][1], 0.7f, -1.3f);
            test_axpby(shapes[i][0], shapes[i][1], 2, 1);
            test_axpby(shapes[i][0], shapes[i][1], 0.1f, 0);
        }
    for (conform_rows = CONFORM_BARE; conform_rows < CONFORM_PADDINGS; conform_rows++)
        for (int to = 0; to < 3; to++)
            for (int from = 0; from < 3; from++) {
                test_cast(dtypes[to], dtypes[from], 1, 1);
                test_cast(dtypes[to], dtypes[from], 7, 65);
                test_cast(dtypes[to], dtypes[from], 1, 50001);
            }
    conform_rows = CONFORM_BARE;
    test_sums(0);
    test_sums(1);
    test_sums(7);
    test_sums(200003);
    for (int64_t k = 1; k <= FLM_GRAM_FACTORS; k++) {
        test_gram_scale(k, 1, 1, 0);
        test_gram_scale(k, 7, 1e-4, 1e-8);
        test_gram_scale(k, 65, 3, 0);
    }
    test_gram_scale(2, 7, 0, 1e-8);
    test_gram_scale(3, 7, 1e-31, 1e-8); /* counts as 0 */
    test_gram_not_finite();
    test_errors();
    return conform_end();
}
