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

/* The kind of this name, or the first behind it that this processor has (flm_matmul_kind). */
static flm_matmul_kind nearest_kind(flm_backend *be, flm_matmul_kind kind)
{
    while (kind < FLM_MATMUL_FP32 && flm_backend_set_matmul(be, kind) != FLM_OK) kind++;
    flm_err_clear();
    return kind;
}

/* Where a rank's processor lacks the kind, all ranks use one that each has. */
static flm_status keep_matmul(flm_run *run)
{
    flm_status rc = FLM_OK;
    const char *then = recorded(run, "matmul");
    const flm_matmul_kind kind = flm_backend_find_matmul(then);
    if (run->be->kind != FLM_BACKEND_CPU || run->o->matmul != FLM_MATMUL_AUTO || kind == FLM_MATMUL_AUTO) goto done;
    int64_t used = nearest_kind(run->be, kind);
    FLM_TRY(flm_comm_max_i64(run->comm, &used, 1));
    FLM_TRY(flm_comm_agree(run->comm, flm_backend_set_matmul(run->be, (flm_matmul_kind)used)));
    if (used != (int64_t)kind && flm_comm_rank(run->comm) == 0)
        flm_log(
            FLM_LOG_WARN,
            "%s was trained with matmuls of kind %s, which a processor of this run lacks; they are of kind %s, and the "
            "run does not continue bit for bit",
            run->resumed_path, then, flm_backend_name_matmul((flm_matmul_kind)used));
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
