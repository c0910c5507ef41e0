/* flow_noise.c - Gram matrices, Cholesky factor, and matmuls with xi.
 *
 * The differences E_j - E_1 are not divided by s_j; their Gram matrices are, in fp64. The factors of R are multiplied
 * by s_j in T and divided by it in P32, which multiplies the plain differences. The host only sums and scales the Gram
 * matrices; meanwhile a GPU waits. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_noise.h"

#include "base/base_philox.h"
#include "base/base_share.h"
#include "model/model_dit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Smaller s_j are taken as zero: the block would not change an fp32 sum, and 1 / s_j could overflow. */
static const double min_scale = 1e-30;

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
    const size_t entries = (size_t)(k * d) * (size_t)(k * d);
    flm_noise_basis *basis = calloc(1, sizeof *basis);
    if (basis == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the noise basis");
    *basis = (flm_noise_basis){.be = be, .V = V, .d = d, .networks = k, .direct = direct};
    basis->blocks = direct ? 1 : k;
    basis->width = direct ? V : d;
    basis->K = basis->blocks * basis->width;
    for (int j = 0; j < count; j++) basis->frozen[j] = frozen[j];
    if (!direct) {
        void *host = NULL;
        basis->gram = malloc(entries * sizeof *basis->gram);
        if (basis->gram == NULL)
            FLM_FAIL(FLM_E_NOMEM, "no memory for a Gram matrix of %lld x %lld", (long long)(k * d), (long long)(k * d));
        FLM_TRY(be->memory->host_alloc(be, entries * sizeof *basis->work, &host));
        basis->work = host;
    }
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
    free((*basis)->gram);
    (*basis)->be->memory->host_release((*basis)->be, (*basis)->work);
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

/* A block of the Gram matrix: rows of network i, columns of network j <= i. */
typedef struct pair {
    int i, j;
} pair;

/* The blocks to compute: those of the trained embedding, and the first time those of the frozen ones. */
static int list_pairs(const flm_noise_basis *basis, pair *list)
{
    const int k = basis->networks;
    int count = 0;
    for (int j = 0; j < k; j++) list[count++] = (pair){k - 1, j};
    for (int i = 0; i + 1 < k && !basis->frozen_done; i++)
        for (int j = 0; j <= i; j++) list[count++] = (pair){i, j};
    return count;
}

/* Add the contribution of some rows; block b of the list is at R + b d^2. */
static flm_status add_pairs(flm_noise_basis *basis, const flm_tensor *E, int64_t first, int64_t rows, const pair *list,
                            int count)
{
    flm_status rc = FLM_OK;
    const int64_t d = basis->d;
    flm_tensor factor[FLM_NOISE_NETWORKS];
    for (int j = 0; j < basis->networks; j++) FLM_TRY(factor_rows(basis, j, E, first, rows, &factor[j]));
    for (int b = 0; b < count; b++) {
        const flm_tensor G = flm_tensor_2d((double *)basis->R.data + b * d * d, FLM_DTYPE_F64, d, d);
        FLM_TRY(flm_op_gram(basis->be, &G, &factor[list[b].i], &factor[list[b].j]));
    }
done:
    return rc;
}

/* gram of all rows: this rank's share on the device, the sum over ranks on the host, in the same order on every rank.
 */
static flm_status gram_all(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    const int64_t d = basis->d, kd = basis->networks * d;
    const flm_share own = flm_share_of(basis->V, flm_comm_rank(comm), flm_comm_size(comm));
    const int64_t end = own.first + own.count;
    pair list[FLM_NOISE_NETWORKS * (FLM_NOISE_NETWORKS + 1) / 2];
    const int count = list_pairs(basis, list);
    const size_t bytes = (size_t)(count * d * d) * sizeof(double);
    FLM_TRY(be->memory->zero(be, basis->R.data, bytes));
    for (int64_t first = own.first; first < end; first += CHUNK)
        FLM_TRY(add_pairs(basis, E, first, end - first < CHUNK ? end - first : CHUNK, list, count));
    FLM_TRY(be->memory->to_host(be, basis->work, basis->R.data, bytes));
    FLM_TRY(be->stream->sync(be));
    FLM_TRY(flm_comm_sum_f64(comm, basis->work, count * d * d));
    for (int b = 0; b < count; b++)
        for (int64_t r = 0; r < d; r++)
            memcpy(basis->gram + (list[b].i * d + r) * kd + list[b].j * d, basis->work + (b * d + r) * d,
                   (size_t)d * sizeof(double));
    basis->frozen_done = !basis->frozen_change;
done:
    return rc;
}

static double trace_of(const flm_noise_basis *basis, int j)
{
    const int64_t d = basis->d, kd = basis->networks * d;
    double trace = 0;
    for (int64_t i = j * d; i < (j + 1) * d; i++) trace += basis->gram[i * kd + i];
    return trace;
}

/* Sets s, and the lower triangle of work to that of F^T F + delta I. */
static flm_status scale_gram(flm_noise_basis *basis)
{
    flm_status rc = FLM_OK;
    const int64_t d = basis->d, kd = basis->networks * d;
    const double base = trace_of(basis, 0);
    for (int j = 0; j < basis->networks; j++) {
        const double trace = trace_of(basis, j);
        if (!isfinite(trace)) FLM_FAIL(FLM_E_NUMERIC, "the embedding is not finite");
        basis->s[j] = j == 0 ? 1 : base > 0 ? sqrt(trace / base) : 0;
        if (basis->s[j] < min_scale) basis->s[j] = 0;
    }
    for (int64_t i = 0; i < kd; i++) {
        for (int64_t at = 0; at <= i; at += d) { /* a row of a block, up to the diagonal */
            const int64_t end = at + d <= i ? at + d : i + 1;
            const double scale = basis->s[i / d] * basis->s[at / d];
            for (int64_t j = at; j < end; j++)
                basis->work[i * kd + j] = scale > 0 ? basis->gram[i * kd + j] / scale : 0;
        }
        basis->work[i * kd + i] += ridge * base / (double)d;
    }
    const int last = basis->networks - 1;
    for (int64_t i = last * d; i < kd && basis->frozen_change && basis->s[last] > 0; i++)
        basis->work[i * kd + i] += average_ridge / (basis->s[last] * basis->s[last]) * base / (double)d;
done:
    return rc;
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
            if (j > 0) FLM_TRY(flm_op_axpby(basis->be, T, i == 0 ? 1 : 0, first, (float)basis->s[j]));
        }
done:
    return rc;
}

flm_status flm_noise_update(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E)
{
    flm_status rc = FLM_OK;
    flm_backend *be = basis->be;
    FLM_TRY(be->memory->zero(be, basis->M.data, flm_tensor_bytes(&basis->M)));
    if (basis->direct) {
        const flm_tensor *T = &basis->T[basis->networks - 1][0];
        FLM_TRY(be->memory->copy(be, T->data, E->data, flm_tensor_bytes(T)));
    } else {
        FLM_TRY(gram_all(basis, comm, E));
        FLM_TRY(scale_gram(basis));
        FLM_TRY(be->memory->to_device(be, basis->R.data, basis->work, flm_tensor_bytes(&basis->R)));
        FLM_TRY(flm_op_cholesky(be, &basis->R));
        FLM_TRY(make_factors(basis));
    }
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
    const int last = !basis->direct && basis->s[j] > 0 ? j : 0; /* the other blocks are zero */
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
        if (basis->s[j] == 0) continue; /* the block is not used */
        const flm_tensor P = flm_tensor_slice(&basis->P32, j * basis->d, basis->d);
        const flm_tensor any = flm_tensor_slice(&basis->P32, 0, basis->d);
        FLM_TRY(flm_op_axpby(be, &P, 0, &any, (float)(1 / basis->s[j])));
    }
done:
    return rc;
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
        FLM_TRY(flm_dit_matmul(basis->be, &factor, false, &P, false, &to, true, NULL, NULL));
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
    FLM_TRY(flm_dit_matmul(basis->be, &F, false, &P, false, grad, true, NULL, NULL));
    for (int j = 1; j < basis->networks; j++)
        if (basis->s[j] > 0) FLM_TRY(add_difference(basis, j, E, first, grad));
done:
    return rc;
}
