/* waits.c - how often the host waits for the device in a training step: once, for the losses and the gradient norm, in
 * every objective. The emulated device counts syncs, copies to or from host memory that is not pinned, and releases of
 * device memory. The losses are those of the CPU. On one rank: sums over ranks through host memory wait more often.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulate/emulate_memory.h"
#include "tests/unit/network.h"
#include "train/train_step.h"

enum { BATCH = 5, L = 3, STEPS = 3, STEADY = 1 }; /* the first step allocates scratch memory */

static flm_comm *comm;

static flm_model_shape shape_of(int64_t V, flm_network network)
{
    return (flm_model_shape){
        .L = L, .V = V, .d = 8, .H = 2, .c = 4, .N = 2, .F = 6, .mlp_ratio = 2, .softcap = 50, .network = network};
}

/* One kind of training. */
typedef struct plan {
    const flm_kind *kind;
    int64_t V, micro_batch;
    flm_dtype act;
    bool from_data, average;
} plan;

/* What is common to the runs on both devices. */
static flm_trainer_settings settings_of(const plan *p, flm_weights *const *frozen)
{
    flm_trainer_settings s = {.kind = p->kind,
                              .shape = shape_of(p->V, p->kind->network),
                              .act = p->act,
                              .batch = BATCH,
                              .micro_batch = p->micro_batch,
                              .chunk = 4,
                              .dropout = 0.1,
                              .average_targets = p->average,
                              .psd = {0.5, 32},
                              .lr = {.lr = 1e-3},
                              .seed = 5,
                              .optimizer = {0.9, 0.999, 1e-8, 0, 1, 0.9999}};
    for (int r = 0; r < FLM_ROLE_FILES; r++)
        if (p->kind->objective->networks[r].kind != NULL && !(p->from_data && p->kind->objective->networks[r].optional))
            s.frozen[r] = frozen[r];
    return s;
}

/* The losses of STEPS steps, and the waits of each. */
static void train(flm_backend *be, const plan *p, flm_weights *const *frozen, double *loss, long *waited)
{
    const flm_trainer_settings settings = settings_of(p, frozen);
    flm_trainer *trainer = NULL;
    int32_t ids[BATCH * L];
    must(flm_trainer_create(be, comm, &settings, &trainer));
    must(flm_optimizer_initialise(trainer->optimizer, 3));
    for (int k = 0; k < STEPS; k++) {
        flm_step_result result;
        for (int64_t i = 0; i < BATCH * L; i++) ids[i] = (int32_t)(i * 5 + 3 * k + 1) % (int32_t)p->V;
        const long before = emulate_waits();
        must(flm_trainer_step(trainer, ids, false, &result));
        waited[k] = emulate_waits() - before;
        loss[k] = result.losses.loss;
    }
    flm_trainer_destroy(&trainer);
}

/* On the CPU. */
static void make_frozen(flm_backend *cpu, const plan *p, flm_weights **frozen)
{
    const flm_kind *teacher = p->kind->objective->networks[FLM_ROLE_TEACHER].kind;
    const flm_model_shape of_teacher = shape_of(p->V, teacher != NULL ? teacher->network : FLM_NETWORK_ONE_TIME);
    const flm_model_shape of_map = shape_of(p->V, FLM_NETWORK_RESIDUAL);
    frozen[FLM_ROLE_TEACHER] = network_weights(cpu, &of_teacher, p->act);
    frozen[FLM_ROLE_FLOW_MAP] = network_weights(cpu, &of_map, p->act);
}

static flm_weights *copy_weights(flm_backend *be, const flm_weights *from)
{
    flm_weights *to = NULL;
    must(flm_weights_create(be, &from->shape, from->compute, 1, false, &to));
    for (int b = 0; b < to->buckets; b++)
        must(be->memory->to_device(be, to->bucket[b].compute.data, from->bucket[b].compute.data,
                                   flm_tensor_bytes(&to->bucket[b].compute)));
    must(be->stream->sync(be));
    return to;
}

static void test_plan(const plan *p)
{
    double loss[2][STEPS];
    long waited[2][STEPS], max = 0;
    int wrong = 0;
    /* bf16: intermediate results are rounded in other places. */
    const double tolerance = p->act == FLM_DTYPE_F32 ? 1e-4 : 3e-2;
    flm_backend *cpu = NULL, *be = NULL;
    flm_weights *frozen[FLM_ROLE_FILES], *copies[FLM_ROLE_FILES];
    must(flm_backend_create(FLM_DEVICE_CPU, 1, 0, &cpu));
    must(flm_backend_create(FLM_DEVICE_CUDA, 1, 0, &be));
    make_frozen(cpu, p, frozen);
    for (int r = 0; r < FLM_ROLE_FILES; r++) copies[r] = copy_weights(be, frozen[r]);
    train(cpu, p, frozen, loss[0], waited[0]);
    train(be, p, copies, loss[1], waited[1]);
    for (int r = 0; r < FLM_ROLE_FILES; r++) {
        flm_weights_destroy(&frozen[r]);
        flm_weights_destroy(&copies[r]);
    }
    flm_backend_destroy(&be);
    flm_backend_destroy(&cpu);
    for (int k = 0; k < STEPS; k++) wrong += !(fabs(loss[1][k] - loss[0][k]) <= tolerance * (1 + fabs(loss[0][k])));
    for (int k = STEADY; k < STEPS; k++)
        if (waited[1][k] > max) max = waited[1][k];
    tap_ok(max == 1, "%s%s%s, V=%d, %s, micro-batches of %d: %ld waits in a step; %ld in the first", p->kind->name,
           p->from_data ? " from data" : "", p->average ? ", average targets" : "", (int)p->V, flm_dtype_name(p->act),
           (int)p->micro_batch, max, waited[1][0]);
    tap_ok(wrong == 0, "  losses %.6f .. %.6f, on the CPU %.6f .. %.6f", loss[1][0], loss[1][STEPS - 1], loss[0][0],
           loss[0][STEPS - 1]);
}

/* What the device finds in the embedding is an error of the step, with a message. */
static void test_embedding(float value)
{
    const plan p = {.kind = &flm_kinds[FLM_KIND_FLM], .V = 29, .micro_batch = 5, .act = FLM_DTYPE_F32};
    flm_weights *frozen[FLM_ROLE_FILES] = {NULL};
    const flm_trainer_settings settings = settings_of(&p, frozen);
    flm_backend *be = NULL;
    flm_trainer *trainer = NULL;
    flm_step_result result;
    const int32_t ids[BATCH * L] = {0};
    must(flm_backend_create(FLM_DEVICE_CUDA, 1, 0, &be));
    must(flm_trainer_create(be, comm, &settings, &trainer));
    must(flm_optimizer_initialise(trainer->optimizer, 3));
    must(be->memory->to_device(be, (float *)trainer->weights->w.E.data + 17, &value, sizeof value));
    must(be->stream->sync(be));
    const flm_status rc = flm_trainer_step(trainer, ids, false, &result);
    tap_ok(rc == FLM_E_NUMERIC && strstr(flm_err_message(), "after step 0") && strstr(flm_err_message(), "embedding"),
           "an embedding with %g: %s", (double)value, flm_err_message());
    flm_err_clear();
    flm_trainer_destroy(&trainer);
    flm_backend_destroy(&be);
}

/* Inputs that change at once, and more of them than may be on their way: what arrives, and one wait where they are too
 * many. After a wait there is room for all again. */
static void test_stage(void)
{
    enum { BYTES = (3 << 20) + 7, ARRAYS = 22, FEW = 20 }; /* 22 arrays exceed the 64 MiB of a stage, 20 do not */
    flm_backend *be = NULL;
    must(flm_backend_create(FLM_DEVICE_CUDA, 1, 0, &be));
    flm_stage stage = flm_stage_begin(be);
    char *host = must_alloc(BYTES, 1), *back = must_alloc(BYTES, 1), *device[ARRAYS];
    long waited[3];
    int wrong = 0;
    for (int i = 0; i < ARRAYS; i++) must(be->memory->alloc(be, BYTES, (void **)&device[i]));
    for (int round = 0; round < 3; round++) {
        const int arrays = round == 1 ? ARRAYS : FEW;
        const long before = emulate_waits();
        for (int i = 0; i < arrays; i++) {
            memset(host, round * ARRAYS + i, BYTES);
            must(flm_stage_to_device(&stage, device[i], host, BYTES));
        }
        waited[round] = emulate_waits() - before;
        must(be->stream->sync(be));
        for (int i = 0; i < arrays; i++) {
            must(be->memory->to_host(be, back, device[i], BYTES));
            must(be->stream->sync(be));
            memset(host, round * ARRAYS + i, BYTES);
            wrong += memcmp(host, back, BYTES) != 0;
        }
    }
    tap_ok(wrong == 0, "staged copies: %d arrived wrong", wrong);
    tap_ok(waited[0] == 0 && waited[1] == 1 && waited[2] == 0, "their waits: %ld, %ld, %ld", waited[0], waited[1],
           waited[2]);
    for (int i = 0; i < ARRAYS; i++) be->memory->release(be, device[i]);
    flm_stage_end(&stage);
    flm_backend_destroy(&be);
    free(host);
    free(back);
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    must(flm_comm_create(MPI_COMM_WORLD, &comm));
    for (int k = 0; k < FLM_KINDS; k++) {
        const flm_kind *kind = &flm_kinds[k];
        test_plan(&(plan){kind, 29, 2, FLM_DTYPE_F32, false, false});
        test_plan(&(plan){kind, 29, 2, FLM_DTYPE_BF16, false, false});
        test_plan(&(plan){kind, 7, 2, FLM_DTYPE_F32, false, false}); /* xi is x0: no factorisation */
        if (!kind->objective->networks[FLM_ROLE_AVERAGE].optional) continue;
        test_plan(&(plan){kind, 29, 2, FLM_DTYPE_F32, true, false});
        test_plan(&(plan){kind, 47, 2, FLM_DTYPE_F32, false, true});
    }
    test_embedding(NAN);
    test_embedding(INFINITY);
    test_stage();
    flm_comm_destroy(&comm);
    MPI_Finalize();
    return tap_end();
}
