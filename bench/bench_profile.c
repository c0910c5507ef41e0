/* bench_profile.c - see bench_profile.h. SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench_profile.h"

#include "backend/backend_internal.h"
#include "base/base_clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 160, PROBES = 50 };

typedef struct part {
    char name[64];
    const char *class, *dtype;
    int64_t calls;
    double seconds, bytes, flops;
} part;

struct bench_profile {
    flm_backend *be;
    const flm_ops *ops; /* the backend's own */
    const flm_memory *memory;
    flm_ops timed_ops;
    flm_memory timed_memory;
    const bench_matmul *product;
    int products, parts;
    bool inside; /* an op that calls others is one */
    double call; /* seconds of an almost empty call */
    part part[PARTS];
};

static bench_profile *active;

/* ---- what an op takes ---- */

static double bytes_of(const flm_tensor *t) { return t && t->data ? (double)flm_tensor_bytes(t) : 0; }

static double elements(const flm_tensor *t) { return (double)flm_tensor_elements(t); }

/* Forward 4 B L^2 d; backward five matmuls, 10 B L^2 d (bench_ops.c). */
static double attention_flops(const flm_tensor *o, double each)
{
    return each * elements(o) * (double)o->dim[o->ndim - 2];
}

static double matmul_bytes(const flm_matmul *p)
{
    return bytes_of(p->a) + bytes_of(p->b) + bytes_of(p->c) * (p->accumulate ? 2 : 1) + bytes_of(p->bias) +
           bytes_of(p->gelu);
}

static int64_t matmul_depth(const flm_matmul *p) { return p->a->dim[p->transpose_a ? 0 : 1]; }

static double adamw_bytes(const flm_adamw *p)
{
    return 2 * (bytes_of(&p->w) + bytes_of(&p->m) + bytes_of(&p->v) + bytes_of(&p->ema)) + bytes_of(&p->grad) +
           bytes_of(&p->cast);
}

static double mixture_bytes(const flm_mixture_xent *p)
{
    return bytes_of(p->logits) + bytes_of(p->first) + bytes_of(p->second) + bytes_of(p->grad);
}

static double distill_bytes(const flm_distill_error *p)
{
    return bytes_of(p->from) + bytes_of(p->to) + 2 * bytes_of(p->residual) + bytes_of(p->grad);
}

/* The name of a matmul of these sizes, whatever the number of tokens: the last chunk has fewer. */
static void matmul_name(const flm_matmul *p, char *name, size_t room)
{
    const int64_t M = p->c->dim[0], N = p->c->dim[1], K = matmul_depth(p);
    for (int i = 0; i < active->products; i++) {
        const bench_matmul *c = &active->product[i];
        const bool same = p->transpose_a == c->transpose_a && p->transpose_b == c->transpose_b && N == c->N;
        if (!same || (c->transpose_a ? M != c->M || K > c->K : K != c->K || M > c->M)) continue;
        if (2 * (c->transpose_a ? K : M) <= (c->transpose_a ? c->K : c->M) && strncmp(c->name, "head", 4) != 0)
            continue;
        snprintf(name, room, "%s", c->name);
        return;
    }
    snprintf(name, room, "matmul %lldx%lldx%lld", (long long)M, (long long)N, (long long)K);
}

/* ---- timing ---- */

static double began(void)
{
    active->inside = true;
    return flm_clock_seconds();
}

static flm_status ended(flm_status rc, double begin, part now)
{
    bench_profile *p = active;
    part *at = p->part;
    p->inside = false;
    if (rc == FLM_OK) rc = p->be->stream->sync(p->be);
    now.seconds = flm_clock_seconds() - begin;
    while (at < p->part + p->parts &&
           (strcmp(at->name, now.name) != 0 || at->class != now.class || at->dtype != now.dtype))
        at++;
    if (at == p->part + PARTS) at--; /* all that is left is one part */
    if (at == p->part + p->parts) {
        *at = now;
        at->calls = 0, at->seconds = at->bytes = at->flops = 0;
        p->parts++;
    }
    at->calls++;
    at->seconds += now.seconds;
    at->bytes += now.bytes;
    at->flops += now.flops;
    return rc;
}

/* The class of a part and the dtype that decides its peak. Constants, because `ended` compares addresses. */
static const char op_class[] = "op", matmul_class[] = "matmul", attention_class[] = "attention",
                  algebra_class[] = "algebra", move_class[] = "move", none[] = "none";

static const char *dtype_of(const flm_tensor *t) { return flm_dtype_name(t->dtype); }

#define UNPACK(...) __VA_ARGS__
#define TIMED(op, kind, precision, parameters, arguments, bytes_, flops_)            \
    static flm_status timed_##op(flm_backend *be, UNPACK parameters)                 \
    {                                                                                \
        if (active->inside) return active->ops->op(be, UNPACK arguments);            \
        const double begin = began();                                                \
        const flm_status rc = active->ops->op(be, UNPACK arguments);                 \
        return ended(rc, begin, (part){#op, kind, precision, 0, 0, bytes_, flops_}); \
    }
#define IN const flm_tensor *

static flm_status timed_matmul(flm_backend *be, const flm_matmul *p)
{
    if (active->inside) return active->ops->matmul(be, p);
    part now = {"", matmul_class, dtype_of(p->a), 0, 0, matmul_bytes(p), 2 * elements(p->c) * (double)matmul_depth(p)};
    matmul_name(p, now.name, sizeof now.name);
    const double begin = began();
    return ended(active->ops->matmul(be, p), begin, now);
}

/* What an op reads and writes, and its floating-point operations, for operations with a formula. */
#define FORMULAS(TIMED)                                                                                                \
    TIMED(column_sum, op_class, none, (IN out, IN x), (out, x), bytes_of(x), 0)                                        \
    TIMED(layernorm_modulate, op_class, none,                                                                          \
          (IN y, IN mean, IN rstd, IN x, IN w, IN mod, IN context, int64_t shift, int64_t scale),                      \
          (y, mean, rstd, x, w, mod, context, shift, scale), bytes_of(x) + bytes_of(y), 0)                             \
    TIMED(layernorm_modulate_backward, op_class, none,                                                                 \
          (IN dx, IN dw, IN dmod, IN dy, IN x, IN mean, IN rstd, IN w, IN mod, IN context, int64_t shift,              \
           int64_t scale),                                                                                             \
          (dx, dw, dmod, dy, x, mean, rstd, w, mod, context, shift, scale),                                            \
          2 * bytes_of(dx) + bytes_of(dy) + bytes_of(x), 0)                                                            \
    TIMED(gate_residual, op_class, none,                                                                               \
          (IN y, IN x, IN branch, IN mod, IN context, int64_t gate, const flm_dropout *dropout),                       \
          (y, x, branch, mod, context, gate, dropout), bytes_of(y) + bytes_of(x) + bytes_of(branch), 0)                \
    TIMED(gate_residual_backward, op_class, none,                                                                      \
          (IN db, IN dmod, IN dy, IN branch, IN mod, IN context, int64_t gate, const flm_dropout *dropout),            \
          (db, dmod, dy, branch, mod, context, gate, dropout), bytes_of(db) + bytes_of(dy) + bytes_of(branch), 0)      \
    TIMED(gelu_backward, op_class, none, (IN dx, IN db, IN x, IN dy), (dx, db, x, dy),                                 \
          bytes_of(dx) + bytes_of(x) + bytes_of(dy), 0)                                                                \
    TIMED(rope, op_class, none, (IN qkv, IN table), (qkv, table), 4.0 / 3 * bytes_of(qkv), 0)                          \
    TIMED(attention, attention_class, dtype_of(o), (IN o, IN lse, IN qkv, int64_t H, float softcap),                   \
          (o, lse, qkv, H, softcap), bytes_of(o) + bytes_of(lse) + bytes_of(qkv), attention_flops(o, 4))               \
    TIMED(attention_backward, attention_class, dtype_of(o),                                                            \
          (IN dqkv, IN grad_o, IN o, IN qkv, IN lse, int64_t H, float softcap, IN table),                              \
          (dqkv, grad_o, o, qkv, lse, H, softcap, table),                                                              \
          bytes_of(dqkv) + bytes_of(grad_o) + bytes_of(o) + bytes_of(qkv) + bytes_of(lse), attention_flops(o, 10))     \
    TIMED(attention_causal, attention_class, dtype_of(o), (IN o, IN qkv, IN starts, int64_t H), (o, qkv, starts, H),   \
          bytes_of(o) + bytes_of(qkv), 0) /* the sequences are known on the device only */                             \
    TIMED(silu, op_class, none, (IN y, IN x), (y, x), bytes_of(y) + bytes_of(x), 0)                                    \
    TIMED(silu_backward, op_class, none, (IN dx, IN dy, IN x), (dx, dy, x), bytes_of(dx) + bytes_of(dy) + bytes_of(x), \
          0)                                                                                                           \
    TIMED(gelu, op_class, none, (IN y, IN x), (y, x), bytes_of(y) + bytes_of(x), 0)                                    \
    TIMED(gelu_erf, op_class, none, (IN y, IN x), (y, x), bytes_of(y) + bytes_of(x), 0)                                \
    TIMED(gelu_erf_backward, op_class, none, (IN dx, IN dy, IN x), (dx, dy, x),                                        \
          bytes_of(dx) + bytes_of(dy) + bytes_of(x), 0)                                                                \
    TIMED(timestep_features, op_class, none, (IN out, IN t), (out, t), bytes_of(out), 0)                               \
    TIMED(embed_state, op_class, none, (IN x, IN noise, IN E, IN tokens, IN g), (x, noise, E, tokens, g),              \
          3 * bytes_of(x), 0)                                                                                          \
    TIMED(embed_known, op_class, none, (IN x, IN noise, IN E, IN tokens, float g), (x, noise, E, tokens, g),           \
          3 * bytes_of(x), 0)                                                                                          \
    TIMED(embed_learned, op_class, none, (IN x, IN E, IN P, IN tokens, IN positions), (x, E, P, tokens, positions),    \
          3 * bytes_of(x), 0)                                                                                          \
    TIMED(embed_scatter, op_class, none, (IN dE, IN dx, IN tokens, IN g), (dE, dx, tokens, g), 3 * bytes_of(dx), 0)    \
    TIMED(sample_scale, op_class, none, (IN y, IN x, IN g), (y, x, g), bytes_of(y) + bytes_of(x), 0)                   \
    TIMED(sample_combine, op_class, none, (IN y, IN coefficient, IN x, int count), (y, coefficient, x, count),         \
          (1 + count) * bytes_of(y), 0)                                                                                \
    TIMED(gather_rows, op_class, none, (IN y, IN x, IN index), (y, x, index), 2 * bytes_of(y), 0)                      \
    TIMED(scatter_rows, op_class, none, (IN y, IN x, IN index), (y, x, index), 2 * bytes_of(x), 0)                     \
    TIMED(normal, op_class, none, (IN out, uint64_t stream, int64_t first), (out, stream, first), bytes_of(out), 0)    \
    TIMED(softmax_xent, op_class, none, (IN loss, IN grad, IN logits, IN target, float scale, float cap),              \
          (loss, grad, logits, target, scale, cap), bytes_of(logits) + bytes_of(grad), 0)                              \
    TIMED(softmax, op_class, none, (IN p, IN logits, float cap), (p, logits, cap), bytes_of(p) + bytes_of(logits), 0)  \
    TIMED(argmax, op_class, none, (IN index, IN x), (index, x), bytes_of(x), 0)                                        \
    TIMED(choose, op_class, none, (const flm_choose *p), (p), bytes_of(p->x), 0)                                       \
    TIMED(distill_error, op_class, none, (const flm_distill_error *p), (p), distill_bytes(p), 0)                       \
    TIMED(mixture_xent, op_class, none, (const flm_mixture_xent *p), (p), mixture_bytes(p), 0)                         \
    TIMED(axpby, op_class, none, (IN y, float a, IN x, float b), (y, a, x, b),                                         \
          bytes_of(x) + (b != 0 ? 2 : 1) * bytes_of(y), 0)                                                             \
    TIMED(cast, op_class, none, (IN to, IN from), (to, from), bytes_of(to) + bytes_of(from), 0)                        \
    TIMED(sum, op_class, none, (IN out, IN x), (out, x), bytes_of(x), 0)                                               \
    TIMED(sum_squares, op_class, none, (IN out, IN x), (out, x), bytes_of(x), 0)                                       \
    TIMED(adamw, op_class, none, (const flm_adamw *p), (p), adamw_bytes(p), 0)                                         \
    TIMED(gram, algebra_class, none, (IN G, IN A, IN B), (G, A, B),                                                    \
          bytes_of(A) + (A->data == B->data ? 0 : bytes_of(B)) + 2 * bytes_of(G), 2 * elements(G) * (double)A->dim[0]) \
    TIMED(cholesky, algebra_class, none, (IN G, IN verdict), (G, verdict), 2 * bytes_of(G),                            \
          elements(G) * (double)G->dim[0] / 3)                                                                         \
    TIMED(triangular_solve, algebra_class, none, (IN X, IN R, bool transpose), (X, R, transpose),                      \
          2 * bytes_of(X) + bytes_of(R), elements(X) * (double)R->dim[0])

FORMULAS(TIMED)

/* Any other op: its time alone. */
#define FLM_OP(op, parameters, arguments)                                 \
    static flm_status default_##op(flm_backend *be, UNPACK parameters)    \
    {                                                                     \
        if (active->inside) return active->ops->op(be, UNPACK arguments); \
        const double begin = began();                                     \
        const flm_status rc = active->ops->op(be, UNPACK arguments);      \
        return ended(rc, begin, (part){#op, op_class, none, 0, 0, 0, 0}); \
    }
#include "backend/backend_ops.def"

#define TIMED_MOVE(slot, parameters, arguments, bytes_)                            \
    static flm_status timed_##slot(flm_backend *be, UNPACK parameters)             \
    {                                                                              \
        if (active->inside) return active->memory->slot(be, UNPACK arguments);     \
        const double begin = began();                                              \
        const flm_status rc = active->memory->slot(be, UNPACK arguments);          \
        return ended(rc, begin, (part){#slot, move_class, none, 0, 0, bytes_, 0}); \
    }
TIMED_MOVE(to_device, (void *device, const void *host, size_t bytes), (device, host, bytes), (double)bytes)
TIMED_MOVE(to_host, (void *host, const void *device, size_t bytes), (host, device, bytes), (double)bytes)
TIMED_MOVE(copy, (void *to, const void *from, size_t bytes), (to, from, bytes), 2 * (double)bytes)
TIMED_MOVE(zero, (void *device, size_t bytes), (device, bytes), (double)bytes)

static void replace_tables(bench_profile *p)
{
    p->timed_memory = *p->memory;
#define FLM_OP(op, parameters, arguments) p->timed_ops.op = default_##op;
#include "backend/backend_ops.def"
#define TAKE_FORMULA(op, ...) p->timed_ops.op = timed_##op;
    FORMULAS(TAKE_FORMULA)
    p->timed_ops.matmul = timed_matmul;
    p->timed_memory.to_device = timed_to_device;
    p->timed_memory.to_host = timed_to_host;
    p->timed_memory.copy = timed_copy;
    p->timed_memory.zero = timed_zero;
    p->be->ops = &p->timed_ops;
    p->be->memory = &p->timed_memory;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The cost of queuing a call and waiting for it: the median of zeroing a few bytes. */
static flm_status measure_call(bench_profile *p)
{
    flm_status rc = FLM_OK;
    void *word = NULL;
    double seconds[PROBES];
    FLM_TRY(p->memory->alloc(p->be, 64, &word));
    for (int i = 0; i < PROBES; i++) {
        const double begin = flm_clock_seconds();
        FLM_TRY(p->memory->zero(p->be, word, 64));
        FLM_TRY(p->be->stream->sync(p->be));
        seconds[i] = flm_clock_seconds() - begin;
    }
    qsort(seconds, PROBES, sizeof seconds[0], by_size);
    p->call = seconds[PROBES / 2];
done:
    p->memory->release(p->be, word);
    return rc;
}

flm_status bench_profile_begin(flm_backend *be, const bench_matmul *products, int count, bench_profile **out)
{
    flm_status rc = FLM_OK;
    bench_profile *p = calloc(1, sizeof *p);
    if (p == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a profile");
    *p = (bench_profile){.be = be, .ops = be->ops, .memory = be->memory, .product = products, .products = count};
    FLM_TRY(measure_call(p));
    active = p;
    replace_tables(p);
    *out = p;
    p = NULL;
done:
    free(p);
    return rc;
}

void bench_profile_end(bench_profile **profile)
{
    bench_profile *p = *profile;
    if (p == NULL) return;
    p->be->ops = p->ops;
    p->be->memory = p->memory;
    active = NULL;
    free(p);
    *profile = NULL;
}

flm_status bench_profile_write(const bench_profile *p, int steps, const char *objective, bench_report *report)
{
    flm_status rc = FLM_OK;
    for (int i = 0; i < p->parts; i++) {
        const part *x = &p->part[i];
        const double net = x->seconds - (double)x->calls * p->call;
        FLM_TRY(bench_report_line(report, json_pack("{ss ss ss ss ss sf sf sf sf sf}", "record", "part", "objective",
                                                    objective, "name", x->name, "class", x->class, "dtype", x->dtype,
                                                    "calls", (double)x->calls / steps, "seconds",
                                                    (net > 0 ? net : 0) / steps, "call_seconds", p->call, "bytes",
                                                    x->bytes / steps, "flops", x->flops / steps)));
    }
done:
    return rc;
}
