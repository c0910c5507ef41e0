/* backend_check_embed.c - arguments of embeddings, combinations of samples and normal random numbers. See
 * backend_check.h. SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_check.h"

/* g is f32 [B], or [B, L] where x has more axes. */
static flm_status check_factor(const flm_tensor *g, const flm_tensor *x)
{
    return flm_tensor_expect(g, "g", FLM_DTYPE_F32, g->ndim == 2 && x->ndim > 2 ? 2 : 1, x->dim);
}

/* Sizes of x f32 [B, L, d] with tokens i32 [B, L], E f32 [V, d] and g. */
static flm_status check_embedding(const flm_tensor *x, const flm_tensor *E, const flm_tensor *tokens,
                                  const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2], V = E->dim[0];
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(E, "E", FLM_DTYPE_F32, 2, (const int64_t[]){V, d}));
    FLM_TRY(flm_tensor_expect(tokens, "tokens", FLM_DTYPE_I32, 2, x->dim));
    FLM_TRY(check_factor(g, x));
done:
    return rc;
}

flm_status flm_check_embed_state(const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                                 const flm_tensor *tokens, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(check_embedding(x, E, tokens, g));
    FLM_TRY(flm_tensor_expect(noise, "noise", FLM_DTYPE_F32, 3, x->dim));
done:
    return rc;
}

flm_status flm_check_embed_known(const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                                 const flm_tensor *tokens, float g)
{
    flm_status rc = FLM_OK;
    const int64_t B = x->dim[0], L = x->dim[1], d = x->dim[2];
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, 3, (const int64_t[]){B, L, d}));
    FLM_TRY(flm_tensor_expect(noise, "noise", FLM_DTYPE_F32, 3, x->dim));
    FLM_TRY(flm_tensor_expect(E, "E", FLM_DTYPE_F32, 2, (const int64_t[]){-1, d}));
    FLM_TRY(flm_tensor_expect(tokens, "tokens", FLM_DTYPE_I32, 2, x->dim));
    if (!(g >= 0 && g <= 1)) FLM_FAIL(FLM_E_ARG, "g is %g, must be from 0 to 1", (double)g);
done:
    return rc;
}

flm_status flm_check_embed_learned(const flm_tensor *x, const flm_tensor *E, const flm_tensor *P,
                                   const flm_tensor *tokens, const flm_tensor *positions)
{
    flm_status rc = FLM_OK;
    const int64_t R = x->dim[0], d = x->dim[1];
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, 2, (const int64_t[]){R, d}));
    FLM_TRY(flm_tensor_expect(E, "E", FLM_DTYPE_F32, 2, (const int64_t[]){-1, d}));
    FLM_TRY(flm_tensor_expect(P, "P", FLM_DTYPE_F32, 2, (const int64_t[]){-1, d}));
    FLM_TRY(flm_tensor_expect(tokens, "tokens", FLM_DTYPE_I32, 1, &R));
    FLM_TRY(flm_tensor_expect(positions, "positions", FLM_DTYPE_I32, 1, &R));
done:
    return rc;
}

flm_status flm_check_embed_scatter(const flm_tensor *grad_E, const flm_tensor *grad_x, const flm_tensor *tokens,
                                   const flm_tensor *g)
{
    return check_embedding(grad_x, grad_E, tokens, g);
}

flm_status flm_check_sample_scale(const flm_tensor *y, const flm_tensor *x, const flm_tensor *g)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_tensor_expect(x, "x", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(flm_tensor_expect(y, "y", FLM_DTYPE_F32, x->ndim, x->dim));
    FLM_TRY(check_factor(g, x));
done:
    return rc;
}

flm_status flm_check_sample_combine(const flm_tensor *y, const flm_tensor *coefficient, const flm_tensor *x, int count)
{
    flm_status rc = FLM_OK;
    if (count < 1 || count > FLM_COMBINE_MAX)
        FLM_FAIL(FLM_E_SHAPE, "%d tensors, must be 1 to %d", count, (int)FLM_COMBINE_MAX);
    FLM_TRY(flm_check_act(y, "y", y->ndim, y->dim));
    FLM_TRY(flm_tensor_expect(coefficient, "coefficient", FLM_DTYPE_F32, 2, (const int64_t[]){y->dim[0], count}));
    for (int k = 0; k < count; k++) FLM_TRY(flm_tensor_expect(&x[k], "x", y->dtype, y->ndim, y->dim));
done:
    return rc;
}

/* Rows of `packed` act [R, n], each a row of `all` act [S, n] by index i32 [R]. */
static flm_status check_rows(const flm_tensor *packed, const flm_tensor *all, const flm_tensor *index)
{
    flm_status rc = FLM_OK;
    const int64_t n = all->dim[1];
    FLM_TRY(flm_check_act(packed, "packed rows", 2, (const int64_t[]){-1, n}));
    FLM_TRY(flm_tensor_expect(all, "rows", packed->dtype, 2, (const int64_t[]){-1, n}));
    FLM_TRY(flm_tensor_expect(index, "index", FLM_DTYPE_I32, 1, packed->dim));
done:
    return rc;
}

flm_status flm_check_gather_rows(const flm_tensor *y, const flm_tensor *x, const flm_tensor *index)
{
    return check_rows(y, x, index);
}

flm_status flm_check_scatter_rows(const flm_tensor *y, const flm_tensor *x, const flm_tensor *index)
{
    return check_rows(x, y, index);
}

flm_status flm_check_normal(const flm_tensor *out, uint64_t stream, int64_t first_sample)
{
    (void)stream;
    (void)first_sample;
    return flm_tensor_expect(out, "out", FLM_DTYPE_F32, 3, out->dim);
}
