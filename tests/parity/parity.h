/* parity.h - shared by the files of the parity driver: golden files, the network they describe, and the report.
 *
 * A golden file of any shape is compared with what the programs compute: weights by name, xi instead of the noise,
 * micro-batches, chunks of the head. Golden files are made elsewhere (golden/README.md). SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef FLM_TESTS_PARITY_H
#define FLM_TESTS_PARITY_H

#include "flow/flow_sampler.h"
#include "h5/h5.h"

/* Tolerances of a precision. Source: golden/README.md. */
typedef struct parity_tolerance {
    double gradient; /* ||a - b|| over max(||b||, 1e-6) */
    double loss;     /* |a - b| over max(1, |b|) */
    double logits, scores;
    double margin; /* minimum difference of the two best scores, below which a token is not compared */
} parity_tolerance;

typedef struct parity_run {
    flm_backend *be;
    flm_comm *comm;
    flm_dtype act;
    int64_t micro, chunk; /* sequences per micro-batch, rows of logits at once; 0: all */
    parity_tolerance tolerance;
    const char *file, *part; /* what is being compared, for the report */
    int passed, failed, skipped;
} parity_run;

/* parity_compare - report one quantity: ok if error <= tolerance (NaN fails). parity_skip, parity_fail - report what
 * could not be compared, and why. quantity: a format. */
void parity_compare(parity_run *run, double error, double tolerance, const char *quantity, ...)
    __attribute__((format(printf, 4, 5)));
void parity_skip(parity_run *run, const char *why);
void parity_fail(parity_run *run, const char *why);

/* parity_worst - the larger of two errors; NaN once it is NaN. */
static inline double parity_worst(double worst, double error)
{
    return error > worst || error != error ? error : worst;
}

typedef struct parity_file {
    hid_t id;
    flm_model_shape shape;
    int64_t B;
} parity_file;

/* parity_open - a golden file for reading; errors name the path. parity_shape - its attributes, checked. */
flm_status parity_open(const char *path, hid_t *out);
flm_status parity_shape(hid_t file, flm_model_shape *shape, int64_t *B);

/* parity_read - all values of a dataset as f32, f64 or i32, malloc'd. path: a format. dim [ndim]: the sizes it must
 * have. Errors: FLM_E_FORMAT naming the dataset (absent, another shape, not numbers), FLM_E_NOMEM. */
flm_status parity_read(hid_t file, flm_dtype as, int ndim, const int64_t *dim, void *out, const char *path, ...)
    __attribute__((format(printf, 6, 7)));

/* parity_length - the size of a one-dimensional dataset. */
flm_status parity_length(hid_t file, const char *path, int64_t *out);

/* parity_members - the number of links of a group, and the name of one, at most size - 1 bytes.
 * Errors: FLM_E_FORMAT (no such group, a longer name). */
flm_status parity_members(hid_t file, const char *group, int64_t *out);
flm_status parity_member(hid_t file, const char *group, int64_t index, char *name, size_t size);

/* A case of golden files. */
typedef struct parity_case {
    const char *part; /* the case's group */
    bool loss;        /* or samples */
    flm_kind_id kind; /* of the trained or sampled network */
    bool order;       /* samples filled in in turn, with a prompt */
    bool from_data;   /* without the networks that the objective can do without */
} parity_case;

enum { PARITY_STEP_NOISES = 3 }; /* fresh noises of a case of samples */

/* The networks of a case, ready to run. */
typedef struct parity_network {
    const flm_kind *kind;
    flm_weights *weights, *frozen[FLM_ROLES];
    flm_dit *dit, *inference; /* inference: NULL unless the objective has passes without gradient */
    flm_noise_basis *basis;
    flm_gamma *gamma;
    float *E[FLM_NOISE_NETWORKS]; /* host [V, d], in the basis's order */
} parity_network;

flm_status parity_network_create(parity_run *run, const parity_file *file, const parity_case *c, parity_network *out);
void parity_network_destroy(parity_network *network);

/* parity_xi - the xi whose state is that of the case's noise x0, made in fp64: x0 F R^-T; x0 itself where V <= k d.
 * out xi [FLM_NOISE_NETWORKS]: basis->blocks tensors f32 [B, L, width] on the backend, which parity_xi_free releases.
 * Source: model.md section 4. */
flm_status parity_xi(parity_run *run, const parity_file *file, const parity_network *network, const char *part,
                     flm_tensor *xi);
void parity_xi_free(parity_run *run, flm_tensor *xi);

/* parity_step_xi - the same of the fresh noises of steps or rounds, in the inputs under `name`: xi [PARITY_STEP_NOISES
 * FLM_NOISE_NETWORKS], the blocks of a step side by side. */
flm_status parity_step_xi(parity_run *run, const parity_file *file, const parity_network *network, const char *part,
                          const char *name, flm_tensor *xi);

/* The cases. */
flm_status parity_gamma(parity_run *run, hid_t file, const char *group);
flm_status parity_loss(parity_run *run, const parity_file *file, const parity_case *c);
flm_status parity_samples(parity_run *run, const parity_file *file, const parity_case *c);
flm_status parity_order(parity_run *run, const parity_file *file, const parity_case *c);

/* parity_farthest - the largest |a - b| of n values; NaN once it is NaN. */
double parity_farthest(const float *a, const float *b, int64_t n);

#endif
