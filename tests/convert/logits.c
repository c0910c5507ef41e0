/* logits.c - compares a converted checkpoint with the golden file that its weights come from (make_ckpt.py,
 * make_hub.py): logits CHECKPOINT.h5 weights|ema GOLDEN.h5. The golden embedded states must give the golden logits, and
 * the golden noise the golden tokens, where the file has some. A file of make_hub.py has a second time for a flow map,
 * and logits with the cap that the checkpoint must have. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_kind.h"
#include "flow/flow_sampler.h"
#include "h5/h5.h"
#include "model/model_dit.h"
#include "model/model_load.h"
#include "process/process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Tokens whose two best scores are closer than this may differ: a hundred times the tolerance of logits. */
static const double min_margin = 1e-2;

/* What is compared, and the results. */
typedef struct comparison {
    flm_backend *be;
    flm_comm *comm;
    const flm_kind *kind;
    flm_model_shape shape;
    flm_weights *weights;
    flm_dit *dit;
    hid_t golden;
    int64_t B;
    double worst, tolerance;      /* of logits */
    int64_t tokens, wrong, close; /* compared, different, within the margin */
} comparison;

/* Reads a golden dataset of count numbers as f32; *out is malloc'd. */
static flm_status read_numbers(hid_t file, const char *path, int64_t count, float **out)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID, space = H5I_INVALID_HID;
    float *data = NULL;
    FLM_H5(dataset = H5Dopen2(file, path, H5P_DEFAULT));
    FLM_H5(space = H5Dget_space(dataset));
    if (H5Sget_simple_extent_npoints(space) != count)
        FLM_FAIL(FLM_E_FORMAT, "%s does not have %lld numbers", path, (long long)count);
    data = malloc((size_t)count * sizeof *data);
    if (!data) abort();
    FLM_H5(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
    *out = data;
    data = NULL;
done:
    free(data);
    flm_h5_close(&space);
    flm_h5_close(&dataset);
    return rc;
}

/* The batch size of the golden file. */
static flm_status read_batch(hid_t file, int64_t *B)
{
    flm_status rc = FLM_OK;
    hid_t root = H5I_INVALID_HID;
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(flm_h5_get_i64(root, "batch", B));
done:
    flm_h5_close(&root);
    return rc;
}

/* The number of settings of /sample. */
static flm_status count_settings(hid_t file, int64_t *count)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID, space = H5I_INVALID_HID;
    hssize_t points;
    FLM_H5(dataset = H5Dopen2(file, "/sample/inputs/steps", H5P_DEFAULT));
    FLM_H5(space = H5Dget_space(dataset));
    FLM_H5(points = H5Sget_simple_extent_npoints(space));
    *count = points;
done:
    flm_h5_close(&space);
    flm_h5_close(&dataset);
    return rc;
}

/* The checkpoint's network and the golden file. */
static flm_status load(comparison *c, char **argv)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    FLM_TRY(flm_checkpoint_open(argv[1], &checkpoint));
    FLM_TRY(flm_kind_find(flm_checkpoint_get_info(checkpoint)->kind, &c->kind));
    FLM_TRY(flm_model_load_shape(flm_checkpoint_get_info(checkpoint), c->kind->network, &c->shape));
    FLM_TRY(flm_weights_create(c->be, &c->shape, FLM_DTYPE_F32, 1, false, &c->weights));
    FLM_TRY(flm_model_load_weights(c->weights, checkpoint, argv[2]));
    flm_h5_silence();
    FLM_H5(c->golden = H5Fopen(argv[3], H5F_ACC_RDONLY, H5P_DEFAULT));
    FLM_TRY(read_batch(c->golden, &c->B));
    FLM_TRY(flm_dit_create(c->be, &c->shape, FLM_DTYPE_F32, c->B, c->B * c->shape.L, FLM_DIT_INFERENCE, &c->dit));
done:
    flm_checkpoint_close(&checkpoint);
    return rc;
}

/* Reads numbers of the golden file to a tensor; the backend uses host memory. */
static flm_status load_tensor(const comparison *c, const char *path, int64_t count, const flm_tensor *to)
{
    flm_status rc = FLM_OK;
    float *data = NULL;
    FLM_TRY(read_numbers(c->golden, path, count, &data));
    FLM_TRY(c->be->memory->to_device(c->be, to->data, data, (size_t)count * sizeof *data));
done:
    free(data);
    return rc;
}

static flm_status compare_logits(comparison *c)
{
    flm_status rc = FLM_OK;
    const flm_model_shape *shape = &c->shape;
    const int64_t rows = c->B * shape->L;
    float *want = NULL;
    const bool capped = H5Lexists(c->golden, "/flm_loss/expected/capped_logits", H5P_DEFAULT) > 0;
    c->tolerance = capped ? 1e-4 : 1e-5;
    FLM_TRY(read_numbers(c->golden, capped ? "/flm_loss/expected/capped_logits" : "/flm_loss/expected/logits",
                         rows * shape->V, &want));
    FLM_TRY(load_tensor(c, "/flm_loss/inputs/t", c->B, &c->dit->t));
    if (shape->network != FLM_NETWORK_ONE_TIME) FLM_TRY(load_tensor(c, "/flm_loss/inputs/t_end", c->B, &c->dit->t_end));
    FLM_TRY(load_tensor(c, "/flm_loss/expected/embedded", rows * shape->d, &c->dit->input));
    FLM_TRY(flm_dit_forward(c->dit, c->weights, c->B, NULL));
    FLM_TRY(flm_dit_head_logits(c->dit, c->weights, 0, rows));
    const float *have = c->dit->logits.data; /* the CPU backend uses host memory */
    for (int64_t i = 0; i < rows * shape->V; i++) {
        const int64_t at = i / shape->V * flm_tensor_row_stride(&c->dit->logits) + i % shape->V;
        const double C = shape->logit_cap, z = have[at],
                     e = fabs((capped && C > 0 ? C * tanh(z / C) : z) - (double)want[i]);
        if (isnan(e) || e > c->worst) c->worst = e;
    }
done:
    free(want);
    return rc;
}

/* Draws samples from the noise xi and compares them with the tokens of one setting. */
static flm_status compare_setting(comparison *c, flm_sampler *sampler, const flm_sampling *how, const float *want,
                                  const float *margin)
{
    flm_status rc = FLM_OK;
    const int64_t rows = c->B * c->shape.L;
    int32_t *have = malloc((size_t)rows * sizeof *have);
    if (!have) abort();
    FLM_TRY(flm_sampler_run(sampler, c->B, how, have));
    for (int64_t i = 0; i < rows; i++) {
        const bool same = (float)have[i] == want[i], clear = (double)margin[i] > min_margin;
        c->tokens += clear;
        c->wrong += clear && !same;
        c->close += !clear;
    }
done:
    free(have);
    return rc;
}

enum { FRESH = 3 }; /* fresh noises of /sample: those of steps 0, 1, 2 */

static flm_status compare_samples(comparison *c, flm_noise_basis *basis, flm_sampler *sampler)
{
    flm_status rc = FLM_OK;
    const int64_t rows = c->B * c->shape.L;
    float *steps = NULL, *level = NULL, *xi = NULL, *tokens = NULL, *margin = NULL;
    flm_tensor noise[1 + FRESH];
    int64_t settings = 0;
    FLM_TRY(count_settings(c->golden, &settings));
    FLM_TRY(read_numbers(c->golden, "/sample/inputs/steps", settings, &steps));
    FLM_TRY(read_numbers(c->golden, "/sample/inputs/noise_level", settings, &level));
    FLM_TRY(read_numbers(c->golden, "/sample/inputs/xi", (1 + FRESH) * rows * basis->K, &xi));
    FLM_TRY(read_numbers(c->golden, "/sample/expected/tokens", settings * rows, &tokens));
    FLM_TRY(read_numbers(c->golden, "/sample/expected/margin", settings * rows, &margin));
    for (int i = 0; i <= FRESH; i++)
        noise[i] = flm_tensor_3d(xi + i * rows * basis->K, FLM_DTYPE_F32, c->B, c->shape.L, basis->K);
    for (int64_t s = 0; s < settings; s++) {
        const flm_sampling how = {.steps = (int64_t)steps[s],
                                  .noise_level = (double)level[s],
                                  .noise = {.given = noise},
                                  .fresh = level[s] > 0 ? noise + 1 : NULL};
        if (how.fresh != NULL && how.steps > 1 + FRESH) FLM_FAIL(FLM_E_FORMAT, "a setting has too many steps");
        FLM_TRY(compare_setting(c, sampler, &how, tokens + s * rows, margin + s * rows));
    }
done:
    free(steps);
    free(level);
    free(xi);
    free(tokens);
    free(margin);
    return rc;
}

static flm_status sample(comparison *c)
{
    flm_status rc = FLM_OK;
    flm_noise_basis *basis = NULL;
    flm_gamma *gamma = NULL;
    flm_sampler *sampler = NULL;
    flm_sampler_parts parts = {.kind = c->kind, .dit = c->dit, .weights = c->weights};
    FLM_TRY(flm_gamma_create(c->shape.V, &gamma));
    FLM_TRY(flm_noise_create(c->be, c->shape.V, c->shape.d, 0, NULL, &basis));
    FLM_TRY(flm_noise_update(basis, c->comm, &c->weights->w.E));
    parts.basis = basis;
    parts.gamma = gamma;
    FLM_TRY(flm_sampler_create(&parts, &sampler));
    FLM_TRY(compare_samples(c, basis, sampler));
done:
    flm_sampler_destroy(&sampler);
    flm_noise_destroy(&basis);
    flm_gamma_destroy(&gamma);
    return rc;
}

/* Prints the results; true if all are within their tolerances. */
static bool report(const comparison *c, bool sampled)
{
    const bool near = c->worst <= c->tolerance, same = !sampled || (c->tokens > 0 && c->wrong == 0);
    printf("logits error %.3g tolerance %g %s\n", c->worst, c->tolerance, near ? "ok" : "FAIL");
    if (sampled)
        printf("tokens of given noise: %lld compared, %lld differ; %lld not compared, of nearly equal scores; %s\n",
               (long long)c->tokens, (long long)c->wrong, (long long)c->close, same ? "ok" : "FAIL");
    return near && same;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    comparison c = {.golden = H5I_INVALID_HID};
    bool sampled = false, passed = false;
    FLM_TRY(flm_process_init(&argc, &argv, &c.comm));
    if (argc != 4) FLM_FAIL(FLM_E_USAGE, "usage: logits CHECKPOINT.h5 weights|ema GOLDEN.h5");
    FLM_TRY(flm_backend_create(FLM_DEVICE_CPU, 0, 0, &c.be));
    FLM_TRY(load(&c, argv));
    FLM_TRY(compare_logits(&c));
    sampled = H5Lexists(c.golden, "/sample", H5P_DEFAULT) > 0;
    if (sampled) FLM_TRY(sample(&c));
    passed = report(&c, sampled);
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    flm_h5_close(&c.golden);
    flm_dit_destroy(&c.dit);
    flm_weights_destroy(&c.weights);
    flm_backend_destroy(&c.be);
    const int status = flm_process_finish(rc, &c.comm);
    return status == 0 && !passed ? 1 : status;
}
