/* flow_noise.h - the noise basis: noise in embedded form without V-dimensional arrays (docs/model.md section 4).
 *
 * For one network (k = 1): F = E, F^T F + delta I = R R^T, and x0 E has the law of xi R^T with xi ~ N(0, I_d).
 * Where V <= d, xi is x0 itself and the factor is E. Both cases: noise = xi T with T [K, d]; K = d or V.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_NOISE_H
#define FLM_FLOW_NOISE_H

#include "backend/backend_arena.h"
#include "backend/backend_ops.h"
#include "comm/comm.h"

typedef struct flm_noise_basis {
    flm_backend *be;
    int64_t V, d, K; /* xi has K components a position */
    bool direct;     /* V <= d: K = V and T is E */
    flm_tensor R;    /* f64 [d, d] lower; absent when direct */
    flm_tensor T;    /* f32 [K, d]: R^T, or a copy of E */
    flm_tensor M;    /* f32 [K, d]: xi^T ((1-g) grad_x), summed over micro-batches */
    flm_tensor P;    /* f64 [d, d], f32 [d, d]: R^-T M */
    flm_tensor P32;
    double *host;    /* [d, d], for the sum over ranks */
    flm_arena arena;
} flm_noise_basis;

/* flm_noise_create - memory of a basis for an embedding [V, d]. Not collective. Errors: FLM_E_NOMEM. */
flm_status flm_noise_create(flm_backend *be, int64_t V, int64_t d, flm_noise_basis **out);
void flm_noise_destroy(flm_noise_basis **basis);

/* flm_noise_update - make T for the embedding E f32 [V, d], equal on all ranks. Each rank's Gram matrix is of its own
 * share of the rows; fp64 throughout. Zeroes M. delta = 1e-10 trace / d. Collective.
 * Errors: FLM_E_NUMERIC (E not finite), the backend's. Source: model.md section 4. */
flm_status flm_noise_update(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E);

/* flm_noise_embed - noise f32 [B, L, d] = xi T.   in xi f32 [B, L, K]. Not collective. */
flm_status flm_noise_embed(const flm_noise_basis *basis, const flm_tensor *noise, const flm_tensor *xi);

/* flm_noise_backward - M += xi^T grad_noise.   in xi [B, L, K], grad_noise [B, L, d] = (1-g) grad_x. Not collective. */
flm_status flm_noise_backward(flm_noise_basis *basis, const flm_tensor *xi, const flm_tensor *grad_noise);

/* flm_noise_reduce - sum M over the ranks and solve for R^-T M. Once a step, after the last micro-batch. Collective. */
flm_status flm_noise_reduce(flm_noise_basis *basis, flm_comm *comm);

/* flm_noise_gradient - add the noise part F R^-T M to rows [first, first + rows) of the embedding's gradient.
 * in E [V, d]   out grad f32 [rows, d]. After flm_noise_reduce. Not collective. */
flm_status flm_noise_gradient(const flm_noise_basis *basis, const flm_tensor *E, int64_t first,
                              const flm_tensor *grad);

#endif
