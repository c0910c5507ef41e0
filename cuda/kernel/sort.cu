/* sort.cu - pairs sorted by key, by CUB's radix sort, which is stable: the result depends on the pairs alone. The one
 * kernel that the emulator does not run (tests/emulate/emulate_sort.c does its work there), so nothing else belongs
 * here. SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/kernel.h"

#include <cub/device/device_radix_sort.cuh>
#include <cuda_runtime.h>

namespace
{

int sort_pairs(void *temporary, size_t *bytes, uint32_t *key, uint32_t *row, const uint32_t *from_key,
               const uint32_t *from_row, int64_t n, int bits, cudaStream_t stream)
{
    return (int)cub::DeviceRadixSort::SortPairs(temporary, *bytes, from_key, key, from_row, row, (int)n, 0, bits,
                                                stream);
}

} // namespace

int flm_cuda_sort_scratch(size_t *bytes, int64_t n, int bits)
{
    *bytes = 0;
    return sort_pairs(nullptr, bytes, nullptr, nullptr, nullptr, nullptr, n, bits, nullptr);
}

int flm_cuda_launch_sort(uint32_t *key, uint32_t *row, const uint32_t *from_key, const uint32_t *from_row, int64_t n,
                         int bits, void *temporary, size_t bytes, void *stream)
{
    /* CUB judges its launches by the last error: an older one, of another library, must not be taken for its own. */
    cudaGetLastError();
    return sort_pairs(temporary, &bytes, key, row, from_key, from_row, n, bits, (cudaStream_t)stream);
}
