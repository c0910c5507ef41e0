/* gather.cu - rows by their numbers, to and from packed rows: copies, by which a head runs over some tokens alone
 * (model.md section 10). A warp copies a row. A row whose number is outside the table becomes NaN in a gather, which
 * the training step's check for finite values finds; in a scatter it is not written. SPDX-License-Identifier:
 * Apache-2.0 */
#include "cuda/kernel/vector.cuh"

namespace
{

constexpr int THREADS = FLM_CUDA_THREADS, WARPS = THREADS / FLM_WARP;

/* GATHER: y[r] = x[index[r]]; else y[index[r]] = x[r]. S: rows of the table that index points into. */
template <class T, int W, bool GATHER>
__global__ void __launch_bounds__(THREADS)
    copy_rows(T *__restrict__ y, const T *__restrict__ x, const int32_t *__restrict__ index, int64_t R, int64_t S,
              int64_t n, bool aligned)
{
    for (int64_t r = (int64_t)blockIdx.x * WARPS + flm_warp(); r < R; r += (int64_t)gridDim.x * WARPS) {
        const int64_t at = index[r];
        const bool valid = at >= 0 && at < S;
        if (!GATHER && !valid) continue;
        const T *from = x + (GATHER ? (valid ? at : 0) : r) * n;
        T *to = y + (GATHER ? r : at) * n;
        for (int64_t j = flm_lane() * W; j < n; j += W * FLM_WARP) {
            float v[W];
            flm_read(v, from + j, valid ? n - j : 0, aligned);
#pragma unroll
            for (int k = 0; k < W; k++) v[k] = valid ? v[k] : flm_nan();
            flm_write(to + j, v, n - j, aligned);
        }
    }
}

template <class T, int W, bool GATHER>
int launch(void *y, const void *x, const int32_t *index, int64_t R, int64_t S, int64_t n, void *stream)
{
    return flm_launch(copy_rows<T, W, GATHER>, dim3(flm_cuda_grid(flm_cuda_parts(R, WARPS), 0)), dim3(THREADS), 0,
                      stream, (T *)y, (const T *)x, index, R, S, n, flm_aligned(y, x) && flm_divisible(W, n));
}

} // namespace

int flm_cuda_launch_gather_rows(void *y, bool bf16, const void *x, const int32_t *index, int64_t R, int64_t S,
                                int64_t n, void *stream)
{
    return bf16 ? launch<flm_bf16, 8, true>(y, x, index, R, S, n, stream)
                : launch<float, 4, true>(y, x, index, R, S, n, stream);
}

int flm_cuda_launch_scatter_rows(void *y, bool bf16, const void *x, const int32_t *index, int64_t R, int64_t S,
                                 int64_t n, void *stream)
{
    return bf16 ? launch<flm_bf16, 8, false>(y, x, index, R, S, n, stream)
                : launch<float, 4, false>(y, x, index, R, S, n, stream);
}
