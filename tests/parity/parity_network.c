/* parity_network.c - the networks of a golden file's case, and its noise as xi. SPDX-License-Identifier: Apache-2.0 */
#include "tests/parity/parity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Groups of /weights, by kind. */
static const char *const groups[FLM_KINDS] = {[FLM_KIND_FLM] = "flm",
                                              [FLM_KIND_FMLM_TWO_MODEL] = "distill",
                                              [FLM_KIND_FMLM_TWO_STAGE] = "second",
                                              [FLM_KIND_FMLM] = "fmlm",
                                              [FLM_KIND_FMLM_ANY_ORDER] = "any_order"};

/* The weights of a network of a kind; its embedding also to the host. */
static flm_status load_weights(parity_run *run, const parity_file *file, const flm_kind *kind, bool gradients,
                               flm_weights **out, float **E)
{
    flm_status rc = FLM_OK;
    flm_model_shape shape = file->shape;
    const char *group = groups[kind - flm_kinds];
    float *values = NULL;
    shape.network = kind->network;
    FLM_TRY(flm_weights_create(run->be, &shape, run->act, 1, gradients, out));
    for (int i = 0; i < (*out)->parameters; i++) {
        const flm_parameter *p = &(*out)->parameter[i];
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, p->ndim, p->dim, &values, "/weights/%s/%s", group, p->name));
        FLM_TRY(flm_weights_set(*out, i, values));
        if (strcmp(p->name, "vocab_embed.embedding") == 0)
            *E = values;
        else
            free(values);
        values = NULL;
    }
done:
    free(values);
    return rc;
}

static flm_status load_networks(parity_run *run, const parity_file *file, const parity_case *c, parity_network *n)
{
    flm_status rc = FLM_OK;
    const flm_kind *kind = n->kind = &flm_kinds[c->kind];
    const flm_kind_part *parts = c->loss ? kind->objective->networks : kind->sampler->networks;
    flm_tensor E[FLM_ROLES];
    int count = 0;
    for (int r = 0; r < FLM_ROLE_FILES; r++)
        if (parts[r].kind != NULL && !(c->from_data && parts[r].optional))
            FLM_TRY(load_weights(run, file, parts[r].kind, false, &n->frozen[r], &n->E[count++]));
    FLM_TRY(load_weights(run, file, kind, c->loss, &n->weights, &n->E[count]));
    count = flm_kind_embeddings((const flm_weights *const *)n->frozen, E);
    FLM_TRY(flm_noise_create(run->be, file->shape.V, file->shape.d, count, E, &n->basis));
    n->basis->in_parts = run->act == FLM_DTYPE_BF16;
    FLM_TRY(flm_noise_update(n->basis, run->comm, &n->weights->w.E));
done:
    return rc;
}

static flm_status create_inference(parity_run *run, parity_network *n, int64_t B, int64_t chunk)
{
    flm_objective_inference_size(n->kind->objective, &B, &chunk);
    return flm_dit_create(run->be, &n->weights->shape, run->act, B, chunk, FLM_DIT_INFERENCE, &n->inference);
}

flm_status parity_network_create(parity_run *run, const parity_file *file, const parity_case *c, parity_network *out)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    const int64_t B = run->micro > 0 && run->micro < file->B ? run->micro : file->B;
    const int64_t chunk = run->chunk > 0 ? run->chunk : B * file->shape.L;
    FLM_TRY(load_networks(run, file, c, &network));
    const flm_model_shape *shape = &network.weights->shape;
    FLM_TRY(flm_dit_create(run->be, shape, run->act, B, chunk, c->loss ? FLM_DIT_STORE_ALL : FLM_DIT_INFERENCE,
                           &network.dit));
    if (c->loss && network.kind->objective->inference) FLM_TRY(create_inference(run, &network, B, chunk));
    FLM_TRY(flm_kind_make_gamma(network.kind, file->shape.V, &network.gamma));
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
    flm_dit_destroy(&network->inference);
    flm_weights_destroy(&network->weights);
    for (int r = 0; r < FLM_ROLES; r++) flm_weights_destroy(&network->frozen[r]);
    for (int j = 0; j < FLM_NOISE_NETWORKS; j++) {
        free(network->E[j]);
        network->E[j] = NULL;
    }
}

/* F [V, kd] = [E_1, (E_j - E_1) / s_j], and lower R with R R^T = F^T F + delta I, delta = 1e-10 ||E_1||^2 / d. */
typedef struct factors {
    int64_t V, kd;
    double *F, *R;
} factors;

static void fill_factor(const factors *f, int64_t d, float *const *E)
{
    double base = 0;
    for (int64_t i = 0; i < f->V * d; i++) base += (double)E[0][i] * (double)E[0][i];
    for (int64_t j = 0; j < f->kd / d; j++) {
        double square = 0;
        for (int64_t i = 0; i < f->V * d; i++) {
            const double value = (double)E[j][i] - (j > 0 ? (double)E[0][i] : 0);
            f->F[i / d * f->kd + j * d + i % d] = value;
            square += value * value;
        }
        for (int64_t i = 0; i < f->V * d && j > 0 && square > 0; i++)
            f->F[i / d * f->kd + j * d + i % d] /= sqrt(square / base);
    }
}

static flm_status factor(const factors *f, int64_t d)
{
    flm_status rc = FLM_OK;
    double base = 0;
    for (int64_t i = 0; i < f->kd; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t v = 0; v < f->V; v++) sum += f->F[v * f->kd + i] * f->F[v * f->kd + j];
            f->R[i * f->kd + j] = sum;
            if (i == j && i < d) base += sum;
        }
    for (int64_t i = 0; i < f->kd; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = f->R[i * f->kd + j] + (i == j ? 1e-10 * base / (double)d : 0);
            for (int64_t k = 0; k < j; k++) sum -= f->R[i * f->kd + k] * f->R[j * f->kd + k];
            if (i == j && !(sum > 0)) FLM_FAIL(FLM_E_NUMERIC, "/weights: the embeddings are not finite");
            f->R[i * f->kd + j] = i == j ? sqrt(sum) : sum / f->R[j * f->kd + j];
        }
done:
    return rc;
}

/* R x^T = (x0 F)^T, for one row. */
static void solve(const factors *f, const float *x0, double *x)
{
    for (int64_t i = 0; i < f->kd; i++) x[i] = 0;
    for (int64_t v = 0; v < f->V; v++)
        for (int64_t i = 0; i < f->kd; i++) x[i] += (double)x0[v] * f->F[v * f->kd + i];
    for (int64_t i = 0; i < f->kd; i++) {
        for (int64_t k = 0; k < i; k++) x[i] -= f->R[i * f->kd + k] * x[k];
        x[i] /= f->R[i * f->kd + i];
    }
}

/* xi of all rows, block after block: [blocks, rows, d]. */
static flm_status make_xi(int64_t rows, int64_t V, int64_t d, int networks, float *const *E, const float *x0, float *xi)
{
    flm_status rc = FLM_OK;
    const int64_t kd = networks * d;
    const factors f = {V, kd, calloc((size_t)(V * kd), sizeof(double)), calloc((size_t)(kd * kd), sizeof(double))};
    double *x = malloc((size_t)kd * sizeof *x);
    if (f.F == NULL || f.R == NULL || x == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the noise");
    fill_factor(&f, d, E);
    FLM_TRY(factor(&f, d));
    for (int64_t r = 0; r < rows; r++) {
        solve(&f, x0 + r * V, x);
        for (int64_t i = 0; i < kd; i++) xi[(i / d * rows + r) * d + i % d] = (float)x[i];
    }
done:
    free(f.F);
    free(f.R);
    free(x);
    return rc;
}

/* xi of noise x0 [B, L, V]. */
static flm_status xi_of(parity_run *run, const parity_file *file, const parity_network *network, const float *x0,
                        flm_tensor *xi)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *s = &file->shape;
    const flm_noise_basis *basis = network->basis;
    const int64_t rows = file->B * s->L;
    float *values = malloc((size_t)(rows * basis->K) * sizeof *values);
    if (values == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the noise");
    if (basis->direct)
        memcpy(values, x0, (size_t)(rows * s->V) * sizeof *values);
    else
        FLM_TRY(make_xi(rows, s->V, s->d, basis->networks, network->E, x0, values));
    for (int i = 0; i < basis->blocks; i++) {
        xi[i] = flm_tensor_3d(NULL, FLM_DTYPE_F32, file->B, s->L, basis->width);
        FLM_TRY(run->be->memory->alloc(run->be, flm_tensor_bytes(&xi[i]), &xi[i].data));
        FLM_TRY(run->be->memory->to_device(run->be, xi[i].data, values + i * rows * basis->width,
                                           flm_tensor_bytes(&xi[i])));
    }
    FLM_TRY(run->be->stream->sync(run->be));
done:
    free(values);
    return rc;
}

flm_status parity_xi(parity_run *run, const parity_file *file, const parity_network *network, const char *part,
                     flm_tensor *xi)
{
    flm_status rc = FLM_OK;
    const int64_t dim[] = {file->B, file->shape.L, file->shape.V};
    float *x0 = NULL;
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, dim, &x0, "/%s/inputs/noise", part));
    FLM_TRY(xi_of(run, file, network, x0, xi));
done:
    free(x0);
    return rc;
}

flm_status parity_step_xi(parity_run *run, const parity_file *file, const parity_network *network, const char *part,
                          const char *name, flm_tensor *xi)
{
    flm_status rc = FLM_OK;
    const int64_t dim[] = {PARITY_STEP_NOISES, file->B, file->shape.L, file->shape.V};
    float *x0 = NULL;
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 4, dim, &x0, "/%s/inputs/%s", part, name));
    for (int i = 0; i < PARITY_STEP_NOISES; i++)
        FLM_TRY(xi_of(run, file, network, x0 + i * dim[1] * dim[2] * dim[3], xi + i * FLM_NOISE_NETWORKS));
done:
    free(x0);
    return rc;
}

void parity_xi_free(parity_run *run, flm_tensor *xi)
{
    for (int i = 0; i < FLM_NOISE_NETWORKS; i++) {
        run->be->memory->release(run->be, xi[i].data);
        xi[i] = flm_tensor_none();
    }
}
