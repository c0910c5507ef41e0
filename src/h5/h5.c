/* h5.c - see h5.h. SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5.h"

#include "base/base_file.h"
#include "h5/h5_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

/* HDF5 keeps a file that it could not flush, on a full disk for example, and crashes when it closes it once more in
 * MPI_Finalize or at the end of the program. It does neither when it is started before MPI and without its exit
 * handler. Every file is closed by this module anyway. */
__attribute__((constructor)) static void start_library(void)
{
    H5dont_atexit();
    H5open();
}

void flm_h5_silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

typedef struct h5_cause {
    char text[256]; /* of the innermost frame with a description */
    int errnum;     /* the errno HDF5's file driver recorded, 0: none */
} h5_cause;

/* The walk goes from the innermost frame outwards. The driver writes "errno = N" into its descriptions. */
static herr_t keep_cause(unsigned n, const H5E_error2_t *error, void *data)
{
    h5_cause *cause = data;
    const char *text = error->desc ? error->desc : "", *number = strstr(text, "errno = ");
    if (n == 0 || cause->text[0] == '\0') snprintf(cause->text, sizeof cause->text, "%s", text);
    if (number && cause->errnum == 0) cause->errnum = atoi(number + strlen("errno = "));
    return 0;
}

flm_status flm_h5_check(int64_t result, const char *what, const char *file, int line)
{
    h5_cause cause = {{0}, 0};
    if (result >= 0) return FLM_OK;
    flm_h5_silence();
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_cause, &cause);
    H5Eclear2(H5E_DEFAULT);
    if (cause.errnum > 0)
        return flm_err_raise(flm_status_from_errno(cause.errnum), file, line, "HDF5: %s", strerror(cause.errnum));
    return flm_err_raise(FLM_E_FORMAT, file, line, "HDF5: %s (in %.60s)",
                         cause.text[0] ? cause.text : "no message from HDF5", what);
}

/* Format of 1.8 or newer, a close that closes all objects, and no HDF5 locks: each file has one writer, and
 * several parallel file systems refuse flock. */
static flm_status access_properties(hid_t *out)
{
    flm_status rc = FLM_OK;
    hid_t access = H5I_INVALID_HID;

    flm_h5_silence();
    FLM_H5(access = H5Pcreate(H5P_FILE_ACCESS));
    FLM_H5(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST));
    FLM_H5(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG));
#if H5_VERSION_GE(1, 12, 1) || (H5_VERS_MAJOR == 1 && H5_VERS_MINOR == 10 && H5_VERS_RELEASE >= 7)
    FLM_H5(H5Pset_file_locking(access, false, true));
#endif
    *out = access;
    access = H5I_INVALID_HID;
done:
    flm_h5_close(&access);
    return rc;
}

flm_status flm_format_is_hdf5(const char *path, bool *hdf5)
{
    flm_status rc = FLM_OK;
    unsigned char head[sizeof signature];

    FLM_TRY(flm_file_read_head(path, head, sizeof head, NULL));
    *hdf5 = memcmp(head, signature, sizeof signature) == 0;
done:
    return rc;
}

flm_status flm_h5_create(const char *path, hid_t *file)
{
    flm_status rc = FLM_OK;
    hid_t access = H5I_INVALID_HID, made = H5I_INVALID_HID, created = H5I_INVALID_HID;

    FLM_TRY(access_properties(&access));
    FLM_H5(made = H5Pcreate(H5P_FILE_CREATE));
    FLM_H5(H5Pset_obj_track_times(made, false)); /* the same content is the same file */
    FLM_H5(created = H5Fcreate(path, H5F_ACC_TRUNC, made, access));
    *file = created;
done:
    flm_h5_close(&made);
    flm_h5_close(&access);
    return flm_err_prefix(rc, path);
}

/* The head of a file of format 1.8 or newer: signature, version, sizes, then base, extension, end and root addresses.
 * Source: HDF5 File Format Specification 3.0, II.A, superblock versions 2 and 3. */
static flm_status check_head(const char *path, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    unsigned char head[48] = {0};
    struct stat st;
    size_t got = 0;
    uint64_t end = 0;

    if (stat(path, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) FLM_FAIL(FLM_E_FORMAT, "%s: is not a regular file", path);
    FLM_TRY(flm_file_read_head(path, head, sizeof head, &got));
    if (got < 8 || memcmp(head, signature, sizeof signature) != 0)
        FLM_FAIL(FLM_E_FORMAT, "%s: is not an HDF5 file", path);
    if (head[8] < 2 || head[8] > 3 || head[9] != 8 || head[10] != 8)
        FLM_FAIL(FLM_E_FORMAT, "%s: unsupported HDF5 superblock version %d (expected 2 or 3)", path, head[8]);
    for (int i = 7; i >= 0; i--) end = end << 8 | head[28 + i];
    if (got < 48 || end > (uint64_t)st.st_size)
        FLM_FAIL(FLM_E_FORMAT, "%s: is truncated: it has %lld bytes, expected %llu", path, (long long)st.st_size,
                 (unsigned long long)end);
    if (end < (uint64_t)st.st_size)
        FLM_FAIL(FLM_E_FORMAT, "%s: has %llu bytes behind its end: something was appended to it", path,
                 (unsigned long long)st.st_size - (unsigned long long)end);
    *bytes = st.st_size;
done:
    return rc;
}

flm_status flm_h5_open(const char *path, bool write, hid_t *file, int64_t *bytes)
{
    flm_status rc = FLM_OK;
    hid_t access = H5I_INVALID_HID, opened = H5I_INVALID_HID;
    int64_t length = 0;

    FLM_TRY(check_head(path, &length));
    FLM_TRY(access_properties(&access));
    FLM_H5(opened = H5Fopen(path, write ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access));
    *file = opened;
    if (bytes) *bytes = length;
done:
    flm_h5_close(&access);
    return flm_err_prefix(rc, path);
}

flm_status flm_h5_descriptor(hid_t file, int *fd)
{
    flm_status rc = FLM_OK;
    int *handle = NULL, copied;

    FLM_H5(H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&handle));
    copied = fcntl(*handle, F_DUPFD_CLOEXEC, 0);
    if (copied < 0) FLM_FAIL(flm_status_from_errno(errno), "cannot be opened: %s", strerror(errno));
    *fd = copied;
done:
    return rc;
}

flm_status flm_h5_close_file(hid_t *file)
{
    flm_status rc = FLM_OK;
    const hid_t closing = *file;

    *file = H5I_INVALID_HID;
    FLM_H5(H5Fclose(closing));
done:
    return rc;
}

void flm_h5_close(hid_t *id)
{
    hid_t open = *id;
    *id = H5I_INVALID_HID;
    if (open < 0 || H5Iis_valid(open) <= 0) return;
    switch (H5Iget_type(open)) {
    case H5I_FILE: H5Fclose(open); break;
    case H5I_GROUP: H5Gclose(open); break;
    case H5I_DATATYPE: H5Tclose(open); break;
    case H5I_DATASPACE: H5Sclose(open); break;
    case H5I_DATASET: H5Dclose(open); break;
    case H5I_ATTR: H5Aclose(open); break;
    case H5I_GENPROP_LST: H5Pclose(open); break;
    default: H5Idec_ref(open); break;
    }
}

static flm_status set_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    flm_status rc = FLM_OK;
    hid_t space = H5I_INVALID_HID, attribute = H5I_INVALID_HID;

    flm_h5_silence();
    if (H5Aexists(object, name) > 0) FLM_H5(H5Adelete(object, name));
    FLM_H5(space = H5Screate(H5S_SCALAR));
    FLM_H5(attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    FLM_H5(H5Awrite(attribute, type, value));
done:
    flm_h5_close(&attribute);
    flm_h5_close(&space);
    return rc;
}

flm_status flm_h5_locate(hid_t dataset, size_t element, int64_t file_bytes, int *ndim, int64_t dim[4], int64_t *offset,
                         int64_t *bytes)
{
    flm_status rc = FLM_OK;
    hid_t type = H5I_INVALID_HID, space = H5I_INVALID_HID, made = H5I_INVALID_HID;
    hsize_t extent[4] = {0};
    haddr_t at;
    int64_t total;
    int n;

    FLM_H5(type = H5Dget_type(dataset));
    FLM_H5(space = H5Dget_space(dataset));
    FLM_H5(made = H5Dget_create_plist(dataset));
    if (element && H5Tget_size(type) != element)
        FLM_FAIL(FLM_E_FORMAT, "has elements of %zu bytes, expected %zu", H5Tget_size(type), element);
    n = H5Sget_simple_extent_ndims(space);
    if (n < 1 || n > 4 || H5Sget_simple_extent_type(space) != H5S_SIMPLE)
        FLM_FAIL(FLM_E_FORMAT, "has %d dimensions, expected 1 to 4", n);
    if (H5Pget_layout(made) != H5D_CONTIGUOUS || H5Pget_nfilters(made) != 0 || H5Pget_external_count(made) != 0)
        FLM_FAIL(FLM_E_FORMAT, "is not stored contiguously and unfiltered in this file");
    FLM_H5(H5Sget_simple_extent_dims(space, extent, NULL));
    total = (int64_t)H5Tget_size(type);
    for (int k = 0; k < n; k++)
        if (extent[k] > INT64_MAX || __builtin_mul_overflow(total, (int64_t)extent[k], &total))
            FLM_FAIL(FLM_E_FORMAT, "is larger than any file");
    at = H5Dget_offset(dataset);
    if (total > 0 && (at == HADDR_UNDEF || at > INT64_MAX)) FLM_FAIL(FLM_E_FORMAT, "has no storage in the file");
    if (total > 0 && ((int64_t)at > file_bytes || total > file_bytes - (int64_t)at))
        FLM_FAIL(FLM_E_FORMAT, "extends beyond the file: %lld bytes at offset %lld of %lld", (long long)total,
                 (long long)at, (long long)file_bytes);
    *ndim = n;
    for (int k = 0; k < n; k++) dim[k] = (int64_t)extent[k];
    *offset = total > 0 ? (int64_t)at : 0;
    *bytes = total;
done:
    flm_h5_close(&made);
    flm_h5_close(&space);
    flm_h5_close(&type);
    return rc;
}

flm_status flm_h5_create_group(hid_t file, const char *path, hid_t *out)
{
    flm_status rc = FLM_OK;
    hid_t made = H5I_INVALID_HID;

    flm_h5_silence();
    FLM_H5(made = H5Pcreate(H5P_GROUP_CREATE));
    FLM_H5(H5Pset_obj_track_times(made, false));
    FLM_H5(*out = H5Gcreate2(file, path, H5P_DEFAULT, made, H5P_DEFAULT));
done:
    flm_h5_close(&made);
    return rc;
}

/* Makes the groups above the last name of path, where they are missing. */
static flm_status create_parents(hid_t file, const char *path)
{
    flm_status rc = FLM_OK;
    hid_t group = H5I_INVALID_HID;
    char above[256];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        if (snprintf(above, sizeof above, "%.*s", (int)(slash - path), path) >= (int)sizeof above)
            FLM_FAIL(FLM_E_FORMAT, "%.64s...: the name is too long", path);
        if (H5Lexists(file, above, H5P_DEFAULT) > 0) continue;
        FLM_TRY(flm_h5_create_group(file, above, &group));
        flm_h5_close(&group);
    }
done:
    return rc;
}

flm_status flm_h5_create_dataset(hid_t file, const char *path, hid_t type, int ndim, const int64_t *dim, hid_t *out)
{
    flm_status rc = FLM_OK;
    hid_t space = H5I_INVALID_HID, made = H5I_INVALID_HID;
    hsize_t extent[4];

    flm_h5_silence();
    FLM_TRY(create_parents(file, path));
    for (int k = 0; k < ndim; k++) extent[k] = (hsize_t)dim[k];
    FLM_H5(space = H5Screate_simple(ndim, extent, NULL));
    FLM_H5(made = H5Pcreate(H5P_DATASET_CREATE));
    FLM_H5(H5Pset_layout(made, H5D_CONTIGUOUS));
    FLM_H5(H5Pset_alloc_time(made, H5D_ALLOC_TIME_EARLY));
    FLM_H5(H5Pset_fill_time(made, H5D_FILL_TIME_NEVER));
    FLM_H5(H5Pset_obj_track_times(made, false));
    FLM_H5(*out = H5Dcreate2(file, path, type, space, H5P_DEFAULT, made, H5P_DEFAULT));
done:
    flm_h5_close(&made);
    flm_h5_close(&space);
    return rc;
}

flm_status flm_h5_set_u32s(hid_t object, const char *name, const uint32_t *value, int64_t count)
{
    flm_status rc = FLM_OK;
    hid_t space = H5I_INVALID_HID, attribute = H5I_INVALID_HID;
    hsize_t extent = (hsize_t)count;

    flm_h5_silence();
    FLM_H5(space = H5Screate_simple(1, &extent, NULL));
    if (H5Aexists(object, name) > 0)
        FLM_H5(attribute = H5Aopen(object, name, H5P_DEFAULT));
    else
        FLM_H5(attribute = H5Acreate2(object, name, H5T_STD_U32LE, space, H5P_DEFAULT, H5P_DEFAULT));
    FLM_H5(H5Awrite(attribute, H5T_NATIVE_UINT32, value));
done:
    flm_h5_close(&attribute);
    flm_h5_close(&space);
    return rc;
}

flm_status flm_h5_set_string(hid_t object, const char *name, const char *value)
{
    flm_status rc = FLM_OK;
    hid_t type = H5I_INVALID_HID;

    FLM_H5(type = H5Tcopy(H5T_C_S1));
    FLM_H5(H5Tset_size(type, strlen(value) + 1));
    FLM_TRY(set_attribute(object, name, type, value));
done:
    flm_h5_close(&type);
    return rc;
}

flm_status flm_h5_set_i64(hid_t object, const char *name, int64_t value)
{
    return set_attribute(object, name, H5T_NATIVE_INT64, &value);
}

flm_status flm_h5_set_f64(hid_t object, const char *name, double value)
{
    return set_attribute(object, name, H5T_NATIVE_DOUBLE, &value);
}

/* Opens a scalar attribute of the class asked for; *type is its stored type. */
static flm_status open_attribute(hid_t object, const char *name, H5T_class_t class, hid_t *attribute, hid_t *type)
{
    flm_status rc = FLM_OK;
    hid_t space = H5I_INVALID_HID;

    flm_h5_silence();
    if (H5Aexists(object, name) <= 0) FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is missing", name);
    FLM_H5(*attribute = H5Aopen(object, name, H5P_DEFAULT));
    FLM_H5(*type = H5Aget_type(*attribute));
    FLM_H5(space = H5Aget_space(*attribute));
    if (H5Tget_class(*type) != class || H5Sget_simple_extent_npoints(space) != 1)
        FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" has the wrong type", name);
done:
    flm_h5_close(&space);
    return rc;
}

flm_status flm_h5_get_string(hid_t object, const char *name, char *value, size_t size)
{
    flm_status rc = FLM_OK;
    hid_t attribute = H5I_INVALID_HID, type = H5I_INVALID_HID, memory = H5I_INVALID_HID;

    FLM_TRY(open_attribute(object, name, H5T_STRING, &attribute, &type));
    if (H5Tis_variable_str(type) != 0 || H5Tget_size(type) > size)
        FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is longer than %zu bytes", name, size - 1);
    FLM_H5(memory = H5Tcopy(H5T_C_S1));
    FLM_H5(H5Tset_size(memory, size));
    FLM_H5(H5Aread(attribute, memory, value));
    value[size - 1] = '\0';
done:
    flm_h5_close(&memory);
    flm_h5_close(&type);
    flm_h5_close(&attribute);
    return rc;
}

static flm_status get_number(hid_t object, const char *name, H5T_class_t class, hid_t memory, void *value)
{
    flm_status rc = FLM_OK;
    hid_t attribute = H5I_INVALID_HID, type = H5I_INVALID_HID;

    FLM_TRY(open_attribute(object, name, class, &attribute, &type));
    FLM_H5(H5Aread(attribute, memory, value));
done:
    flm_h5_close(&type);
    flm_h5_close(&attribute);
    return rc;
}

flm_status flm_h5_get_i64(hid_t object, const char *name, int64_t *value)
{
    return get_number(object, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}

flm_status flm_h5_get_f64(hid_t object, const char *name, double *value)
{
    return get_number(object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, value);
}

flm_status flm_h5_get_f64_or(hid_t object, const char *name, double otherwise, double *value)
{
    flm_h5_silence();
    if (H5Aexists(object, name) > 0) return flm_h5_get_f64(object, name, value);
    *value = otherwise;
    return FLM_OK;
}
