/* conform_gather.c - packed rows: gather_rows and scatter_rows (model.md section 10), which copy exactly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { PACKED, TABLE, INDEX, OPERANDS };

static flm_status gather(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_gather_rows(be, &o[PACKED].t, &o[TABLE].t, &o[INDEX].t);
}

static flm_status scatter(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_scatter_rows(be, &o[TABLE].t, &o[PACKED].t, &o[INDEX].t);
}

/* R different rows of S: a random order of all rows, cut. */
static operand operand_index(int64_t R, int64_t S)
{
    operand o = operand_new(FLM_DTYPE_I32, 1, &R, 0);
    int64_t *order = malloc((size_t)(S + 1) * sizeof *order);
    if (order == NULL) abort();
    for (int64_t i = 0; i < S; i++) order[i] = i;
    for (int64_t i = 0; i < R; i++) {
        const int64_t other = i + (int64_t)((draw() + 1) / 2 * (double)(S - i) * (1 - 0x1p-40)), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
        put(&o.t, i, (double)order[i]);
    }
    free(order);
    operand_note(&o);
    return o;
}

static void test_shape(flm_dtype dtype, int64_t R, int64_t S, int64_t n)
{
    operand o[OPERANDS] = {operand_2d(dtype, NAN, R, n), operand_2d(dtype, 1, S, n), operand_index(R, S)};
    char name[96];
    bool gathered = true, scattered = true;
    double *expected = doubles(S * n);
    snprintf(name, sizeof name, "%s, %d of %d rows of %d", flm_dtype_name(dtype), (int)R, (int)S, (int)n);
    conform_run(gather, o, OPERANDS, NULL, name);
    for (int64_t i = 0; i < R * n; i++)
        gathered = gathered && get(&o[PACKED].t, i) == o[TABLE].before[(int64_t)o[INDEX].before[i / n] * n + i % n];
    tap_ok(gathered, "%s: gathered", name);
    for (int64_t i = 0; i < R * n; i++) put(&o[PACKED].t, i, draw());
    operand_note(&o[PACKED]);
    for (int64_t i = 0; i < S * n; i++) expected[i] = o[TABLE].before[i]; /* rows without a number stay as they are */
    for (int64_t i = 0; i < R * n; i++) expected[(int64_t)o[INDEX].before[i / n] * n + i % n] = o[PACKED].before[i];
    conform_run(scatter, o, OPERANDS, NULL, name);
    for (int64_t i = 0; i < S * n; i++) scattered = scattered && get(&o[TABLE].t, i) == expected[i];
    tap_ok(scattered, "%s: scattered", name);
    free(expected);
    operands_free(o, OPERANDS);
}

/* An index outside the table: refused by host backends; on devices NaN in a gather, not written in a scatter. */
static void test_outside(void)
{
    static const int32_t outside[] = {5, -1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        operand o[OPERANDS] = {operand_2d(FLM_DTYPE_F32, 1, 3, 7), operand_2d(FLM_DTYPE_F32, 1, 5, 7),
                               operand_index(3, 5)};
        bool right = true;
        put(&o[INDEX].t, 1, outside[i]);
        if (conform_be[0]->host_memory) {
            right = conform_once(conform_be[0], gather, o, OPERANDS, NULL) == FLM_E_ARG &&
                    conform_once(conform_be[0], scatter, o, OPERANDS, NULL) == FLM_E_ARG;
        } else {
            conform_run(gather, o, OPERANDS, NULL, "a row outside the table");
            for (int64_t k = 0; k < 3 * 7; k++) right = right && (bool)isnan(get(&o[PACKED].t, k)) == (k / 7 == 1);
            conform_run(scatter, o, OPERANDS, NULL, "a row outside the table"); /* touches no guard */
            for (int64_t k = 0; k < 5 * 7; k++) right = right && !isnan(get(&o[TABLE].t, k));
        }
        tap_ok(right, "row %ld of 5", (long)outside[i]);
        operands_free(o, OPERANDS);
    }
    flm_err_clear();
}

static void test_errors(void)
{
    operand o[OPERANDS] = {operand_2d(FLM_DTYPE_F32, 1, 3, 7), operand_2d(FLM_DTYPE_F32, 1, 5, 7), operand_index(3, 5)};
    const flm_tensor good = o[TABLE].t;
    for (int k = 0; k < OPERANDS; k++) {
        if (k == TABLE) continue; /* a longer table is allowed */
        tap_ok(conform_refused(gather, o, k, NULL) && conform_refused(scatter, o, k, NULL), "refuses argument %d", k);
    }
    for (int fault = 0; fault < 4; fault++) {
        flm_tensor *t = &o[TABLE].t;
        if (fault == 0) t->data = NULL;
        if (fault == 1) t->dtype = FLM_DTYPE_BF16;
        if (fault == 2) t->ndim = 3;
        if (fault == 3) t->dim[1] = 8;
        tap_ok(gather(conform_be[0], o, NULL) == FLM_E_SHAPE && scatter(conform_be[0], o, NULL) == FLM_E_SHAPE,
               "refuses a table that is %s",
               (const char *[]){"absent", "of another dtype", "of another rank", "of other rows"}[fault]);
        *t = good;
    }
    flm_err_clear();
    operands_free(o, OPERANDS);
}

int main(void)
{
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (int k = 0; k < 2; k++) {
        const flm_dtype dtype = k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
        test_shape(dtype, 1, 1, 1);
        test_shape(dtype, 7, 65, 7);
        test_shape(dtype, 65, 65, 16);
        test_shape(dtype, 40, 130, 768);
        test_shape(dtype, 0, 5, 8);
        test_shape(dtype, 3, 5, 0);
    }
    test_outside();
    test_errors();
    return conform_end();
}
