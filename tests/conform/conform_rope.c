/* conform_rope.c - rotary positions against their formula (model.md section 2). SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { QKV, TABLE, COUNT };

static flm_status rotate(flm_backend *be, const operand *o, const void *arg)
{
    (void)arg;
    return flm_op_rope(be, &o[QKV].t, &o[TABLE].t);
}

static double angle(int64_t position, int64_t i, int64_t h)
{
    return (double)position * pow(10000, -2.0 * (double)i / (double)h);
}

static operand table_new(int64_t L, int64_t h)
{
    operand o = operand_3d(FLM_DTYPE_F32, 0, L, h / 2, 2);
    for (int64_t i = 0; i < L * (h / 2); i++) {
        put(&o.t, 2 * i, cos(angle(i / (h / 2), i % (h / 2), h)));
        put(&o.t, 2 * i + 1, sin(angle(i / (h / 2), i % (h / 2), h)));
    }
    return o;
}

static void test_rotation(flm_dtype dtype, int64_t B, int64_t L, int64_t H, int64_t h)
{
    const int64_t d = H * h, n = B * L * 3 * d;
    operand o[COUNT] = {operand_3d(dtype, 1, B, L, 3 * d), table_new(L, h)};
    double *before = doubles(n), worst = 0;
    /* Products and cosines rounded to fp32, then one rounding to the dtype. */
    const double unit = dtype == FLM_DTYPE_BF16 ? 0x1.04p-8 : 4e-7;
    bool same = true;
    char name[96];
    for (int64_t i = 0; i < n; i++) before[i] = get(&o[QKV].t, i);
    snprintf(name, sizeof name, "rope %s B=%d L=%d H=%d h=%d", flm_dtype_name(dtype), (int)B, (int)L, (int)H, (int)h);
    conform_run(rotate, o, COUNT, NULL, name);
    for (int64_t i = 0; i < n; i++) {
        int64_t column = i % (3 * d), c = column % h, pair = c % (h / 2), first = i - c + pair;
        double a = before[first], b = before[first + h / 2], t = angle(i / (3 * d) % L, pair, h);
        double want = c < h / 2 ? a * cos(t) - b * sin(t) : b * cos(t) + a * sin(t);
        if (column >= 2 * d)
            same = same && get(&o[QKV].t, i) == before[i];
        else
            worst = worse(worst, fabs(get(&o[QKV].t, i) - want));
    }
    tap_ok(worst <= unit, "as the formula says: off by %.2g, at most %.2g", worst, unit);
    tap_ok(same, "v is untouched");
    free(before);
    operands_free(o, COUNT);
}

static void test_errors(void)
{
    operand o[COUNT] = {operand_3d(FLM_DTYPE_F32, 1, 2, 5, 48), table_new(5, 16)};
    const flm_tensor table = o[TABLE].t;
    for (int fault = 0; fault < 4; fault++) {
        flm_tensor *t = &o[QKV].t, good = *t;
        if (fault == 0) t->data = NULL;
        if (fault == 1) t->dtype = FLM_DTYPE_I32;
        if (fault == 2) t->ndim = 2;
        if (fault == 3) t->dim[1] = 4;
        tap_ok(rotate(conform_be[0], o, NULL) == FLM_E_SHAPE, "qkv absent, of integers, of a rank or length less");
        *t = good;
    }
    tap_ok(conform_refused(rotate, o, TABLE, NULL), "refuses a table absent, of another dtype, rank and size");
    o[TABLE].t.dim[1] = 3;
    tap_ok(rotate(conform_be[0], o, NULL) == FLM_E_SHAPE, "heads of 6 do not divide 16 columns");
    o[TABLE].t = table;
    flm_err_clear();
    operands_free(o, COUNT);
}

int main(void)
{
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (int k = 0; k < 2; k++) {
        flm_dtype dtype = k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
        test_rotation(dtype, 1, 1, 1, 2);
        test_rotation(dtype, 2, 7, 3, 24);
        test_rotation(dtype, 2, 5, 3, 32);
        test_rotation(dtype, 1, 128, 2, 64);
        test_rotation(dtype, 1, 1031, 1, 16);
        test_rotation(dtype, 1, 3, 1, 300);
    }
    test_errors();
    return conform_end();
}
