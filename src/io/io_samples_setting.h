/* io_samples_setting.h - how a set of samples was drawn: the sampler and its settings, as a name that people read and
 * as attributes of the set's group in a samples file. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_IO_SAMPLES_SETTING_H
#define FLM_IO_SAMPLES_SETTING_H

#include "base/base_err.h"

#include <stdbool.h>
#include <stdint.h>

/* The attribute "sampler", by flm_samples_sampler_names. Source: model.md sections 8 to 10. */
typedef enum flm_samples_sampler {
    FLM_SAMPLES_FLOW,   /* all positions at once, in `steps` steps */
    FLM_SAMPLES_BLOCKS, /* blocks of block_length positions in turn, in `steps` steps each */
    FLM_SAMPLES_REFINE, /* posterior refinement in `rounds` rounds of `steps` steps */
    FLM_SAMPLES_SAMPLERS
} flm_samples_sampler;

extern const char *const flm_samples_sampler_names[]; /* "flow", "blocks", "refine"; NULL-terminated */

enum { FLM_SAMPLES_UNIFORM = -1 }; /* budget: what is left, divided equally among the rounds left */

typedef struct flm_samples_setting {
    int sampler;               /* flm_samples_sampler */
    int64_t steps;             /* at least 1 */
    int64_t block_length;      /* of BLOCKS: at least 1; otherwise 0 */
    int64_t rounds;            /* of REFINE: at least 1; otherwise 0 */
    int64_t budget;            /* of REFINE: tokens to commit a round, or FLM_SAMPLES_UNIFORM; otherwise 0 */
    double threshold;          /* of REFINE: confidence to commit from, negative: none; otherwise 0 */
    bool fresh_noise;          /* of REFINE: new noise every round */
    double noise_level;        /* share of fresh noise at every step; 0: none */
    double temperature, top_p; /* of the choice of tokens; temperature 0: argmax, then top_p 1 and top_k 0 */
    int64_t top_k;             /* 0: all */
} flm_samples_setting;

enum { FLM_SAMPLES_SETTING_BYTES = 120 };

/* flm_samples_setting_name - "steps_128", "steps_8_noise_0.8_temperature_0.7_top_p_0.9", "blocks_32x4" (positions,
 * steps a block), "refine_8x1_threshold_0.999" (rounds, steps a round), ... to name; returns name. Different settings
 * have different names. */
const char *flm_samples_setting_name(const flm_samples_setting *setting, char name[FLM_SAMPLES_SETTING_BYTES]);

/* flm_samples_setting_describe - the same for people: "8 steps, noise level 0.8", "8 rounds of 1 step, threshold
 * 0.999".
 */
const char *flm_samples_setting_describe(const flm_samples_setting *setting, char text[FLM_SAMPLES_SETTING_BYTES]);

/* flm_samples_setting_of_steps - the argmax of a flow of so many steps without fresh noise. */
flm_samples_setting flm_samples_setting_of_steps(int64_t steps);

/* flm_samples_setting_compare - below, at or above 0: the order of sets in a file, by numbers, not by letters. */
int flm_samples_setting_compare(const flm_samples_setting *a, const flm_samples_setting *b);

#endif
