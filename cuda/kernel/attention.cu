/* attention.cu - attention with capped scores over all keys, forward, bf16 (model.md section 2). The computation is in
 * attention_forward.cuh. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_forward.cuh"

namespace
{

template <int D>
__global__ void __launch_bounds__(FLM_TENSOR_THREADS, flm_attention_blocks(D))
    attention(flm_bf16 *o, float *lse, const flm_bf16 *qkv, flm_attention_shape n, flm_capping cap)
{
    const flm_attention_tile at = flm_attention_block(n, flm_attention_rows(D));
    const flm_forward_job job = {qkv, o, lse, at.b * n.L, (int)at.head, at.first};
    flm_forward_tile<D, false>(job, n, cap);
}

template <int D>
int launch(flm_bf16 *o, float *lse, const flm_bf16 *qkv, int64_t B, const flm_attention_shape &n, void *stream)
{
    const unsigned blocks = (unsigned)(flm_attention_tiles(n.L, flm_attention_rows(D)) * B * n.H);
    return flm_launch(attention<D>, dim3(blocks), dim3(FLM_TENSOR_THREADS), (size_t)flm_attention_forward_shared(D),
                      stream, o, lse, qkv, n, flm_capping_of(n.scale / n.softcap, n.softcap * FLM_LOG2_E));
}

} // namespace

int flm_cuda_launch_attention(void *o, float *lse, const void *qkv, bool vector, int64_t B, int64_t L, int64_t H,
                              int64_t h, float softcap, void *stream)
{
    const flm_attention_shape n = {H, (int)L, (int)h, 1 / sqrtf((float)h), softcap, vector};
    flm_bf16 *out = (flm_bf16 *)o;
    const flm_bf16 *in = (const flm_bf16 *)qkv;
    return flm_by_tensor_head(h, [&](auto head) { return launch<head.columns>(out, lse, in, B, n, stream); });
}
