/* parity_loss.c - gamma, and the losses with all their gradients: /flm_loss, /distill_loss, /second_loss,
 * /fmlm_loss, /fmlm_loss_from_data, /any_order_loss.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/parity/parity.h"

#include <math.h>
#include <stdlib.h>

/* Golden gammas come from a spline: model.md section 3. */
static const double gamma_tolerance = 2e-4;
/* The embedded state is computed in fp32 for any precision of the trunk: a few roundings of values of order 1. */
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

double parity_farthest(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) worst = parity_worst(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* Inputs and expected values of a loss, on the host. */
typedef struct loss_case {
    const char *part;
    int32_t *tokens;
    double *t, *d;                     /* d: of jumps, else NULL */
    int32_t *context;                  /* of /any_order_loss, else NULL */
    int64_t rows;                      /* that have a loss */
    double *gamma, *loss;              /* gamma: NULL where path time is network time */
    float *embedded, *logits;          /* of /flm_loss alone */
    flm_tensor xi[FLM_NOISE_NETWORKS]; /* on the backend */
    float *state;                      /* [max_batch, L, d] */
    float *chunk;                      /* [chunk, V] */
    double embedded_error, logits_error;
} loss_case;

static flm_status check_inputs(const parity_file *file, const loss_case *c)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *s = &file->shape;
    for (int64_t i = 0; i < file->B * s->L; i++)
        if (c->tokens[i] < 0 || c->tokens[i] >= s->V)
            FLM_FAIL(FLM_E_FORMAT, "/%s/inputs/tokens: %d is not in 0..%lld", c->part, (int)c->tokens[i],
                     (long long)s->V - 1);
    for (int64_t i = 0; i < file->B; i++) {
        if (!(c->t[i] >= 0 && c->t[i] <= 1))
            FLM_FAIL(FLM_E_FORMAT, "/%s/inputs: time %g is not in 0..1", c->part, c->t[i]);
        if (c->d != NULL && !(c->d[i] >= 0 && c->t[i] + c->d[i] <= 1 + 1e-9))
            FLM_FAIL(FLM_E_FORMAT, "/%s/inputs/d: %g from %g is not in 0..1", c->part, c->d[i], c->t[i]);
    }
done:
    return rc;
}

/* Which tokens are context. */
static flm_status read_context(const parity_file *file, loss_case *c)
{
    flm_status rc = FLM_OK;
    const int64_t dim[] = {file->B, file->shape.L};
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, dim, &c->context, "/%s/inputs/context", c->part));
    for (int64_t i = 0; i < dim[0] * dim[1]; i++) {
        if (c->context[i] != 0 && c->context[i] != 1)
            FLM_FAIL(FLM_E_FORMAT, "/%s/inputs/context: %d is neither 0 nor 1", c->part, (int)c->context[i]);
        c->rows -= c->context[i];
    }
done:
    return rc;
}

/* Lengths of jumps from their ends; 0 on the diagonal. Where the middle of a jump is given too, it must be there. */
static flm_status read_jumps(const parity_file *file, bool middle, loss_case *c)
{
    flm_status rc = FLM_OK;
    double *u = NULL;
    int32_t *jump = NULL;
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &file->B, &c->d, "/%s/inputs/t", c->part));
    if (middle) FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &file->B, &u, "/%s/inputs/u", c->part));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 1, &file->B, &jump, "/%s/inputs/off_diagonal", c->part));
    for (int64_t i = 0; i < file->B; i++) {
        c->d[i] = jump[i] != 0 ? c->d[i] - c->t[i] : 0;
        if (middle && !(fabs(c->t[i] + c->d[i] / 2 - u[i]) <= 1e-9))
            FLM_FAIL(FLM_E_FORMAT, "/%s/inputs/u: %g is not the middle of a jump from %g by %g", c->part, u[i], c->t[i],
                     c->d[i]);
    }
done:
    free(u);
    free(jump);
    return rc;
}

static flm_status loss_case_read(parity_run *run, const parity_file *file, const parity_network *network, loss_case *c)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *s = &file->shape;
    const bool jumps = network->kind->network != FLM_NETWORK_ONE_TIME;
    const int64_t B = file->B, tokens[] = {B, s->L}, embedded[] = {B, s->L, s->d}, logits[] = {B, s->L, s->V};
    FLM_TRY(parity_read(file->id, FLM_DTYPE_I32, 2, tokens, &c->tokens, "/%s/inputs/tokens", c->part));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &B, &c->t, "/%s/inputs/%s", c->part, jumps ? "s" : "t"));
    if (network->kind->objective->diagonal)
        FLM_TRY(read_jumps(file, !network->kind->objective->context, c));
    else if (jumps)
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &B, &c->d, "/%s/inputs/d", c->part));
    c->rows = B * s->L;
    if (network->kind->objective->context)
        FLM_TRY(read_context(file, c));
    else
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 1, &B, &c->gamma, "/%s/expected/gamma", c->part));
    FLM_TRY(parity_read(file->id, FLM_DTYPE_F64, 0, NULL, &c->loss, "/%s/expected/loss", c->part));
    if (!jumps) {
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, embedded, &c->embedded, "/%s/expected/embedded", c->part));
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, 3, logits, &c->logits, "/%s/expected/logits", c->part));
    }
    FLM_TRY(check_inputs(file, c));
    c->state = malloc((size_t)(network->dit->max_batch * s->L * s->d) * sizeof *c->state);
    c->chunk = malloc((size_t)(network->dit->chunk * s->V) * sizeof *c->chunk);
    if (c->state == NULL || c->chunk == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the comparison");
    FLM_TRY(parity_xi(run, file, network, c->part, c->xi));
done:
    return rc;
}

static void loss_case_free(parity_run *run, loss_case *c)
{
    parity_xi_free(run, c->xi);
    free(c->tokens);
    free(c->t);
    free(c->d);
    free(c->context);
    free(c->gamma);
    free(c->loss);
    free(c->embedded);
    free(c->logits);
    free(c->state);
    free(c->chunk);
}

/* Compare input and logits of the micro-batch just run, samples [first, first + B). */
static flm_status compare_forward(parity_run *run, const parity_network *network, loss_case *c, int64_t first,
                                  int64_t B)
{
    flm_status rc = FLM_OK;
    const flm_memory *memory = run->be->memory;
    flm_dit *dit = network->dit;
    const int64_t L = dit->shape.L, d = dit->shape.d, V = dit->shape.V;
    FLM_TRY(memory->to_host(run->be, c->state, dit->input.data, (size_t)(B * L * d) * sizeof *c->state));
    FLM_TRY(run->be->stream->sync(run->be));
    c->embedded_error =
        parity_worst(c->embedded_error, parity_farthest(c->state, c->embedded + first * L * d, B * L * d));
    for (int64_t row = 0; row < B * L; row += dit->chunk) {
        const int64_t rows = B * L - row < dit->chunk ? B * L - row : dit->chunk;
        FLM_TRY(flm_dit_head_logits(dit, network->weights, row, rows));
        const flm_tensor logits = flm_tensor_slice(&dit->logits, 0, rows);
        FLM_TRY(flm_backend_to_host(run->be, c->chunk, &logits));
        FLM_TRY(run->be->stream->sync(run->be));
        c->logits_error =
            parity_worst(c->logits_error, parity_farthest(c->chunk, c->logits + (first * L + row) * V, rows * V));
    }
done:
    return rc;
}

static flm_status compare_gradients(parity_run *run, const parity_file *file, const char *part,
                                    const flm_weights *weights)
{
    flm_status rc = FLM_OK;
    const flm_memory *memory = run->be->memory;
    float *expected = NULL, *have = NULL;
    int64_t members = 0;
    char group[96];
    snprintf(group, sizeof group, "/%s/expected/grad", part);
    FLM_TRY(parity_members(file->id, group, &members));
    if (members != weights->parameters)
        FLM_FAIL(FLM_E_FORMAT, "%s: %lld tensors, the network has %d", group, (long long)members, weights->parameters);
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        double error = 0, norm = 0;
        FLM_TRY(parity_read(file->id, FLM_DTYPE_F32, p->ndim, p->dim, &expected, "%s/%s", group, p->name));
        have = malloc((size_t)p->count * sizeof *have);
        if (have == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for the gradient of %s", p->name);
        FLM_TRY(memory->to_host(run->be, have, (const float *)weights->bucket[p->bucket].grad.data + p->offset,
                                (size_t)p->count * sizeof *have));
        FLM_TRY(run->be->stream->sync(run->be));
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

/* All micro-batches, then the noise part of the embedding's gradient. */
static flm_status run_loss(parity_run *run, const parity_file *file, const parity_network *network,
                           flm_objective *objective, loss_case *c, flm_objective_sums *sums)
{
    flm_status rc = FLM_OK;
    const int64_t L = file->shape.L, max = network->dit->max_batch;
    FLM_TRY(flm_weights_zero_grad(network->weights));
    FLM_TRY(flm_objective_begin(objective, run->comm, network->weights));
    for (int64_t first = 0; first < file->B; first += max) {
        const int64_t B = file->B - first < max ? file->B - first : max;
        flm_tensor xi[FLM_NOISE_NETWORKS];
        for (int i = 0; i < network->basis->blocks; i++) xi[i] = flm_tensor_slice(&c->xi[i], first, B);
        const flm_micro_batch batch = {.B = B,
                                       .tokens = c->tokens + first * L,
                                       .t = c->t + first,
                                       .d = c->d != NULL ? c->d + first : NULL,
                                       .context = c->context != NULL ? c->context + first * L : NULL,
                                       .noise = {.given = xi},
                                       .scale = 1 / fmax((double)c->rows, 1),
                                       .backward = true};
        FLM_TRY(flm_objective_micro_batch(objective, network->weights, &batch));
        if (c->logits != NULL) FLM_TRY(compare_forward(run, network, c, first, B));
    }
    FLM_TRY(flm_noise_reduce(network->basis, run->comm));
    FLM_TRY(flm_noise_gradient(network->basis, &network->weights->w.E, 0, &network->weights->grad.E));
    FLM_TRY(flm_objective_total(objective, sums));
done:
    return rc;
}

flm_status parity_loss(parity_run *run, const parity_file *file, const parity_case *which)
{
    flm_status rc = FLM_OK;
    parity_network network = {0};
    flm_objective *objective = NULL;
    loss_case c = {.part = which->part};
    flm_objective_sums sums;
    FLM_TRY(parity_network_create(run, file, which, &network));
    flm_objective_parts parts = {.kind = network.kind,
                                 .dit = network.dit,
                                 .basis = network.basis,
                                 .gamma = network.gamma,
                                 .inference = network.inference};
    for (int r = 0; r < FLM_ROLES; r++) parts.frozen[r] = network.frozen[r];
    FLM_TRY(flm_objective_create(&parts, &objective));
    FLM_TRY(loss_case_read(run, file, &network, &c));
    FLM_TRY(run_loss(run, file, &network, objective, &c, &sums));
    if (c.gamma != NULL) compare_gamma(run, network.gamma, file->B, c.t, c.gamma);
    if (sums.rows != (double)c.rows)
        FLM_FAIL(FLM_E_ARG, "%g rows have a loss, expected %lld", sums.rows, (long long)c.rows);
    const double loss = sums.loss / fmax((double)c.rows, 1);
    parity_compare(run, fabs(loss - *c.loss) / fmax(1, fabs(*c.loss)), run->tolerance.loss, "loss");
    if (c.logits != NULL) {
        parity_compare(run, c.embedded_error, embedded_tolerance, "embedded");
        parity_compare(run, c.logits_error, run->tolerance.logits, "logits");
    }
    FLM_TRY(compare_gradients(run, file, which->part, network.weights));
done:
    loss_case_free(run, &c);
    flm_objective_destroy(&objective);
    parity_network_destroy(&network);
    return rc;
}
