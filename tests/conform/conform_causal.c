/* conform_causal.c - causal attention over sequences that follow each other, against sums in double.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { O, QKV, STARTS, COUNT };

static flm_status causal(flm_backend *be, const operand *o, const void *arg)
{
    return flm_op_attention_causal(be, &o[O].t, &o[QKV].t, &o[STARTS].t, *(const int64_t *)arg);
}

typedef struct problem {
    int64_t H, h, spare; /* spare: rows of no sequence */
    double size;         /* of q and k */
    int B;
    int64_t length[5];
} problem;

static void operands_make(const problem *p, flm_dtype dtype, operand *o)
{
    const int64_t d = p->H * p->h;
    int64_t R = 0;
    o[STARTS] = operand_1d(FLM_DTYPE_I32, 0, p->B + 1);
    for (int b = 0; b < p->B; b++) put(&o[STARTS].t, b + 1, (double)(R += p->length[b]));
    R += p->spare;
    o[O] = operand_2d(dtype, NAN, R, d);
    o[QKV] = operand_2d(dtype, 1, R, 3 * d);
    for (int64_t i = 0; i < R * 3 * d; i++)
        if (i % (3 * d) < 2 * d) put(&o[QKV].t, i, p->size * draw());
}

/* One query of one head: row of a sequence that begins at `first`; *largest: score. */
static void reference_query(const problem *p, const flm_tensor *qkv, int64_t first, int64_t row, int64_t head,
                            double *ref, double *size, double *largest)
{
    const int64_t d = p->H * p->h, at = head * p->h;
    double max = -INFINITY, sum = 0, *score = doubles(row - first + 1);
    for (int64_t j = first; j <= row; j++) {
        for (int64_t c = 0; c < p->h; c++)
            score[j - first] += get(qkv, row * 3 * d + at + c) * get(qkv, j * 3 * d + d + at + c);
        score[j - first] /= sqrt((double)p->h);
        max = fmax(max, score[j - first]);
        *largest = fmax(*largest, fabs(score[j - first]));
    }
    for (int64_t j = first; j <= row; j++) sum += score[j - first] = exp(score[j - first] - max);
    for (int64_t j = first; j <= row; j++)
        for (int64_t c = 0; c < p->h; c++) {
            const double v = get(qkv, j * 3 * d + 2 * d + at + c);
            ref[row * d + at + c] += score[j - first] / sum * v;
            size[row * d + at + c] += score[j - first] / sum * fabs(v);
        }
    free(score);
}

/* As in conform_attention.c: a probability's relative error is its score's absolute one, and for tensor cores it is
 * rounded to bf16. */
static void test_against_double(const problem *p, flm_dtype dtype)
{
    operand o[COUNT];
    char name[96];
    const int64_t d = p->H * p->h;
    double largest = 0;
    operands_make(p, dtype, o);
    const int64_t R = o[O].t.dim[0];
    double *ref = doubles(R * d), *size = doubles(R * d);
    snprintf(name, sizeof name, "%s, %d sequences, R=%d H=%d h=%d", flm_dtype_name(dtype), p->B, (int)R, (int)p->H,
             (int)p->h);
    for (int b = 0; b < p->B; b++) {
        const int64_t first = (int64_t)get(&o[STARTS].t, b), end = (int64_t)get(&o[STARTS].t, b + 1);
        for (int64_t row = first; row < end; row++)
            for (int64_t head = 0; head < p->H; head++)
                reference_query(p, &o[QKV].t, first, row, head, ref, size, &largest);
    }
    conform_run(causal, o, COUNT, &p->H, name);
    conform_close(&o[O].t, ref, size, 2e-6 + 5e-7 * largest + (dtype == FLM_DTYPE_BF16 ? 0x1.02p-8 : 0), name);
    free(ref);
    free(size);
    operands_free(o, COUNT);
}

/* The same sequence alone, first, and between others: the same bits. */
static void test_company(flm_dtype dtype)
{
    const problem alone = {3, 24, 0, 2, 1, {131}}, among = {3, 24, 5, 2, 4, {70, 131, 1, 64}};
    operand a[COUNT], b[COUNT];
    operands_make(&alone, dtype, a);
    operands_make(&among, dtype, b);
    const size_t row = 72 * flm_dtype_size(dtype);
    memcpy((char *)b[QKV].t.data + 70 * 3 * row, a[QKV].t.data, 131 * 3 * row);
    const bool ran =
        !conform_run_failure(causal, a, COUNT, &alone.H) && !conform_run_failure(causal, b, COUNT, &among.H);
    tap_ok(ran && memcmp((char *)b[O].t.data + 70 * row, a[O].t.data, 131 * row) == 0,
           "%s: a sequence has the same bits in any company", flm_dtype_name(dtype));
    bool zeros = true;
    for (int64_t i = 266 * 72; i < 271 * 72; i++) zeros = zeros && get(&b[O].t, i) == 0;
    tap_ok(zeros, "%s: rows of no sequence are zeros", flm_dtype_name(dtype));
    operands_free(a, COUNT);
    operands_free(b, COUNT);
}

/* Values are looked at where the host can read them. */
static void test_starts(operand *o, const int64_t *H)
{
    put(&o[STARTS].t, 2, 9);
    tap_ok(causal(conform_be[0], o, H) == FLM_E_ARG, "a sequence beyond the rows");
    put(&o[STARTS].t, 2, 4);
    tap_ok(causal(conform_be[0], o, H) == FLM_E_ARG, "starts that descend");
    put(&o[STARTS].t, 2, 8);
    put(&o[STARTS].t, 0, -1);
    tap_ok(causal(conform_be[0], o, H) == FLM_E_ARG, "a start below 0");
}

static void test_errors(void)
{
    const problem p = {2, 8, 0, 1, 2, {5, 3}};
    int64_t heads = 3;
    operand o[COUNT];
    operands_make(&p, FLM_DTYPE_F32, o);
    conform_refuses(causal, o, 2, &p.H, "attention_causal");
    tap_ok(causal(conform_be[0], o, &heads) == FLM_E_SHAPE, "16 columns are not 3 heads");
    if (conform_be[0]->host_memory) test_starts(o, &p.H);
    operands_free(o, COUNT);
}

/* A query does not see later keys, and a NaN key affects the rows from its own on. */
static void test_not_a_number(flm_dtype dtype)
{
    const problem p = {1, 16, 0, 1, 2, {70, 40}};
    operand o[COUNT];
    bool right = true;
    operands_make(&p, dtype, o);
    put(&o[QKV].t, 66 * 48 + 16 + 3, NAN);
    right = conform_run_failure(causal, o, COUNT, &p.H) == NULL;
    for (int64_t i = 0; i < 110 * 16; i++) right = right && !!isnan(get(&o[O].t, i)) == (i / 16 >= 66 && i / 16 < 70);
    tap_ok(right, "%s: a key that is not a number spoils exactly the rows that see it", flm_dtype_name(dtype));
    operands_free(o, COUNT);
}

int main(void)
{
    static const problem problems[] = {
        {1, 2, 0, 1, 1, {1}},         {2, 16, 3, 1, 3, {7, 1, 64}},
        {1, 64, 0, 1, 2, {65, 128}},  {3, 24, 1, 1, 4, {129, 0, 2, 63}},
        {1, 96, 0, 1, 1, {71}},       {1, 128, 0, 1, 2, {3, 130}},
        {1, 6, 200, 1, 2, {65, 5}},   {1, 100, 3, 2, 3, {70, 0, 131}},
#ifndef FLM_EMULATED /* minutes */
        {2, 64, 0, 1, 1, {1024}},
#endif
        {1, 32, 0, 30, 2, {77, 200}}, /* scores of hundreds */ {1, 40, 9, 1e-3, 1, {130}},
    };
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        test_against_double(&problems[i], FLM_DTYPE_F32);
        test_against_double(&problems[i], FLM_DTYPE_BF16);
    }
    test_company(FLM_DTYPE_F32);
    test_company(FLM_DTYPE_BF16);
    test_errors();
    test_not_a_number(FLM_DTYPE_F32);
    test_not_a_number(FLM_DTYPE_BF16);
    return conform_end();
}
