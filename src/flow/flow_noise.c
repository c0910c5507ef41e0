/* flow_noise.c - Gram matrices, Cholesky factor, and matmuls with xi.
 *
 * The differences E_j - E_1 are not divided by s_j; their Gram matrices are, in fp64. The factors of R are multiplied
 * by s_j in T and divided by it in P32, which multiplies the plain differences. All of it stays on the device: the host
 * learns at its next wait whether the factorisation succeeded (flm_noise_check). SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_noise.h"

#include "base/base_philox.h"
#include "base/base_share.h"
#include "model/model_dit.h"

#include <stdlib.h>

/* Ridge of the Gram matrix, relative to its mean eigenvalue: model.md section 4. */
static const double ridge = 1e-10;

/* The same for the last block where an average of the trained embedding takes part, relative to ||E_1||^2: both are
 * nearly on a line with E_1 at first, and what is then left of the last difference is rounding, in whose direction the
 * gradient would have noise of full size. A difference of this size, or below, counts less. */
static const double average_ridge = 1e-8;

/* Rows of differences at once; a multiple of the panels of flm_op_gram. */
enum { CHUNK = 1024 };

static void layout(flm_noise_basis *basis)
{
    flm_arena *at = &basis->arena;
    const int64_t d = basis->d;
    const int k = basis->networks;
    for (int j = 0; j < k; j++)
        for (int i = 0; i <= j && i < basis->blocks; i++)
            basis->T[j][i] =
                basis->direct && j + 1 < k ? basis->frozen[j] : flm_arena_2d(at, FLM_DTYPE_F32, basis->width, d);
    basis->M = flm_arena_2d(at, FLM_DTYPE_F32, basis->K, d);
    if (basis->direct) return;
    basis->gram = flm_arena_3d(at, FLM_DTYPE_F64, k * (k + 1) / 2, d, d);
    basis->scale = flm_arena_2d(at, FLM_DTYPE_F32, k, 2);
    basis->verdict = flm_arena_1d(at, FLM_DTYPE_I32, 1);
    basis->R = flm_arena_2d(at, FLM_DTYPE_F64, k * d, k * d);
    basis->P = flm_arena_2d(at, FLM_DTYPE_F64, k * d, d);
    basis->P32 = flm_arena_2d(at, FLM_DTYPE_F32, k * d, d);
    for (int j = 1; j < k; j++) basis->diff[j - 1] = flm_arena_2d(at, FLM_DTYPE_F32, CHUNK, d);
}

flm_status flm_noise_create(flm_backend *be, int64_t V, int64_t d, int count, const flm_tensor *frozen,
                            flm_noise_basis **out)
{
    flm_status rc = FLM_OK;
    const int k = count + 1;
    const bool direct = V <= k * d;
    void *host = NULL;
    flm_noise_basis *basis = calloc(1, sizeof *basis);
    if (basis == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the noise basis");
    *basis = (flm_noise_basis){.be = be, .V = V, .d = d, .networks = k, .direct = direct};
    basis->blocks = direct ? 1 : k;
    basis->width = direct ? V : d;
    basis->K = basis->blocks * basis->width;
    for (int j = 0; j < count; j++) basis->frozen[j] = frozen[j];
    FLM_TRY(be->memory->host_alloc(be, sizeof *basis->row, &host));
    basis->row = host;
    *basis->row = 0;
    basis->arena = flm_arena_begin(be);
    layout(basis);
    FLM_TRY(flm_arena_commit(&basis->arena, "noise basis"));
    layout(basis);
    *out = basis;
    basis = NULL;
done:
    flm_noise_destroy(&basis);
    return rc;
}

void flm_noise_destroy(flm_noise_basis **basis)
{
    if (*basis == NULL) return;
    flm_arena_release(&(*basis)->arena);
    (*basis)->be->memory->host_release((*basis)->be, (*basis)->row);
    free(*basis);
    *basis = NULL;
}

static flm_tensor embedding(const flm_noise_basis *basis, int j, const flm_tensor *E)
{
    return j + 1 < basis->networks ? basis->frozen[j] : *E;
}

/* Rows [first, first + rows) of E_1, or of E_j - E_1 (j >= 1) computed in diff[j - 1]. */
static flm_status factor_rows(const flm_noise_basis *basis, int j, const flm_tensor *E, int64_t first, int64_t rows,
                              flm_tensor *out)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    const flm_tensor from = embedding(basis, j, E), own = flm_tensor_slice(&from, first, rows);
    if (j == 0) {
        *out = own;
        goto done;
    }
    const flm_tensor base = embedding(basis, 0, E), base_rows = flm_tensor_slice(&base, first, rows);
    *out = flm_tensor_slice(&basis->diff[j - 1], 0, rows);
    FLM_TRY(be->memory->copy(be, out->data, own.data, flm_tensor_bytes(out)));
    FLM_TRY(flm_op_axpby(be, out, -1.0f, &base_rows, 1.0f)); /* exact if they are close */
done:
    return rc;
}

/* Block (i, j <= i) of the Gram matrix, as flm_gram_scale numbers them: those of the trained embedding are the last. */
static flm_tensor gram_block(const flm_noise_basis *basis, int i, int j)
{
    const flm_tensor block = flm_tensor_slice(&basis->gram, i * (i + 1) / 2 + j, 1);
    return flm_tensor_2d(block.data, FLM_DTYPE_F64, basis->d, basis->d);
}

/* Add the contribution of some rows to the blocks of networks `from` and above. */
static flm_status add_rows(flm_noise_basis *basis, const flm_tensor *E, int64_t first, int64_t rows, int from)
{
    flm_status rc = FLM_OK;
    flm_tensor factor[FLM_NOISE_NETWORKS];
    for (int j = 0; j < basis->networks; j++) FLM_TRY(factor_rows(basis, j, E, first, rows, &factor[j]));
    for (int i = from; i < basis->networks; i++)
        for (int j = 0; j <= i; j++) {
            const flm_tensor G = gram_block(basis, i, j);
            FLM_TRY(flm_op_gram(basis->be, &G, &factor[i], &factor[j]));
        }
done:
    return rc;
}

/* The blocks of the trained embedding, and the first time those of the frozen ones: of all rows, each rank's share
 * summed over the ranks. */
static flm_status gram_all(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    flm_comm_request *request = NULL;
    const int k = basis->networks, from = basis->frozen_done ? k - 1 : 0;
    const flm_share own = flm_share_of(basis->V, flm_comm_rank(comm), flm_comm_size(comm));
    const int64_t end = own.first + own.count, known = from * (from + 1) / 2;
    const flm_tensor fresh = flm_tensor_slice(&basis->gram, known, basis->gram.dim[0] - known);
    FLM_TRY(be->memory->zero(be, fresh.data, flm_tensor_bytes(&fresh)));
    for (int64_t first = own.first; first < end; first += CHUNK)
        FLM_TRY(add_rows(basis, E, first, end - first < CHUNK ? end - first : CHUNK, from));
    FLM_TRY(flm_comm_sum_f64_begin(comm, be, fresh.data, flm_tensor_elements(&fresh), &request));
    FLM_TRY(flm_comm_wait(comm, &request));
    basis->frozen_done = !basis->frozen_change;
done:
    return rc;
}

/* s_j (value 0) or 1 / s_j (value 1), f32 [1] on the device. */
static flm_tensor scale_of(const flm_noise_basis *basis, int j, int value)
{
    return flm_tensor_1d((float *)basis->scale.data + 2 * j + value, FLM_DTYPE_F32, 1);
}

/* T in f32 from R, on the device: T[0][0] is block (0, 0) of R, T[j][i] is s_j times block (j, i), plus T[0][0] if i is
 * 0. */
static flm_status make_factors(flm_noise_basis *basis)
{
    flm_status rc = FLM_OK;
    const int64_t d = basis->d, kd = basis->networks * d;
    const flm_tensor *first = &basis->T[0][0];
    for (int j = 0; j < basis->networks; j++)
        for (int i = 0; i <= j; i++) {
            const flm_tensor *T = &basis->T[j][i];
            flm_tensor block = flm_tensor_2d((double *)basis->R.data + j * d * kd + i * d, FLM_DTYPE_F64, d, d);
            block.row_stride = kd;
            FLM_TRY(flm_op_cast(basis->be, T, &block));
            const flm_tensor s = scale_of(basis, j, 0);
            if (j > 0) FLM_TRY(flm_op_axpby_scaled(basis->be, T, i == 0 ? 1 : 0, first, &s));
        }
done:
    return rc;
}

flm_status flm_noise_begin(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    FLM_TRY(be->memory->zero(be, basis->M.data, flm_tensor_bytes(&basis->M)));
    if (basis->direct) {
        const flm_tensor *T = &basis->T[basis->networks - 1][0];
        FLM_TRY(be->memory->copy(be, T->data, E->data, flm_tensor_bytes(T)));
    } else {
        FLM_TRY(gram_all(basis, comm, E));
        rc = flm_op_gram_scale(be, &(flm_gram_scale){.R = &basis->R,
                                                     .scale = &basis->scale,
                                                     .gram = &basis->gram,
                                                     .ridge = ridge,
                                                     .last_ridge = basis->frozen_change ? average_ridge : 0});
        if (rc == FLM_E_NUMERIC) flm_err_prefix(rc, "the embedding is not finite");
        FLM_TRY(rc);
        FLM_TRY(flm_op_cholesky(be, &basis->R, &basis->verdict));
        FLM_TRY(be->memory->to_host(be, basis->row, basis->verdict.data, sizeof *basis->row));
        FLM_TRY(make_factors(basis));
    }
done:
    return rc;
}

flm_status flm_noise_check(const flm_noise_basis *basis)
{
    flm_status rc = FLM_OK;
    if (*basis->row != 0)
        FLM_FAIL(FLM_E_NUMERIC, "the embedding is not finite, or its Gram matrix not positive definite (row %d)",
                 (int)*basis->row - 1);
done:
    return rc;
}

flm_status flm_noise_update(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_noise_begin(basis, comm, E));
    FLM_TRY(basis->be->stream->sync(basis->be));
    FLM_TRY(flm_noise_check(basis));
done:
    return rc;
}

flm_status flm_noise_draw(const flm_noise_basis *basis, const flm_tensor *xi, uint64_t stream, int64_t first_sample)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < basis->blocks; i++) {
        const uint64_t own = i == 0 ? stream : flm_philox_stream(stream, FLM_RANDOM_NOISE, (uint64_t)i, 0);
        FLM_TRY(flm_op_normal(basis->be, &xi[i], own, first_sample));
    }
done:
    return rc;
}

flm_status flm_noise_embed(const flm_noise_basis *basis, int j, const flm_tensor *noise, const flm_tensor *xi)
{
    flm_status rc = FLM_OK;
    const int last = basis->direct ? 0 : j;
    for (int i = 0; i <= last; i++)
        FLM_TRY(flm_dit_matmul(basis->be, &xi[i], false, &basis->T[j][i], !basis->direct, noise, i > 0, NULL, NULL));
done:
    return rc;
}

flm_status flm_noise_backward(flm_noise_basis *basis, const flm_tensor *xi, const flm_tensor *grad_noise)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < basis->blocks; i++) {
        const flm_tensor M = flm_tensor_slice(&basis->M, i * basis->width, basis->width);
        FLM_TRY(flm_dit_matmul(basis->be, &xi[i], true, grad_noise, false, &M, true, NULL, NULL));
    }
done:
    return rc;
}

flm_status flm_noise_reduce(flm_noise_basis *basis, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    flm_comm_request *request = NULL;
    FLM_TRY(flm_comm_sum_f32_begin(comm, be, basis->M.data, flm_tensor_elements(&basis->M), &request));
    FLM_TRY(flm_comm_wait(comm, &request));
    if (!basis->direct) {
        FLM_TRY(flm_op_cast(be, &basis->P, &basis->M));
        FLM_TRY(flm_op_triangular_solve(be, &basis->P, &basis->R, true));
        FLM_TRY(flm_op_cast(be, &basis->P32, &basis->P));
    }
    for (int j = 1; j < basis->networks && !basis->direct; j++) {
        const flm_tensor P = flm_tensor_slice(&basis->P32, j * basis->d, basis->d);
        const flm_tensor any = flm_tensor_slice(&basis->P32, 0, basis->d);
        const flm_tensor inverse = scale_of(basis, j, 1);
        FLM_TRY(flm_op_axpby_scaled(be, &P, 0, &any, &inverse));
    }
done:
    return rc;
}

/* grad += F P. */
static flm_status add_product(const flm_noise_basis *basis, const flm_tensor *F, const flm_tensor *P,
                              const flm_tensor *grad)
{
    return flm_op_matmul(basis->be,
                         &(flm_matmul){.a = F, .b = P, .c = grad, .accumulate = true, .in_parts = basis->in_parts});
}

/* grad += (E_j - E_1) P_j, a chunk at a time. */
static flm_status add_difference(const flm_noise_basis *basis, int j, const flm_tensor *E, int64_t first,
                                 const flm_tensor *grad)
{
    flm_status rc = FLM_OK;
    const flm_tensor P = flm_tensor_slice(&basis->P32, j * basis->d, basis->d);
    for (int64_t at = 0; at < grad->dim[0]; at += CHUNK) {
        const int64_t rows = grad->dim[0] - at < CHUNK ? grad->dim[0] - at : CHUNK;
        const flm_tensor to = flm_tensor_slice(grad, at, rows);
        flm_tensor factor;
        FLM_TRY(factor_rows(basis, j, E, first + at, rows, &factor));
        FLM_TRY(add_product(basis, &factor, &P, &to));
    }
done:
    return rc;
}

flm_status flm_noise_gradient(const flm_noise_basis *basis, const flm_tensor *E, int64_t first, const flm_tensor *grad)
{
    flm_status rc = FLM_OK;
    const int64_t rows = grad->dim[0];
    if (rows == 0) goto done;
    if (basis->direct) {
        const flm_tensor M = flm_tensor_slice(&basis->M, first, rows);
        FLM_TRY(flm_op_axpby(basis->be, grad, 1.0f, &M, 1.0f));
        goto done;
    }
    const flm_tensor base = embedding(basis, 0, E), F = flm_tensor_slice(&base, first, rows);
    const flm_tensor P = flm_tensor_slice(&basis->P32, 0, basis->d);
    FLM_TRY(add_product(basis, &F, &P, grad));
    for (int j = 1; j < basis->networks; j++) FLM_TRY(add_difference(basis, j, E, first, grad));
done:
    return rc;
}
