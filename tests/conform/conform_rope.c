/* conform_rope.c - rotary positions of the host backend against their formula (model.md section 2).
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>

static flm_backend *be;

static double draw(void) /* xorshift64 (Marsaglia 2003), in [-1, 1) */
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63;
}

static double get(const flm_tensor *t, int64_t i)
{
    return t->dtype == FLM_DTYPE_BF16 ? flm_bf16_to_f32(((const uint16_t *)t->data)[i]) : ((const float *)t->data)[i];
}

static flm_tensor tensor_new(flm_dtype dtype, int64_t a, int64_t b, int64_t c)
{
    flm_tensor t = flm_tensor_3d(NULL, dtype, a, b, c);
    if (be->memory->alloc(be, flm_tensor_bytes(&t), &t.data) != FLM_OK) abort();
    for (int64_t i = 0; i < flm_tensor_elements(&t); i++)
        if (dtype == FLM_DTYPE_BF16)
            ((uint16_t *)t.data)[i] = flm_bf16_from_f32((float)draw());
        else
            ((float *)t.data)[i] = (float)draw();
    return t;
}

static double angle(int64_t position, int64_t i, int64_t h)
{
    return (double)position * pow(10000, -2.0 * (double)i / (double)h);
}

static flm_tensor table_new(int64_t L, int64_t h)
{
    flm_tensor t = tensor_new(FLM_DTYPE_F32, L, h / 2, 2);
    for (int64_t i = 0; i < L * (h / 2); i++) {
        ((float *)t.data)[2 * i] = (float)cos(angle(i / (h / 2), i % (h / 2), h));
        ((float *)t.data)[2 * i + 1] = (float)sin(angle(i / (h / 2), i % (h / 2), h));
    }
    return t;
}

static void test_rotation(flm_dtype dtype, int64_t B, int64_t L, int64_t H, int64_t h)
{
    int64_t d = H * h, n = B * L * 3 * d;
    flm_tensor x = tensor_new(dtype, B, L, 3 * d), table = table_new(L, h);
    double *before = malloc((size_t)n * sizeof *before), worst = 0, back = 0;
    /* Products and cosines rounded to fp32, then one rounding to the dtype; there and back twice that. */
    double unit = dtype == FLM_DTYPE_BF16 ? 0x1.04p-8 : 4e-7;
    bool same = true;
    if (!before) abort();
    for (int64_t i = 0; i < n; i++) before[i] = get(&x, i);
    tap_ok(be->ops->rope(be, &x, &table, false) == FLM_OK, "rope %s B=%d L=%d H=%d h=%d", flm_dtype_name(dtype), (int)B,
           (int)L, (int)H, (int)h);
    for (int64_t i = 0; i < n; i++) {
        int64_t column = i % (3 * d), c = column % h, pair = c % (h / 2), first = i - c + pair;
        double a = before[first], b = before[first + h / 2], t = angle(i / (3 * d) % L, pair, h);
        double want = c < h / 2 ? a * cos(t) - b * sin(t) : b * cos(t) + a * sin(t);
        if (column >= 2 * d) {
            same = same && get(&x, i) == before[i];
            continue;
        }
        double e = fabs(get(&x, i) - want);
        if (isnan(e) || e > worst) worst = e;
    }
    tap_ok(worst <= unit, "as the formula says: off by %.2g, at most %.2g", worst, unit);
    tap_ok(same, "v is untouched");
    if (be->ops->rope(be, &x, &table, true) != FLM_OK) abort();
    for (int64_t i = 0; i < n; i++) {
        double e = fabs(get(&x, i) - before[i]);
        if (!(e <= back)) back = e;
    }
    tap_ok(back <= 3 * unit, "the inverse leads back: off by %.2g, at most %.2g", back, 3 * unit);
    free(before);
    be->memory->release(be, x.data);
    be->memory->release(be, table.data);
}

static void test_errors(void)
{
    flm_tensor x = tensor_new(FLM_DTYPE_F32, 2, 5, 48), table = table_new(5, 8), none = flm_tensor_none(), other;
    other = table;
    other.dim[0] = 4;
    tap_ok(be->ops->rope(be, &x, &other, false) == FLM_E_SHAPE, "a table of another length");
    other = table;
    other.dim[1] = 3;
    tap_ok(be->ops->rope(be, &x, &other, false) == FLM_E_SHAPE, "heads of 6 do not divide 16 columns");
    tap_ok(be->ops->rope(be, &x, &none, false) == FLM_E_SHAPE, "no table");
    tap_ok(be->ops->rope(be, &none, &table, false) == FLM_E_SHAPE, "no tensor");
    other = x;
    other.dtype = FLM_DTYPE_I32;
    tap_ok(be->ops->rope(be, &other, &table, false) == FLM_E_SHAPE, "integers");
    be->memory->release(be, x.data);
    be->memory->release(be, table.data);
}

int main(void)
{
    if (flm_backend_create(FLM_DEVICE_CPU, 2, 0, &be) != FLM_OK) return tap_skip_all(flm_err_message());
    for (int k = 0; k < 2; k++) {
        flm_dtype dtype = k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
        test_rotation(dtype, 1, 1, 1, 2);
        test_rotation(dtype, 2, 7, 3, 24);
        test_rotation(dtype, 1, 128, 2, 64);
        test_rotation(dtype, 1, 1031, 1, 16);
        test_rotation(dtype, 1, 3, 1, 300);
    }
    test_errors();
    flm_backend_destroy(&be);
    return tap_end();
}
