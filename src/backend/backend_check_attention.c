/* backend_check_attention.c - arguments of rotary positions and of attention. See backend_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

flm_status flm_check_rope(const flm_tensor *qkv, const flm_tensor *table)
{
    flm_status rc = FLM_OK;
    char text[96];
    const int64_t half = table->dim[1];
    FLM_TRY(flm_check_act(qkv, "qkv", 3, (const int64_t[]){-1, -1, -1}));
    FLM_TRY(flm_tensor_expect(table, "table", FLM_DTYPE_F32, 3, (const int64_t[]){qkv->dim[1], -1, 2}));
    if (half < 1 || qkv->dim[2] % (6 * half) != 0)
        FLM_FAIL(FLM_E_SHAPE, "qkv is %s, expected 3 times a multiple of %lld columns",
                 flm_tensor_describe(qkv, text, sizeof text), (long long)(2 * half));
done:
    return rc;
}

/* qkv act [..., 3d] with d a multiple of H heads. */
static flm_status check_heads(const flm_tensor *qkv, const char *what, int ndim, int64_t H)
{
    flm_status rc = FLM_OK;
    char text[96];
    FLM_TRY(flm_check_act(qkv, what, ndim, (const int64_t[]){-1, -1, -1}));
    if (qkv->dim[ndim - 1] % 3 != 0 || H < 1 || qkv->dim[ndim - 1] / 3 % H != 0)
        FLM_FAIL(FLM_E_SHAPE, "%s is %s, must have 3d columns with d a multiple of %lld heads", what,
                 flm_tensor_describe(qkv, text, sizeof text), (long long)H);
done:
    return rc;
}

static flm_status check_cap(float softcap)
{
    flm_status rc = FLM_OK;
    if (!(softcap > 0 && softcap <= 64))
        FLM_FAIL(FLM_E_UNSUPPORTED, "the softcap is %g, must be above 0 and at most 64", (double)softcap);
done:
    return rc;
}

flm_status flm_check_attention(const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv, int64_t H,
                               float softcap)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_heads(qkv, "qkv", 3, H));
    const int64_t B = qkv->dim[0], L = qkv->dim[1];
    FLM_TRY(flm_tensor_expect(o, "o", qkv->dtype, 3, (const int64_t[]){B, L, qkv->dim[2] / 3}));
    FLM_TRY(flm_tensor_expect(lse, "lse", FLM_DTYPE_F32, 3, (const int64_t[]){B, H, L}));
    FLM_TRY(check_cap(softcap));
done:
    return rc;
}

flm_status flm_check_attention_backward(const flm_tensor *grad_qkv, const flm_tensor *grad_o, const flm_tensor *o,
                                        const flm_tensor *qkv, const flm_tensor *lse, int64_t H, float softcap,
                                        const flm_tensor *rope)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_heads(qkv, "qkv", 3, H));
    const int64_t B = qkv->dim[0], L = qkv->dim[1], d = qkv->dim[2] / 3, h = d / H;
    FLM_TRY(flm_tensor_expect(o, "o", qkv->dtype, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(lse, "lse", FLM_DTYPE_F32, 3, (const int64_t[]){B, H, L}));
    FLM_TRY(flm_tensor_expect(grad_o, "grad_o", qkv->dtype, 3, o->dim));
    FLM_TRY(flm_tensor_expect(grad_qkv, "grad_qkv", qkv->dtype, 3, qkv->dim));
    FLM_TRY(check_cap(softcap));
    if (rope->data == NULL) goto done;
    if (h % 2 != 0) FLM_FAIL(FLM_E_SHAPE, "rope needs heads of an even number of columns, not %lld", (long long)h);
    FLM_TRY(flm_tensor_expect(rope, "rope", FLM_DTYPE_F32, 3, (const int64_t[]){L, h / 2, 2}));
done:
    return rc;
}

flm_status flm_check_attention_causal(const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *starts, int64_t H)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_heads(qkv, "qkv", 2, H));
    FLM_TRY(flm_tensor_expect(o, "o", qkv->dtype, 2, (const int64_t[]){qkv->dim[0], qkv->dim[1] / 3}));
    FLM_TRY(flm_tensor_expect(starts, "starts", FLM_DTYPE_I32, 1, (const int64_t[]){-1}));
    if (starts->dim[0] < 1) FLM_FAIL(FLM_E_SHAPE, "starts is empty");
done:
    return rc;
}
