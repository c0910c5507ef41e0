/* convert_index.c - a sharded model: the index, JSON, names the file of each tensor, safetensors or PyTorch's, in its
 * own folder. Each file is opened by itself; together they must hold the tensors of the index and no others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_external_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 1000 };

/* Append the tensors of part number `part`: their own numbers in it go to the offset. */
static flm_status append(flm_external *f, int part)
{
    flm_status rc = FLM_OK;
    const flm_external *from = f->parts[part];

    for (int i = 0; i < from->count; i++) {
        flm_external_tensor *t;
        FLM_TRY(flm_external_add(f, from->tensors[i].name, &t));
        *t = from->tensors[i];
        t->part = part;
        t->offset = i;
    }
done:
    return rc;
}

/* Open a file named by the index, which must be in the folder of the index, unless it is open. */
static flm_status part_open(flm_external *f, const char *name)
{
    flm_status rc = FLM_OK;
    char directory[FLM_PATH_BYTES], path[FLM_PATH_BYTES];
    const size_t length = strlen(name);

    if (!name[0] || strchr(name, '/') || name[0] == '.' || (length > 5 && strcmp(name + length - 5, ".json") == 0))
        FLM_FAIL(FLM_E_FORMAT, "%s: \"%.80s\" is not the name of a file in the same folder", f->path, name);
    FLM_TRY(flm_path_directory(directory, f->path));
    FLM_TRY(flm_path_join(path, directory, name));
    for (int i = 0; i < f->parts_count; i++)
        if (strcmp(f->parts[i]->path, path) == 0) goto done;
    if (f->parts_count == PARTS_MAX) FLM_FAIL(FLM_E_FORMAT, "%s: refers to more than %d files", f->path, PARTS_MAX);
    if (!f->parts && !(f->parts = calloc(PARTS_MAX, sizeof(flm_external *))))
        FLM_FAIL(FLM_E_NOMEM, "%s: no memory for its files", f->path);
    FLM_TRY(flm_external_open(path, &f->parts[f->parts_count]));
    f->parts_count++;
    FLM_TRY(append(f, f->parts_count - 1));
done:
    return rc;
}

/* Whether a tensor is in the file of that name. */
static bool is_in(const flm_external *f, const char *tensor, const char *file)
{
    const flm_external_tensor *found = flm_external_find(f, tensor);
    return found && strcmp(flm_path_name(f->parts[found->part]->path), file) == 0;
}

flm_status flm_index_open(flm_external *f)
{
    flm_status rc = FLM_OK;
    json_error_t error;
    json_t *index = json_load_file(f->path, JSON_REJECT_DUPLICATES, &error), *map, *file;
    const char *name;

    if (!index) FLM_FAIL(FLM_E_FORMAT, "%s: is not JSON: %s", f->path, error.text);
    map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) FLM_FAIL(FLM_E_FORMAT, "%s: has no weight_map", f->path);
    json_object_foreach(map, name, file)
    {
        if (!json_is_string(file)) FLM_FAIL(FLM_E_FORMAT, "%s: %s: the name of its file is not a text", f->path, name);
        FLM_TRY(part_open(f, json_string_value(file)));
    }
    FLM_TRY(flm_external_sort(f));
    json_object_foreach(map, name, file)
    {
        if (!is_in(f, name, json_string_value(file)))
            FLM_FAIL(FLM_E_FORMAT, "%s: %s is not in %s", f->path, name, json_string_value(file));
    }
    if ((size_t)f->count != json_object_size(map))
        FLM_FAIL(FLM_E_FORMAT, "%s: lists %zu tensors, its files have %d", f->path, json_object_size(map), f->count);
done:
    json_decref(index);
    return rc;
}

void flm_index_close(flm_external *f)
{
    for (int i = 0; i < f->parts_count; i++) flm_external_close(&f->parts[i]);
    free(f->parts);
}
