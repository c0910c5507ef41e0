/* conform_common.c - see conform_common.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform_common.h"

#ifdef FLM_EMULATED
#include "tests/emulate/emulate_memory.h"
#endif

flm_backend *conform_be[CONFORM_BACKENDS];
conform_padding conform_rows;
const char *const conform_paddings[] = {"", ", padded with NaN", ", every second one padded"};

/* Bytes of padding: NaN, which every result shows; or numbers, because NaN overwritten by NaN would not be noticed. */
static int padding_byte(void) { return conform_rows == CONFORM_NAN ? 0xFF : 0x35; }

double draw(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(int64_t)x * 0x1p-63;
}

flm_device conform_device(void)
{
    const char *name = getenv("FLM_TEST_DEVICE");
#ifdef FLM_EMULATED
    if (!name) name = "cuda";
#endif
    return name && strcmp(name, "cuda") == 0 ? FLM_DEVICE_CUDA : FLM_DEVICE_CPU;
}

flm_status conform_open(int threads, flm_backend **out)
{
    return flm_backend_create(conform_device(), threads, 0, out);
}

bool conform_begin(void)
{
    for (int i = 0; i < CONFORM_BACKENDS; i++) {
        if (conform_open(i + 1, &conform_be[i]) != FLM_OK) return false;
        /* each has measured which kind of matmul is fastest, and need not have found the same */
        if (flm_backend_set_matmul(conform_be[i], flm_backend_get_matmul(conform_be[0])) != FLM_OK) return false;
    }
    return true;
}

void conform_close_backends(void)
{
    for (int i = 0; i < CONFORM_BACKENDS; i++) flm_backend_destroy(&conform_be[i]);
}

void operand_note(operand *o)
{
    for (int64_t i = 0; i < flm_tensor_elements(&o->t); i++) o->before[i] = get(&o->t, i);
}

static operand operand_make(flm_tensor t, double size)
{
    operand o = {t, NULL};
    const int64_t n = flm_tensor_elements(&o.t);
    const size_t bytes = flm_tensor_bytes(&o.t);
    if ((o.t.data = aligned_alloc(64, (bytes + CONFORM_GUARD + 63) / 64 * 64)) == NULL) abort();
    if ((o.before = malloc((size_t)(n + 1) * sizeof(double))) == NULL) abort();
    memset(o.t.data, padding_byte(), bytes);
    for (int64_t i = 0; i < n; i++) put(&o.t, i, isnan(size) ? size : size * draw());
    memset((char *)o.t.data + bytes, 0xA5, CONFORM_GUARD);
    operand_note(&o);
    return o;
}

operand operand_new(flm_dtype dtype, int ndim, const int64_t *dim, double size)
{
    return operand_make(flm_tensor_make(NULL, dtype, ndim, dim), size);
}

operand operand_rows(flm_dtype dtype, double size, int64_t a, int64_t b)
{
    static int made;
    const int odd = made++ % 2;
    flm_tensor t = flm_tensor_2d(NULL, dtype, a, b);
    if (conform_rows == CONFORM_NAN || (conform_rows == CONFORM_SOME && odd))
        t.row_stride = (b / FLM_TENSOR_PAD + 1 + odd) * FLM_TENSOR_PAD;
    return operand_make(t, size);
}

operand operand_tokens(int ndim, const int64_t *dim, int64_t V)
{
    operand o = operand_new(FLM_DTYPE_I32, ndim, dim, 0);
    for (int64_t i = 0; i < flm_tensor_elements(&o.t); i++)
        put(&o.t, i, floor((draw() + 1) / 2 * (double)V * (1 - 0x1p-40)));
    operand_note(&o);
    return o;
}

void operands_free(operand *o, int count)
{
    for (int k = 0; k < count; k++) {
        free(o[k].t.data);
        free(o[k].before);
    }
}

static bool operand_guarded(const operand *o)
{
    const unsigned char *guard = (const unsigned char *)o->t.data + flm_tensor_bytes(&o->t);
    bool whole = true;
    if (o->t.data == NULL) return true;
    const int64_t step = flm_tensor_row_stride(&o->t), last = flm_tensor_last(&o->t);
    const size_t size = flm_dtype_size(o->t.dtype);
    for (int64_t row = 0; row < flm_tensor_rows(&o->t); row++)
        for (size_t i = (size_t)(row * step + last) * size; i < (size_t)(row * step + step) * size; i++)
            whole = whole && ((const unsigned char *)o->t.data)[i] == padding_byte();
    for (int i = 0; i < CONFORM_GUARD; i++) whole = whole && guard[i] == 0xA5;
    return whole;
}

flm_status conform_once(flm_backend *be, conform_call call, operand *o, int count, const void *arg)
{
    flm_status rc = FLM_OK;
    operand on[CONFORM_MAX] = {{{0}, NULL}};
    for (int k = 0; k < count; k++) on[k] = o[k], on[k].t.data = NULL;
    for (int k = 0; k < count; k++) {
        const size_t bytes = flm_tensor_bytes(&o[k].t) + CONFORM_GUARD;
        if (o[k].t.data == NULL) continue;
        FLM_TRY(be->memory->alloc(be, bytes, &on[k].t.data));
        FLM_TRY(be->memory->to_device(be, on[k].t.data, o[k].t.data, bytes));
    }
    FLM_TRY(call(be, on, arg));
    for (int k = 0; k < count; k++) {
        if (o[k].t.data == NULL) continue;
        FLM_TRY(be->memory->to_host(be, o[k].t.data, on[k].t.data, flm_tensor_bytes(&o[k].t) + CONFORM_GUARD));
    }
    FLM_TRY(be->stream->sync(be));
done:
    if (rc != FLM_OK) be->stream->sync(be); /* also of a refused call: its operands may still be in transit */
    for (int k = 0; k < count; k++) be->memory->release(be, on[k].t.data);
    return rc;
}

const char *conform_run_failure(conform_call call, operand *o, int count, const void *arg)
{
    void *first[CONFORM_MAX];
    bool done = true, same = true, guarded = true;
    for (int k = 0; k < count; k++) {
        first[k] = malloc(flm_tensor_bytes(&o[k].t) + 1);
        if (first[k] == NULL) abort();
        operand_note(&o[k]);
    }
    for (int time = 0; time < CONFORM_BACKENDS; time++) {
        for (int k = 0; k < count; k++)
            for (int64_t i = 0; time > 0 && i < flm_tensor_elements(&o[k].t); i++) put(&o[k].t, i, o[k].before[i]);
#ifdef FLM_EMULATED
        emulate_order = time;
#endif
        done = done && conform_once(conform_be[time], call, o, count, arg) == FLM_OK;
        for (int k = 0; k < count; k++) {
            const size_t bytes = flm_tensor_bytes(&o[k].t);
            if (time == 0 && bytes) memcpy(first[k], o[k].t.data, bytes);
            same = same && (bytes == 0 || memcmp(first[k], o[k].t.data, bytes) == 0);
            guarded = guarded && operand_guarded(&o[k]);
        }
    }
    for (int k = 0; k < count; k++) free(first[k]);
    return !done ? flm_err_message() : !same ? "the bits differ" : !guarded ? "a guard or padding was touched" : NULL;
}

/* Half a unit of the last place, relative to the value; slightly more for a tie that the rounding of the reference
 * moves. */
static double conform_rounding(flm_dtype dtype)
{
    return dtype == FLM_DTYPE_BF16 ? 0x1.02p-8 : dtype == FLM_DTYPE_F32 ? 0x1.02p-24 : 0x1.02p-53;
}

double conform_worst(const flm_tensor *t, const double *ref, const double *size, double unit)
{
    double worst = 0;
    for (int64_t i = 0; i < flm_tensor_elements(t); i++) {
        double may = unit * (size ? size[i] : fabs(ref[i])) + conform_rounding(t->dtype) * fabs(ref[i]) + 1e-36;
        double e = fabs(get(t, i) - ref[i]) / may;
        worst = worse(worst, e);
    }
    return worst;
}

bool conform_same(const flm_tensor *a, const flm_tensor *b)
{
    const size_t size = flm_dtype_size(a->dtype), bytes = (size_t)flm_tensor_last(a) * size;
    bool same = a->dtype == b->dtype && flm_tensor_elements(a) == flm_tensor_elements(b);
    for (int64_t row = 0; same && bytes && row < flm_tensor_rows(a); row++)
        same = memcmp((const char *)a->data + (size_t)(row * flm_tensor_row_stride(a)) * size,
                      (const char *)b->data + (size_t)(row * flm_tensor_row_stride(b)) * size, bytes) == 0;
    return same;
}

double *doubles(int64_t n)
{
    double *x = calloc((size_t)(n + 1), sizeof *x);
    if (x == NULL) abort();
    return x;
}

bool conform_refused(conform_call call, operand *o, int k, const void *arg)
{
    const flm_tensor good = o[k].t;
    bool refused = true;
    for (int fault = 0; fault < 5; fault++) {
        flm_tensor *t = &o[k].t;
        if (fault == 0) t->data = NULL;
        if (fault == 1) t->dtype = good.dtype == FLM_DTYPE_I32 ? FLM_DTYPE_F32 : FLM_DTYPE_I32;
        if (fault == 2) t->ndim += 1;
        if (fault == 3) t->dim[0] += 1;
        if (fault == 4) t->row_stride = -1;
        refused = refused && call(conform_be[0], o, arg) == FLM_E_SHAPE;
        *t = good;
    }
    flm_err_clear();
    return refused;
}

bool conform_refused_padded(conform_call call, operand *o, int k, const void *arg)
{
    const flm_tensor good = o[k].t;
    o[k].t.row_stride = (flm_tensor_last(&good) / FLM_TENSOR_PAD + 1) * FLM_TENSOR_PAD;
    const bool refused = call(conform_be[0], o, arg) == FLM_E_SHAPE;
    o[k].t = good;
    flm_err_clear();
    return refused;
}
