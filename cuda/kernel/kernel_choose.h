/* kernel_choose.h - launchers of what samplers need beside the network: drawn tokens, and known tokens put into states.
 * See kernel.h for the conventions. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_CUDA_KERNEL_CHOOSE_H
#define FLM_CUDA_KERNEL_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- choose.cu: flm_choose of backend_arguments.h ---- */
typedef struct flm_cuda_choice {
    int32_t *index;
    const int32_t *place;  /* may be NULL */
    float *confidence, *x; /* confidence may be NULL */
    float cap;
    bool linear;
    double temperature, top_p;
    int64_t top_k, first_sample, first_row, L;
    uint64_t stream;
    int64_t R, V, row_stride;
} flm_cuda_choice;

int flm_cuda_launch_choose(const flm_cuda_choice *p, void *stream);

/* ---- embed.cu ---- */
int flm_cuda_launch_embed_known(float *x, const float *noise, const float *E, const int32_t *tokens, float g,
                                int64_t rows, int64_t d, int64_t V, void *stream);

#ifdef __cplusplus
}
#endif

#endif
