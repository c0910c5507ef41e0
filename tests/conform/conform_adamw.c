/* conform_adamw.c - ten updates of AdamW with a moving average (model.md section 5) against double.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

enum { W, M, V, EMA, GRAD, CAST, NORM, OPERANDS, UPDATES = 10 };

static flm_status update(flm_backend *be, const operand *o, const void *arg)
{
    flm_adamw p = *(const flm_adamw *)arg;
    p.w = o[W].t;
    p.m = o[M].t;
    p.v = o[V].t;
    p.ema = o[EMA].t;
    p.grad = o[GRAD].t;
    p.cast = o[CAST].t;
    p.norm_sq = o[NORM].t.data;
    return flm_op_adamw(be, &p);
}

typedef struct reference {
    double *w, *m, *v, *ema, *size; /* size: |w| and the steps taken */
} reference;

static void reference_update(reference *r, const flm_adamw *p, double norm_sq, const double *grad, int64_t n)
{
    const double beta1 = (double)p->beta1, beta2 = (double)p->beta2, lr = (double)p->lr, t = (double)p->update + 1;
    const double ratio = (double)p->clip / (sqrt(norm_sq) + 1e-6), decay = (double)p->ema_decay;
    for (int64_t i = 0; i < n; i++) {
        double g = grad[i] * (ratio < 1 ? ratio : 1);
        r->m[i] = beta1 * r->m[i] + (1 - beta1) * g;
        r->v[i] = beta2 * r->v[i] + (1 - beta2) * g * g;
        double step = lr * (r->m[i] / (1 - pow(beta1, t))) / (sqrt(r->v[i] / (1 - pow(beta2, t))) + (double)p->eps);
        r->w[i] -= step + lr * (double)p->weight_decay * r->w[i];
        r->ema[i] = decay * r->ema[i] + (1 - decay) * r->w[i];
        r->size[i] += fabs(r->w[i]) + fabs(step);
    }
}

static void operands_make(operand *o, int64_t n)
{
    for (int k = W; k <= GRAD; k++) o[k] = operand_1d(FLM_DTYPE_F32, k == W || k == EMA ? 1 : 0, n);
    o[CAST] = operand_1d(FLM_DTYPE_BF16, NAN, n);
    o[NORM] = operand_1d(FLM_DTYPE_F64, 1, 1);
}

static void test_updates(int64_t n, double weight_decay, double clip, bool ema, bool cast)
{
    operand o[OPERANDS];
    reference r = {doubles(n), doubles(n), doubles(n), doubles(n), doubles(n)};
    double *first_ema = doubles(n);
    const flm_tensor none = flm_tensor_none();
    char name[96];
    operands_make(o, n);
    const flm_tensor ema_t = o[EMA].t, cast_t = o[CAST].t;
    for (int64_t i = 0; i < n; i++) r.w[i] = o[W].before[i], r.ema[i] = o[EMA].before[i], first_ema[i] = fabs(r.ema[i]);
    for (int k = 0; k < UPDATES; k++) {
        double norm_sq = 0, size = pow(10, -k % 5); /* gradients of very different sizes */
        for (int64_t i = 0; i < n; i++) {
            put(&o[GRAD].t, i, size * draw());
            norm_sq += get(&o[GRAD].t, i) * get(&o[GRAD].t, i);
        }
        operand_note(&o[GRAD]);
        put(&o[NORM].t, 0, norm_sq);
        const flm_adamw p = {.clip = (float)clip,
                             .lr = 1e-2f,
                             .beta1 = 0.9f,
                             .beta2 = 0.999f,
                             .eps = 1e-8f,
                             .weight_decay = (float)weight_decay,
                             .ema_decay = 0.9f,
                             .update = k};
        reference_update(&r, &p, norm_sq, o[GRAD].before, n);
        if (!ema) o[EMA].t = none;
        if (!cast) o[CAST].t = none;
        snprintf(name, sizeof name, "n=%d weight decay %g clip %g%s%s, update %d", (int)n, weight_decay, clip,
                 ema ? ", average" : "", cast ? ", cast" : "", k);
        conform_run(update, o, OPERANDS, &p, name);
        o[EMA].t = ema_t;
        o[CAST].t = cast_t;
    }
    /* Ten updates of a few roundings each; terms of m cancel, so its error is relative to the largest gradient. */
    for (int64_t i = 0; i < n; i++) r.size[i] /= UPDATES / 2;
    conform_close(&o[W].t, r.w, r.size, 1e-6, name);
    conform_close(&o[V].t, r.v, NULL, 3e-6, "second moments");
    for (int64_t i = 0; i < n; i++) r.size[i] += first_ema[i];
    if (ema) conform_close(&o[EMA].t, r.ema, r.size, 1e-6, "average");
    bool rounded = true;
    for (int64_t i = 0; i < n; i++)
        rounded = rounded && (cast ? ((uint16_t *)o[CAST].t.data)[i] == flm_bf16_from_f32(((float *)o[W].t.data)[i])
                                   : isnan(get(&o[CAST].t, i)));
    tap_ok(rounded, cast ? "cast is the new w, rounded" : "nothing is cast");
    operands_free(o, OPERANDS);
    double *rest[] = {r.w, r.m, r.v, r.ema, r.size, first_ema};
    for (int i = 0; i < 6; i++) free(rest[i]);
}

static void test_not_finite(void)
{
    static const double norms[] = {(double)NAN, (double)INFINITY};
    operand o[OPERANDS];
    operands_make(o, 65);
    for (int64_t i = 0; i < 65; i++) put(&o[GRAD].t, i, NAN), put(&o[CAST].t, i, 7);
    for (int k = W; k < NORM; k++) operand_note(&o[k]);
    for (int which = 0; which < 2; which++) {
        put(&o[NORM].t, 0, norms[which]);
        const flm_adamw p = {
            .clip = 1, .lr = 1, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 0.1f, .ema_decay = 0.5f};
        bool kept = conform_once(conform_be[1], update, o, OPERANDS, &p) == FLM_OK;
        for (int k = W; k < NORM; k++)
            for (int64_t i = 0; i < 65 && k != GRAD; i++) kept = kept && get(&o[k].t, i) == o[k].before[i];
        tap_ok(kept, "a norm of %g changes nothing", norms[which]);
    }
    operands_free(o, OPERANDS);
}

static void test_errors(void)
{
    operand o[OPERANDS];
    const flm_adamw p = {.clip = 1, .lr = 1, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    operands_make(o, 9);
    for (int k = W; k < NORM; k++) {
        flm_tensor good = o[k].t;
        o[k].t.dim[0] = 10;
        bool refused = update(conform_be[0], o, &p) == FLM_E_SHAPE;
        o[k].t = good;
        o[k].t.dtype = FLM_DTYPE_F64;
        refused = refused && update(conform_be[0], o, &p) == FLM_E_SHAPE;
        o[k].t = good;
        o[k].t.data = NULL;
        if (k != EMA && k != CAST) refused = refused && update(conform_be[0], o, &p) == FLM_E_SHAPE;
        o[k].t = good;
        tap_ok(refused, "refuses argument %d of another size or dtype", k);
    }
    flm_err_clear();
    operands_free(o, OPERANDS);
}

int main(void)
{
    static const int64_t sizes[] = {0, 1, 7, 65, 20001};
    if (!conform_begin()) return tap_skip_all(flm_err_message());
    for (int i = 0; i < 5; i++) {
        test_updates(sizes[i], 0, 1, true, true);
        test_updates(sizes[i], 0.1, 1e30, true, false);
        test_updates(sizes[i], 0.01, 1e-3, false, true);
        test_updates(sizes[i], 0, 1, false, false);
    }
    test_not_finite();
    test_errors();
    return conform_end();
}
