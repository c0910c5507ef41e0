/* parity_network.c - the network of a golden file, and its noise as xi. SPDX-License-Identifier: Apache-2.0 */
#include "tests/parity/parity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static flm_status load_weights(parity_network *network, const parity_file *file)
{
    flm_status rc = FLM_OK;
    float *values = NULL;
    for (int i = 0; i < network->weights->parameters; i++) {
        const flm_parameter *p = &network->weights->parameter[i];
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, p->ndim, p->dim, &values, "/weights/flm/%s", p->name));
        FLM_TRY(flm_weights_set(network->weights, i, values));
        if (strcmp(p->name, "vocab_embed.embedding") == 0)
            network->E = values;
        else
            free(values);
        values = NULL;
    }
done:
    free(values);
    return rc;
}

flm_status parity_network_create(parity_run *run, const parity_file *file, bool training, parity_network *out)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    const int64_t B = run->micro > 0 && run->micro < file->B ? run->micro : file->B;
    const int64_t chunk = run->chunk > 0 ? run->chunk : B * file->shape.L;
    FLM_TRY(flm_weights_create(run->be, &file->shape, run->act, 1, training, &network.weights));
    FLM_TRY(load_weights(&network, file));
    FLM_TRY(flm_dit_create(run->be, &file->shape, run->act, B, chunk, training, &network.dit));
    FLM_TRY(flm_noise_create(run->be, file->shape.V, file->shape.d, &network.basis));
    FLM_TRY(flm_noise_update(network.basis, run->comm, &network.weights->w.E));
    FLM_TRY(flm_gamma_create(file->shape.V, &network.gamma));
    *out = network;
    network = (parity_network){0};
done:
    parity_network_destroy(&network);
    return rc;
}

void parity_network_destroy(parity_network *network)
{
    flm_gamma_destroy(&network->gamma);
    flm_noise_destroy(&network->basis);
    flm_dit_destroy(&network->dit);
    flm_weights_destroy(&network->weights);
    free(network->E);
    network->E = NULL;
}

/* Lower R with R R^T = E^T E + delta I, delta = 1e-10 of the mean eigenvalue. */
static flm_status factor(int64_t V, int64_t d, const float *E, double *R)
{
    flm_status rc = FLM_OK;
    double trace = 0;
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t v = 0; v < V; v++) sum += (double)E[v * d + i] * (double)E[v * d + j];
            R[i * d + j] = sum;
        }
    for (int64_t i = 0; i < d; i++) trace += R[i * d + i];
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = R[i * d + j] + (i == j ? 1e-10 * trace / (double)d : 0);
            for (int64_t k = 0; k < j; k++) sum -= R[i * d + k] * R[j * d + k];
            if (i == j && !(sum > 0)) FLM_FAIL(FLM_E_NUMERIC, "/weights/flm: the embedding is not finite");
            R[i * d + j] = i == j ? sqrt(sum) : sum / R[j * d + j];
        }
done:
    return rc;
}

/* R x^T = (x0 E)^T, for one row. */
static void solve(int64_t V, int64_t d, const float *E, const double *R, const float *x0, double *x)
{
    for (int64_t i = 0; i < d; i++) x[i] = 0;
    for (int64_t v = 0; v < V; v++)
        for (int64_t i = 0; i < d; i++) x[i] += (double)x0[v] * (double)E[v * d + i];
    for (int64_t i = 0; i < d; i++) {
        for (int64_t k = 0; k < i; k++) x[i] -= R[i * d + k] * x[k];
        x[i] /= R[i * d + i];
    }
}

flm_status parity_xi(int64_t rows, int64_t V, int64_t d, const float *E, const float *x0, float **xi)
{
    flm_status rc = FLM_OK;
    const int64_t K = V <= d ? V : d;
    double *R = malloc((size_t)(d * d) * sizeof *R), *x = malloc((size_t)d * sizeof *x);
    float *made = malloc((size_t)(rows * K) * sizeof *made);
    if (R == NULL || x == NULL || made == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the noise");
    if (V <= d) {
        memcpy(made, x0, (size_t)(rows * V) * sizeof *made);
    } else {
        FLM_TRY(factor(V, d, E, R));
        for (int64_t r = 0; r < rows; r++) {
            solve(V, d, E, R, x0 + r * V, x);
            for (int64_t i = 0; i < d; i++) made[r * d + i] = (float)x[i];
        }
    }
    *xi = made;
    made = NULL;
done:
    free(R);
    free(x);
    free(made);
    return rc;
}
