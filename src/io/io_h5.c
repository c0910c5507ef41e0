/* io_h5.c - see io_h5.h. SPDX-License-Identifier: Apache-2.0 */
#include "io/io_h5.h"

#include <stdio.h>
#include <string.h>

void flm_h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* Keeps the description of the frame where HDF5 first noticed (the walk ends there). */
static herr_t keep_description(unsigned n, const H5E_error2_t *error, void *text)
{
    (void)n;
    snprintf(text, 256, "%s", error->desc ? error->desc : "");
    return 0;
}

flm_status flm_err_h5(int64_t result, const char *what, const char *file, int line)
{
    char text[256] = "no further text";
    if (result >= 0) return FLM_OK;
    flm_h5_quiet();
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_description, text);
    H5Eclear2(H5E_DEFAULT);
    return flm_err_raise(FLM_E_FORMAT, file, line, "HDF5: %s (in %.60s)", text, what);
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

    flm_h5_quiet();
    if (H5Aexists(object, name) > 0) FLM_H5(H5Adelete(object, name));
    FLM_H5(space = H5Screate(H5S_SCALAR));
    FLM_H5(attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    FLM_H5(H5Awrite(attribute, type, value));
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

    flm_h5_quiet();
    if (H5Aexists(object, name) <= 0) FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" is missing", name);
    FLM_H5(*attribute = H5Aopen(object, name, H5P_DEFAULT));
    FLM_H5(*type = H5Aget_type(*attribute));
    FLM_H5(space = H5Aget_space(*attribute));
    if (H5Tget_class(*type) != class || H5Sget_simple_extent_npoints(space) != 1)
        FLM_FAIL(FLM_E_FORMAT, "attribute \"%s\" has another type than it should", name);
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
