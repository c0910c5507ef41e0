/* inspect_structure.c - prints every attribute and dataset of a file; its schema has bounded their number and size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5_schema.h"
#include "inspect/inspect_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 65536 + 1, NAME_BYTES = 256, WIDTH = 40 };

/* Prints a text from a file with '?' for control characters, which could change the terminal's state. */
static void put_text(const char *text)
{
    for (; *text; text++) putchar(iscntrl((unsigned char)*text) ? '?' : *text);
}

static flm_status attribute_print(hid_t object, const char *name, hid_t attribute)
{
    flm_status rc = FLM_OK;
    hid_t type = H5I_INVALID_HID;
    char *text = NULL;
    int64_t number;
    double real;

    FLM_H5(type = H5Aget_type(attribute));
    printf("    %s = ", name);
    switch (H5Tget_class(type)) {
    case H5T_STRING:
        text = malloc(TEXT_BYTES);
        if (!text) FLM_FAIL(FLM_E_NOMEM, "no memory for attribute \"%s\"", name);
        FLM_TRY(flm_h5_get_string(object, name, text, TEXT_BYTES));
        put_text(text);
        break;
    case H5T_INTEGER:
        FLM_TRY(flm_h5_get_i64(object, name, &number));
        printf("%" PRId64, number);
        break;
    default: FLM_TRY(flm_h5_get_f64(object, name, &real)); printf("%.9g", real);
    }
    putchar('\n');
done:
    free(text);
    flm_h5_close(&type);
    return rc;
}

/* The attributes of a group. A dataset's attributes are its checksums, which are not printed. */
static flm_status attributes_print(hid_t group)
{
    flm_status rc = FLM_OK;
    hid_t attribute = H5I_INVALID_HID;
    H5O_info_t info;
    char name[NAME_BYTES];

    FLM_H5(H5Oget_info(group, &info));
    for (hsize_t i = 0; i < info.num_attrs; i++) {
        FLM_H5(attribute = H5Aopen_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT));
        FLM_H5(H5Aget_name(attribute, sizeof name, name));
        FLM_TRY(attribute_print(group, name, attribute));
        flm_h5_close(&attribute);
    }
done:
    flm_h5_close(&attribute);
    return rc;
}

static flm_status dataset_print(hid_t dataset, const char *name, int64_t file_bytes)
{
    flm_status rc = FLM_OK;
    hid_t type = H5I_INVALID_HID;
    int64_t dim[4], offset, bytes;
    int ndim = 0;
    char letter;

    FLM_H5(type = H5Dget_type(dataset));
    FLM_TRY(flm_h5_locate(dataset, 0, file_bytes, &ndim, dim, &offset, &bytes));
    switch (H5Tget_class(type)) {
    case H5T_STRING: letter = 's'; break;
    case H5T_FLOAT: letter = 'f'; break;
    default: letter = H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i';
    }
    if (letter == 's')
        printf("    %-*s str%zu [", WIDTH, name, H5Tget_size(type));
    else
        printf("    %-*s %c%zu [", WIDTH, name, letter, 8 * H5Tget_size(type));
    for (int k = 0; k < ndim; k++) printf("%s%" PRId64, k ? ", " : "", dim[k]);
    printf("]\n");
done:
    flm_h5_close(&type);
    return rc;
}

/* A group: its attributes, its datasets, then the groups in it; the schemas bound the depth of the recursion. */
static flm_status group_print(hid_t group, const char *path, int64_t file_bytes)
{
    flm_status rc = FLM_OK;
    hid_t object = H5I_INVALID_HID;
    H5G_info_t info;
    char name[NAME_BYTES], below[2 * NAME_BYTES];

    printf("  %s\n", path);
    FLM_TRY(attributes_print(group));
    FLM_H5(H5Gget_info(group, &info));
    for (int datasets = 1; datasets >= 0; datasets--)
        for (hsize_t i = 0; i < info.nlinks; i++) {
            FLM_H5(H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT));
            FLM_H5(object = H5Oopen(group, name, H5P_DEFAULT));
            if (datasets && H5Iget_type(object) == H5I_DATASET) FLM_TRY(dataset_print(object, name, file_bytes));
            if (!datasets && H5Iget_type(object) == H5I_GROUP) {
                snprintf(below, sizeof below, "%.255s/%s", path[1] ? path : "", name);
                FLM_TRY(group_print(object, below, file_bytes));
            }
            flm_h5_close(&object);
        }
done:
    flm_h5_close(&object);
    return rc;
}

flm_status flm_inspect_structure(const char *path, const char *kind)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, root = H5I_INVALID_HID;
    int64_t bytes;

    FLM_TRY(flm_schema_open(path, kind, &file, &bytes));
    printf("%s: %s, %" PRId64 " bytes\n", path, kind, bytes);
    FLM_H5(root = H5Gopen2(file, "/", H5P_DEFAULT));
    FLM_TRY(group_print(root, "/", bytes));
done:
    flm_h5_close(&root);
    flm_h5_close(&file);
    return flm_err_prefix(rc, path);
}
