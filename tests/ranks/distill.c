/* distill.c - steps of all objectives on several ranks equal those on one rank up to rounding.
 * Those that can do without a teacher also learn from the data.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/ranks/ranks.h"
#include "tests/unit/network.h"
#include "train/train_step.h"

enum { BATCH = 7, L = 3, STEPS = 4 };

static flm_backend *be;
static flm_comm *world, *alone;

static flm_model_shape shape_of(int64_t V, flm_network network)
{
    return (flm_model_shape){
        .L = L, .V = V, .d = 8, .H = 2, .c = 4, .N = 2, .F = 6, .mlp_ratio = 2, .softcap = 50, .network = network};
}

/* Losses and gradient norms of STEPS steps with dropout. */
static void train(flm_comm *comm, const flm_kind *kind, int64_t V, int64_t micro_batch, flm_weights *const *frozen,
                  bool from_data, double *loss, double *norm)
{
    flm_trainer_settings settings = {.kind = kind,
                                     .shape = shape_of(V, kind->network),
                                     .act = FLM_DTYPE_F32,
                                     .batch = BATCH,
                                     .micro_batch = micro_batch,
                                     .chunk = 4,
                                     .dropout = 0.1,
                                     .psd = {0.5, 32},
                                     .lr = {.lr = 1e-3},
                                     .seed = 5,
                                     .optimizer = {0.9, 0.999, 1e-8, 0, 1, 0.9999}};
    for (int r = 0; r < FLM_ROLE_FILES; r++)
        if (kind->objective->networks[r].kind != NULL && !(from_data && kind->objective->networks[r].optional))
            settings.frozen[r] = frozen[r];
    flm_trainer *trainer = NULL;
    int32_t ids[BATCH * L];
    must(flm_trainer_create(be, comm, &settings, &trainer));
    must(flm_optimizer_initialise(trainer->optimizer, 3));
    for (int k = 0; k < STEPS; k++) {
        flm_step_result result;
        for (int64_t i = 0; i < trainer->count * L; i++)
            ids[i] = (int32_t)((trainer->first * L + i) * 5 + 3 * k + 1) % (int32_t)V;
        must(flm_trainer_step(trainer, ids, false, &result));
        loss[k] = result.losses.loss;
        norm[k] = result.grad_norm;
    }
    flm_trainer_destroy(&trainer);
}

/* The first losses are sums of 21 rows in another order. Later ones differ more, because Adam turns a gradient that is
 * only rounding into a full step. */
static void test_kind(const flm_kind *kind, int64_t V, bool from_data)
{
    const flm_kind *teacher = kind->objective->networks[FLM_ROLE_TEACHER].kind;
    const flm_model_shape of_teacher = shape_of(V, teacher != NULL ? teacher->network : FLM_NETWORK_ONE_TIME);
    const flm_model_shape of_map = shape_of(V, FLM_NETWORK_RESIDUAL);
    flm_weights *frozen[FLM_ROLE_FILES] = {network_weights(be, &of_teacher, FLM_DTYPE_F32),
                                           network_weights(be, &of_map, FLM_DTYPE_F32)}; /* the same on every rank */
    double loss[STEPS], norm[STEPS], loss_one[STEPS], norm_one[STEPS];
    train(world, kind, V, 1, frozen, from_data, loss, norm);
    train(alone, kind, V, 3, frozen, from_data, loss_one, norm_one);
    for (int k = 0; k < STEPS; k++) {
        const double tolerance = k == 0 ? 2e-6 : 1e-4;
        ranks_ok(loss[k] != 0 && fabs(loss[k] / loss_one[k] - 1) <= tolerance && norm[k] > 1e-4 &&
                     fabs(norm[k] / norm_one[k] - 1) <= tolerance,
                 "%s%s, V=%d, step %d: loss %.8g, on one rank %.8g; norm %.8g, %.8g", kind->name,
                 from_data ? " from data" : "", (int)V, k + 1, loss[k], loss_one[k], norm[k], norm_one[k]);
    }
    for (int r = 0; r < FLM_ROLE_FILES; r++) flm_weights_destroy(&frozen[r]);
}

int main(int argc, char **argv)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    must(flm_comm_create(MPI_COMM_WORLD, &world));
    must(flm_comm_create(MPI_COMM_SELF, &alone));
    must(flm_backend_create(FLM_DEVICE_CPU, 1, flm_comm_local_rank(world), &be));
    for (int k = 0; k < FLM_KINDS; k++) {
        test_kind(&flm_kinds[k], 29, false);
        test_kind(&flm_kinds[k], 7, false); /* xi is x0 */
        if (flm_kinds[k].objective->networks[FLM_ROLE_TEACHER].optional) test_kind(&flm_kinds[k], 29, true);
    }
    flm_backend_destroy(&be);
    flm_comm_destroy(&alone);
    flm_comm_destroy(&world);
    return ranks_end();
}
