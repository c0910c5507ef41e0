/* conform_attention.c - attention, forward and backward, also with rotated queries and keys, against sums in double
 * (model.md section 2). SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/conform/conform_common.h"

enum { QKV, O, LSE, FORWARD, GRAD_O = FORWARD, GRAD_QKV, ROPE, COUNT };

typedef struct problem {
    int64_t B, L, H, h;
    double size, value_size; /* standard deviation of q and k; of v */
    float softcap;
} problem;

/* What attention reads and writes in double, with the magnitudes of the sums. */
typedef struct reference {
    double *qkv, *grad_o; /* as rounded to the dtype */
    double *o, *lse, *grad_qkv;
    double *o_size, *grad_size; /* the same sums over absolute values */
    double *rounding_size;      /* change of grad_qkv by rounding o to the dtype, per unit of rounding */
    double largest;             /* capped score */
} reference;

static flm_status forward(flm_backend *be, const operand *o, const void *arg)
{
    const problem *p = arg;
    return flm_op_attention(be, &o[O].t, &o[LSE].t, &o[QKV].t, p->H, p->softcap);
}

static flm_status backward(flm_backend *be, const operand *o, const void *arg)
{
    const problem *p = arg;
    return flm_op_attention_backward(be, &o[GRAD_QKV].t, &o[GRAD_O].t, &o[O].t, &o[QKV].t, &o[LSE].t, p->H, p->softcap,
                                     &o[ROPE].t);
}

/* For queries and keys that are rotated first, if there is a table. */
static flm_status rotated(flm_backend *be, const operand *o, const void *arg)
{
    const flm_status rc = o[ROPE].t.data ? flm_op_rope(be, &o[QKV].t, &o[ROPE].t) : FLM_OK;
    return rc == FLM_OK ? forward(be, o, arg) : rc;
}

static flm_status both(flm_backend *be, const operand *o, const void *arg)
{
    const flm_status rc = rotated(be, o, arg);
    return rc == FLM_OK ? backward(be, o, arg) : rc;
}

/* Unit variance. */
static double draw_unit(void) { return draw() * 1.7320508; }

static void operands_make(operand *o, const problem *p, flm_dtype dtype)
{
    const int64_t d = p->H * p->h;
    o[QKV] = operand_3d(dtype, 1, p->B, p->L, 3 * d);
    o[O] = operand_3d(dtype, NAN, p->B, p->L, d);
    o[LSE] = operand_3d(FLM_DTYPE_F32, NAN, p->B, p->H, p->L);
    o[GRAD_O] = operand_3d(dtype, 1, p->B, p->L, d);
    o[GRAD_QKV] = operand_3d(dtype, NAN, p->B, p->L, 3 * d);
    o[ROPE] = (operand){flm_tensor_none(), NULL};
    for (int64_t i = 0; i < flm_tensor_elements(&o[QKV].t); i++)
        put(&o[QKV].t, i, draw_unit() * (i % (3 * d) < 2 * d ? p->size : p->value_size));
    for (int64_t i = 0; i < flm_tensor_elements(&o[GRAD_O].t); i++) put(&o[GRAD_O].t, i, draw_unit());
}

/* Any angles: the operation does not depend on which positions they belong to. */
static operand table_new(const problem *p)
{
    operand o = operand_3d(FLM_DTYPE_F32, 0, p->L, p->h / 2, 2);
    for (int64_t i = 0; i < p->L * (p->h / 2); i++) {
        const double angle = 4 * draw();
        put(&o.t, 2 * i, cos(angle));
        put(&o.t, 2 * i + 1, sin(angle));
    }
    return o;
}

/* One query of one head: its output and log-sum, and its part of the gradient. */
static void reference_query(const problem *p, reference *r, int64_t b, int64_t head, int64_t i, double *prob,
                            double *slope)
{
    int64_t L = p->L, h = p->h, d = p->H * h, at = head * h;
    const double *q = r->qkv + (b * L + i) * 3 * d + at, *grad_o = r->grad_o + (b * L + i) * d + at;
    double *o = r->o + (b * L + i) * d + at, *o_size = r->o_size + (b * L + i) * d + at;
    double sum = 0, dot = 0, dot_size = 0, scale = 1 / sqrt((double)h);
    for (int64_t j = 0; j < L; j++) {
        const double *k = r->qkv + (b * L + j) * 3 * d + d + at;
        double s = 0;
        for (int64_t c = 0; c < h; c++) s += q[c] * k[c];
        slope[j] = tanh(s * scale / p->softcap);
        r->largest = fmax(r->largest, fabs(slope[j]) * p->softcap);
        prob[j] = exp(p->softcap * slope[j]);
        slope[j] = 1 - slope[j] * slope[j];
        sum += prob[j];
    }
    r->lse[(b * p->H + head) * L + i] = log(sum);
    for (int64_t j = 0; j < L; j++) {
        const double *v = r->qkv + (b * L + j) * 3 * d + 2 * d + at;
        prob[j] /= sum;
        for (int64_t c = 0; c < h; c++) {
            o[c] += prob[j] * v[c];
            o_size[c] += prob[j] * fabs(v[c]);
        }
    }
    for (int64_t c = 0; c < h; c++) {
        dot += grad_o[c] * o[c];
        dot_size += fabs(grad_o[c] * o[c]);
    }
    for (int64_t j = 0; j < L; j++) {
        int64_t query = (b * L + i) * 3 * d + at, key = (b * L + j) * 3 * d + d + at, value = key + d;
        double dp = 0, dp_size = 0;
        for (int64_t c = 0; c < h; c++) {
            dp += grad_o[c] * r->qkv[value + c];
            dp_size += fabs(grad_o[c] * r->qkv[value + c]);
        }
        double ds = prob[j] * (dp - dot) * slope[j] * scale, ds_size = prob[j] * (dp_size + dot_size) * scale;
        for (int64_t c = 0; c < h; c++) {
            r->grad_qkv[query + c] += ds * r->qkv[key + c];
            r->grad_qkv[key + c] += ds * q[c];
            r->grad_qkv[value + c] += prob[j] * grad_o[c];
            r->grad_size[query + c] += ds_size * fabs(r->qkv[key + c]);
            r->grad_size[key + c] += ds_size * fabs(q[c]);
            r->grad_size[value + c] += prob[j] * fabs(grad_o[c]);
            r->rounding_size[query + c] += prob[j] * dot_size * scale * slope[j] * fabs(r->qkv[key + c]);
            r->rounding_size[key + c] += prob[j] * dot_size * scale * slope[j] * fabs(q[c]);
        }
    }
}

static reference reference_new(const problem *p, const operand *o)
{
    int64_t rows = p->B * p->L, d = p->H * p->h;
    reference r = {doubles(rows * 3 * d), doubles(rows * d),     doubles(rows * d),
                   doubles(rows * p->H),  doubles(rows * 3 * d), doubles(rows * d),
                   doubles(rows * 3 * d), doubles(rows * 3 * d), 0};
    double *prob = doubles(p->L), *slope = doubles(p->L);
    for (int64_t i = 0; i < rows * 3 * d; i++) r.qkv[i] = get(&o[QKV].t, i);
    for (int64_t i = 0; i < rows * d; i++) r.grad_o[i] = get(&o[GRAD_O].t, i);
    for (int64_t b = 0; b < p->B; b++)
        for (int64_t head = 0; head < p->H; head++)
            for (int64_t i = 0; i < p->L; i++) reference_query(p, &r, b, head, i, prob, slope);
    free(prob);
    free(slope);
    return r;
}

/* grad_q and grad_k of the unrotated operands: times the transposed rotation. */
static void reference_rotate(const problem *p, reference *r, const flm_tensor *table)
{
    const int64_t half = p->h / 2, heads = 3 * p->H;
    for (int64_t i = 0; i < p->B * p->L * heads * half; i++) {
        const int64_t pair = i % half, head = i / half % heads, row = i / half / heads;
        const int64_t first = (row * heads + head) * p->h + pair, second = first + half;
        const int64_t at = 2 * (row % p->L * half + pair);
        const double c = get(table, at), s = get(table, at + 1), a = r->grad_qkv[first], b = r->grad_qkv[second];
        double *sizes[] = {r->grad_size, r->rounding_size};
        if (head >= 2 * p->H) continue;
        r->grad_qkv[first] = a * c + b * s;
        r->grad_qkv[second] = b * c - a * s;
        for (int k = 0; k < 2; k++) {
            const double x = sizes[k][first], y = sizes[k][second];
            sizes[k][first] = x * fabs(c) + y * fabs(s);
            sizes[k][second] = y * fabs(c) + x * fabs(s);
        }
    }
}

static void reference_free(reference *r)
{
    double *all[] = {r->qkv, r->grad_o, r->o, r->lse, r->grad_qkv, r->o_size, r->grad_size, r->rounding_size};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* Largest error of t in units of its tolerance: unit * size + half a unit of the last place (bf16's 8 bits: 2^-8
 * of the value at most), twice that of o. */
static double error(const flm_tensor *t, const double *ref, const double *size, const double *rounding, double unit)
{
    double worst = 0, last = t->dtype == FLM_DTYPE_BF16 ? 0x1.02p-8 : 0;
    for (int64_t i = 0; i < flm_tensor_elements(t); i++) {
        double may = unit * (size ? size[i] : 1) + last * (fabs(ref[i]) + (rounding ? rounding[i] : 0)) + 1e-30;
        double e = fabs(get(t, i) - ref[i]) / may;
        if (isnan(e) || e > worst) worst = e;
    }
    return worst;
}

/* A probability's relative error is its score's absolute one: 6e-8 times a small factor of the tanh's and the
 * logarithm's rounding, times the score. Products of h or L terms add their own, random in sign: 2e-6 covers all sizes
 * here. For tensor cores probabilities and the gradients of scores, which are factors of the second products, are
 * rounded to bf16 themselves: by up to 2^-8 of each term, and so of the sum of the terms' magnitudes. */
static void test_against_double(const problem *p, flm_dtype dtype)
{
    char name[128];
    operand t[COUNT];
    operands_make(t, p, dtype);
    reference r = reference_new(p, t);
    const double unit = 2e-6 + 5e-7 * r.largest, product = unit + (dtype == FLM_DTYPE_BF16 ? 0x1.02p-8 : 0);
    snprintf(name, sizeof name, "%s B=%d L=%d H=%d h=%d, scores to %.2g, values of %g", flm_dtype_name(dtype),
             (int)p->B, (int)p->L, (int)p->H, (int)p->h, r.largest, p->value_size);
    conform_run(both, t, COUNT, p, name);
    const double o = error(&t[O].t, r.o, r.o_size, NULL, product), lse = error(&t[LSE].t, r.lse, NULL, NULL, unit);
    const double grad = error(&t[GRAD_QKV].t, r.grad_qkv, r.grad_size, r.rounding_size, product);
    tap_ok(o <= 1 && lse <= 1 && grad <= 1, "%s: of what rounding explains, o has %.2f, lse %.2f, the gradient %.2f",
           name, o, lse, grad);
    if (p->h % 2 == 0) {
        t[ROPE] = table_new(p);
        for (int64_t i = 0; i < flm_tensor_elements(&t[GRAD_QKV].t); i++) put(&t[GRAD_QKV].t, i, NAN);
        conform_run(backward, t, COUNT, p, name);
        reference_rotate(p, &r, &t[ROPE].t);
        const double back = error(&t[GRAD_QKV].t, r.grad_qkv, r.grad_size, r.rounding_size, product);
        tap_ok(back <= 1, "%s: rotated back it has %.2f", name, back);
    }
    reference_free(&r);
    operands_free(t, COUNT);
}

/* sum of weights * o. */
static double objective(const problem *p, operand *t)
{
    double sum = 0;
    if (conform_run_failure(rotated, t, COUNT, p)) return NAN;
    for (int64_t i = 0; i < flm_tensor_elements(&t[O].t); i++) sum += get(&t[GRAD_O].t, i) * get(&t[O].t, i);
    return sum;
}

/* Along a random direction of q, of k or of v, rotated or not: (f(x + e u) - f(x - e u)) / 2e is the gradient's product
 * with u. With e = 1/128 and some hundred terms, rounding gives some 1e-7 * 10 / e = 1e-4, the third derivative e^2 =
 * 6e-5 of its own. */
static void test_differences(void)
{
    static const char *const names[] = {"q", "k", "v"};
    problem p = {1, 13, 2, 16, 1.5, 1, 3};
    const double step = 0x1p-7;
    for (int turn = 0; turn < 6; turn++) {
        const int part = turn % 3;
        const char *how = turn < 3 ? "" : ", rotated";
        operand t[COUNT];
        operands_make(t, &p, FLM_DTYPE_F32);
        if (turn >= 3) t[ROPE] = table_new(&p);
        int64_t d = p.H * p.h, n = flm_tensor_elements(&t[QKV].t);
        double *x = doubles(n), *u = doubles(n), want = 0, f[2];
        for (int64_t i = 0; i < n; i++) {
            x[i] = get(&t[QKV].t, i);
            u[i] = i % (3 * d) / d == part ? draw_unit() : 0;
        }
        conform_run(both, t, COUNT, &p, names[part]);
        for (int64_t i = 0; i < n; i++) want += get(&t[GRAD_QKV].t, i) * u[i];
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n; i++) put(&t[QKV].t, i, x[i] + (side ? -step : step) * u[i]);
            f[side] = objective(&p, t);
        }
        tap_ok(fabs((f[0] - f[1]) / (2 * step) - want) <= 2e-3 * (1 + fabs(want)),
               "central difference along %s%s: %.6g, gradient %.6g", names[part], how, (f[0] - f[1]) / (2 * step),
               want);
        free(x);
        free(u);
        operands_free(t, COUNT);
    }
}

/* A NaN query affects its own row of its own head; a NaN key all rows of its head; nothing else. */
static void test_not_a_number(flm_dtype dtype)
{
    problem p = {1, 70, 2, 16, 1, 1, 50};
    int64_t d = p.H * p.h;
    for (int key = 0; key < 2; key++) {
        operand t[COUNT];
        operands_make(t, &p, dtype);
        put(&t[QKV].t, 66 * 3 * d + key * d + 3, NAN);
        bool right = conform_run_failure(forward, t, FORWARD, &p) == NULL;
        for (int64_t i = 0; i < p.L * d; i++)
            right = right && !!isnan(get(&t[O].t, i)) == (i % d < p.h && (key || i / d == 66));
        for (int64_t i = 0; i < p.L; i++)
            right = right && !!isnan(get(&t[LSE].t, i)) == (key || i == 66) && !isnan(get(&t[LSE].t, p.L + i));
        tap_ok(right, "%s: a %s that is not a number spoils exactly what depends on it", flm_dtype_name(dtype),
               key ? "key" : "query");
        operands_free(t, COUNT);
    }
}

/* All scores near the lower cap, and large values: the padding of a tile, whose scores are 0, would outweigh these by
 * e^64 and must not reach a sum, not even as infinity times zero. */
static void test_missing_keys(flm_dtype dtype)
{
    problem p = {1, 5, 1, 16, 1, 1e12, 64};
    operand t[COUNT];
    bool finite = true;
    operands_make(t, &p, dtype);
    for (int64_t i = 0; i < p.L * 3 * p.h; i++)
        if (i % (3 * p.h) < 2 * p.h) put(&t[QKV].t, i, i % (3 * p.h) < p.h ? 8 : -8);
    const char *failure = conform_run_failure(both, t, COUNT, &p);
    for (int64_t i = 0; i < p.L * 3 * p.h; i++) finite = finite && isfinite(get(&t[GRAD_QKV].t, i));
    for (int64_t i = 0; i < p.L; i++) finite = finite && fabs(get(&t[LSE].t, i) - (log(5) + 64 * tanh(-4))) <= 4e-5;
    tap_ok(!failure && finite, "%s: only keys that are there count", flm_dtype_name(dtype));
    operands_free(t, COUNT);
}

/* Refused before data is accessed, so the operands need not be copied to the device. */
static void test_errors(void)
{
    problem p = {2, 5, 2, 8, 1, 1, 50};
    operand t[COUNT];
    operands_make(t, &p, FLM_DTYPE_F32);
    flm_backend *be = conform_be[0];
    const flm_tensor *qkv = &t[QKV].t, *o = &t[O].t, *lse = &t[LSE].t;
    flm_tensor other = *o;
    const float caps[] = {0, -50, 65, INFINITY, NAN};

    conform_refuses(forward, t, FORWARD, &p, "attention");
    conform_refuses(backward, t, ROPE, &p, "attention_backward");
    tap_ok(flm_op_attention(be, o, lse, qkv, 3, 50) == FLM_E_SHAPE, "16 columns are not 3 heads");
    tap_ok(flm_op_attention(be, o, lse, qkv, 0, 50) == FLM_E_SHAPE, "no heads");
    tap_ok(flm_op_attention(be, qkv, lse, qkv, 2, 50) == FLM_E_SHAPE, "o as wide as qkv");
    tap_ok(flm_op_attention(be, o, lse, o, 2, 50) == FLM_E_SHAPE, "qkv of 16 columns");
    other.dtype = FLM_DTYPE_BF16;
    tap_ok(flm_op_attention(be, &other, lse, qkv, 2, 50) == FLM_E_SHAPE, "o of another dtype");
    tap_ok(flm_op_attention_backward(be, &t[GRAD_QKV].t, &other, o, qkv, lse, 2, 50, &t[ROPE].t) == FLM_E_SHAPE,
           "grad_o of another dtype");
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++)
        tap_ok(flm_op_attention(be, o, lse, qkv, 2, caps[i]) == FLM_E_UNSUPPORTED, "a soft cap of %g", caps[i]);
    tap_ok(strstr(flm_err_message(), "attention") != NULL, "the message names the op: %s", flm_err_message());
    operands_free(t, COUNT);
}

/* A table has one pair for each position and pair of columns, in f32. */
static void test_table_errors(void)
{
    problem p = {2, 5, 2, 8, 1, 1, 50}, odd = {2, 5, 2, 7, 1, 1, 50};
    operand t[COUNT];
    operands_make(t, &p, FLM_DTYPE_F32);
    t[ROPE] = table_new(&p);
    const flm_tensor good = t[ROPE].t;
    for (int fault = 0; fault < 6; fault++) {
        flm_tensor *table = &t[ROPE].t;
        if (fault == 0) table->dtype = FLM_DTYPE_BF16;
        if (fault == 1) table->ndim = 2;
        if (fault == 2) table->dim[0] = 4;
        if (fault == 3) table->dim[1] = 3;
        if (fault == 4) table->dim[1] = 8;
        if (fault == 5) table->dim[2] = 1;
        tap_ok(backward(conform_be[0], t, &p) == FLM_E_SHAPE && strstr(flm_err_message(), "rope"), "a wrong table: %s",
               flm_err_message());
        *table = good;
    }
    operands_free(t, COUNT);
    operands_make(t, &odd, FLM_DTYPE_F32);
    t[ROPE] = table_new(&odd);
    tap_ok(backward(conform_be[0], t, &odd) == FLM_E_SHAPE, "a table for heads of 7 columns: %s", flm_err_message());
    flm_err_clear();
    operands_free(t, COUNT);
}

/* A device may lack a kernel for heads this wide and must then say so; the CPU has one. */
static void test_wide(void)
{
    problem p = {1, 3, 1, 130, 1, 1, 50};
    operand t[COUNT];
    operands_make(t, &p, FLM_DTYPE_BF16);
    const char *failure = conform_run_failure(both, t, COUNT, &p);
    tap_ok(conform_be[0]->host_memory ? failure == NULL : failure && strstr(failure, "130"), "heads of 130 columns: %s",
           failure ? failure : "computed");
    operands_free(t, COUNT);
}

/* On the CPU the kind of matmul decides how attention multiplies: the problems with the kinds that were not chosen,
 * where this processor has them. */
static void test_other_kinds(const problem *problems, size_t count)
{
    const flm_matmul_kind chosen = flm_backend_get_matmul(conform_be[0]);
    for (int kind = FLM_MATMUL_AMX; kind < FLM_MATMUL_KINDS; kind++) {
        bool has = kind != (int)chosen;
        for (int i = 0; i < CONFORM_BACKENDS && has; i++)
            has = flm_backend_set_matmul(conform_be[i], (flm_matmul_kind)kind) == FLM_OK;
        flm_err_clear();
        if (!has) continue;
        printf("# matmul %s\n", flm_backend_name_matmul((flm_matmul_kind)kind));
        for (size_t i = 0; i < count; i++) test_against_double(&problems[i], FLM_DTYPE_BF16);
        test_not_a_number(FLM_DTYPE_BF16);
        test_missing_keys(FLM_DTYPE_BF16);
    }
}

int main(void)
{
    static const problem problems[] = {
        {1, 1, 1, 2, 1, 1, 50},
        {2, 1, 2, 16, 1, 1, 50},
        {2, 7, 3, 24, 1, 1, 50},
        {1, 64, 2, 32, 1, 1, 50},
        {3, 65, 1, 64, 1, 1, 50},
        {1, 128, 2, 64, 1, 1, 50},
        {1, 129, 1, 96, 1, 1, 50},
        {2, 71, 1, 128, 1, 1, 50},
        {1, 200, 1, 40, 1, 1, 2},
        {1, 77, 2, 64, 9, 1, 50},
        /* scores of hundreds */ {1, 66, 3, 6, 1, 1, 50},
        {1, 77, 2, 64, 100, 1000, 50},
        {1, 77, 1, 32, 30, 1, 64},
        {1, 77, 1, 32, 1e-3, 1e-3, 50},
        {2, 130, 3, 24, 1, 1, 50},
        {1, 331, 1, 32, 1, 1, 50},
        {0, 5, 2, 16, 1, 1, 50},
        {1, 20, 1, 80, 1, 1, 1e-4f},
        {1, 67, 1, 90, 4, 1, 50},
        {1, 131, 1, 61, 2, 1, 50},
        {1, 65, 1, 127, 3, 1, 2},
#if !defined FLM_EMULATED && !FLM_SANITIZE /* minutes */
        {1, 1031, 1, 16, 1, 1, 50},
        {1, 1024, 1, 64, 1, 1, 50},
#endif
    };
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    const size_t count = sizeof problems / sizeof problems[0];
    for (size_t i = 0; i < count; i++) {
        test_against_double(&problems[i], FLM_DTYPE_F32);
        test_against_double(&problems[i], FLM_DTYPE_BF16);
    }
    test_differences();
    test_not_a_number(FLM_DTYPE_F32);
    test_not_a_number(FLM_DTYPE_BF16);
    test_missing_keys(FLM_DTYPE_F32);
    test_missing_keys(FLM_DTYPE_BF16);
    test_errors();
    test_table_errors();
    test_wide();
    test_other_kinds(problems, count);
    return conform_end();
}
