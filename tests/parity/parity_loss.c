/* parity_flm.c - the cases of the one-time network: gamma, /flm_loss, /sample_flm. SPDX-License-Identifier: Apache-2.0
 */
#include "tests/parity/parity.h"

#include <math.h>
#include <stdlib.h>

/* Golden gammas come from a spline: model.md section 3. */
static const double gamma_tolerance = 2e-4;
/* The embedded state is made in fp32 whatever the precision of the trunk: some roundings of values of order 1. */
static const double embedded_tolerance = 2e-5;

static void compare_gamma(parity_run *run, const flm_gamma *gamma, int64_t n, const double *t, const double *expected)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double g = flm_gamma_at(gamma, t[i]);
        if (t[i] >= 0.001 && t[i] <= 0.999)
            worst = parity_worst(worst, fabs(g - expected[i]));
        else if (!(t[i] >= 0 && t[i] <= 1 && g >= 0 && g <= 1))
            worst = NAN;
    }
    parity_compare(run, worst, gamma_tolerance, "gamma");
}

flm_status parity_gamma(parity_run *run, hid_t file, const char *group)
{
    flm_status rc = FLM_OK;
    char path[300], *end = NULL;
    double *t = NULL, *expected = NULL;
    flm_gamma *gamma = NULL;
    int64_t n = 0;
    const long long V = strtoll(group + 1, &end, 10);
    if (*end != '\0') FLM_FAIL(FLM_E_FORMAT, "/%s: not K and a vocabulary size", group);
    snprintf(path, sizeof path, "/%s/t", group);
    FLM_TRY(parity_length(file, path, &n));
    FLM_TRY(parity_read(file, FLM_DTYPE_F64, 1, &n, &t, "/%s/t", group));
    FLM_TRY(parity_read(file, FLM_DTYPE_F64, 1, &n, &expected, "/%s/gamma", group));
    FLM_TRY(flm_gamma_create(V, &gamma));
    compare_gamma(run, gamma, n, t, expected);
done:
    flm_gamma_destroy(&gamma);
    free(t);
    free(expected);
    return rc;
}

/* A case's noise, as xi [B, L, K] on the backend. */
static flm_status load_xi(parity_run *run, const parity_file *file, const parity_network *network, const char *part,
                          flm_tensor *xi)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *s = &file->shape;
    float *x0 = NULL, *values = NULL;
    *xi = flm_tensor_3d(NULL, FLM_DTYPE_F32, file->B, s->L, network->basis->K);
    FLM_TRY(
        parity_read(file->id, FLM_DTYPE_F32, 3, (const int64_t[]){file->B, s->L, s->V}, &x0, "/%s/inputs/noise", part));
    FLM_TRY(parity_xi(file->B * s->L, s->V, s->d, network->E, x0, &values));
    FLM_TRY(run->be->memory->alloc(run->be, flm_tensor_bytes(xi), &xi->data));
    FLM_TRY(run->be->memory->to_device(run->be, xi->data, values, flm_tensor_bytes(xi)));
    FLM_TRY(run->be->stream->sync(run->be));
done:
    free(x0);
    free(values);
    return rc;
}

/* What /flm_loss gives and expects, on the host. */
typedef struct loss_case {
    int32_t *tokens;
    double *t, *gamma, *loss;
    float *embedded, *logits;
    flm_tensor xi; /* on the backend */
    float *state;  /* [B_most, L, d] */
    float *chunk;  /* [chunk, V] */
    double embedded_error, logits_error;
} loss_case;

static flm_status loss_case_read(parity_run *run, const parity_file *file, const parity_network *network, loss_case *c)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *s = &file->shape;
    const int64_t B = file->B, tokens[] = {B, s->L}, embedded[] = {B, s->L, s->d}, logits[] = {B, s->L, s->V};
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, tokens, &c->tokens, "/flm_loss/inputs/tokens"));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &B, &c->t, "/flm_loss/inputs/t"));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &B, &c->gamma, "/flm_loss/expected/gamma"));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 0, NULL, &c->loss, "/flm_loss/expected/loss"));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, embedded, &c->embedded, "/flm_loss/expected/embedded"));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, logits, &c->logits, "/flm_loss/expected/logits"));
    for (int64_t i = 0; i < B * s->L; i++)
        if (c->tokens[i] < 0 || c->tokens[i] >= s->V)
            FLM_FAIL(FLM_E_FORMAT, "/flm_loss/inputs/tokens: %d is not in 0..%lld", (int)c->tokens[i],
                     (long long)s->V - 1);
    for (int64_t i = 0; i < B; i++)
        if (!(c->t[i] >= 0 && c->t[i] <= 1)) FLM_FAIL(FLM_E_FORMAT, "/flm_loss/inputs/t: %g is not in 0..1", c->t[i]);
    c->state = malloc((size_t)(network->dit->B_most * s->L * s->d) * sizeof *c->state);
    c->chunk = malloc((size_t)(network->dit->chunk * s->V) * sizeof *c->chunk);
    if (c->state == NULL || c->chunk == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory to compare with");
    FLM_TRY(load_xi(run, file, network, "flm_loss", &c->xi));
done:
    return rc;
}

static void loss_case_free(parity_run *run, loss_case *c)
{
    run->be->memory->release(run->be, c->xi.data);
    free(c->tokens);
    free(c->t);
    free(c->gamma);
    free(c->loss);
    free(c->embedded);
    free(c->logits);
    free(c->state);
    free(c->chunk);
}

static double farthest(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) worst = parity_worst(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* Of the micro-batch just run, samples [first, first + B): its input and its logits. */
static flm_status compare_forward(parity_run *run, const parity_network *network, loss_case *c, int64_t first,
                                  int64_t B)
{
    flm_status rc = FLM_OK;
    const flm_memory *memory = run->be->memory;
    flm_dit *dit = network->dit;
    const int64_t L = dit->shape.L, d = dit->shape.d, V = dit->shape.V;
    FLM_TRY(memory->to_host(run->be, c->state, dit->input.data, (size_t)(B * L * d) * sizeof *c->state));
    FLM_TRY(run->be->stream->sync(run->be));
    c->embedded_error = parity_worst(c->embedded_error, farthest(c->state, c->embedded + first * L * d, B * L * d));
    for (int64_t row = 0; row < B * L; row += dit->chunk) {
        const int64_t rows = B * L - row < dit->chunk ? B * L - row : dit->chunk;
        FLM_TRY(flm_dit_head_logits(dit, network->weights, row, rows));
        FLM_TRY(memory->to_host(run->be, c->chunk, dit->logits.data, (size_t)(rows * V) * sizeof *c->chunk));
        FLM_TRY(run->be->stream->sync(run->be));
        c->logits_error =
            parity_worst(c->logits_error, farthest(c->chunk, c->logits + (first * L + row) * V, rows * V));
    }
done:
    return rc;
}

static flm_status compare_gradients(parity_run *run, const parity_file *file, const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    float *expected = NULL, *have = NULL;
    int64_t members = 0;
    FLM_TRY(parity_members(file->id, "/flm_loss/expected/grad", &members));
    if (members != weights->parameters)
        FLM_FAIL(FLM_E_FORMAT, "/flm_loss/expected/grad: %lld tensors, the network has %d", (long long)members,
                 weights->parameters);
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        double error = 0, norm = 0;
        FLM_TRY(
            parity_read(file->id, FLM_DTYPE_F32, p->ndim, p->dim, &expected, "/flm_loss/expected/grad/%s", p->name));
        have = malloc((size_t)p->count * sizeof *have);
        if (have == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the gradient of %s", p->name);
        FLM_TRY(flm_weights_get_grad(weights, i, have));
        for (int64_t k = 0; k < p->count; k++) {
            error += ((double)have[k] - (double)expected[k]) * ((double)have[k] - (double)expected[k]);
            norm += (double)expected[k] * (double)expected[k];
        }
        parity_compare(run, sqrt(error) / fmax(sqrt(norm), 1e-6), run->tolerance.gradient, "grad/%s", p->name);
        free(expected);
        free(have);
        expected = have = NULL;
    }
done:
    free(expected);
    free(have);
    return rc;
}

/* All micro-batches, then what is left of the embedding's gradient; the sum of the losses. */
static flm_status run_loss(parity_run *run, const parity_file *file, const parity_network *network,
                           flm_objective *objective, loss_case *c, double *total)
{
    flm_status rc = FLM_OK;
    const int64_t L = file->shape.L, most = network->dit->B_most;
    FLM_TRY(flm_weights_zero_grad(network->weights));
    FLM_TRY(flm_objective_begin(objective));
    for (int64_t first = 0; first < file->B; first += most) {
        const int64_t B = file->B - first < most ? file->B - first : most;
        const flm_tensor xi = flm_tensor_slice(&c->xi, first, B);
        const flm_micro_batch batch = {.B = B,
                                       .tokens = c->tokens + first * L,
                                       .t = c->t + first,
                                       .noise = {.given = &xi},
                                       .scale = 1 / ((double)file->B * (double)L),
                                       .backward = true};
        FLM_TRY(flm_objective_micro(objective, network->weights, &batch));
        FLM_TRY(compare_forward(run, network, c, first, B));
    }
    FLM_TRY(flm_noise_reduce(network->basis, run->comm));
    FLM_TRY(flm_noise_gradient(network->basis, &network->weights->w.E, 0, &network->weights->grad.E));
    FLM_TRY(flm_objective_total(objective, total));
done:
    return rc;
}

flm_status parity_flm_loss(parity_run *run, const parity_file *file)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    flm_objective *objective = NULL;
    loss_case c = {0};
    double total = 0;
    FLM_TRY(parity_network_create(run, file, true, &network));
    FLM_TRY(flm_objective_create(network.dit, network.basis, network.gamma, &objective));
    FLM_TRY(loss_case_read(run, file, &network, &c));
    FLM_TRY(run_loss(run, file, &network, objective, &c, &total));
    compare_gamma(run, network.gamma, file->B, c.t, c.gamma);
    const double loss = total / ((double)file->B * (double)file->shape.L);
    parity_compare(run, fabs(loss - *c.loss) / fmax(1, fabs(*c.loss)), run->tolerance.loss, "loss");
    parity_compare(run, c.embedded_error, embedded_tolerance, "embedded");
    parity_compare(run, c.logits_error, run->tolerance.logits, "logits");
    FLM_TRY(compare_gradients(run, file, network.weights));
done:
    loss_case_free(run, &c);
    flm_objective_destroy(&objective);
    parity_network_destroy(&network);
    return rc;
}

/* Tokens that differ although the two best scores of their row do not come near each other. */
static int64_t wrong_tokens(const int32_t *have, const int32_t *want, const float *scores, int64_t rows, int64_t V,
                            double margin)
{
    int64_t wrong = 0;
    for (int64_t r = 0; r < rows; r++) {
        double best = -INFINITY, second = -INFINITY;
        for (int64_t v = 0; v < V; v++) {
            const double score = scores[r * V + v];
            if (score > best) {
                second = best;
                best = score;
            } else if (score > second) {
                second = score;
            }
        }
        wrong += !(best - second <= margin) && have[r] != want[r];
    }
    return wrong;
}

static flm_status sample_steps(parity_run *run, const parity_file *file, flm_sampler *sampler, const flm_tensor *xi,
                               int64_t steps)
{
    flm_status rc = FLM_OK;
    const int64_t L = file->shape.L, V = file->shape.V, most = sampler->dit->B_most, chunk = sampler->dit->chunk;
    int32_t *expected = NULL, *tokens = malloc((size_t)(file->B * L) * sizeof *tokens);
    float *scores = NULL, *have = malloc((size_t)(chunk * V) * sizeof *have);
    double worst = 0;
    if (tokens == NULL || have == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for samples");
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, (const int64_t[]){file->B, L}, &expected,
                        "/sample_flm/expected/steps_%lld/tokens", (long long)steps));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, (const int64_t[]){file->B, L, V}, &scores,
                        "/sample_flm/expected/steps_%lld/scores", (long long)steps));
    for (int64_t first = 0; first < file->B; first += most) {
        const int64_t B = file->B - first < most ? file->B - first : most;
        const flm_tensor own = flm_tensor_slice(xi, first, B);
        FLM_TRY(flm_sampler_run(sampler, B, steps, &(flm_noise_source){.given = &own}, tokens + first * L));
        for (int64_t row = 0; row < B * L; row += chunk) {
            const int64_t rows = B * L - row < chunk ? B * L - row : chunk;
            FLM_TRY(flm_sampler_scores(sampler, row, rows, have));
            worst = parity_worst(worst, farthest(have, scores + (first * L + row) * V, rows * V));
        }
    }
    const int64_t wrong = wrong_tokens(tokens, expected, scores, file->B * L, V, run->tolerance.margin);
    parity_compare(run, worst, run->tolerance.scores, "steps_%lld/scores", (long long)steps);
    parity_compare(run, (double)wrong, 0, "steps_%lld/tokens (wrong)", (long long)steps);
done:
    free(expected);
    free(tokens);
    free(scores);
    free(have);
    return rc;
}

flm_status parity_sample_flm(parity_run *run, const parity_file *file)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    flm_sampler *sampler = NULL;
    flm_tensor xi = flm_tensor_none();
    int64_t members = 0;
    FLM_TRY(parity_network_create(run, file, false, &network));
    FLM_TRY(flm_sampler_create(network.dit, network.weights, network.basis, network.gamma, &sampler));
    FLM_TRY(load_xi(run, file, &network, "sample_flm", &xi));
    FLM_TRY(parity_members(file->id, "/sample_flm/expected", &members));
    if (members == 0) FLM_FAIL(FLM_E_FORMAT, "/sample_flm/expected: nothing is expected");
    for (int64_t i = 0; i < members; i++) {
        char name[64];
        long long steps = 0;
        int length = 0;
        FLM_TRY(parity_member(file->id, "/sample_flm/expected", i, name, sizeof name));
        if (sscanf(name, "steps_%9lld%n", &steps, &length) != 1 || name[length] != '\0' || steps < 1)
            FLM_FAIL(FLM_E_FORMAT, "/sample_flm/expected: '%s' is not steps_ and a number", name);
        FLM_TRY(sample_steps(run, file, sampler, &xi, steps));
    }
done:
    run->be->memory->release(run->be, xi.data);
    flm_sampler_destroy(&sampler);
    parity_network_destroy(&network);
    return rc;
}
