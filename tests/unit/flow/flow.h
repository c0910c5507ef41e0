/* flow.h - shared by the tests of the flow module: one rank, a small network with its noise basis and gamma, and what
 * takes part in a distillation.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_TESTS_UNIT_FLOW_H
#define FLM_TESTS_UNIT_FLOW_H

#include "base/base_philox.h"
#include "flow/flow_sampler.h"
#include "tests/sampler_scores.h"
#include "tests/unit/network.h"

static flm_backend *be;
static flm_comm *comm;

static inline void flow_begin(void)
{
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS) abort();
    must(flm_comm_create(MPI_COMM_SELF, &comm));
    must(flm_backend_create(FLM_DEVICE_CPU, 1, 0, &be));
}

static inline int flow_end(void)
{
    flm_backend_destroy(&be);
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return tap_end();
}

typedef struct flow_network {
    flm_weights *weights;
    flm_dit *dit;
    flm_noise_basis *basis;
    flm_gamma *gamma;
} flow_network;

static inline flow_network flow_network_new(const flm_model_shape *shape, int64_t max_batch, bool training)
{
    flow_network n = {.weights = network_weights(be, shape, FLM_DTYPE_F32)};
    must(flm_dit_create(be, shape, FLM_DTYPE_F32, max_batch, 3, training ? FLM_DIT_STORE_ALL : FLM_DIT_INFERENCE,
                        &n.dit));
    must(flm_noise_create(be, shape->V, shape->d, 0, NULL, &n.basis));
    must(flm_noise_update(n.basis, comm, &n.weights->w.E));
    must(flm_gamma_create(shape->V, &n.gamma));
    return n;
}

static inline flm_objective *flow_objective(const flow_network *n)
{
    flm_objective *objective = NULL;
    must(flm_objective_create(
        &(flm_objective_parts){.kind = &flm_kinds[FLM_KIND_FLM], .dit = n->dit, .basis = n->basis, .gamma = n->gamma},
        &objective));
    return objective;
}

static inline flm_sampler *flow_sampler(const flm_kind *kind, flm_dit *dit, const flm_weights *weights,
                                        const flm_weights *teacher, flm_noise_basis *basis, const flm_gamma *gamma)
{
    flm_sampler *sampler = NULL;
    must(flm_sampler_create(&(flm_sampler_parts){.kind = kind,
                                                 .dit = dit,
                                                 .weights = weights,
                                                 .frozen = {[FLM_ROLE_TEACHER] = teacher},
                                                 .basis = basis,
                                                 .gamma = gamma},
                            &sampler));
    return sampler;
}

static inline void flow_network_free(flow_network *n)
{
    flm_gamma_destroy(&n->gamma);
    flm_noise_destroy(&n->basis);
    flm_dit_destroy(&n->dit);
    flm_weights_destroy(&n->weights);
}

/* Everything that takes part in a distillation. */
typedef struct flow_distillation {
    const flm_kind *kind;
    flm_weights *weights, *frozen[FLM_ROLES]; /* NULL: none in this role */
    flm_psd_law psd;
    flm_dit *dit, *inference;
    flm_noise_basis *basis;
    flm_gamma *gamma;
    flm_objective *objective;
} flow_distillation;

static inline flm_objective_parts flow_distillation_parts(const flow_distillation *c)
{
    flm_objective_parts parts = {
        .kind = c->kind, .dit = c->dit, .basis = c->basis, .gamma = c->gamma, .inference = c->inference, .psd = c->psd};
    for (int r = 0; r < FLM_ROLES; r++) parts.frozen[r] = c->frozen[r];
    return parts;
}

/* flow_distillation_complete - the rest, for batches of max_batch, when kind, weights, frozen and psd are set. */
static inline void flow_distillation_complete(flow_distillation *c, flm_dtype act, int64_t max_batch, int64_t chunk)
{
    const flm_model_shape *shape = &c->weights->shape;
    flm_tensor E[FLM_ROLES];
    int64_t half = max_batch, rows = chunk;
    flm_objective_inference_size(c->kind->objective, &half, &rows);
    must(flm_dit_create(be, shape, act, max_batch, chunk, FLM_DIT_STORE_ALL, &c->dit));
    must(flm_dit_create(be, shape, act, half, rows, FLM_DIT_INFERENCE, &c->inference));
    const int count = flm_kind_embeddings((const flm_weights *const *)c->frozen, E);
    must(flm_noise_create(be, shape->V, shape->d, count, E, &c->basis));
    must(flm_kind_make_gamma(c->kind, shape->V, &c->gamma));
    const flm_objective_parts parts = flow_distillation_parts(c);
    must(flm_objective_create(&parts, &c->objective));
}

static inline void flow_distillation_free(flow_distillation *c)
{
    flm_objective_destroy(&c->objective);
    flm_gamma_destroy(&c->gamma);
    flm_noise_destroy(&c->basis);
    flm_dit_destroy(&c->dit);
    flm_dit_destroy(&c->inference);
    flm_weights_destroy(&c->weights);
    for (int r = 0; r < FLM_ROLES; r++) flm_weights_destroy(&c->frozen[r]);
}

/* flow_parameters - the number of weights. */
static inline int64_t flow_parameters(const flm_weights *weights)
{
    int64_t count = 0;
    for (int i = 0; i < weights->parameters; i++) count += weights->parameter[i].count;
    return count;
}

/* flow_xi - x with xi T^T = x0 E exactly, T lower: forward substitution in double; x0 itself where V <= d. */
static inline void flow_xi(const flm_noise_basis *basis, const float *E, const double *x0, float *xi)
{
    const float *T = basis->T[0][0].data;
    const int64_t V = basis->V, d = basis->d;
    double *x = must_alloc(basis->K, sizeof *x);
    for (int64_t i = 0; i < basis->K; i++) {
        x[i] = basis->direct ? x0[i] : 0;
        if (basis->direct) continue;
        for (int64_t v = 0; v < V; v++) x[i] += x0[v] * (double)E[v * d + i];
        for (int64_t k = 0; k < i; k++) x[i] -= (double)T[i * d + k] * x[k];
        x[i] /= (double)T[i * d + i];
    }
    for (int64_t i = 0; i < basis->K; i++) xi[i] = (float)x[i];
    free(x);
}

#endif
