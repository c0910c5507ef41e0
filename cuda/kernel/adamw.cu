/* adamw.cu - one update of AdamW with the weights' moving average and their bf16 copy, in one pass over memory
 * (model.md section 5). SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = FLM_CUDA_THREADS, W = 4;

template <bool EMA, bool CAST>
__global__ void __launch_bounds__(THREADS) adamw(flm_cuda_adamw_memory p, flm_adamw_factors f, int64_t n, bool aligned)
{
    const double norm = sqrt(*p.norm_sq), ratio = (double)f.clip / (norm + 1e-6);
    if (!(norm <= 1.7976931348623157e308)) return; /* not finite: the update is skipped */
    const float clip_factor = (float)(ratio < 1 ? ratio : 1);
    for (int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * W; i < n; i += (int64_t)gridDim.x * THREADS * W) {
        float w[W], m[W], v[W], g[W], e[W];
        flm_read(w, p.w + i, n - i, aligned);
        flm_read(m, p.m + i, n - i, aligned);
        flm_read(v, p.v + i, n - i, aligned);
        flm_read(g, p.grad + i, n - i, aligned);
        if (EMA) flm_read(e, p.ema + i, n - i, aligned);
#pragma unroll
        for (int k = 0; k < W; k++) {
            const float scaled = g[k] * clip_factor;
            m[k] = f.m * m[k] + f.m_new * scaled;
            v[k] = f.v * v[k] + f.v_new * scaled * scaled;
            w[k] = f.decay * w[k] - f.step_size * m[k] / (sqrtf(v[k] * f.v_correction) + f.eps);
            if (EMA) e[k] = f.ema * e[k] + f.ema_new * w[k];
        }
        flm_write(p.w + i, w, n - i, aligned);
        flm_write(p.m + i, m, n - i, aligned);
        flm_write(p.v + i, v, n - i, aligned);
        if (EMA) flm_write(p.ema + i, e, n - i, aligned);
        if (CAST) flm_write(reinterpret_cast<flm_bf16 *>(p.cast) + i, w, n - i, aligned);
    }
}

} // namespace

int flm_cuda_launch_adamw(const flm_cuda_adamw_memory *p, const flm_adamw_factors *f, int64_t n, int processors,
                          void *stream)
{
    const dim3 grid(flm_cuda_grid(flm_cuda_parts(n, THREADS * W), (int64_t)processors * FLM_CUDA_WAVES)),
        block(THREADS);
    const bool aligned = flm_aligned(p->w, p->m, p->v, p->grad, p->ema, p->cast);
    if (p->ema && p->cast) return flm_launch(adamw<true, true>, grid, block, 0, stream, *p, *f, n, aligned);
    if (p->ema) return flm_launch(adamw<true, false>, grid, block, 0, stream, *p, *f, n, aligned);
    if (p->cast) return flm_launch(adamw<false, true>, grid, block, 0, stream, *p, *f, n, aligned);
    return flm_launch(adamw<false, false>, grid, block, 0, stream, *p, *f, n, aligned);
}
