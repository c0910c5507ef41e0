/* tensor.c - shapes, slices, expectations and the bf16 conversions. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_tensor.h"
#include "tests/tap.h"

#include <string.h>

static void test_shapes(void)
{
    float data[120];
    char text[64], small[8];
    flm_tensor t = flm_tensor_3d(data, FLM_DTYPE_F32, 4, 5, 6), s = flm_tensor_slice(&t, 1, 2), none, flat;

    tap_ok(flm_tensor_elements(&t) == 120 && flm_tensor_bytes(&t) == 480 && flm_tensor_last(&t) == 6 &&
               flm_tensor_rows(&t) == 20 && t.dim[3] == 1,
           "elements, bytes, last, rows");
    tap_ok(s.data == data + 30 && s.dim[0] == 2 && s.dim[1] == 5 && flm_tensor_elements(&s) == 60,
           "a slice begins at its row");
    s = flm_tensor_slice(&t, 4, 0);
    tap_ok(flm_tensor_elements(&s) == 0, "an empty slice at the end");
    flat = flm_tensor_flat(&t);
    tap_ok(flat.data == data && flat.ndim == 2 && flat.dim[0] == 20 && flat.dim[1] == 6, "flat is rows x last");
    none = flm_tensor_none();
    tap_ok(none.data == NULL && flm_tensor_elements(&none) == 0 && flm_tensor_bytes(&none) == 0, "absent");
    tap_ok(strcmp(flm_tensor_describe(&t, text, sizeof text), "f32[4, 5, 6]") == 0, "described: %s", text);
    flm_tensor_describe(&t, small, sizeof small);
    tap_ok(strlen(small) < sizeof small, "a description too long is cut, not overrun");
    t = flm_tensor_4d(data, FLM_DTYPE_BF16, 1, 2, 3, 4);
    tap_ok(flm_tensor_bytes(&t) == 48 && strcmp(flm_tensor_describe(&t, text, sizeof text), "bf16[1, 2, 3, 4]") == 0,
           "four axes, two bytes each");
    t = flm_tensor_1d(NULL, FLM_DTYPE_F64, (int64_t)3 << 31);
    tap_ok(flm_tensor_elements(&t) == (int64_t)3 << 31 && flm_tensor_bytes(&t) == (size_t)3 << 34,
           "more than 2^32 elements");
}

static void test_expect(void)
{
    float data[12];
    flm_tensor t = flm_tensor_2d(data, FLM_DTYPE_F32, 3, 4), none = flm_tensor_none();
    const int64_t same[] = {3, 4}, any[] = {-1, 4}, other[] = {3, 5}, one[] = {12};

    tap_ok(flm_tensor_expect(&t, "x", FLM_DTYPE_F32, 2, same) == FLM_OK, "the same shape");
    tap_ok(flm_tensor_expect(&t, "x", FLM_DTYPE_F32, 2, any) == FLM_OK, "any size where -1 stands");
    tap_ok(flm_tensor_expect(&t, "grad_x", FLM_DTYPE_F32, 2, other) == FLM_E_SHAPE &&
               strstr(flm_err_message(), "grad_x is f32[3, 4], expected f32[3, 5]"),
           "another size: %s", flm_err_message());
    tap_ok(flm_tensor_expect(&t, "x", FLM_DTYPE_I32, 2, same) == FLM_E_SHAPE, "another dtype");
    tap_ok(flm_tensor_expect(&t, "x", FLM_DTYPE_F32, 1, one) == FLM_E_SHAPE, "another number of axes");
    tap_ok(flm_tensor_expect(&none, "x", FLM_DTYPE_F32, 2, same) == FLM_E_SHAPE && strstr(flm_err_message(), "absent"),
           "absent: %s", flm_err_message());
}

static void test_padded(void)
{
    float data[7 * 128];
    char text[64];
    const int64_t same[] = {7, 65};
    flm_tensor t = flm_tensor_2d_padded(data, FLM_DTYPE_F32, 7, 65), s = flm_tensor_slice(&t, 3, 2), even, wide, flat;

    tap_ok(t.ndim == 2 && t.dim[0] == 7 && t.dim[1] == 65 && flm_tensor_row_stride(&t) == 128 && flm_tensor_padded(&t),
           "rows of 65 are 128 apart");
    tap_ok(flm_tensor_elements(&t) == 7 * 65 && flm_tensor_bytes(&t) == sizeof data && flm_tensor_rows(&t) == 7 &&
               flm_tensor_last(&t) == 65,
           "padding counts in bytes, not in elements");
    tap_ok(s.data == data + 3 * 128 && s.dim[0] == 2 && flm_tensor_row_stride(&s) == 128 &&
               flm_tensor_bytes(&s) == 1024,
           "a slice begins at its row and stays padded");
    s = flm_tensor_slice(&t, 7, 0);
    tap_ok(s.data == data + 7 * 128 && flm_tensor_bytes(&s) == 0, "an empty slice at the end");
    tap_ok(strcmp(flm_tensor_describe(&t, text, sizeof text), "f32[7, 65; row stride 128]") == 0, "described: %s",
           text);
    int64_t count, n;
    const flm_tensor bare = flm_tensor_2d(data, FLM_DTYPE_F32, 7, 65);
    flm_tensor_runs(&bare, &bare, &count, &n);
    tap_ok(count == 1 && n == 455, "side by side: one run of all elements");
    flm_tensor_runs(&bare, &t, &count, &n);
    tap_ok(count == 7 && n == 65, "one of two padded: a run a row");
    flm_tensor_runs(&t, &bare, &count, &n);
    tap_ok(count == 7 && n == 65, "either of them");
    even = flm_tensor_2d_padded(data, FLM_DTYPE_BF16, 7, 128);
    tap_ok(flm_tensor_row_stride(&even) == 128 && !flm_tensor_padded(&even) && even.row_stride == 0 &&
               flm_tensor_bytes(&even) == 1792,
           "a multiple of %d needs no padding", FLM_TENSOR_PAD);
    even = flm_tensor_2d_padded(NULL, FLM_DTYPE_F32, 7, 0);
    tap_ok(flm_tensor_bytes(&even) == 0 && !flm_tensor_padded(&even), "nor do rows of nothing");
    wide = flm_tensor_3d(data, FLM_DTYPE_F32, 2, 3, 65);
    wide.row_stride = 128;
    s = flm_tensor_slice(&wide, 1, 1);
    flat = flm_tensor_flat(&wide);
    tap_ok(s.data == data + 3 * 128 && flat.dim[0] == 6 && flat.dim[1] == 65 && flm_tensor_row_stride(&flat) == 128 &&
               flm_tensor_bytes(&flat) == flm_tensor_bytes(&wide),
           "three axes: sliced and flat");
    tap_ok(flm_tensor_expect_rows(&t, "x", FLM_DTYPE_F32, 2, same) == FLM_OK, "expected where rows may be padded");
    tap_ok(flm_tensor_expect(&t, "x", FLM_DTYPE_F32, 2, same) == FLM_E_SHAPE &&
               strstr(flm_err_message(), "x is f32[7, 65; row stride 128]: its rows must be contiguous"),
           "refused elsewhere: %s", flm_err_message());
    t.row_stride = 65;
    tap_ok(flm_tensor_expect(&t, "x", FLM_DTYPE_F32, 2, same) == FLM_OK && !flm_tensor_padded(&t) &&
               strcmp(flm_tensor_describe(&t, text, sizeof text), "f32[7, 65]") == 0,
           "a step of a row's size is none");
    t.row_stride = 64;
    tap_ok(flm_tensor_expect_rows(&t, "x", FLM_DTYPE_F32, 2, same) == FLM_E_SHAPE &&
               flm_tensor_expect(&t, "x", FLM_DTYPE_F32, 2, same) == FLM_E_SHAPE,
           "rows that overlap: %s", flm_err_message());
    t.row_stride = 128;
    tap_ok(flm_tensor_expect_rows(&t, "x", FLM_DTYPE_BF16, 2, same) == FLM_E_SHAPE &&
               flm_tensor_expect_rows(&t, "x", FLM_DTYPE_F32, 2, (const int64_t[]){7, 128}) == FLM_E_SHAPE,
           "padded rows of another dtype or size");
}

static uint32_t bits(float x)
{
    uint32_t u;

    memcpy(&u, &x, 4);
    return u;
}

static void test_bf16(void)
{
    int exact = 1, nearest = 1, nans = 1;

    for (uint32_t i = 0; i < 65536; i++) { /* every bf16 there is, and what lies between it and the next */
        float x = flm_bf16_to_f32((uint16_t)i), half, above, next = flm_bf16_to_f32((uint16_t)(i + 1));
        if (isnan(x)) {
            nans &= isnan(flm_bf16_to_f32(flm_bf16_from_f32(x)));
            continue;
        }
        exact &= flm_bf16_from_f32(x) == i && bits(x) == i << 16;
        if ((i & 0x7f80) == 0x7f80 || isnan(next) || isinf(next)) continue;
        half = (float)(((double)x + (double)next) / 2); /* exact: a half of bf16's last place */
        above = nextafterf(half, next);
        nearest &= flm_bf16_from_f32(half) == (i & 1 ? i + 1 : i) && flm_bf16_from_f32(above) == i + 1;
    }
    tap_ok(exact, "every bf16 comes back the same");
    tap_ok(nearest, "half way goes to the even one, more than half up");
    tap_ok(nans && isnan(flm_bf16_to_f32(flm_bf16_from_f32(NAN))), "NaN stays NaN");
    tap_ok(isinf(flm_bf16_to_f32(flm_bf16_from_f32(3.4e38f))) && isinf(flm_bf16_to_f32(flm_bf16_from_f32(INFINITY))),
           "what is above the largest bf16 is infinite");
}

int main(void)
{
    const flm_dtype all[] = {FLM_DTYPE_F32, FLM_DTYPE_BF16, FLM_DTYPE_F64, FLM_DTYPE_I32};
    const char *const names[] = {"f32", "bf16", "f64", "i32"};
    const size_t sizes[] = {4, 2, 8, 4};

    for (int i = 0; i < 4; i++)
        tap_ok(flm_dtype_size(all[i]) == sizes[i] && strcmp(flm_dtype_name(all[i]), names[i]) == 0, "%s", names[i]);
    test_shapes();
    test_expect();
    test_padded();
    test_bf16();
    return tap_end();
}
