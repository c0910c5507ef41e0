/* mma.cuh - the instructions of tensor cores, asynchronous copies and special functions: as PTX, and for the emulator
 * as calls of its functions.
 *
 * Fragments are those of "PTX ISA", sections "Matrix fragments for mma.m16n8k16" and "ldmatrix". With g = lane / 4 and
 * t = lane % 4, a lane holds
 *   a[0..3]: (g, 2t..), (g + 8, 2t..), (g, 2t + 8..), (g + 8, 2t + 8..), two neighbouring bf16 in each word;
 *   b[0..1]: rows 2t.. and 2t + 8.. of column g, two bf16 in each word;
 *   c[0..3]: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_MMA_CUH
#define FLM_CUDA_MMA_CUH

#include "cuda/kernel/device.cuh"

/* flm_mma - c += a b, bf16 [16, 16] times [16, 8], summed in fp32. All lanes of the warp must call it.
 *
 * flm_ldmatrix - loads four 8 x 8 bf16 matrices from shared memory: lane l passes the address (aligned to 16 bytes) of
 * row l % 8 of matrix l / 8; r[i] becomes (g, 2t), (g, 2t + 1) of matrix i. flm_ldmatrix_trans - the same of the
 * transposed matrices: (2t, g), (2t + 1, g).
 *
 * flm_copy_async - starts a copy of 16 bytes from global to shared memory, both aligned to 16 bytes; the bytes are
 * visible after flm_copy_wait and a barrier. If not valid, it writes zeros and reads nothing. flm_copy_async_8 - the
 * same for 8 bytes, aligned to 8. flm_copy_commit - ends a group of copies. flm_copy_wait<N> - waits until at most the
 * N youngest groups of the calling thread are unfinished.
 *
 * flm_pack_pair - flm_pack in one instruction. flm_exp2 - 2^x with a relative error of at most 2^-22, 0 for subnormal
 * results. flm_reciprocal - 1 / x with a relative error of at most 2^-23, 0 for infinity ("PTX ISA", ex2, rcp). All
 * three keep NaN. */
#ifdef FLM_EMULATED

FLM_DEVICE void flm_mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { emulate_mma(c, a, b); }
FLM_DEVICE void flm_ldmatrix(uint32_t (&r)[4], const void *row) { emulate_ldmatrix(r, row, false); }
FLM_DEVICE void flm_ldmatrix_trans(uint32_t (&r)[4], const void *row) { emulate_ldmatrix(r, row, true); }
FLM_DEVICE void flm_copy_async(void *shared, const void *global, bool valid)
{
    emulate_copy_async(shared, global, 16, valid);
}
FLM_DEVICE void flm_copy_async_8(void *shared, const void *global, bool valid)
{
    emulate_copy_async(shared, global, 8, valid);
}
FLM_DEVICE void flm_copy_commit() { emulate_copy_commit(); }
template <int N> FLM_DEVICE void flm_copy_wait() { emulate_copy_wait(N); }
FLM_DEVICE uint32_t flm_pack_pair(float low, float high) { return flm_pack(low, high); }
FLM_DEVICE float flm_exp2(float x) { return exp2f(x); }
FLM_DEVICE float flm_reciprocal(float x) { return 1 / x; }

#else

FLM_DEVICE void flm_mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

FLM_DEVICE void flm_ldmatrix(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

FLM_DEVICE void flm_ldmatrix_trans(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

FLM_DEVICE void flm_copy_async(void *shared, const void *global, bool valid)
{
    const int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(bytes)
                 : "memory");
}

FLM_DEVICE void flm_copy_async_8(void *shared, const void *global, bool valid)
{
    const int bytes = valid ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"((unsigned)__cvta_generic_to_shared(shared)),
                 "l"(global), "r"(bytes)
                 : "memory");
}

FLM_DEVICE void flm_copy_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

template <int N> FLM_DEVICE void flm_copy_wait() { asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory"); }

FLM_DEVICE uint32_t flm_pack_pair(float low, float high)
{
    uint32_t both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

FLM_DEVICE float flm_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

FLM_DEVICE float flm_reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

#endif
#endif
