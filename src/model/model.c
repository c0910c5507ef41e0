/* model.c - see model.h. SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include "backend/backend_arguments.h"

#include <math.h>
#include <string.h>

flm_status flm_model_preset(const char *name, flm_model_shape *out)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape = {.F = 256, .mlp_ratio = 4, .softcap = 50.0};
    if (strcmp(name, "small") == 0) {
        shape.d = 768, shape.H = 12, shape.c = 128, shape.N = 12;
    } else if (strcmp(name, "tiny") == 0) {
        shape.d = 128, shape.H = 4, shape.c = 64, shape.N = 4;
    } else if (strcmp(name, "mini") == 0) {
        shape.d = 512, shape.H = 8, shape.c = 128, shape.N = 8;
    } else if (strcmp(name, "medium") == 0) {
        shape.d = 1024, shape.H = 16, shape.c = 128, shape.N = 24;
    } else if (strcmp(name, "large") == 0) {
        shape.d = 1280, shape.H = 20, shape.c = 128, shape.N = 36;
    } else {
        FLM_FAIL(FLM_E_ARG, "unknown preset '%s'; expected large, medium, small, mini or tiny", name);
    }
    *out = shape;
done:
    return rc;
}

flm_status flm_model_check(const flm_model_shape *shape)
{
    flm_status rc = FLM_OK;
    const struct {
        const char *name;
        int64_t value, min, max;
    } sizes[] = {
        {"length L", shape->L, 1, 1 << 20},
        {"vocabulary V", shape->V, 2, 1 << 24},
        {"hidden size d", shape->d, 2, 1 << 16},
        {"heads H", shape->H, 1, 1 << 12},
        {"condition size c", shape->c, 1, 1 << 16},
        {"blocks N", shape->N, 1, 4096},
        {"timestep features F", shape->F, 2, 1 << 16},
        {"mlp_ratio", shape->mlp_ratio, 1, 64},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < sizes[i].min || sizes[i].value > sizes[i].max)
            FLM_FAIL(FLM_E_ARG, "%s is %lld, must be in %lld..%lld", sizes[i].name, (long long)sizes[i].value,
                     (long long)sizes[i].min, (long long)sizes[i].max);
    if (shape->d % shape->H != 0)
        FLM_FAIL(FLM_E_ARG, "hidden size d = %lld is not a multiple of the number of heads H = %lld",
                 (long long)shape->d, (long long)shape->H);
    if (shape->d / shape->H % 2 != 0)
        FLM_FAIL(FLM_E_ARG, "head size d / H = %lld is odd; rotary positions need pairs",
                 (long long)(shape->d / shape->H));
    if (shape->F % 2 != 0) FLM_FAIL(FLM_E_ARG, "timestep features F = %lld, must be even", (long long)shape->F);
    if (!(shape->softcap > 0) || !isfinite(shape->softcap))
        FLM_FAIL(FLM_E_ARG, "softcap is %g, must be positive and finite", shape->softcap);
    if (shape->logit_cap != 0 && !(shape->logit_cap >= FLM_LOGIT_CAP_MIN && shape->logit_cap <= FLM_LOGIT_CAP_MAX))
        FLM_FAIL(FLM_E_ARG, "logit cap is %g, must be 0 (none) or from %g to %g", shape->logit_cap, FLM_LOGIT_CAP_MIN,
                 FLM_LOGIT_CAP_MAX);
    if ((int)shape->network < FLM_NETWORK_ONE_TIME || (int)shape->network > FLM_NETWORK_ANY_ORDER)
        FLM_FAIL(FLM_E_ARG, "unknown network %d", (int)shape->network);
done:
    return rc;
}

bool flm_model_same_sizes(const flm_model_shape *a, const flm_model_shape *b)
{
    return a->L == b->L && a->V == b->V && a->d == b->d && a->H == b->H && a->c == b->c && a->N == b->N &&
           a->F == b->F && a->mlp_ratio == b->mlp_ratio;
}

double flm_model_flops(const flm_model_shape *s)
{
    const double d = (double)s->d, N = (double)s->N;
    const double trunk = N * d * d * (8.0 + 4.0 * (double)s->mlp_ratio);
    return trunk + 4.0 * N * (double)s->L * d + 2.0 * (double)s->V * d;
}
