/* bounds.c - the softmax of long rows reads nothing beyond its operands. The conformance suite cannot detect that,
 * because its operands are followed by guard bytes. The emulator ends the program at a copy from outside an allocation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend_ops.h"
#include "tests/tap.h"

#include <stdlib.h>

static flm_status device_fill(flm_backend *be, flm_tensor *t)
{
    flm_status rc = FLM_OK;
    const size_t bytes = flm_tensor_bytes(t);
    void *zeros = calloc(1, bytes);
    if (!zeros) FLM_FAIL(FLM_E_NOMEM, "%zu bytes refused", bytes);
    FLM_TRY(be->memory->alloc(be, bytes, &t->data));
    FLM_TRY(be->memory->to_device(be, t->data, zeros, bytes));
    FLM_TRY(be->stream->sync(be));
done:
    free(zeros);
    return rc;
}

/* Equal logits, capped or not: every probability is 1 / V, and the loss of any target log V. */
static void test_softmax(flm_backend *be, int64_t R, int64_t V, float cap)
{
    flm_status rc = FLM_OK;
    float last = 0;
    flm_tensor logits = flm_tensor_2d(NULL, FLM_DTYPE_F32, R, V), p = flm_tensor_2d(NULL, FLM_DTYPE_F32, R, V);
    flm_tensor target = flm_tensor_1d(NULL, FLM_DTYPE_I32, R), loss = flm_tensor_1d(NULL, FLM_DTYPE_F32, R);
    const flm_tensor none = flm_tensor_none();
    flm_tensor *const all[] = {&logits, &p, &target, &loss};
    for (int i = 0; i < 4; i++) FLM_TRY(device_fill(be, all[i]));
    FLM_TRY(flm_op_softmax(be, &p, &logits, cap));
    FLM_TRY(flm_op_softmax_xent(be, &loss, &none, &logits, &target, 1, cap));
    FLM_TRY(be->memory->to_host(be, &last, (float *)p.data + R * V - 1, sizeof last));
    FLM_TRY(be->stream->sync(be));
done:
    tap_ok(rc == FLM_OK && last * (float)V > 0.999f && last * (float)V < 1.001f, "%lld rows of %lld, cap %g: %s",
           (long long)R, (long long)V, (double)cap, rc == FLM_OK ? "done" : flm_err_message());
    for (int i = 0; i < 4; i++) be->memory->release(be, all[i]->data);
}

int main(void)
{
    flm_backend *be = NULL;
    if (flm_backend_create(FLM_DEVICE_CUDA, 1, 0, &be) != FLM_OK) return 1;
    for (int capped = 0; capped < 2; capped++) {
        const float cap = capped ? 30 : 0;
        test_softmax(be, 1, 16385, cap); /* the only row, and the last of three, begin at 16 bytes and end within 16 */
        test_softmax(be, 3, 16386, cap);
        test_softmax(be, 2, 16388, cap);
    }
    flm_backend_destroy(&be);
    return tap_end();
}
