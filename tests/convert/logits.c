/* logits.c - compares the network of a converted checkpoint with the golden file that its weights come from
 * (make_ckpt.py): logits CHECKPOINT.h5 weights|ema GOLDEN.h5. The golden embedded states must give the golden logits.
 * A golden file of make_hub.py has a second time for a flow map, and logits with the cap that the checkpoint must have.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_kind.h"
#include "h5/h5.h"
#include "model/model_dit.h"
#include "model/model_load.h"
#include "process/process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

static flm_status compare(flm_backend *be, char **argv, double *worst, double *tolerance)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *checkpoint = NULL;
    const flm_kind *kind = NULL;
    flm_model_shape shape;
    flm_weights *weights = NULL;
    flm_dit *dit = NULL;
    hid_t golden = H5I_INVALID_HID;
    float *t = NULL, *t_end = NULL, *embedded = NULL, *want = NULL;
    int64_t B = 0;
    FLM_TRY(flm_checkpoint_open(argv[1], &checkpoint));
    FLM_TRY(flm_kind_find(flm_checkpoint_get_info(checkpoint)->kind, &kind));
    FLM_TRY(flm_model_load_shape(flm_checkpoint_get_info(checkpoint), kind->network, &shape));
    FLM_TRY(flm_weights_create(be, &shape, FLM_DTYPE_F32, 1, false, &weights));
    FLM_TRY(flm_model_load_weights(weights, checkpoint, argv[2]));
    flm_h5_silence();
    FLM_H5(golden = H5Fopen(argv[3], H5F_ACC_RDONLY, H5P_DEFAULT));
    FLM_TRY(read_batch(golden, &B));
    const int64_t rows = B * shape.L;
    FLM_TRY(read_numbers(golden, "/flm_loss/inputs/t", B, &t));
    FLM_TRY(read_numbers(golden, "/flm_loss/expected/embedded", rows * shape.d, &embedded));
    const bool capped = H5Lexists(golden, "/flm_loss/expected/capped_logits", H5P_DEFAULT) > 0;
    FLM_TRY(read_numbers(golden, capped ? "/flm_loss/expected/capped_logits" : "/flm_loss/expected/logits",
                         rows * shape.V, &want));
    *tolerance = capped ? 1e-4 : 1e-5;
    FLM_TRY(flm_dit_create(be, &shape, FLM_DTYPE_F32, B, rows, FLM_DIT_INFERENCE, &dit));
    FLM_TRY(be->memory->to_device(be, dit->t.data, t, (size_t)B * sizeof *t));
    if (shape.network != FLM_NETWORK_ONE_TIME) {
        FLM_TRY(read_numbers(golden, "/flm_loss/inputs/t_end", B, &t_end));
        FLM_TRY(be->memory->to_device(be, dit->t_end.data, t_end, (size_t)B * sizeof *t_end));
    }
    FLM_TRY(be->memory->to_device(be, dit->input.data, embedded, (size_t)(rows * shape.d) * sizeof *embedded));
    FLM_TRY(flm_dit_forward(dit, weights, B, NULL));
    FLM_TRY(flm_dit_head_logits(dit, weights, 0, rows));
    const float *have = dit->logits.data; /* the CPU backend uses host memory */
    for (int64_t i = 0; i < rows * shape.V; i++) {
        const int64_t at = i / shape.V * flm_tensor_row_stride(&dit->logits) + i % shape.V;
        const double C = shape.logit_cap, z = have[at],
                     e = fabs((capped && C > 0 ? C * tanh(z / C) : z) - (double)want[i]);
        if (isnan(e) || e > *worst) *worst = e;
    }
done:
    flm_h5_close(&golden);
    free(t);
    free(t_end);
    free(embedded);
    free(want);
    flm_dit_destroy(&dit);
    flm_weights_destroy(&weights);
    flm_checkpoint_close(&checkpoint);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_backend *be = NULL;
    double worst = 0, tolerance = 0;
    FLM_TRY(flm_process_init(&argc, &argv, &world));
    if (argc != 4) FLM_FAIL(FLM_E_USAGE, "usage: logits CHECKPOINT.h5 weights|ema GOLDEN.h5");
    FLM_TRY(flm_backend_create(FLM_DEVICE_CPU, 0, 0, &be));
    FLM_TRY(compare(be, argv, &worst, &tolerance));
    printf("logits error %.3g tolerance %g %s\n", worst, tolerance, worst <= tolerance ? "ok" : "FAIL");
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    flm_backend_destroy(&be);
    const int status = flm_process_finish(rc, &world);
    return status == 0 && !(worst <= tolerance) ? 1 : status;
}
