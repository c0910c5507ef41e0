/* dit.c - the network: its first loss, dropout, and every gradient by central differences.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/network.h"

#include <math.h>
#include <string.h>

static flm_backend *be;

enum { B = 3, L = 5, V = 19 };
static flm_model_shape shape = {
    .L = L, .V = V, .d = 12, .H = 3, .c = 6, .N = 2, .F = 8, .mlp_ratio = 4, .softcap = 3}; /* small enough to matter */

static int32_t tokens[B * L];
static float loss[B * L];

/* A network with random input and times, where it has them at random kinds of tokens. */
static flm_dit *dit_new(flm_dtype act, int64_t max_batch, int64_t chunk, bool training)
{
    flm_dit *dit = NULL;
    must(flm_dit_create(be, &shape, act, max_batch, chunk, training ? FLM_DIT_STORE_ALL : FLM_DIT_INFERENCE, &dit));
    for (int64_t i = 0; i < flm_tensor_elements(&dit->input); i++)
        ((float *)dit->input.data)[i] = (float)network_draw();
    for (int64_t i = 0; i < max_batch; i++) ((float *)dit->t.data)[i] = (float)(0.5 + 0.5 * network_draw());
    for (int64_t i = 0; i < max_batch; i++) ((float *)dit->t_end.data)[i] = (float)(0.5 + 0.5 * network_draw());
    for (int64_t i = 0; i < flm_tensor_elements(&dit->context); i++)
        ((int32_t *)dit->context.data)[i] = network_draw() < 0;
    for (int i = 0; i < B * L; i++) tokens[i] = (i * 7 + 3) % V;
    return dit;
}

/* The sum of the losses of all rows; gradients are those of half of it. */
static double total(flm_dit *dit, const flm_weights *weights, const flm_dit_dropout *dropout, bool backward)
{
    const flm_tensor targets = flm_tensor_2d(tokens, FLM_DTYPE_I32, B, L),
                     out = flm_tensor_1d(loss, FLM_DTYPE_F32, B * L);
    double sum = 0;
    must(flm_dit_forward(dit, weights, B, dropout));
    must(flm_dit_head_loss(dit, weights, &targets, 0.5f, &out, backward));
    if (backward) must(flm_dit_backward(dit, weights, dropout, NULL));
    for (int i = 0; i < B * L; i++) sum += loss[i];
    return sum;
}

static void test_first_loss(flm_dtype act)
{
    flm_weights *weights = NULL;
    flm_dit *dit = dit_new(act, B, 4, true);
    must(flm_weights_create(be, &shape, act, 1, true, &weights));
    for (int i = 0; i < weights->parameters; i++) {
        const flm_parameter *p = &weights->parameter[i];
        float *values = must_alloc(p->count, sizeof *values);
        flm_parameter_initial(p, i, 1, 0, p->count, values);
        must(flm_weights_set(weights, i, values));
        free(values);
    }
    double worst = 0;
    total(dit, weights, NULL, true);
    for (int i = 0; i < B * L; i++) {
        const double e = fabs(loss[i] - log(V));
        if (isnan(e) || e > worst) worst = e;
    }
    tap_ok(worst <= 4e-7, "%s: the first loss is ln V, to two roundings: off by %.2g", flm_dtype_name(act), worst);
    flm_dit_destroy(&dit);
    flm_weights_destroy(&weights);
}

/* The derivative of total along a direction of parameter i, from four differences, to fourth order. */
static double derivative(flm_dit *dit, flm_weights *weights, const flm_dit_dropout *dropout, int i, const float *at,
                         const double *direction, int64_t n, double h)
{
    static const double steps[] = {-2, -1, 1, 2}, factors[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    float *moved = must_alloc(n, sizeof *moved);
    double sum = 0;
    for (int s = 0; s < 4; s++) {
        for (int64_t k = 0; k < n; k++) moved[k] = (float)(at[k] + steps[s] * h * direction[k]);
        if (i >= 0)
            must(flm_weights_set(weights, i, moved));
        else
            memcpy(dit->input.data, moved, (size_t)n * sizeof *moved);
        sum += factors[s] * total(dit, weights, dropout, false) / h;
    }
    if (i >= 0)
        must(flm_weights_set(weights, i, at));
    else
        memcpy(dit->input.data, at, (size_t)n * sizeof *moved);
    free(moved);
    return sum;
}

/* Along the gradient plus a random direction of the same norm, so that a wrong component is seen. Losses of about 50
 * are exact to 1e-6, differences over 0.02 to 5e-5, for gradients of 0.2 to 10. */
static void check_gradient(flm_dit *dit, flm_weights *weights, const flm_dit_dropout *dropout, int i, const float *at,
                           const float *grad, int64_t n, const char *name)
{
    double *direction = must_alloc(n, sizeof *direction), norm = 0, slope = 0, length = 0;
    for (int64_t k = 0; k < n; k++) norm += (double)grad[k] * (double)grad[k];
    norm = sqrt(norm);
    for (int64_t k = 0; k < n; k++) {
        direction[k] = grad[k] / norm + network_normal() / sqrt((double)n);
        length += direction[k] * direction[k];
    }
    for (int64_t k = 0; k < n; k++) {
        direction[k] /= sqrt(length);
        slope += direction[k] * (double)grad[k];
    }
    const double want = 0.5 * derivative(dit, weights, dropout, i, at, direction, n, 0.02);
    tap_ok(norm > 1e-3 && fabs(slope - want) <= 3e-4 * norm, "%s: %.6g, by differences %.6g%s", name, slope, want,
           dropout != NULL ? ", with dropout" : "");
    free(direction);
}

static void test_gradients(const flm_dit_dropout *dropout)
{
    flm_weights *weights = network_weights(be, &shape, FLM_DTYPE_F32);
    flm_dit *dit = dit_new(FLM_DTYPE_F32, B + 1, 4, true); /* larger than the batch */
    const int64_t inputs = B * L * shape.d;
    float *input = must_alloc(inputs, sizeof *input), *grad_input = must_alloc(inputs, sizeof *input);
    float **at = must_alloc(weights->parameters, sizeof *at), **grad = must_alloc(weights->parameters, sizeof *grad);
    must(flm_weights_zero_grad(weights));
    for (int i = 0; i < weights->parameters; i++) {
        at[i] = network_values(weights, i);
        must(flm_weights_set(weights, i, at[i]));
    }
    total(dit, weights, dropout, true);
    memcpy(input, dit->input.data, (size_t)inputs * sizeof *input);
    memcpy(grad_input, dit->grad_x.data, (size_t)inputs * sizeof *input);
    for (int i = 0; i < weights->parameters; i++) {
        grad[i] = must_alloc(weights->parameter[i].count, sizeof **grad);
        network_grad(weights, i, grad[i]);
    }
    check_gradient(dit, weights, dropout, -1, input, grad_input, inputs, "input");
    for (int i = 1; i < weights->parameters; i++) /* not the embedding, 0, whose gradient is computed in flow */
        check_gradient(dit, weights, dropout, i, at[i], grad[i], weights->parameter[i].count,
                       weights->parameter[i].name);
    for (int i = 0; i < weights->parameters; i++) {
        free(at[i]);
        free(grad[i]);
    }
    free(at);
    free(grad);
    free(input);
    free(grad_input);
    flm_dit_destroy(&dit);
    flm_weights_destroy(&weights);
}

static float *hidden(flm_dit *dit, const flm_weights *weights, int64_t samples, const flm_dit_dropout *dropout)
{
    const int64_t n = samples * L * shape.d;
    float *y = must_alloc(n, sizeof *y);
    must(flm_dit_forward(dit, weights, samples, dropout));
    memcpy(y, dit->y.data, (size_t)n * sizeof *y);
    return y;
}

static void test_dropout(void)
{
    flm_weights *weights = network_weights(be, &shape, FLM_DTYPE_F32);
    flm_dit *dit = dit_new(FLM_DTYPE_F32, B, 4, true);
    const int64_t n = B * L * shape.d, sample = L * shape.d;
    flm_dit_dropout dropout = {.p = 0, .seed = 5, .step = 9, .first_sample = 0};
    float *none = hidden(dit, weights, B, NULL), *zero = hidden(dit, weights, B, &dropout);
    tap_ok(memcmp(none, zero, (size_t)n * sizeof *none) == 0, "p = 0 is no dropout");
    dropout.p = 0.3f;
    float *some = hidden(dit, weights, B, &dropout), *again = hidden(dit, weights, B, &dropout);
    tap_ok(worst_difference(none, some, n) > 0.01, "p = 0.3 changes the result");
    tap_ok(memcmp(some, again, (size_t)n * sizeof *some) == 0, "the same numbers, the same result");
    dropout.step++;
    float *later = hidden(dit, weights, B, &dropout);
    tap_ok(worst_difference(later, some, n) > 0.01, "another step, another mask");
    dropout.step--;
    dropout.pass = 1;
    float *pass = hidden(dit, weights, B, &dropout);
    tap_ok(worst_difference(pass, some, n) > 0.01, "another pass of a step, another mask");
    dropout.pass = 0;
    free(pass);
    /* The last sample alone: the mask depends on its global index, not on the batch. Sums may have another order: 1e-5.
     */
    dropout.first_sample = B - 1;
    memcpy(dit->input.data, (float *)dit->input.data + (B - 1) * sample, (size_t)sample * sizeof *some);
    ((float *)dit->t.data)[0] = ((float *)dit->t.data)[B - 1];
    float *alone = hidden(dit, weights, 1, &dropout);
    tap_ok(worst_difference(alone, some + (B - 1) * sample, sample) <= 1e-5,
           "a sample's mask does not depend on the batch");
    free(none);
    free(zero);
    free(some);
    free(again);
    free(later);
    free(alone);
    flm_dit_destroy(&dit);
    flm_weights_destroy(&weights);
}

/* Blocks that share their activations, and chunks of any size, give the same losses. */
static void test_memory(void)
{
    flm_weights *weights = network_weights(be, &shape, FLM_DTYPE_F32);
    flm_dit *large = dit_new(FLM_DTYPE_F32, B, 1000, true), *small = dit_new(FLM_DTYPE_F32, B, 1, false);
    float first[B * L];
    memcpy(small->input.data, large->input.data, flm_tensor_bytes(&small->input));
    memcpy(small->t.data, large->t.data, flm_tensor_bytes(&small->t));
    tap_ok(large->chunk == B * L && small->chunk == 1, "a chunk is at most the batch");
    tap_ok(flm_backend_chunk_max(50258) == 42690 && flm_backend_chunk_max(1 << 24) == 127 &&
               flm_backend_chunk_max(INT64_C(1) << 33) == 1,
           "a chunk of logits has fewer than 2^31 elements, the padding of its rows counted");
    total(large, weights, NULL, false);
    memcpy(first, loss, sizeof first);
    total(small, weights, NULL, false);
    tap_ok(worst_difference(first, loss, B * L) <= 1e-5, "with shared activations and other chunks: the same losses");
    tap_ok(small->arena.bytes < large->arena.bytes / 2, "%zu bytes without training, %zu with", small->arena.bytes,
           large->arena.bytes);
    tap_ok(flm_dit_forward(large, weights, B + 1, NULL) == FLM_E_ARG &&
               flm_dit_forward(large, weights, 0, NULL) == FLM_E_ARG,
           "batches that do not fit");
    flm_dit_destroy(&large);
    flm_dit_destroy(&small);
    tap_ok(flm_dit_create(be, &shape, FLM_DTYPE_F32, 0, 1, FLM_DIT_STORE_ALL, &large) == FLM_E_ARG && large == NULL,
           "no sequences");
    tap_ok(flm_dit_create(be, &shape, FLM_DTYPE_F32, 1, 0, FLM_DIT_STORE_ALL, &large) == FLM_E_ARG && large == NULL,
           "no chunk");
    flm_weights_destroy(&weights);
}

/* A two-time network whose emb_u is zero equals the one-time network; activations for one time do not suffice for it.
 */
static void test_two_times(void)
{
    flm_weights *one = network_weights(be, &shape, FLM_DTYPE_F32), *two = NULL;
    flm_model_shape two_shape = shape;
    two_shape.network = FLM_NETWORK_TWO_TIME;
    must(flm_weights_create(be, &two_shape, FLM_DTYPE_F32, 1, false, &two));
    for (int b = 0; b < one->buckets; b++)
        memcpy(two->bucket[b].compute.data, one->bucket[b].compute.data, flm_tensor_bytes(&one->bucket[b].compute));
    flm_dit *dit = dit_new(FLM_DTYPE_F32, B, 4, true), *wide = NULL;
    must(flm_dit_create(be, &two_shape, FLM_DTYPE_F32, B, 4, FLM_DIT_STORE_ALL, &wide));
    memcpy(wide->input.data, dit->input.data, flm_tensor_bytes(&dit->input));
    memcpy(wide->t.data, dit->t.data, flm_tensor_bytes(&dit->t));
    for (int i = 0; i < B; i++) ((float *)wide->t_end.data)[i] = 0.1f * (float)(i + 1);
    const int64_t n = B * L * shape.d;
    float *want = hidden(dit, one, B, NULL), *have = hidden(wide, two, B, NULL), *same = hidden(wide, one, B, NULL);
    tap_ok(memcmp(want, have, (size_t)n * sizeof *want) == 0, "emb_u at zero: the one-time network");
    tap_ok(memcmp(want, same, (size_t)n * sizeof *want) == 0, "activations for two times serve a one-time network");
    for (int i = 0; i < shape.c * shape.c; i++) ((float *)two->w.t_end_W2.data)[i] = (float)network_draw();
    for (int i = 0; i < shape.c; i++) ((float *)two->w.t_end_b1.data)[i] = (float)network_draw();
    float *moved = hidden(wide, two, B, NULL);
    tap_ok(worst_difference(want, moved, n) > 1e-3, "emb_u changes the result");
    tap_ok(flm_dit_forward(dit, two, B, NULL) == FLM_E_ARG, "%s", flm_err_message());
    flm_err_clear();
    free(want);
    free(have);
    free(same);
    free(moved);
    flm_dit_destroy(&dit);
    flm_dit_destroy(&wide);
    flm_weights_destroy(&one);
    flm_weights_destroy(&two);
}

static int called[16], calls;

static flm_status record_call(void *context, int bucket)
{
    if (context == called && calls < 16) called[calls++] = bucket;
    return bucket == FLM_BUCKET_TIME && called[15] == -1 ? FLM_E_NUMERIC : FLM_OK;
}

static void test_hook(void)
{
    static const int order[] = {6, 7, 4, 5, 2, 3, FLM_BUCKET_TIME};
    flm_weights *weights = network_weights(be, &shape, FLM_DTYPE_F32);
    flm_dit *dit = dit_new(FLM_DTYPE_F32, B, 4, true);
    const flm_dit_hook hook = {.ready = record_call, .context = called};
    total(dit, weights, NULL, true);
    must(flm_dit_backward(dit, weights, NULL, &hook));
    tap_ok(calls == 7 && memcmp(called, order, sizeof order) == 0,
           "the hook is called for each bucket, those of the head first");
    called[15] = -1;
    tap_ok(flm_dit_backward(dit, weights, NULL, &hook) == FLM_E_NUMERIC, "an error of the hook is returned");
    flm_dit_destroy(&dit);
    flm_weights_destroy(&weights);
}

/* Recomputed activations: equal bits in every gradient, and less memory. */
static void test_recompute(flm_dtype act, flm_dit_memory memory)
{
    const flm_dit_dropout dropout = {.p = 0.3f, .seed = 3, .step = 4, .first_sample = 7};
    flm_weights *weights[2] = {NULL, NULL};
    flm_dit *dit[2] = {dit_new(act, B, 4, true), NULL};
    double sum[2];
    int different = 0;
    must(flm_dit_create(be, &shape, act, B, 4, memory, &dit[1]));
    memcpy(dit[1]->input.data, dit[0]->input.data, flm_tensor_bytes(&dit[0]->input));
    memcpy(dit[1]->t.data, dit[0]->t.data, flm_tensor_bytes(&dit[0]->t));
    memcpy(dit[1]->t_end.data, dit[0]->t_end.data, flm_tensor_bytes(&dit[0]->t_end));
    if (dit[0]->context.data != NULL)
        memcpy(dit[1]->context.data, dit[0]->context.data, flm_tensor_bytes(&dit[0]->context));
    tap_ok(dit[1]->arena.bytes < dit[0]->arena.bytes, "%zu bytes of activations, %zu of all", dit[1]->arena.bytes,
           dit[0]->arena.bytes);
    for (int k = 0; k < 2; k++) {
        must(flm_weights_create(be, &shape, act, 1, true, &weights[k]));
        for (int i = 0; i < weights[k]->parameters; i++) {
            const flm_parameter *p = &weights[k]->parameter[i];
            float *values = must_alloc(p->count, sizeof *values);
            for (int64_t j = 0; j < p->count; j++) values[j] = 0.3f * sinf((float)(j * 7 + i));
            must(flm_weights_set(weights[k], i, values));
            free(values);
        }
        sum[k] = total(dit[k], weights[k], &dropout, true);
    }
    for (int b = 0; b < weights[0]->buckets; b++)
        different += memcmp(weights[0]->bucket[b].grad.data, weights[1]->bucket[b].grad.data,
                            flm_tensor_bytes(&weights[0]->bucket[b].grad)) != 0;
    different += memcmp(dit[0]->grad_x.data, dit[1]->grad_x.data, flm_tensor_bytes(&dit[0]->grad_x)) != 0;
    tap_ok(isfinite(sum[0]) && sum[0] == sum[1] && different == 0, "%s, memory %d: the same loss and gradients",
           flm_dtype_name(act), (int)memory);
    for (int k = 0; k < 2; k++) {
        flm_dit_destroy(&dit[k]);
        flm_weights_destroy(&weights[k]);
    }
}

static void set_context(flm_dit *dit, int32_t kind)
{
    for (int i = 0; i < B * L; i++) ((int32_t *)dit->context.data)[i] = kind;
}

/* Two kinds of tokens: with active ones alone the network is the two-time network, with context alone that at times
 * (1, 1); the times of a sequence concern no other one. */
static void test_context(void)
{
    const int64_t n = B * L * shape.d;
    flm_weights *any = network_weights(be, &shape, FLM_DTYPE_F32), *two = NULL;
    flm_dit *dit = dit_new(FLM_DTYPE_F32, B, 4, true), *plain = NULL;
    flm_model_shape two_shape = shape;
    two_shape.network = FLM_NETWORK_TWO_TIME;
    must(flm_weights_create(be, &two_shape, FLM_DTYPE_F32, 1, false, &two));
    for (int b = 0; b < any->buckets; b++)
        memcpy(two->bucket[b].compute.data, any->bucket[b].compute.data, flm_tensor_bytes(&any->bucket[b].compute));
    must(flm_dit_create(be, &two_shape, FLM_DTYPE_F32, B, 4, FLM_DIT_STORE_ALL, &plain));
    memcpy(plain->input.data, dit->input.data, flm_tensor_bytes(&dit->input));
    memcpy(plain->t.data, dit->t.data, B * sizeof(float));
    memcpy(plain->t_end.data, dit->t_end.data, B * sizeof(float));
    float *mixed = hidden(dit, any, B, NULL), *active = hidden(plain, two, B, NULL);
    float *served = hidden(dit, two, B, NULL);
    tap_ok(plain->context.data == NULL && memcmp(active, served, (size_t)n * sizeof *active) == 0,
           "activations for two kinds of tokens serve a network without them");
    ((float *)dit->t.data)[1] *= 0.5f;
    float *later = hidden(dit, any, B, NULL);
    tap_ok(memcmp(mixed, later, (size_t)(L * shape.d) * sizeof *mixed) == 0 &&
               worst_difference(mixed + L * shape.d, later + L * shape.d, L * shape.d) > 1e-3,
           "the times of a sequence are its own");
    ((float *)dit->t.data)[1] *= 2;
    set_context(dit, 0);
    float *none = hidden(dit, any, B, NULL);
    tap_ok(worst_difference(none, active, n) <= 1e-5 && worst_difference(none, mixed, n) > 1e-3,
           "active tokens alone: the two-time network");
    set_context(dit, 1);
    for (int i = 0; i < B; i++) ((float *)plain->t.data)[i] = ((float *)plain->t_end.data)[i] = 1;
    float *all = hidden(dit, any, B, NULL), *at_end = hidden(plain, two, B, NULL);
    tap_ok(worst_difference(all, at_end, n) <= 1e-5, "context alone: the two-time network at times (1, 1)");
    tap_ok(flm_dit_forward(plain, any, B, NULL) == FLM_E_ARG, "%s", flm_err_message());
    flm_err_clear();
    float *rest[] = {mixed, active, served, later, none, all, at_end};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) free(rest[i]);
    flm_dit_destroy(&dit);
    flm_dit_destroy(&plain);
    flm_weights_destroy(&any);
    flm_weights_destroy(&two);
}

int main(void)
{
    must(flm_backend_create(FLM_DEVICE_CPU, 2, 0, &be));
    test_first_loss(FLM_DTYPE_F32);
    test_first_loss(FLM_DTYPE_BF16);
    test_gradients(NULL);
    test_gradients(&(flm_dit_dropout){.p = 0.3f, .seed = 3, .step = 4, .first_sample = 7});
    test_dropout();
    test_memory();
    for (int kept = FLM_DIT_STORE_PRODUCTS; kept <= FLM_DIT_RECOMPUTE; kept++) {
        test_recompute(FLM_DTYPE_F32, (flm_dit_memory)kept);
        test_recompute(FLM_DTYPE_BF16, (flm_dit_memory)kept);
    }
    test_hook();
    test_two_times();
    shape.network = FLM_NETWORK_ANY_ORDER;
    test_gradients(NULL);
    test_gradients(&(flm_dit_dropout){.p = 0.3f, .seed = 3, .step = 4, .first_sample = 7});
    for (int kept = FLM_DIT_STORE_PRODUCTS; kept <= FLM_DIT_RECOMPUTE; kept++) {
        test_recompute(FLM_DTYPE_F32, (flm_dit_memory)kept);
        test_recompute(FLM_DTYPE_BF16, (flm_dit_memory)kept);
    }
    test_context();
    flm_backend_destroy(&be);
    return tap_end();
}
