/* flow_noise.c - Gram, Cholesky and the two products with xi. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_noise.h"

#include <math.h>
#include <stdlib.h>

/* ridge of the Gram matrix, relative to its mean eigenvalue: model.md section 4 */
static const double ridge = 1e-10;

static void take(flm_noise_basis *basis)
{
    flm_arena *at = &basis->arena;
    const int64_t d = basis->d;
    basis->T = flm_arena_2d(at, FLM_DTYPE_F32, basis->K, d);
    basis->M = flm_arena_2d(at, FLM_DTYPE_F32, basis->K, d);
    if (basis->direct) return;
    basis->R = flm_arena_2d(at, FLM_DTYPE_F64, d, d);
    basis->P = flm_arena_2d(at, FLM_DTYPE_F64, d, d);
    basis->P32 = flm_arena_2d(at, FLM_DTYPE_F32, d, d);
}

flm_status flm_noise_create(flm_backend *be, int64_t V, int64_t d, flm_noise_basis **out)
{
    flm_status rc = FLM_OK;
    flm_noise_basis *basis = calloc(1, sizeof *basis);
    if (basis == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the noise basis");
    *basis = (flm_noise_basis){.be = be, .V = V, .d = d, .K = V <= d ? V : d, .direct = V <= d};
    basis->host = malloc((size_t)(d * d) * sizeof *basis->host);
    if (basis->host == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a Gram matrix of %lld squared", (long long)d);
    basis->arena = flm_arena_begin(be);
    take(basis);
    FLM_TRY(flm_arena_commit(&basis->arena, "noise basis"));
    take(basis);
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
    free((*basis)->host);
    free(*basis);
    *basis = NULL;
}

/* F^T F over all rows: this rank's share on the device, the sum over ranks on the host in one order everywhere. */
static flm_status gram_all(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    const int64_t d = basis->d, rank = flm_comm_rank(comm), size = flm_comm_size(comm);
    const int64_t first = basis->V * rank / size, rows = basis->V * (rank + 1) / size - first;
    const size_t bytes = flm_tensor_bytes(&basis->R);
    FLM_TRY(be->memory->zero(be, basis->R.data, bytes));
    if (rows > 0) {
        const flm_tensor own = flm_tensor_slice(E, first, rows);
        FLM_TRY(be->ops->gram(be, &basis->R, &own, &own));
    }
    FLM_TRY(be->memory->to_host(be, basis->host, basis->R.data, bytes));
    FLM_TRY(be->stream->sync(be));
    FLM_TRY(flm_comm_sum_f64(comm, basis->host, d * d));
    double trace = 0;
    for (int64_t i = 0; i < d; i++)
        trace += basis->host[i * d + i];
    if (!isfinite(trace)) FLM_FAIL(FLM_E_NUMERIC, "the embedding is not finite");
    for (int64_t i = 0; i < d; i++)
        basis->host[i * d + i] += ridge * trace / (double)d;
    FLM_TRY(be->memory->to_device(be, basis->R.data, basis->host, bytes));
done:
    return rc;
}

/* T = R^T in f32, transposed on the host: d^2 values once a step. */
static flm_status transpose_factor(flm_noise_basis *basis)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    const int64_t d = basis->d;
    double *R = basis->host;
    FLM_TRY(be->memory->to_host(be, R, basis->R.data, flm_tensor_bytes(&basis->R)));
    FLM_TRY(be->stream->sync(be));
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < i; j++) {
            R[j * d + i] = R[i * d + j];
            R[i * d + j] = 0;
        }
    FLM_TRY(be->memory->to_device(be, basis->P.data, R, flm_tensor_bytes(&basis->P)));
    FLM_TRY(be->ops->cast(be, &basis->T, &basis->P));
    FLM_TRY(be->stream->sync(be));
done:
    return rc;
}

flm_status flm_noise_update(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    FLM_TRY(be->memory->zero(be, basis->M.data, flm_tensor_bytes(&basis->M)));
    if (basis->direct) {
        FLM_TRY(be->memory->copy(be, basis->T.data, E->data, flm_tensor_bytes(&basis->T)));
    } else {
        FLM_TRY(gram_all(basis, comm, E));
        FLM_TRY(be->ops->cholesky(be, &basis->R));
        FLM_TRY(transpose_factor(basis));
    }
done:
    return rc;
}

static flm_status product(flm_backend *be, const flm_tensor *a, bool transpose_a, const flm_tensor *b,
                          const flm_tensor *c, bool accumulate)
{
    const flm_tensor a2 = flm_tensor_flat(a), b2 = flm_tensor_flat(b), c2 = flm_tensor_flat(c);
    return be->ops->matmul(
        be, &(flm_matmul){.a = &a2, .b = &b2, .c = &c2, .transpose_a = transpose_a, .accumulate = accumulate});
}

flm_status flm_noise_embed(const flm_noise_basis *basis, const flm_tensor *noise, const flm_tensor *xi)
{
    return product(basis->be, xi, false, &basis->T, noise, false);
}

flm_status flm_noise_backward(flm_noise_basis *basis, const flm_tensor *xi, const flm_tensor *grad_noise)
{
    return product(basis->be, xi, true, grad_noise, &basis->M, true);
}

flm_status flm_noise_reduce(flm_noise_basis *basis, flm_comm *comm)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    flm_comm_request *request = NULL;
    FLM_TRY(flm_comm_sum_f32_begin(comm, be, basis->M.data, flm_tensor_elements(&basis->M), &request));
    FLM_TRY(flm_comm_wait(comm, &request, NULL));
    if (!basis->direct) {
        FLM_TRY(be->ops->cast(be, &basis->P, &basis->M));
        FLM_TRY(be->ops->triangular_solve(be, &basis->P, &basis->R, true));
        FLM_TRY(be->ops->cast(be, &basis->P32, &basis->P));
    }
done:
    return rc;
}

flm_status flm_noise_gradient(const flm_noise_basis *basis, const flm_tensor *E, int64_t first,
                              const flm_tensor *grad)
{
    const int64_t rows = grad->dim[0];
    if (rows == 0) return FLM_OK;
    if (basis->direct) {
        const flm_tensor M = flm_tensor_slice(&basis->M, first, rows);
        return basis->be->ops->axpby(basis->be, grad, 1.0f, &M, 1.0f);
    }
    const flm_tensor F = flm_tensor_slice(E, first, rows);
    return product(basis->be, &F, false, &basis->P32, grad, true);
}
