/* train_precision.c - the compute dtype of a run and how its bf16 matmuls are computed, which a resumed run keeps
 * unless an option names another, so that it continues bit for bit (train_internal.h). SPDX-License-Identifier:
 * Apache-2.0 */
#include "train/train_internal.h"

#include "base/base_log.h"

#include <string.h>

/* The recorded value of a setting; "auto" where there is none. Version 0.1 recorded `auto` itself. */
static const char *recorded(const flm_run *run, const char *name)
{
    const char *value = run->resumed != NULL ? flm_checkpoint_get_setting(run->resumed, name) : NULL;
    return value != NULL ? value : "auto";
}

/* Where a rank's processor has no bf16 instructions, all ranks compute in fp32. */
static flm_status keep_matmul(flm_run *run)
{
    flm_status rc = FLM_OK;
    const char *then = recorded(run, "matmul");
    const flm_matmul_kind kind =
        strcmp(then, flm_backend_name_matmul(FLM_MATMUL_FP32)) == 0 ? FLM_MATMUL_FP32 : FLM_MATMUL_NATIVE;
    if (run->be->kind != FLM_BACKEND_CPU || run->o->matmul != FLM_MATMUL_AUTO || strcmp(then, "auto") == 0) goto done;
    int64_t used = flm_backend_set_matmul(run->be, kind) == FLM_OK ? kind : FLM_MATMUL_FP32;
    flm_err_clear();
    FLM_TRY(flm_comm_max_i64(run->comm, &used, 1));
    FLM_TRY(flm_comm_agree(run->comm, flm_backend_set_matmul(run->be, (flm_matmul_kind)used)));
    if (used != (int64_t)kind && flm_comm_rank(run->comm) == 0)
        flm_log(
            FLM_LOG_WARN,
            "%s was trained with bf16 instructions, which a processor of this run lacks; matmuls are computed in fp32, "
            "and the run does not continue bit for bit",
            run->resumed_path);
done:
    return rc;
}

flm_status flm_run_choose_precision(flm_run *run, flm_dtype *act)
{
    flm_status rc = FLM_OK;
    flm_precision precision = (flm_precision)run->o->precision;
    const char *then = recorded(run, "precision");
    FLM_TRY(keep_matmul(run));
    if (precision == FLM_PRECISION_AUTO && strcmp(then, "bf16") == 0) precision = FLM_PRECISION_BF16;
    if (precision == FLM_PRECISION_AUTO && strcmp(then, "fp32") == 0) precision = FLM_PRECISION_FP32;
    *act = flm_backend_precision(run->be, precision) == FLM_PRECISION_BF16 ? FLM_DTYPE_BF16 : FLM_DTYPE_F32;
done:
    return rc;
}

const char *flm_run_resolve_setting(const flm_run *run, flm_dtype act, const char *name, const char *value)
{
    if (strcmp(name, "precision") == 0) return act == FLM_DTYPE_BF16 ? "bf16" : "fp32";
    if (strcmp(name, "matmul") == 0 && run->be->kind == FLM_BACKEND_CPU)
        return flm_backend_name_matmul(flm_backend_get_matmul(run->be));
    return value;
}
