/* parity_file.c - reading golden files of any HDF5 format and layout; everything is checked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/parity/parity.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

flm_status parity_open(const char *path, hid_t *out)
{
    flm_status rc = FLM_OK;
    flm_h5_silence();
    FLM_H5(*out = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT));
done:
    return flm_err_prefix(rc, path);
}

flm_status parity_shape(hid_t file, flm_model_shape *shape, int64_t *B)
{
    flm_status rc = FLM_OK;
    FLM_TRY(flm_h5_get_i64(file, "hidden_size", &shape->d));
    FLM_TRY(flm_h5_get_i64(file, "n_heads", &shape->H));
    FLM_TRY(flm_h5_get_i64(file, "cond_dim", &shape->c));
    FLM_TRY(flm_h5_get_i64(file, "length", &shape->L));
    FLM_TRY(flm_h5_get_i64(file, "n_blocks", &shape->N));
    FLM_TRY(flm_h5_get_i64(file, "vocab_size", &shape->V));
    FLM_TRY(flm_h5_get_i64(file, "frequency_embedding_size", &shape->F));
    FLM_TRY(flm_h5_get_i64(file, "mlp_ratio", &shape->mlp_ratio));
    FLM_TRY(flm_h5_get_f64(file, "softcap", &shape->softcap));
    if (H5Aexists(file, "logit_cap") > 0) FLM_TRY(flm_h5_get_f64(file, "logit_cap", &shape->logit_cap));
    FLM_TRY(flm_h5_get_i64(file, "batch", B));
    FLM_TRY(flm_model_check(shape));
    if (*B < 1 || (double)*B * (double)shape->L * (double)shape->V > 0x1p36)
        FLM_FAIL(FLM_E_FORMAT, "a batch of %lld, must be at least 1, and at most 2^36 values of noise", (long long)*B);
done:
    return rc;
}

static flm_status check_dataset(hid_t dataset, const char *path, bool integers, int ndim, const int64_t *dim)
{
    flm_status rc = FLM_OK;
    hid_t space = H5I_INVALID_HID, type = H5I_INVALID_HID;
    hsize_t have[FLM_TENSOR_DIMS] = {0};
    FLM_H5(space = H5Dget_space(dataset));
    FLM_H5(type = H5Dget_type(dataset));
    if (H5Tget_class(type) != (integers ? H5T_INTEGER : H5T_FLOAT))
        FLM_FAIL(FLM_E_FORMAT, "%s: must hold %s", path, integers ? "integers" : "floating-point numbers");
    if (H5Sget_simple_extent_ndims(space) != ndim)
        FLM_FAIL(FLM_E_FORMAT, "%s: has %d dimensions, must have %d", path, H5Sget_simple_extent_ndims(space), ndim);
    FLM_H5(H5Sget_simple_extent_dims(space, have, NULL));
    for (int i = 0; i < ndim; i++)
        if (have[i] != (hsize_t)dim[i])
            FLM_FAIL(FLM_E_FORMAT, "%s: size %d is %llu, must be %lld", path, i, (unsigned long long)have[i],
                     (long long)dim[i]);
done:
    flm_h5_close(&type);
    flm_h5_close(&space);
    return rc;
}

flm_status parity_read(hid_t file, flm_dtype as, int ndim, const int64_t *dim, void *out, const char *path, ...)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID;
    const hid_t memory = as == FLM_DTYPE_I32   ? H5T_NATIVE_INT32
                         : as == FLM_DTYPE_F32 ? H5T_NATIVE_FLOAT
                                               : H5T_NATIVE_DOUBLE;
    char name[256];
    void *values = NULL;
    const flm_tensor shape = flm_tensor_make(name, as, ndim > 0 ? ndim : 1, ndim > 0 ? dim : (const int64_t[]){1});
    va_list ap;
    va_start(ap, path);
    vsnprintf(name, sizeof name, path, ap);
    va_end(ap);
    dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) FLM_FAIL(FLM_E_FORMAT, "%s: no such dataset, or it cannot be read", name);
    FLM_TRY(check_dataset(dataset, name, as == FLM_DTYPE_I32, ndim, dim));
    values = malloc(flm_tensor_bytes(&shape));
    if (values == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %s", name);
    FLM_H5(H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
    *(void **)out = values;
    values = NULL;
done:
    free(values);
    flm_h5_close(&dataset);
    return flm_err_prefix(rc, name);
}

flm_status parity_length(hid_t file, const char *path, int64_t *out)
{
    flm_status rc = FLM_OK;
    hid_t dataset = H5I_INVALID_HID, space = H5I_INVALID_HID;
    hsize_t length = 0;
    dataset = H5Dopen2(file, path, H5P_DEFAULT);
    if (dataset < 0) FLM_FAIL(FLM_E_FORMAT, "%s: no such dataset, or it cannot be read", path);
    FLM_H5(space = H5Dget_space(dataset));
    if (H5Sget_simple_extent_ndims(space) != 1) FLM_FAIL(FLM_E_FORMAT, "%s: must have one dimension", path);
    FLM_H5(H5Sget_simple_extent_dims(space, &length, NULL));
    if (length < 1 || length > 1 << 24)
        FLM_FAIL(FLM_E_FORMAT, "%s: %llu values, must be 1..16777216", path, (unsigned long long)length);
    *out = (int64_t)length;
done:
    flm_h5_close(&space);
    flm_h5_close(&dataset);
    return rc;
}

flm_status parity_members(hid_t file, const char *group, int64_t *out)
{
    flm_status rc = FLM_OK;
    H5G_info_t info = {0};
    if (H5Gget_info_by_name(file, group, &info, H5P_DEFAULT) < 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: no such group, or it cannot be read", group);
    *out = (int64_t)info.nlinks;
done:
    return rc;
}

flm_status parity_member(hid_t file, const char *group, int64_t index, char *name, size_t size)
{
    flm_status rc = FLM_OK;
    const ssize_t length =
        H5Lget_name_by_idx(file, group, H5_INDEX_NAME, H5_ITER_INC, (hsize_t)index, name, size, H5P_DEFAULT);
    if (length < 0 || (size_t)length >= size)
        FLM_FAIL(FLM_E_FORMAT, "%s: the name of link %lld cannot be read, or is longer than %zu bytes", group,
                 (long long)index, size - 1);
done:
    return rc;
}
