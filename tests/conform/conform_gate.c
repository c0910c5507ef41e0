/* conform_gate.c - the gated residual (model.md sections 2 and 10) against double, and its dropout: the mask depends on
 * the counter alone and has the right rate. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_philox.h"
#include "tests/conform/conform_common.h"

enum { XIN, BRANCH, MOD, CONTEXT, Y, FORWARD }; /* XIN is grad_y in the backward pass */
enum { GRAD_BRANCH = Y, GRAD_MOD, BACKWARD };

typedef struct sizes {
    int64_t B, L, d, M, gate;
    flm_dropout dropout;
    bool context; /* two gates a sequence */
} sizes;

static int64_t mod_rows(const sizes *n) { return n->context ? 2 * n->B : n->B; }

static flm_status forward(flm_backend *be, const operand *o, const void *arg)
{
    const sizes *n = arg;
    return flm_op_gate_residual(be, &o[Y].t, &o[XIN].t, &o[BRANCH].t, &o[MOD].t, &o[CONTEXT].t, n->gate, &n->dropout);
}

static flm_status forward_in_place(flm_backend *be, const operand *o, const void *arg)
{
    const sizes *n = arg;
    return flm_op_gate_residual(be, &o[XIN].t, &o[XIN].t, &o[BRANCH].t, &o[MOD].t, &o[CONTEXT].t, n->gate, &n->dropout);
}

static flm_status backward(flm_backend *be, const operand *o, const void *arg)
{
    const sizes *n = arg;
    return flm_op_gate_residual_backward(be, &o[GRAD_BRANCH].t, &o[GRAD_MOD].t, &o[XIN].t, &o[BRANCH].t, &o[MOD].t,
                                         &o[CONTEXT].t, n->gate, &n->dropout);
}

static flm_status backward_in_place(flm_backend *be, const operand *o, const void *arg)
{
    const sizes *n = arg;
    return flm_op_gate_residual_backward(be, &o[BRANCH].t, &o[GRAD_MOD].t, &o[XIN].t, &o[BRANCH].t, &o[MOD].t,
                                         &o[CONTEXT].t, n->gate, &n->dropout);
}

/* The factor of element (b, l, i): backend_ops.h, flm_dropout, by the counter's layout of base_philox.h. */
static double factor(const sizes *n, int64_t b, int64_t l, int64_t i)
{
    const double threshold = floor((double)n->dropout.p * 65536 + 0.5);
    const uint64_t sample = (uint64_t)(n->dropout.first_sample + b);
    const flm_philox4 r =
        flm_philox4x32(n->dropout.stream, (uint32_t)sample, (uint32_t)(sample >> 32), (uint32_t)l, (uint32_t)(i / 8));
    const uint32_t half = r.v[i % 8 / 2] >> (i % 2 * 16) & 0xFFFF;
    return half >= threshold ? 65536 / (65536 - threshold) : 0;
}

static void reference(const operand *o, const sizes *n, double *y, double *size, double *grad_branch, double *grad_mod,
                      double *size_mod)
{
    for (int64_t i = 0; i < n->B * n->L * n->d; i++) {
        const int64_t row = i / n->d, b = row / n->L, j = i % n->d;
        const int64_t condition = b + (n->context && o[CONTEXT].before[row] != 0 ? n->B : 0);
        const int64_t column = condition * n->M + n->gate + j;
        const double f = factor(n, b, row % n->L, j), gate = o[MOD].before[column];
        y[i] = o[XIN].before[i] + gate * f * o[BRANCH].before[i];
        size[i] = fabs(o[XIN].before[i]) + fabs(gate * f * o[BRANCH].before[i]);
        grad_branch[i] = o[XIN].before[i] * f * gate;
        grad_mod[column] += o[XIN].before[i] * f * o[BRANCH].before[i];
        size_mod[column] += fabs(o[XIN].before[i] * f * o[BRANCH].before[i]);
    }
}

static bool same_bits(const flm_tensor *a, const flm_tensor *b)
{
    return flm_tensor_bytes(a) == 0 || memcmp(a->data, b->data, flm_tensor_bytes(a)) == 0;
}

static void test_shape(flm_dtype dtype, const int64_t shape[5], float p, bool context)
{
    const sizes n = {shape[0], shape[1], shape[2], shape[3], shape[4], {p, 0x123456789ABCDEFu, (int64_t)1 << 33},
                     context};
    operand o[BACKWARD];
    char name[96];
    const int64_t all = n.B * n.L * n.d;
    double *y = doubles(all), *size = doubles(all), *branch = doubles(all);
    double *mod = doubles(mod_rows(&n) * n.M), *size_mod = doubles(mod_rows(&n) * n.M);
    snprintf(name, sizeof name, "%s B=%d L=%d d=%d%s dropout %g", flm_dtype_name(dtype), (int)n.B, (int)n.L, (int)n.d,
             context ? " with context" : "", (double)p);
    o[XIN] = operand_3d(FLM_DTYPE_F32, 1, n.B, n.L, n.d);
    o[BRANCH] = operand_3d(dtype, 1, n.B, n.L, n.d);
    o[MOD] = operand_2d(FLM_DTYPE_F32, 1, mod_rows(&n), n.M);
    o[CONTEXT] = context ? operand_tokens(2, (const int64_t[]){n.B, n.L}, 2) : (operand){flm_tensor_none(), NULL};
    o[Y] = operand_3d(FLM_DTYPE_F32, NAN, n.B, n.L, n.d);
    reference(o, &n, y, size, branch, mod, size_mod);
    conform_run(forward, o, FORWARD, &n, name);
    conform_close(&o[Y].t, y, size, 4e-7, "y");
    operand out = o[Y];
    if (conform_once(conform_be[1], forward_in_place, o, FORWARD, &n) != FLM_OK) abort();
    tap_ok(same_bits(&o[XIN].t, &out.t), "y may be x");
    for (int64_t i = 0; i < all; i++) put(&o[XIN].t, i, o[XIN].before[i]);

    o[GRAD_BRANCH] = operand_3d(dtype, NAN, n.B, n.L, n.d);
    o[GRAD_MOD] = operand_2d(FLM_DTYPE_F32, 1, mod_rows(&n), n.M);
    for (int64_t i = 0; i < mod_rows(&n) * n.M; i++) /* other columns stay as they are */
        if (!(i % n.M >= n.gate && i % n.M < n.gate + n.d)) mod[i] = o[GRAD_MOD].before[i];
    conform_run(backward, o, BACKWARD, &n, name);
    conform_close(&o[GRAD_BRANCH].t, branch, NULL, 3e-7, "grad_branch");
    conform_close(&o[GRAD_MOD].t, mod, size_mod, 1e-6, "grad_mod");
    if (conform_once(conform_be[1], backward_in_place, o, BACKWARD, &n) != FLM_OK) abort();
    tap_ok(same_bits(&o[BRANCH].t, &o[GRAD_BRANCH].t), "grad_branch may be branch");
    operands_free(o, BACKWARD);
    operands_free(&out, 1);
    double *rest[] = {y, size, branch, mod, size_mod};
    for (int i = 0; i < 5; i++) free(rest[i]);
}

/* x = 0, branch = gate = 1: y shows the factors. */
static operand factors(int64_t B, int64_t L, int64_t d, flm_dropout dropout)
{
    operand o[FORWARD] = {operand_3d(FLM_DTYPE_F32, 0, B, L, d),
                          operand_3d(FLM_DTYPE_BF16, 0, B, L, d),
                          operand_2d(FLM_DTYPE_F32, 0, B, d),
                          {flm_tensor_none(), NULL},
                          operand_3d(FLM_DTYPE_F32, NAN, B, L, d)};
    const sizes n = {B, L, d, d, 0, dropout, false};
    for (int64_t i = 0; i < B * L * d; i++) put(&o[BRANCH].t, i, 1);
    for (int64_t i = 0; i < B * d; i++) put(&o[MOD].t, i, 1);
    if (conform_once(conform_be[1], forward, o, FORWARD, &n) != FLM_OK) abort();
    operands_free(o, Y);
    return o[Y];
}

static void test_statistics(void)
{
    const flm_dropout dropout = {0.1f, 77, 5};
    const double n = 16 * 64 * 768, exact = 6554.0 / 65536, keep = 65536 / (65536 - 6554.0);
    operand all = factors(16, 64, 768, dropout), other = factors(16, 64, 768, (flm_dropout){0.1f, 78, 5});
    double dropped = 0, both = 0, next = 0;
    bool scaled = true;
    for (int64_t i = 0; i < (int64_t)n; i++) {
        double f = get(&all.t, i);
        dropped += f == 0;
        both += f == 0 && get(&other.t, i) == 0;
        next += f == 0 && get(&all.t, (i + 1) % (int64_t)n) == 0;
        scaled = scaled && (f == 0 || f == (double)(float)keep);
    }
    /* Five standard deviations of a binomial number. */
    tap_close(dropped / n, exact, 5 * sqrt(exact * (1 - exact) / n), "share dropped");
    tap_close(both / n, exact * exact, 5 * sqrt(exact * exact / n), "sites are independent");
    tap_close(next / n, exact * exact, 5 * sqrt(exact * exact / n), "neighbours are independent");
    tap_ok(scaled, "what is kept is divided by the probability of that");
    for (int64_t first = 0, count; first < 16; first += count) {
        count = first == 0 ? 1 : first == 1 ? 7 : 8;
        operand part = factors(count, 64, 768, (flm_dropout){0.1f, 77, 5 + first});
        flm_tensor slice = flm_tensor_slice(&all.t, first, count);
        tap_ok(same_bits(&part.t, &slice), "samples [%d, %d) are the same alone", (int)first, (int)(first + count));
        operands_free(&part, 1);
    }
    operands_free(&all, 1);
    operands_free(&other, 1);
}

static void test_errors(void)
{
    sizes n = {2, 5, 7, 21, 14, {0.5f, 1, 0}, false}, bad = n;
    operand o[BACKWARD] = {operand_3d(FLM_DTYPE_F32, 1, 2, 5, 7),
                           operand_3d(FLM_DTYPE_BF16, 1, 2, 5, 7),
                           operand_2d(FLM_DTYPE_F32, 1, 2, 21),
                           {flm_tensor_none(), NULL},
                           operand_3d(FLM_DTYPE_F32, 1, 2, 5, 7)};
    conform_refuses(forward, o, CONTEXT, &n, "gate_residual");
    tap_ok(conform_refused(forward, o, Y, &n), "gate_residual: refuses argument %d", Y);
    bad.gate = 15;
    tap_ok(forward(conform_be[0], o, &bad) == FLM_E_SHAPE, "columns beyond mod");
    static const float wrong[] = {-0.1f, 1, 2, NAN, 0.999999f};
    for (int i = 0; i < 5; i++) {
        bad = n;
        bad.dropout.p = wrong[i];
        tap_ok(forward(conform_be[0], o, &bad) == FLM_E_ARG, "dropout of %g", (double)wrong[i]);
    }
    operands_free(&o[Y], 1);
    o[GRAD_BRANCH] = operand_3d(FLM_DTYPE_BF16, 1, 2, 5, 7);
    o[GRAD_MOD] = operand_2d(FLM_DTYPE_F32, 1, 2, 21);
    conform_refuses(backward, o, CONTEXT, &n, "gate_residual_backward");
    for (int k = GRAD_BRANCH; k < BACKWARD; k++)
        tap_ok(conform_refused(backward, o, k, &n), "gate_residual_backward: refuses argument %d", k);
    o[CONTEXT] = operand_tokens(2, (const int64_t[]){2, 5}, 2);
    tap_ok(forward(conform_be[0], o, &n) == FLM_E_SHAPE, "context with a row of mod for each sequence");
    flm_err_clear();
    operands_free(o, BACKWARD);
}

int main(void)
{
    static const int64_t shapes[][5] = {{1, 1, 1, 1, 0},      {2, 3, 7, 42, 14},       {3, 65, 65, 66, 1},
                                        {2, 130, 16, 32, 16}, {1, 7, 768, 4608, 1536}, {0, 3, 8, 16, 0}};
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            for (int context = 0; context < 2; context++) {
                test_shape(k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, shapes[i], 0, context == 1);
                test_shape(k ? FLM_DTYPE_BF16 : FLM_DTYPE_F32, shapes[i], 0.1f, context == 1);
            }
        }
    test_statistics();
    test_errors();
    return conform_end();
}
