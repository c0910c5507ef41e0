/* conform_attention.c - the host backend's attention, forward and backward, against sums in double (model.md section
 * 2). SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 64 }; /* elements behind each output that must stay as they are */

typedef struct problem {
    int64_t B, L, H, h;
    double size, value_size; /* standard deviation of q and k; of v */
    float softcap;
} problem;

/* What attention reads and writes, on the device, and the same in double with the magnitudes of the sums. */
typedef struct tensors {
    flm_tensor qkv, o, lse, grad_o, grad_qkv;
} tensors;

typedef struct reference {
    double *qkv, *grad_o; /* as rounded to the dtype */
    double *o, *lse, *grad_qkv;
    double *o_size, *grad_size; /* the same sums over absolute values */
    double *rounding_size;      /* of grad_qkv: what rounding o to the dtype moves, for a unit rounding */
    double largest;             /* capped score */
} reference;

/* Fixed pseudo-random numbers: Marsaglia's xorshift64, "Xorshift RNGs", 2003. */
static double draw(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63 * 1.7320508; /* unit variance */
}

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

static double *doubles(int64_t n) { return must(calloc((size_t)n, sizeof(double))); }

static double get(const flm_tensor *t, int64_t i)
{
    return t->dtype == FLM_DTYPE_BF16 ? flm_bf16_to_f32(((const uint16_t *)t->data)[i]) : ((const float *)t->data)[i];
}

static void put(const flm_tensor *t, int64_t i, double x)
{
    if (t->dtype == FLM_DTYPE_BF16)
        ((uint16_t *)t->data)[i] = flm_bf16_from_f32((float)x);
    else
        ((float *)t->data)[i] = (float)x;
}

/* A tensor with guard elements behind it, all NaN. */
static flm_tensor tensor_new(flm_backend *be, flm_dtype dtype, int64_t a, int64_t b, int64_t c)
{
    flm_tensor t = flm_tensor_3d(NULL, dtype, a, b, c);
    if (be->memory->alloc(be, flm_tensor_bytes(&t) + GUARD * flm_dtype_size(dtype), &t.data) != FLM_OK) abort();
    for (int64_t i = 0; i < flm_tensor_elements(&t) + GUARD; i++) put(&t, i, NAN);
    return t;
}

static bool guard_whole(const flm_tensor *t)
{
    bool whole = true;
    for (int64_t i = flm_tensor_elements(t); i < flm_tensor_elements(t) + GUARD; i++) whole = whole && isnan(get(t, i));
    return whole;
}

static tensors tensors_new(flm_backend *be, const problem *p, flm_dtype dtype)
{
    int64_t d = p->H * p->h;
    tensors t = {tensor_new(be, dtype, p->B, p->L, 3 * d), tensor_new(be, dtype, p->B, p->L, d),
                 tensor_new(be, FLM_DTYPE_F32, p->B, p->H, p->L), tensor_new(be, dtype, p->B, p->L, d),
                 tensor_new(be, dtype, p->B, p->L, 3 * d)};
    for (int64_t i = 0; i < flm_tensor_elements(&t.qkv); i++)
        put(&t.qkv, i, draw() * (i % (3 * d) < 2 * d ? p->size : p->value_size));
    for (int64_t i = 0; i < flm_tensor_elements(&t.grad_o); i++) put(&t.grad_o, i, draw());
    return t;
}

static void tensors_free(flm_backend *be, tensors *t)
{
    flm_tensor *all[] = {&t->qkv, &t->o, &t->lse, &t->grad_o, &t->grad_qkv};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) be->memory->release(be, all[i]->data);
}

static flm_status forward(flm_backend *be, const problem *p, const tensors *t)
{
    return be->ops->attention(be, &t->o, &t->lse, &t->qkv, p->H, p->softcap);
}

static flm_status backward(flm_backend *be, const problem *p, const tensors *t)
{
    return be->ops->attention_backward(be, &t->grad_qkv, &t->grad_o, &t->o, &t->qkv, &t->lse, p->H, p->softcap);
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

static reference reference_new(const problem *p, const tensors *t)
{
    int64_t rows = p->B * p->L, d = p->H * p->h;
    reference r = {doubles(rows * 3 * d), doubles(rows * d),     doubles(rows * d),
                   doubles(rows * p->H),  doubles(rows * 3 * d), doubles(rows * d),
                   doubles(rows * 3 * d), doubles(rows * 3 * d), 0};
    double *prob = doubles(p->L), *slope = doubles(p->L);
    for (int64_t i = 0; i < rows * 3 * d; i++) r.qkv[i] = get(&t->qkv, i);
    for (int64_t i = 0; i < rows * d; i++) r.grad_o[i] = get(&t->grad_o, i);
    for (int64_t b = 0; b < p->B; b++)
        for (int64_t head = 0; head < p->H; head++)
            for (int64_t i = 0; i < p->L; i++) reference_query(p, &r, b, head, i, prob, slope);
    free(prob);
    free(slope);
    return r;
}

static void reference_free(reference *r)
{
    double *all[] = {r->qkv, r->grad_o, r->o, r->lse, r->grad_qkv, r->o_size, r->grad_size, r->rounding_size};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* Largest error of t in units of what it may be: unit * size + half a unit of the last place (bf16's 8 bits: 2^-8
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
 * here. */
static void test_against_double(flm_backend *be, const problem *p, flm_dtype dtype)
{
    char name[128];
    tensors t = tensors_new(be, p, dtype);
    reference r = reference_new(p, &t);
    double unit = 2e-6 + 5e-7 * r.largest;
    snprintf(name, sizeof name, "%s B=%d L=%d H=%d h=%d, scores to %.2g, values of %g", flm_dtype_name(dtype),
             (int)p->B, (int)p->L, (int)p->H, (int)p->h, r.largest, p->value_size);
    tap_ok(forward(be, p, &t) == FLM_OK && backward(be, p, &t) == FLM_OK, "%s: runs", name);
    double o = error(&t.o, r.o, r.o_size, NULL, unit), lse = error(&t.lse, r.lse, NULL, NULL, unit);
    double grad = error(&t.grad_qkv, r.grad_qkv, r.grad_size, r.rounding_size, unit);
    tap_ok(o <= 1 && lse <= 1 && grad <= 1, "%s: of what rounding explains, o has %.2f, lse %.2f, the gradient %.2f",
           name, o, lse, grad);
    tap_ok(guard_whole(&t.o) && guard_whole(&t.lse) && guard_whole(&t.grad_qkv), "%s: nothing written behind", name);
    reference_free(&r);
    tensors_free(be, &t);
}

/* sum of weights * o. */
static double objective(flm_backend *be, const problem *p, const tensors *t)
{
    double sum = 0;
    if (forward(be, p, t) != FLM_OK) return NAN;
    for (int64_t i = 0; i < flm_tensor_elements(&t->o); i++) sum += get(&t->grad_o, i) * get(&t->o, i);
    return sum;
}

/* Along a random direction of q, of k or of v: (f(x + e u) - f(x - e u)) / 2e is the gradient's product with u. With
 * e = 1/64 and some hundred terms, rounding gives some 1e-7 * 10 / e = 1e-4, the third derivative e^2 = 2e-4 of f. */
static void test_differences(flm_backend *be)
{
    static const char *const names[] = {"q", "k", "v"};
    problem p = {1, 13, 2, 16, 1.5, 1, 3};
    const double step = 0x1p-6;
    for (int part = 0; part < 3; part++) {
        tensors t = tensors_new(be, &p, FLM_DTYPE_F32);
        int64_t d = p.H * p.h, n = flm_tensor_elements(&t.qkv);
        double *x = doubles(n), *u = doubles(n), want = 0, f[2];
        for (int64_t i = 0; i < n; i++) {
            x[i] = get(&t.qkv, i);
            u[i] = i % (3 * d) / d == part ? draw() : 0;
        }
        if (forward(be, &p, &t) != FLM_OK || backward(be, &p, &t) != FLM_OK) abort();
        for (int64_t i = 0; i < n; i++) want += get(&t.grad_qkv, i) * u[i];
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n; i++) put(&t.qkv, i, x[i] + (side ? -step : step) * u[i]);
            f[side] = objective(be, &p, &t);
        }
        tap_ok(fabs((f[0] - f[1]) / (2 * step) - want) <= 2e-3 * (1 + fabs(want)),
               "central difference along %s: %.6g, gradient %.6g", names[part], (f[0] - f[1]) / (2 * step), want);
        free(x);
        free(u);
        tensors_free(be, &t);
    }
}

/* Heads fewer and more than threads; the same bits from one thread as from two, three and more than there are heads. */
static void test_threads(flm_dtype dtype)
{
    static const int counts[] = {1, 2, 3, 7};
    static const problem problems[] = {{1, 331, 1, 32, 1, 1, 50}, {2, 130, 3, 24, 1, 1, 50}};
    for (size_t k = 0; k < 2; k++) {
        const problem *p = &problems[k];
        tensors first = {0};
        flm_backend *one = NULL;
        for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++) {
            flm_backend *be = NULL;
            if (flm_backend_create(FLM_DEVICE_CPU, counts[n], 0, &be) != FLM_OK) abort();
            tensors t = tensors_new(be, p, dtype);
            if (n) {
                memcpy(t.qkv.data, first.qkv.data, flm_tensor_bytes(&t.qkv));
                memcpy(t.grad_o.data, first.grad_o.data, flm_tensor_bytes(&t.grad_o));
            }
            if (forward(be, p, &t) != FLM_OK || backward(be, p, &t) != FLM_OK) abort();
            if (n == 0) {
                first = t;
                one = be;
                continue;
            }
            tap_ok(memcmp(t.o.data, first.o.data, flm_tensor_bytes(&t.o)) == 0 &&
                       memcmp(t.lse.data, first.lse.data, flm_tensor_bytes(&t.lse)) == 0 &&
                       memcmp(t.grad_qkv.data, first.grad_qkv.data, flm_tensor_bytes(&t.grad_qkv)) == 0,
                   "%s, %d heads: %d threads give the bits of one", flm_dtype_name(dtype), (int)(p->B * p->H),
                   counts[n]);
            tensors_free(be, &t);
            flm_backend_destroy(&be);
        }
        tensors_free(one, &first);
        flm_backend_destroy(&one);
    }
}

/* A query that is not a number spoils its own row of its own head; a key, all rows of its head; nothing else. */
static void test_not_a_number(flm_backend *be)
{
    problem p = {1, 70, 2, 16, 1, 1, 50};
    int64_t d = p.H * p.h;
    for (int key = 0; key < 2; key++) {
        tensors t = tensors_new(be, &p, FLM_DTYPE_F32);
        bool right = true;
        put(&t.qkv, 66 * 3 * d + key * d + 3, NAN);
        if (forward(be, &p, &t) != FLM_OK) abort();
        for (int64_t i = 0; i < p.L * d; i++)
            right = right && !!isnan(get(&t.o, i)) == (i % d < p.h && (key || i / d == 66));
        for (int64_t i = 0; i < p.L; i++)
            right = right && !!isnan(get(&t.lse, i)) == (key || i == 66) && !isnan(get(&t.lse, p.L + i));
        tap_ok(right, "a %s that is not a number spoils exactly what depends on it", key ? "key" : "query");
        tensors_free(be, &t);
    }
}

static void test_errors(flm_backend *be)
{
    problem p = {2, 5, 2, 8, 1, 1, 50};
    tensors t = tensors_new(be, &p, FLM_DTYPE_F32);
    const flm_ops *ops = be->ops;
    flm_tensor other = t.o, none = flm_tensor_none();
    const float caps[] = {0, -50, 65, INFINITY, NAN};

    if (forward(be, &p, &t) != FLM_OK) abort();
    tap_ok(ops->attention(be, &t.o, &t.lse, &t.qkv, 3, 50) == FLM_E_SHAPE, "16 columns are not 3 heads");
    tap_ok(ops->attention(be, &t.o, &t.lse, &t.qkv, 0, 50) == FLM_E_SHAPE, "no heads");
    tap_ok(ops->attention(be, &t.qkv, &t.lse, &t.qkv, 2, 50) == FLM_E_SHAPE, "o as wide as qkv");
    tap_ok(ops->attention(be, &t.o, &t.lse, &t.o, 2, 50) == FLM_E_SHAPE, "qkv of 16 columns");
    tap_ok(ops->attention(be, &t.o, &none, &t.qkv, 2, 50) == FLM_E_SHAPE, "lse absent");
    tap_ok(ops->attention(be, &t.o, &t.lse, &none, 2, 50) == FLM_E_SHAPE, "qkv absent");
    other.dtype = FLM_DTYPE_BF16;
    tap_ok(ops->attention(be, &other, &t.lse, &t.qkv, 2, 50) == FLM_E_SHAPE, "o of another dtype");
    tap_ok(ops->attention_backward(be, &t.grad_qkv, &other, &t.o, &t.qkv, &t.lse, 2, 50) == FLM_E_SHAPE,
           "grad_o of another dtype");
    other = t.grad_qkv;
    other.dim[1]--;
    tap_ok(ops->attention_backward(be, &other, &t.grad_o, &t.o, &t.qkv, &t.lse, 2, 50) == FLM_E_SHAPE,
           "grad_qkv of another length");
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++)
        tap_ok(ops->attention(be, &t.o, &t.lse, &t.qkv, 2, caps[i]) == FLM_E_UNSUPPORTED, "a soft cap of %g", caps[i]);
    tap_ok(strstr(flm_err_message(), "attention") != NULL, "the message names the op: %s", flm_err_message());
    tensors_free(be, &t);
}

int main(void)
{
    static const problem problems[] = {
        {1, 1, 1, 2, 1, 1, 50},        {2, 1, 2, 16, 1, 1, 50},    {2, 7, 3, 24, 1, 1, 50},
        {1, 64, 2, 32, 1, 1, 50},      {3, 65, 1, 64, 1, 1, 50},   {1, 128, 2, 64, 1, 1, 50},
        {1, 129, 1, 96, 1, 1, 50},     {2, 71, 1, 128, 1, 1, 50},  {1, 200, 1, 40, 1, 1, 2},
        {1, 1031, 1, 16, 1, 1, 50},    {1, 1024, 1, 64, 1, 1, 50}, {1, 77, 2, 64, 9, 1, 50}, /* scores of hundreds */
        {1, 77, 2, 64, 100, 1000, 50}, {1, 77, 1, 32, 30, 1, 64},  {1, 77, 1, 32, 1e-3, 1e-3, 50},
    };
    flm_backend *be = NULL;
    if (flm_backend_create(FLM_DEVICE_CPU, 2, 0, &be) != FLM_OK) return tap_skip_all(flm_err_message());
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        test_against_double(be, &problems[i], FLM_DTYPE_F32);
        test_against_double(be, &problems[i], FLM_DTYPE_BF16);
    }
    test_differences(be);
    test_threads(FLM_DTYPE_F32);
    test_threads(FLM_DTYPE_BF16);
    test_not_a_number(be);
    test_errors(be);
    flm_backend_destroy(&be);
    return tap_end();
}
