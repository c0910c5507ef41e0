/* shape.c - presets, refused shapes, and the cost of a token. SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "tests/tap.h"

#include <string.h>

static const flm_model_shape good = {
    .L = 7, .V = 11, .d = 12, .H = 3, .c = 5, .N = 2, .F = 8, .mlp_ratio = 3, .softcap = 50};

static void refuses(flm_model_shape shape, const char *what)
{
    tap_ok(flm_model_check(&shape) == FLM_E_ARG && strstr(flm_err_message(), what) != NULL, "refused, naming %s", what);
}

static flm_model_shape with(int64_t L, int64_t V, int64_t d, int64_t H, int64_t N, int64_t F)
{
    flm_model_shape shape = good;
    shape.L = L;
    shape.V = V;
    shape.d = d;
    shape.H = H;
    shape.N = N;
    shape.F = F;
    return shape;
}

static void test_check(void)
{
    flm_model_shape shape = good;
    tap_ok(flm_model_check(&good) == FLM_OK, "a good shape");
    refuses(with(0, 11, 12, 3, 2, 8), "length L");
    refuses(with(7, 1, 12, 3, 2, 8), "vocabulary V");
    refuses(with(7, (1 << 24) + 1, 12, 3, 2, 8), "vocabulary V");
    refuses(with(7, 11, -12, 3, 2, 8), "hidden size d");
    refuses(with(7, 11, 12, 0, 2, 8), "heads H");
    refuses(with(7, 11, 12, 5, 2, 8), "not a multiple");
    refuses(with(7, 11, 9, 3, 2, 8), "odd");
    refuses(with(7, 11, 12, 3, 0, 8), "blocks N");
    refuses(with(7, 11, 12, 3, 2, 7), "must be even");
    shape.softcap = NAN;
    refuses(shape, "softcap");
    shape.softcap = 0;
    refuses(shape, "softcap");
    shape = good;
    shape.c = 0;
    refuses(shape, "condition size c");
    shape = good;
    shape.mlp_ratio = 0;
    refuses(shape, "mlp_ratio");
    for (int i = 0; i < 4; i++) {
        shape = good;
        shape.logit_cap = ((const double[]){-30, 0.01, 1001, NAN})[i];
        refuses(shape, "logit cap");
    }
    shape.logit_cap = 30;
    tap_ok(flm_model_check(&shape) == FLM_OK, "a logit cap of 30");
}

/* Weights of `small` at V = 50258, by the sizes of model.md section 2. */
static double weights_of(const flm_model_shape *s)
{
    const double d = (double)s->d, c = (double)s->c, V = (double)s->V, w = (double)s->mlp_ratio;
    const double block = (4 + 2 * w) * d * d + (w + 1) * d + 2 * d + 6 * d * (c + 1);
    const double time = ((double)s->F + 1) * c + (c + 1) * c, head = V * (d + 1) + d + 2 * d * (c + 1);
    return V * d + time + (double)s->N * block + head;
}

int main(void)
{
    flm_model_shape shape = {0};
    tap_ok(flm_model_preset("small", &shape) == FLM_OK && shape.d == 768 && shape.H == 12 && shape.c == 128 &&
               shape.N == 12 && shape.F == 256 && shape.mlp_ratio == 4 && shape.softcap == 50,
           "small");
    shape.L = 1024;
    shape.V = 50258;
    tap_ok(flm_model_check(&shape) == FLM_OK, "small at OpenWebText's sizes");
    tap_close(weights_of(&shape), 170e6, 2e6, "small has about 170 M weights");
    /* model.md section 11: 170, 38 and 77 million, to half a unit of the last digit each */
    tap_close(flm_model_flops(&shape), 170e6 + 38e6 + 77e6, 1.5e6, "small, FLOPs a token");
    tap_close(flm_model_flops(&shape), 24.0 * 12 * 768 * 768 + 4.0 * 12 * 1024 * 768 + 2.0 * 50258 * 768, 0.5,
              "small, FLOPs a token, by the formula");
    tap_ok(flm_model_preset("tiny", &shape) == FLM_OK && shape.d == 128 && shape.H == 4 && shape.c == 64 &&
               shape.N == 4,
           "tiny");
    tap_ok(flm_model_preset("mini", &shape) == FLM_OK && shape.d == 512 && shape.H == 8 && shape.c == 128 &&
               shape.N == 8,
           "mini: the any-order maps of TinyStories");
    tap_ok(flm_model_preset("medium", &shape) == FLM_OK && shape.d == 1024 && shape.H == 16 && shape.c == 128 &&
               shape.N == 24,
           "medium");
    tap_ok(flm_model_preset("large", &shape) == FLM_OK && shape.d == 1280 && shape.H == 20 && shape.c == 128 &&
               shape.N == 36,
           "large");
    shape.d = 512;
    tap_ok(flm_model_preset("huge", &shape) == FLM_E_ARG && strstr(flm_err_message(), "huge") != NULL && shape.d == 512,
           "an unknown preset");
    test_check();
    return tap_end();
}
