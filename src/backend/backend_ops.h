/* backend_ops.h - the table of numerical operations every backend fills.
 *
 * Conventions, for all ops unless one says otherwise:
 *   - tensors live on the backend, contiguous, row-major; letters as in model.md: B L V d H N, h = d / H;
 *   - where "padded rows" stands, these may be padded (backend_tensor.h), each to a step of its own: padding is neither
 * used nor written, and what is written in place has its operand's step; everywhere else padded rows are refused;
 *   - "act" is an activation dtype, f32 or bf16; all act tensors of one call have the same dtype;
 *   - "+=" means the op accumulates into what is there; "=" overwrites;
 *   - collective: no; queued on the backend's stream; outputs undefined after an error;
 *   - no aliasing among arguments unless stated;
 *   - results do not depend on the number of threads where "deterministic" is stated;
 *   - host backends refuse indices out of their table, with FLM_E_ARG; devices read and write nothing out of bounds and
 *     give NaN for what depends on one, which a training step's check for finite values finds;
 *   - errors: FLM_E_SHAPE (tensors that do not fit), FLM_E_UNSUPPORTED, FLM_E_DEVICE.
 * Every slot is filled: a backend without an op puts the shared placeholder there, which returns FLM_E_UNSUPPORTED.
 * How to add an op: CONTRIBUTING.md. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BACKEND_OPS_H
#define FLM_BACKEND_OPS_H

#include "backend/backend_arguments.h"

typedef struct flm_ops {
    /* ---- products ---- */
    flm_status (*matmul)(flm_backend *be, const flm_matmul *p);
    /* column_sum - out[n] += sum over rows of x.   in x act|f32 [M, N], padded rows   out f32 [N].  Deterministic. */
    flm_status (*column_sum)(flm_backend *be, const flm_tensor *out, const flm_tensor *x);

    /* ---- the DiT's fused pieces (model.md section 2) ---- */
    /* layernorm_modulate - y = LN(x; w) * (1 + scale) + shift over the last axis, eps 1e-5, biased variance.
     * in x f32 [B, L, d]; w f32 [d]; mod f32 [B, M]: shift is columns [shift_at, shift_at + d), scale likewise
     * out y act [B, L, d]; mean, rstd f32 [B, L]. */
    flm_status (*layernorm_modulate)(flm_backend *be, const flm_tensor *y, const flm_tensor *mean,
                                     const flm_tensor *rstd, const flm_tensor *x, const flm_tensor *w,
                                     const flm_tensor *mod, int64_t shift_at, int64_t scale_at);
    /* layernorm_modulate_backward - grad_x += ..., grad_w += ..., grad_mod's shift and scale columns = ...
     * in grad_y act [B, L, d]; x, w, mod, mean, rstd as above   out grad_x f32 [B, L, d]; grad_w f32 [d];
     * grad_mod f32 [B, M].  Deterministic. */
    flm_status (*layernorm_modulate_backward)(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_w,
                                              const flm_tensor *grad_mod, const flm_tensor *grad_y, const flm_tensor *x,
                                              const flm_tensor *mean, const flm_tensor *rstd, const flm_tensor *w,
                                              const flm_tensor *mod, int64_t shift_at, int64_t scale_at);
    /* gate_residual - y = x + gate * dropout(branch).   in x f32, branch act [B, L, d]; mod f32 [B, M], gate its
     * columns [gate_at, gate_at + d)   out y f32 [B, L, d]; y may be x. */
    flm_status (*gate_residual)(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *branch,
                                const flm_tensor *mod, int64_t gate_at, const flm_dropout *dropout);
    /* gate_residual_backward - grad_branch = gate * dropout'(grad_y); grad_mod's gate columns =
     * sum over L of grad_y * dropout(branch).   (grad_x is grad_y itself: nothing to do.)
     * in grad_y f32; branch act   out grad_branch act; may alias branch.  Deterministic. */
    flm_status (*gate_residual_backward)(flm_backend *be, const flm_tensor *grad_branch, const flm_tensor *grad_mod,
                                         const flm_tensor *grad_y, const flm_tensor *branch, const flm_tensor *mod,
                                         int64_t gate_at, const flm_dropout *dropout);
    /* gelu_backward - grad_x = grad_y * gelu_tanh'(x); grad_b += column sums of grad_x (fp32).
     * in x, grad_y act [M, N]   out grad_x act [M, N], may be grad_y; grad_b f32 [N]. */
    flm_status (*gelu_backward)(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_b,
                                const flm_tensor *x, const flm_tensor *grad_y);
    /* rope - rotate q and k of qkv act [B, L, 3d] in place (half-split), v untouched.
     * in table f32 [L, h/2, 2]: cos, sin.   d = 3d / 3, H = d / h. */
    flm_status (*rope)(flm_backend *be, const flm_tensor *qkv, const flm_tensor *table);
    /* attention - o = softmax(softcap tanh(q k^T / (sqrt(h) softcap))) v over all L keys, a head at a time.
     * in qkv act [B, L, 3d], rows [q | k | v], each head-major; H heads
     * out o act [B, L, d]; lse f32 [B, H, L]: log of the sum of exp of the capped scores. Never stores L x L. */
    flm_status (*attention)(flm_backend *be, const flm_tensor *o, const flm_tensor *lse, const flm_tensor *qkv,
                            int64_t H, float softcap);
    /* attention_causal - o = softmax(q k^T / sqrt(h)) v over a sequence's own keys up to the query's, a head at a time.
     * Sequences lie one after the other, without padding: number b is rows [starts[b], starts[b + 1]).
     * in qkv act [R, 3d], rows as above; starts i32 [B + 1], ascending from 0 to R at most; H heads
     * out o act [R, d]; rows of no sequence are zeros. A sequence's o depends on its own rows alone: the same bits in
     * any company. Errors also FLM_E_ARG for starts out of order (host backends; on a device o is then undefined). */
    flm_status (*attention_causal)(flm_backend *be, const flm_tensor *o, const flm_tensor *qkv,
                                   const flm_tensor *starts, int64_t H);
    /* attention_backward - grad_qkv = ...   in grad_o, o act [B, L, d]; qkv, lse as above   out grad_qkv act.
     * rope: absent, or the table that q and k of qkv were rotated by, f32 [L, h/2, 2]: grad_qkv is then that of the
     * unrotated ones, grad_q and grad_k being rotated back before they are rounded.  Deterministic. */
    flm_status (*attention_backward)(flm_backend *be, const flm_tensor *grad_qkv, const flm_tensor *grad_o,
                                     const flm_tensor *o, const flm_tensor *qkv, const flm_tensor *lse, int64_t H,
                                     float softcap, const flm_tensor *rope);
    /* silu - y = x / (1 + exp(-x)); silu_backward - grad_x = grad_y * silu'(x), grad_x may be grad_y.  f32, any shape.
     */
    flm_status (*silu)(flm_backend *be, const flm_tensor *y, const flm_tensor *x);
    flm_status (*silu_backward)(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                const flm_tensor *x);
    /* gelu_erf - y = x Phi(x), the exact GELU; gelu_erf_backward - grad_x = grad_y * its derivative, grad_x may be
     * grad_y.  f32, any shape. */
    flm_status (*gelu_erf)(flm_backend *be, const flm_tensor *y, const flm_tensor *x);
    flm_status (*gelu_erf_backward)(flm_backend *be, const flm_tensor *grad_x, const flm_tensor *grad_y,
                                    const flm_tensor *x);
    /* timestep_features - out[b] = [cos(t w_j) | sin(t w_j)], w_j = exp(-ln(10000) j / (F/2)).
     * in t f32 [B]   out f32 [B, F], F even. */
    flm_status (*timestep_features)(flm_backend *be, const flm_tensor *out, const flm_tensor *t);

    /* ---- embeddings and noise (model.md section 4) ---- */
    /* embed_state - x = (1 - g) noise + g E[token].   in noise f32 [B, L, d]; E f32 [V, d]; tokens i32 [B, L];
     * g f32 [B]   out x f32 [B, L, d], may be noise. Errors also FLM_E_ARG: a token outside 0..V-1 (host backends). */
    flm_status (*embed_state)(flm_backend *be, const flm_tensor *x, const flm_tensor *noise, const flm_tensor *E,
                              const flm_tensor *tokens, const flm_tensor *g);
    /* embed_learned - x = E[token] + P[position].   in E f32 [V, d]; P f32 [L, d]; tokens, positions i32 [R]
     * out x f32 [R, d]. Errors also FLM_E_ARG: a token or position out of its table (host backends). */
    flm_status (*embed_learned)(flm_backend *be, const flm_tensor *x, const flm_tensor *E, const flm_tensor *P,
                                const flm_tensor *tokens, const flm_tensor *positions);
    /* embed_scatter - grad_E[token] += g grad_x.   in grad_x f32 [B, L, d]; tokens; g f32 [B]   out f32 [V, d].
     * Deterministic. Errors also FLM_E_ARG: a token outside 0..V-1 (host backends; on devices row 0 becomes NaN). */
    flm_status (*embed_scatter)(flm_backend *be, const flm_tensor *grad_E, const flm_tensor *grad_x,
                                const flm_tensor *tokens, const flm_tensor *g);
    /* sample_scale - y[b] = (1 - g[b]) x[b].   f32 [B, ...], g f32 [B]; y may be x. */
    flm_status (*sample_scale)(flm_backend *be, const flm_tensor *y, const flm_tensor *x, const flm_tensor *g);
    /* sample_combine - y[b] = sum over k < count of coefficient[b, k] x[k][b].   in coefficient f32 [B, count]; x:
     * count (1..FLM_COMBINE_MAX) tensors act [B, ...]   out y like each x, may be one of them. */
    flm_status (*sample_combine)(flm_backend *be, const flm_tensor *y, const flm_tensor *coefficient,
                                 const flm_tensor *x, int count);
    /* normal - out[b, l, i] = standard normal of Philox(stream; sample first_sample + b, position l, component i).
     * Four components share a counter block: Box-Muller on (u0, u1) and (u2, u3), cos before sin.  out f32 [B, L, K].
     */
    flm_status (*normal)(flm_backend *be, const flm_tensor *out, uint64_t stream, int64_t first_sample);

    /* ---- soft max over the vocabulary ---- */
    /* softmax_xent - loss[r] = logsumexp(logits[r]) - logits[r, target[r]]; grad = (softmax - onehot) * scale.
     * in logits f32 [R, V]; target i32 [R]   out loss f32 [R]; grad absent, or act [R, V]; f32 grad may be logits.
     * Padded rows: logits, grad. Errors also FLM_E_ARG: a target outside 0..V-1 (host backends). */
    flm_status (*softmax_xent)(flm_backend *be, const flm_tensor *loss, const flm_tensor *grad,
                               const flm_tensor *logits, const flm_tensor *target, float scale);
    /* softmax - p = softmax(logits) by row; padded rows.   in logits f32 [R, V]   out p act [R, V]; f32 may be logits.
     */
    flm_status (*softmax)(flm_backend *be, const flm_tensor *p, const flm_tensor *logits);
    /* argmax - index of the first largest entry of each row; NaN rows give FLM_E_NUMERIC on host backends, -1 on
     * devices. in x f32 [R, V], padded rows   out i32 [R]. */
    flm_status (*argmax)(flm_backend *be, const flm_tensor *index, const flm_tensor *x);

    /* distill_error - see flm_distill_error. */
    flm_status (*distill_error)(flm_backend *be, const flm_distill_error *p);

    /* ---- elementwise, reductions, optimiser ---- */
    /* axpby - y = a x + b y; b = 0 ignores what y holds (NaN included).   f32, same shape; padded rows: both. */
    flm_status (*axpby)(flm_backend *be, const flm_tensor *y, float a, const flm_tensor *x, float b);
    /* cast - to = from, element by element, among f32, bf16 and f64; padded rows: both. */
    flm_status (*cast)(flm_backend *be, const flm_tensor *to, const flm_tensor *from);
    /* sum - *out += sum of x; sum_squares - *out += sum of x^2.   in x f32   out f64 [1].  Deterministic. */
    flm_status (*sum)(flm_backend *be, const flm_tensor *out, const flm_tensor *x);
    flm_status (*sum_squares)(flm_backend *be, const flm_tensor *out, const flm_tensor *x);
    flm_status (*adamw)(flm_backend *be, const flm_adamw *p);

    /* ---- small dense algebra in fp64 (model.md section 4) ---- */
    /* gram - G += A^T B.   in A f32 [R, Ka], B f32 [R, Kb]   out G f64 [Ka, Kb].  Products and sums in fp64,
     * deterministic. B may be A: G must then be symmetric before and is so, to the bit, afterwards. */
    flm_status (*gram)(flm_backend *be, const flm_tensor *G, const flm_tensor *A, const flm_tensor *B);
    /* cholesky - in place: G f64 [K, K], of which the lower triangle counts, becomes lower R with R R^T = G, zeros
     * above. Errors: FLM_E_NUMERIC when G is not positive definite or not finite. */
    flm_status (*cholesky)(flm_backend *be, const flm_tensor *G);
    /* triangular_solve - X = R^-1 X (transpose: R^-T X) in place.   in R f64 [K, K] lower   X f64 [K, n]. */
    flm_status (*triangular_solve)(flm_backend *be, const flm_tensor *X, const flm_tensor *R, bool transpose);
} flm_ops;

#endif
