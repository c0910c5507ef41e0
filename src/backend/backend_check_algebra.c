/* backend_check_algebra.c - arguments of matmul and of the fp64 linear algebra. See backend_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

#include <limits.h>

flm_status flm_check_matmul(const flm_matmul *p)
{
    flm_status rc = FLM_OK;
    const flm_tensor *a = p->a, *b = p->b, *c = p->c;

    if (a->ndim != 2 || b->ndim != 2) FLM_FAIL(FLM_E_SHAPE, "a and b must have two axes");
    const int64_t M = a->dim[p->transpose_a ? 1 : 0], K = a->dim[p->transpose_a ? 0 : 1];
    const int64_t N = b->dim[p->transpose_b ? 0 : 1];
    if (a->dtype != FLM_DTYPE_F32 && a->dtype != FLM_DTYPE_BF16)
        FLM_FAIL(FLM_E_UNSUPPORTED, "a is %s, must be f32 or bf16", flm_dtype_name(a->dtype));
    if (c->dtype != FLM_DTYPE_F32 && (c->dtype != FLM_DTYPE_BF16 || p->accumulate))
        FLM_FAIL(FLM_E_UNSUPPORTED, "c is %s, must be f32%s", flm_dtype_name(c->dtype),
                 p->accumulate ? " to accumulate" : " or bf16");
    FLM_TRY(flm_tensor_expect_rows(a, "a", a->dtype, 2, a->dim));
    FLM_TRY(flm_tensor_expect(b, "b", a->dtype, 2, p->transpose_b ? (int64_t[]){N, K} : (int64_t[]){K, N}));
    FLM_TRY(flm_tensor_expect_rows(c, "c", c->dtype, 2, (int64_t[]){M, N}));
    if (p->bias) FLM_TRY(flm_tensor_expect(p->bias, "bias", FLM_DTYPE_F32, 1, &N));
    if (p->gelu) {
        FLM_TRY(flm_tensor_expect(c, "c, with gelu,", c->dtype, 2, (int64_t[]){M, N}));
        FLM_TRY(flm_tensor_expect(p->gelu, "gelu", c->dtype, 2, (int64_t[]){M, N}));
    }
done:
    return rc;
}

flm_status flm_check_gram(const flm_tensor *G, const flm_tensor *A, const flm_tensor *B)
{
    flm_status rc = FLM_OK;
    const int64_t R = A->dim[0], Ka = A->dim[1], Kb = B->dim[1];
    FLM_TRY(flm_tensor_expect(A, "A", FLM_DTYPE_F32, 2, (int64_t[]){R, Ka}));
    FLM_TRY(flm_tensor_expect(B, "B", FLM_DTYPE_F32, 2, (int64_t[]){R, Kb}));
    FLM_TRY(flm_tensor_expect(G, "G", FLM_DTYPE_F64, 2, (int64_t[]){Ka, Kb}));
done:
    return rc;
}

/* A square f64 matrix whose size fits the libraries' int. */
static flm_status check_square(const flm_tensor *t, const char *what)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(t, what, FLM_DTYPE_F64, 2, (int64_t[]){t->dim[0], t->dim[0]}));
    if (t->dim[0] > INT_MAX) FLM_FAIL(FLM_E_SHAPE, "%s: more than %d rows", what, INT_MAX);
done:
    return rc;
}

flm_status flm_check_gram_scale(const flm_gram_scale *p)
{
    flm_status rc = FLM_OK;
    const int64_t k = p->scale->dim[0], d = p->gram->dim[1];
    if (p->scale->ndim != 2 || k < 1 || k > FLM_GRAM_FACTORS)
        FLM_FAIL(FLM_E_SHAPE, "%lld factors, must be 1 to %d", (long long)k, (int)FLM_GRAM_FACTORS);
    FLM_TRY(flm_tensor_expect(p->scale, "scale", FLM_DTYPE_F32, 2, (int64_t[]){k, 2}));
    FLM_TRY(flm_tensor_expect(p->gram, "gram", FLM_DTYPE_F64, 3, (int64_t[]){k * (k + 1) / 2, d, d}));
    FLM_TRY(flm_tensor_expect(p->R, "R", FLM_DTYPE_F64, 2, (int64_t[]){k * d, k * d}));
done:
    return rc;
}

flm_status flm_check_cholesky(const flm_tensor *G, const flm_tensor *verdict)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_square(G, "G"));
    if (verdict->data) FLM_TRY(flm_tensor_expect(verdict, "verdict", FLM_DTYPE_I32, 1, (int64_t[]){1}));
done:
    return rc;
}

flm_status flm_check_triangular_solve(const flm_tensor *X, const flm_tensor *R, bool transpose)
{
    flm_status rc = FLM_OK;
    const int64_t n = X->dim[1];
    (void)transpose;
    FLM_TRY(check_square(R, "R"));
    FLM_TRY(flm_tensor_expect(X, "X", FLM_DTYPE_F64, 2, (int64_t[]){R->dim[0], n}));
    if (n > INT_MAX) FLM_FAIL(FLM_E_SHAPE, "X has more than %d columns", INT_MAX);
done:
    return rc;
}
