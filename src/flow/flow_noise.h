/* flow_noise.h - the noise basis: noise in embedded form without V-dimensional arrays (docs/model.md section 4).
 *
 * E_1 .. E_k are the embeddings of networks that see the same noise; the last one is trained, the others are frozen.
 * F = [E_1, (E_2 - E_1)/s_2, ...], F^T F + delta I = R R^T, and x0 F has the distribution of xi R^T with xi ~ N(0, I).
 * xi is k tensors of d components; the first equals that of an FLM with the same seed (unless d < V <= k d). The Gram
 * matrices of frozen embeddings are computed once. If V <= k d, xi is x0 itself, one tensor of V components, and the
 * factors are the embeddings.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_NOISE_H
#define FLM_FLOW_NOISE_H

#include "backend/backend_arena.h"
#include "backend/backend_ops.h"
#include "comm/comm.h"

enum { FLM_NOISE_NETWORKS = 3 }; /* max k, in the second stage of distillation */

typedef struct flm_noise_basis {
    flm_backend *be;
    int64_t V, d;
    int networks;                              /* k */
    bool direct;                               /* V <= k d */
    int blocks;                                /* of xi: k, or 1 when direct */
    int64_t width, K;                          /* components of a block, d or V; K = blocks width */
    flm_tensor frozen[FLM_NOISE_NETWORKS - 1]; /* E_1 .. E_k-1 f32 [V, d], owned by the caller */
    flm_tensor
        scale; /* f32 [k, 2]: s_j = ||E_j - E_1|| / ||E_1||, 1 for E_1; 1 / s_j, 0 if s_j is; absent when direct */
    /* x0 E_j = sum over i of xi_i T[j][i]^T, T f32 [d, d]; direct: xi T[j][0], T f32 [V, d] */
    flm_tensor T[FLM_NOISE_NETWORKS][FLM_NOISE_NETWORKS];
    flm_tensor R;                            /* f64 [k d, k d] lower; absent when direct */
    flm_tensor M;                            /* f32 [K, d]: xi^T ((1-g) grad_x), summed over micro-batches */
    flm_tensor P, P32;                       /* f64, f32 [k d, d]: R^-T M; in P32 block j is divided by s_j */
    flm_tensor diff[FLM_NOISE_NETWORKS - 1]; /* f32 [chunk, d]: E_j - E_1 of a chunk of rows */
    bool frozen_change;                      /* set by the owner: the last frozen embedding is an average of the trained
                                                one, and differs from update to update */
    bool in_parts;                           /* set by the owner: F P with flm_matmul.in_parts, for activations in
                                                bf16 */
    bool frozen_done;                        /* gram has the blocks of the frozen embeddings */
    flm_tensor gram;                         /* f64 [k (k + 1) / 2, d, d]: lower blocks, Gram of E_1, E_2 - E_1, ... */
    flm_tensor verdict;                      /* i32 [1] of the factorisation; absent when direct */
    int32_t *row;                            /* the verdict, from host_alloc, after a wait; 0 when direct */
    flm_arena arena;
} flm_noise_basis;

/* flm_noise_create - a basis of count (0..2) frozen embeddings f32 [V, d], the teacher's first, and a trained one. The
 * frozen ones must outlive the basis and not change, unless frozen_change is set. Not collective. Errors: FLM_E_NOMEM.
 */
flm_status flm_noise_create(flm_backend *be, int64_t V, int64_t d, int count, const flm_tensor *frozen,
                            flm_noise_basis **out);
void flm_noise_destroy(flm_noise_basis **basis);

/* flm_noise_update - compute T for the trained embedding E f32 [V, d], equal on all ranks, and set M to zero. Each rank
 * computes Gram matrices of its share of the rows; fp64 throughout. delta = 1e-10 ||E_1||^2 / d = 1e-10 trace / (k d);
 * with frozen_change that of the last block is larger by 1e-8 / s_k^2 of the same, so that the direction of a
 * difference which is only rounding has no part in the gradient. Collective. Errors: FLM_E_NUMERIC (an embedding not
 * finite), the backend's. Source: model.md section 4. */
flm_status flm_noise_update(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E);

/* flm_noise_begin - flm_noise_update without a wait for the device. What cannot be found without one is an error of
 * flm_noise_check, for the caller's next wait: until then results may be NaN. Collective. */
flm_status flm_noise_begin(flm_noise_basis *basis, flm_comm *comm, const flm_tensor *E);
flm_status flm_noise_check(const flm_noise_basis *basis);

/* flm_noise_draw - xi of samples first_sample, ... of a stream.   out xi: `blocks` tensors f32 [B, L, width].
 * Not collective. */
flm_status flm_noise_draw(const flm_noise_basis *basis, const flm_tensor *xi, uint64_t stream, int64_t first_sample);

/* flm_noise_embed - noise f32 [B, L, d] = x0 E_j of network j, 0 .. k-1.   in xi: as drawn.
 * Not collective. */
flm_status flm_noise_embed(const flm_noise_basis *basis, int j, const flm_tensor *noise, const flm_tensor *xi);

/* flm_noise_backward - M += xi^T grad_noise, with grad_noise f32 [B, L, d] = (1-g) grad_x of the trained network.
 * in xi: as drawn. Not collective. */
flm_status flm_noise_backward(flm_noise_basis *basis, const flm_tensor *xi, const flm_tensor *grad_noise);

/* flm_noise_reduce - sum M over the ranks and solve for R^-T M; once a step, after the last micro-batch.
 * Collective. */
flm_status flm_noise_reduce(flm_noise_basis *basis, flm_comm *comm);

/* flm_noise_gradient - add the noise part F R^-T M to rows [first, first + rows) of the trained embedding's gradient,
 * after flm_noise_reduce.   in E f32 [V, d] of flm_noise_update   out grad f32 [rows, d]. Not collective. */
flm_status flm_noise_gradient(const flm_noise_basis *basis, const flm_tensor *E, int64_t first, const flm_tensor *grad);

#endif
