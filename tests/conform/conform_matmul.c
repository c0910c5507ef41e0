/* conform_matmul.c - every backend: C = op(A) op(B) [+ C] [+ bias], GELU, against sums in double.
 * Built twice for the CPU: with the processor's instruction set, and limited to AVX2 (FLM_TEST_MAX_ISA), where bf16 is
 * computed in fp32.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

static flm_backend *be;

/* Under sanitizers every fifth combination of flags: each flag is met, set and not set. */
enum { STEP = FLM_SANITIZE ? 5 : 1 };

enum { GUARD = 16 }; /* elements behind c and gelu that must not change, like the padding of c */

typedef struct shape {
    int64_t M, N, K;
} shape;

static const shape shapes[] = {{1, 1, 1},      {1, 5, 1},     {7, 1, 3},     {1, 64, 33},    {17, 31, 1},
                               {1, 1, 300},    {5, 7, 13},    {64, 48, 32},  {33, 65, 127},  {2, 256, 64},
                               {129, 96, 257}, {96, 770, 64}, {801, 66, 72}, {70, 40, 1101}, {2100, 33, 34},
                               {70, 33, 2100}, {0, 3, 4},     {3, 0, 4},     {3, 4, 0}};
enum {
    SHAPES = sizeof shapes / sizeof shapes[0],
    PADDED_MAX =
        1
        << 20 /* bound on M N K for the shapes also tested with padded rows: the largest would take most of the time */
};

typedef struct flags {
    flm_dtype in, out;
    bool transpose_a, transpose_b, accumulate, bias, gelu;
    bool padded;   /* the rows of a, and of c if there is no gelu */
    bool in_parts; /* of f32 operands */
} flags;

/* Fixed pseudo-random numbers in [-1, 1): Marsaglia's xorshift64, "Xorshift RNGs", 2003. */
static double draw(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63;
}

/* Element i of the memory. */
static double get_raw(const flm_tensor *t, int64_t i)
{
    return t->dtype == FLM_DTYPE_BF16 ? flm_bf16_to_f32(((const uint16_t *)t->data)[i]) : ((const float *)t->data)[i];
}

static void put_raw(const flm_tensor *t, int64_t i, double value)
{
    if (t->dtype == FLM_DTYPE_BF16)
        ((uint16_t *)t->data)[i] = flm_bf16_from_f32((float)value);
    else
        ((float *)t->data)[i] = (float)value;
}

/* Element i of the tensor's own, and where it lies. */
static int64_t place(const flm_tensor *t, int64_t i)
{
    return i / t->dim[1] * flm_tensor_row_stride(t) + i % t->dim[1];
}
static double get(const flm_tensor *t, int64_t i) { return get_raw(t, place(t, i)); }
static void put(const flm_tensor *t, int64_t i, double value) { put_raw(t, place(t, i), value); }

static int64_t raw_count(const flm_tensor *t) { return t->dim[0] * flm_tensor_row_stride(t) + GUARD; }

/* Host memory for a tensor, its padding and its guard, all of it value (NaN: drawn at random, padding NaN). */
static flm_tensor host_rows(flm_dtype dtype, int64_t rows, int64_t columns, double value, bool padded)
{
    flm_tensor t = flm_tensor_2d(NULL, dtype, rows, columns);
    if (padded) t.row_stride = (columns / FLM_TENSOR_PAD + 1) * FLM_TENSOR_PAD;
    t.data = malloc((size_t)raw_count(&t) * flm_dtype_size(dtype));
    if (!t.data) abort();
    for (int64_t i = 0; i < raw_count(&t); i++) put_raw(&t, i, value);
    for (int64_t i = 0; isnan(value) && i < rows * columns; i++) put(&t, i, draw());
    return t;
}

static flm_tensor host(flm_dtype dtype, int64_t rows, int64_t columns, double value)
{
    return host_rows(dtype, rows, columns, value, false);
}

/* The same tensor on the device. */
static flm_tensor device(const flm_tensor *h)
{
    flm_tensor t = *h;
    size_t bytes = flm_tensor_bytes(h) + GUARD * flm_dtype_size(h->dtype);
    if (be->memory->alloc(be, bytes, &t.data) != FLM_OK || be->memory->to_device(be, t.data, h->data, bytes) != FLM_OK)
        abort();
    return t;
}

static void fetch(const flm_tensor *h, const flm_tensor *d)
{
    size_t bytes = flm_tensor_bytes(h) + GUARD * flm_dtype_size(h->dtype);
    if (be->memory->to_host(be, h->data, d->data, bytes) != FLM_OK || be->stream->sync(be) != FLM_OK) abort();
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); /* model.md section 2 */
}

/* The operand as [n, K] in double, which the sums read in order; K are its rows if k_is_rows. */
static double *operand(const flm_tensor *t, bool k_is_rows)
{
    const int64_t rows = t->dim[0], columns = t->dim[1];
    double *to = malloc((size_t)(rows * columns + 1) * sizeof *to);
    if (!to) abort();
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to[k_is_rows ? c * rows + r : r * columns + c] = get(t, r * columns + c);
    return to;
}

/* The value of element (i, j), and the sum of the magnitudes that its rounding errors are relative to. a [M, K] and
 * b [N, K] as operand() gives them. */
static double expected(const flags *f, const shape *s, const double *a, const double *b, const flm_tensor *bias,
                       const flm_tensor *before, int64_t i, int64_t j, double *magnitude)
{
    double sum = f->bias ? get(bias, j) : 0, size = fabs(sum);
    for (int64_t k = 0; k < s->K; k++) {
        const double p = a[i * s->K + k] * b[j * s->K + k];
        sum += p;
        size += fabs(p);
    }
    if (f->accumulate) {
        sum += get(before, i * s->N + j);
        size += fabs(get(before, i * s->N + j));
    }
    *magnitude = size;
    return sum;
}

/* A result of `dtype` may be off by its own rounding: half a unit of 8 or 24 bits, twice that for a tie's neighbour. */
static double rounding(flm_dtype dtype) { return dtype == FLM_DTYPE_BF16 ? 0x1p-8 : 0x1p-23; }

static int count_wrong(const flags *f, const shape *s, const double *a, const double *b, const flm_tensor *bias,
                       const flm_tensor *before, const flm_tensor *c, const flm_tensor *g)
{
    int wrong = 0;
    for (int64_t i = 0; i < s->M; i++)
        for (int64_t j = 0; j < s->N; j++) {
            double size, ref = expected(f, s, a, b, bias, before, i, j, &size), x = get(c, i * s->N + j);
            /* A sum of K + 2 terms in fp32, in any order: at most (K + 2) u times the sum of their magnitudes (Higham,
             * "Accuracy and Stability of Numerical Algorithms", 2002, section 4.2); bf16 products are exact. */
            double tolerance = (double)(s->K + 2) * 0x1p-23 * size + rounding(f->out) * fabs(ref);
            if (f->in_parts) tolerance += 0x1p-15 * size;
            if (f->bias && f->out == FLM_DTYPE_BF16) tolerance += 0x1p-8 * fabs(get(bias, j)); /* it may be rounded */
            wrong += !(fabs(x - ref) <= tolerance);
            /* GELU of what c holds, or held before rounding; its slope is at most 1.13, fp32's tanh is good to 1e-6. */
            if (f->gelu)
                wrong +=
                    !(fabs(get(g, i * s->N + j) - gelu_tanh(x)) <= (2.13 * rounding(f->out) + 2e-6) * fabs(x) + 1e-7);
        }
    const int64_t step = flm_tensor_row_stride(c);
    for (int64_t i = 0; i < raw_count(c); i++)
        if (step == 0 || i / step >= s->M || i % step >= s->N) wrong += !(get_raw(c, i) == 7);
    for (int64_t i = s->M * s->N; f->gelu && i < raw_count(g); i++) wrong += !(get_raw(g, i) == 7);
    return wrong;
}

/* One matmul, twice: the second must give the same bits, also of an operand kept in another layout. */
static int product_wrong(const flags *f, const shape *s)
{
    flm_tensor a = host_rows(f->in, f->transpose_a ? s->K : s->M, f->transpose_a ? s->M : s->K, NAN, f->padded);
    flm_tensor b = host(f->in, f->transpose_b ? s->N : s->K, f->transpose_b ? s->K : s->N, NAN);
    flm_tensor bias = host(FLM_DTYPE_F32, 1, s->N, NAN);
    const bool padded_c = f->padded && !f->gelu;
    flm_tensor c = host_rows(f->out, s->M, s->N, 7, padded_c), g = host(f->out, s->M, s->N, 7);
    flm_tensor again = host_rows(f->out, s->M, s->N, 7, padded_c), before;
    size_t bytes = flm_tensor_bytes(&c);
    int wrong = 0;

    /* The old contents of c count when accumulating, and must be ignored otherwise, NaN included. */
    for (int64_t i = 0; i < s->M * s->N; i++) put(&c, i, f->accumulate ? draw() : (double)NAN);
    before = host_rows(f->out, s->M, s->N, 7, padded_c);
    if (bytes) memcpy(before.data, c.data, bytes);
    flm_tensor da = device(&a), db = device(&b), dbias = device(&bias);
    dbias = flm_tensor_1d(dbias.data, FLM_DTYPE_F32, s->N);
    flm_backend_hold(be, &db);
    for (int time = 0; time < 2; time++) {
        flm_tensor dc = device(&before), dg = device(&g);
        flm_matmul p = {.a = &da,
                        .b = &db,
                        .c = &dc,
                        .transpose_a = f->transpose_a,
                        .transpose_b = f->transpose_b,
                        .accumulate = f->accumulate,
                        .bias = f->bias ? &dbias : NULL,
                        .gelu = f->gelu ? &dg : NULL,
                        .in_parts = f->in_parts};
        if (flm_op_matmul(be, &p) != FLM_OK) {
            printf("# %s\n", flm_err_message());
            wrong++;
        }
        fetch(time ? &again : &c, &dc);
        fetch(&g, &dg);
        be->memory->release(be, dc.data);
        be->memory->release(be, dg.data);
    }
    flm_backend_let_go(be, &db);
    double *A = operand(&a, f->transpose_a), *B = operand(&b, !f->transpose_b);
    wrong += count_wrong(f, s, A, B, &bias, &before, &c, &g);
    wrong += bytes && memcmp(c.data, again.data, bytes) != 0;
    be->memory->release(be, da.data);
    be->memory->release(be, db.data);
    be->memory->release(be, dbias.data);
    void *all[] = {a.data, b.data, bias.data, c.data, g.data, again.data, before.data, A, B};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    if (wrong) printf("# %d wrong of M=%lld N=%lld K=%lld\n", wrong, (long long)s->M, (long long)s->N, (long long)s->K);
    return wrong;
}

static void test_products(flm_dtype in, flm_dtype out)
{
    for (int bits = 0; bits < 128; bits += STEP) {
        flags f = {in, out, bits & 1, bits & 2, bits & 4, bits & 8, bits & 16, bits & 32, bits & 64};
        int wrong = 0;
        if (f.accumulate && out != FLM_DTYPE_F32) continue;
        if (f.in_parts && (in != FLM_DTYPE_F32 || out != FLM_DTYPE_F32 || f.gelu)) continue;
        int count = 0;
        for (int i = 0; i < SHAPES; i++) {
            if (f.padded && shapes[i].M * shapes[i].N * shapes[i].K > PADDED_MAX) continue;
            wrong += product_wrong(&f, &shapes[i]);
            count++;
        }
        tap_ok(wrong == 0, "%s x %s -> %s%s%s%s%s%s%s%s, %d shapes", flm_dtype_name(in), flm_dtype_name(in),
               flm_dtype_name(out), f.transpose_a ? ", A transposed" : "", f.transpose_b ? ", B transposed" : "",
               f.accumulate ? ", accumulated" : "", f.bias ? ", bias" : "", f.gelu ? ", GELU" : "",
               f.padded ? ", padded rows" : "", f.in_parts ? ", in parts" : "", count);
    }
}

static void refused(flm_status want, const flm_matmul *p, const char *what)
{
    flm_status have = flm_op_matmul(be, p);
    tap_ok(have == want, "%s: %s (%s)", what, flm_status_name(have), flm_err_message());
    flm_err_clear();
}

static void test_errors(void)
{
    flm_tensor square = host(FLM_DTYPE_F32, 4, 4, NAN), other = host(FLM_DTYPE_F32, 4, 5, NAN);
    flm_tensor half = host(FLM_DTYPE_BF16, 4, 4, NAN), wide = square, row = square, none = flm_tensor_none();
    flm_matmul good = {.a = &square, .b = &square, .c = &square}, p;
    float c[16];
    flm_tensor result = flm_tensor_2d(c, FLM_DTYPE_F32, 4, 4);

    good.c = &result;
    wide.dtype = FLM_DTYPE_F64;
    row.ndim = 1;
    p = good, p.b = &other;
    refused(FLM_E_SHAPE, &p, "c narrower than b");
    p = good, p.a = &other;
    refused(FLM_E_SHAPE, &p, "a wider than b is high");
    p = good, p.b = &half;
    refused(FLM_E_SHAPE, &p, "a f32, b bf16");
    p = good, p.a = &wide, p.b = &wide;
    refused(FLM_E_UNSUPPORTED, &p, "a and b f64");
    p = good, p.c = &half, p.accumulate = true;
    refused(FLM_E_UNSUPPORTED, &p, "accumulating into bf16");
    p = good, p.a = &row;
    refused(FLM_E_SHAPE, &p, "a with one axis");
    p = good, p.b = &none;
    refused(FLM_E_SHAPE, &p, "b absent");
    p = good, p.bias = &other;
    refused(FLM_E_SHAPE, &p, "bias of the wrong shape");
    p = good, p.gelu = &half;
    refused(FLM_E_SHAPE, &p, "gelu of another dtype than c");
    flm_tensor padded = square;
    padded.row_stride = FLM_TENSOR_PAD;
    p = good, p.b = &padded;
    refused(FLM_E_SHAPE, &p, "b padded");
    p = good, p.c = &padded, p.gelu = &result;
    refused(FLM_E_SHAPE, &p, "c padded, with gelu");
    p = good, p.gelu = &padded;
    refused(FLM_E_SHAPE, &p, "gelu padded");
    free(square.data);
    free(other.data);
    free(half.data);
}

/* On the CPU, every kind that this processor has; what is asked for is what is used. */
/* c = a b, and from there to `to` on the host. */
static bool multiplied(const flm_tensor *a, const flm_tensor *b, const flm_tensor *c, const flm_tensor *to)
{
    const flm_matmul p = {.a = a, .b = b, .c = c};
    if (flm_op_matmul(be, &p) != FLM_OK) return false;
    fetch(to, c);
    return true;
}

/* Operands that are held, let go and changed in between, more of them than are kept. */
static void test_held(flm_dtype dtype)
{
    enum { M = 96, N = 64, K = 128, MANY = 12 };
    flm_tensor host_a = host(dtype, M, K, NAN), host_b = host(dtype, K, N, NAN);
    flm_tensor first = host(FLM_DTYPE_F32, M, N, 0), second = first, empty = host(FLM_DTYPE_F32, M, N, 0);
    flm_tensor a = device(&host_a), b[MANY], c = device(&empty);
    const size_t bytes = flm_tensor_bytes(&first);
    second.data = malloc(bytes + GUARD * sizeof(float));
    if (!second.data) abort();
    for (int i = 0; i < MANY; i++) b[i] = device(&host_b);
    flm_backend_let_go(be, &b[0]); /* held by nobody */
    flm_backend_hold(be, &b[0]);
    flm_backend_hold(be, &b[0]);
    bool good = multiplied(&a, &b[0], &c, &first);
    flm_backend_let_go(be, &b[0]);
    good = good && multiplied(&a, &b[0], &c, &second) && memcmp(first.data, second.data, bytes) == 0;
    flm_backend_let_go(be, &b[0]);
    tap_ok(good, "%s: an operand held twice", flm_dtype_name(dtype));
    for (int64_t i = 0; i < (int64_t)K * N; i++) put(&host_b, i, -get(&host_b, i));
    if (be->memory->to_device(be, b[0].data, host_b.data, flm_tensor_bytes(&host_b)) != FLM_OK) abort();
    flm_backend_hold(be, &b[0]);
    good = multiplied(&a, &b[0], &c, &second);
    for (int64_t i = 0; i < (int64_t)M * N; i++) good = good && get(&second, i) == -get(&first, i);
    flm_backend_let_go(be, &b[0]);
    tap_ok(good, "%s: changed while it is not held", flm_dtype_name(dtype));
    for (int i = 1; i < MANY; i++) flm_backend_hold(be, &b[i]);
    good = true;
    for (int i = 1; i < MANY; i++)
        good = good && multiplied(&a, &b[i], &c, &second) && memcmp(first.data, second.data, bytes) == 0;
    for (int i = 1; i < MANY; i++) flm_backend_let_go(be, &b[i]);
    tap_ok(good, "%s: %d of them at once", flm_dtype_name(dtype), MANY - 1);
    for (int i = 0; i < MANY; i++) be->memory->release(be, b[i].data);
    be->memory->release(be, a.data);
    be->memory->release(be, c.data);
    void *all[] = {host_a.data, host_b.data, first.data, second.data, empty.data};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static void test_kinds(void)
{
    const flm_matmul_kind chosen = flm_backend_get_matmul(be);
    printf("# chosen here: %s\n", flm_backend_name_matmul(chosen));
    for (int i = FLM_MATMUL_AMX; i < FLM_MATMUL_KINDS; i++) {
        const flm_matmul_kind kind = (flm_matmul_kind)i;
        const char *name = flm_backend_name_matmul(kind);
        tap_ok(flm_backend_find_matmul(name) == kind, "kind %s by its name", name);
        if (kind == chosen) continue; /* then it is tested already */
        if (flm_backend_set_matmul(be, kind) != FLM_OK) {
            tap_ok(kind != FLM_MATMUL_FP32 && flm_backend_get_matmul(be) == chosen, "not here: %s", flm_err_message());
            continue;
        }
        tap_ok(flm_backend_get_matmul(be) == kind, "kind %s on request", name);
        tap_ok((flm_backend_precision(be, FLM_PRECISION_AUTO) == FLM_PRECISION_FP32) == (kind == FLM_MATMUL_FP32),
               "and precision auto follows");
        test_products(FLM_DTYPE_BF16, FLM_DTYPE_F32);
        test_products(FLM_DTYPE_BF16, FLM_DTYPE_BF16);
        test_held(FLM_DTYPE_BF16);
        tap_ok(flm_backend_set_matmul(be, chosen) == FLM_OK, "back to %s", flm_backend_name_matmul(chosen));
    }
}

int main(void)
{
#ifdef FLM_TEST_MAX_ISA
    /* Both spellings of oneDNN; read when the library first detects the processor. */
    setenv("ONEDNN_MAX_CPU_ISA", FLM_TEST_MAX_ISA, 1);
    setenv("DNNL_MAX_CPU_ISA", FLM_TEST_MAX_ISA, 1);
#endif
    if (flm_backend_create(FLM_DEVICE_AUTO, 2, 0, &be) != FLM_OK) {
        tap_ok(0, "a backend: %s", flm_err_message());
        return tap_end();
    }
    printf("# %s\n", flm_backend_describe(be));
#ifdef FLM_TEST_MAX_ISA
    tap_ok(flm_backend_precision(be, FLM_PRECISION_AUTO) == FLM_PRECISION_FP32, "fp32 is chosen without fast bf16");
#endif
    tap_ok(flm_backend_precision(be, FLM_PRECISION_BF16) == FLM_PRECISION_BF16, "bf16 is given to who asks for it");
    test_products(FLM_DTYPE_F32, FLM_DTYPE_F32);
    test_held(FLM_DTYPE_F32);
    test_held(FLM_DTYPE_BF16);
    test_products(FLM_DTYPE_F32, FLM_DTYPE_BF16);
    test_products(FLM_DTYPE_BF16, FLM_DTYPE_F32);
    test_products(FLM_DTYPE_BF16, FLM_DTYPE_BF16);
    if (be->kind == FLM_BACKEND_CPU)
        test_kinds();
    else
        tap_ok(flm_backend_set_matmul(be, FLM_MATMUL_FP32) == FLM_E_UNSUPPORTED &&
                   flm_backend_set_matmul(be, FLM_MATMUL_AMX) == FLM_E_UNSUPPORTED,
               "a GPU refuses the kinds fp32 and amx");
    if (be->host_memory) test_errors();
    flm_backend_destroy(&be);
    return tap_end();
}
