/* attention_causal.cu - causal attention over sequences that are stored one after the other, bf16. Tiles begin at the
 * start of their own sequence and read nothing of the others, so the result of a sequence does not depend on its
 * neighbours, to the bit. The computation is in attention_forward.cuh. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/attention_forward.cuh"

namespace
{

template <int D>
__global__ void __launch_bounds__(FLM_TENSOR_THREADS, flm_causal_blocks(D))
    attention_causal(flm_bf16 *o, const flm_bf16 *qkv, const int32_t *starts, int64_t B, int64_t R,
                     flm_attention_shape n)
{
    constexpr int ROWS = flm_attention_rows(D);
    const int64_t head = (int64_t)blockIdx.x % n.H, slot = (int64_t)blockIdx.x / n.H, d = n.H * n.h;
    const flm_causal_tile at = flm_causal_block(starts, B, R, slot, ROWS);
    if (at.length == 0) return; /* all threads of the block */
    if (at.b == B) {
        flm_bf16 *out = o + at.start * d + head * n.h;
        for (int i = (int)threadIdx.x; i < ROWS * n.h; i += FLM_TENSOR_THREADS)
            if (at.first + i / n.h < at.length) out[(int64_t)(at.first + i / n.h) * d + i % n.h] = flm_bf16{0};
        return;
    }
    n.L = at.length;
    const flm_forward_job job = {qkv, o, nullptr, at.start, (int)head, at.first};
    flm_forward_tile<D, true>(job, n, flm_capping{}); /* scores are not capped */
}

template <int D>
int launch(flm_bf16 *o, const flm_bf16 *qkv, const int32_t *starts, int64_t B, int64_t R, const flm_attention_shape &n,
           void *stream)
{
    const unsigned blocks = (unsigned)(flm_causal_slots(R, B, flm_attention_rows(D)) * n.H);
    return flm_launch(attention_causal<D>, dim3(blocks), dim3(FLM_TENSOR_THREADS),
                      (size_t)flm_attention_forward_shared(D), stream, o, qkv, starts, B, R, n);
}

} // namespace

int flm_cuda_launch_attention_causal(void *o, const void *qkv, bool vector, const int32_t *starts, int64_t B, int64_t R,
                                     int64_t H, int64_t h, void *stream)
{
    const flm_attention_shape n = {H, 0, (int)h, 1 / sqrtf((float)h), 0, vector};
    flm_bf16 *out = (flm_bf16 *)o;
    const flm_bf16 *in = (const flm_bf16 *)qkv;
    return flm_by_tensor_head(h, [&](auto head) { return launch<head.columns>(out, in, starts, B, R, n, stream); });
}
