/* file_tool.c - operations on files that the shell tests need:
 *
 * - file_tool compare A.h5 B.h5: for weights, ema and optimizer the tensor with the largest relative distance (2-norm),
 *   then "same" or "different", by every bit
 * - file_tool poison A.h5 DIR NAME: write A as the next checkpoint of DIR, with element 0 of NAME not a number
 * - file_tool flip FILE DATASET BYTE: flip a bit of that byte of a contiguous dataset
 * - file_tool attribute FILE GROUP NAME: print an attribute that is a text
 * - file_tool ids SAMPLES.h5 STEPS: print the ids, a line for each sample
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5.h"
#include "io/io_checkpoint.h"
#include "io/io_samples.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static flm_status read_all(const flm_checkpoint *checkpoint, const flm_checkpoint_dataset *d, float **data)
{
    flm_status rc = FLM_OK;
    *data = malloc((size_t)flm_checkpoint_elements(d) * sizeof **data);
    if (*data == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %s", d->name);
    FLM_TRY(flm_checkpoint_read(checkpoint, d->name, 0, flm_checkpoint_elements(d), *data));
done:
    return rc;
}

/* |a - b| / |a|; infinite where only one of them is zero. */
static double distance(const float *a, const float *b, int64_t n)
{
    double off = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = (double)a[i] - (double)b[i];
        off += e * e;
        norm += (double)a[i] * (double)a[i];
    }
    return off == 0 ? 0 : sqrt(off / norm);
}

static flm_status compare(const char *path_a, const char *path_b)
{
    static const char *const prefix[] = {"weights/", "ema/", "optimizer/"};
    flm_status rc = FLM_OK;
    flm_checkpoint *a = NULL, *b = NULL;
    double worst[3] = {0};
    const char *name[3] = {"-", "-", "-"};
    bool same = true;
    float *x = NULL, *y = NULL;
    int count, count_b;
    FLM_TRY(flm_checkpoint_open(path_a, &a));
    FLM_TRY(flm_checkpoint_open(path_b, &b));
    const flm_checkpoint_dataset *d = flm_checkpoint_get_datasets(a, &count);
    flm_checkpoint_get_datasets(b, &count_b);
    if (count != count_b || count == 0) FLM_FAIL(FLM_E_MISMATCH, "%d datasets and %d", count, count_b);
    for (int i = 0; i < count; i++) {
        FLM_TRY(read_all(a, &d[i], &x));
        FLM_TRY(read_all(b, &d[i], &y));
        const double e = distance(x, y, flm_checkpoint_elements(&d[i]));
        same = same && memcmp(x, y, (size_t)flm_checkpoint_elements(&d[i]) * sizeof *x) == 0;
        for (int k = 0; k < 3; k++)
            if (strncmp(d[i].name, prefix[k], strlen(prefix[k])) == 0 && !(e <= worst[k])) {
                worst[k] = e;
                name[k] = d[i].name;
            }
        free(x);
        free(y);
        x = y = NULL;
    }
    for (int k = 0; k < 3; k++) printf("%.*s %.3g %s\n", (int)strlen(prefix[k]) - 1, prefix[k], worst[k], name[k]);
    printf("%s\n", same ? "same" : "different");
done:
    free(x);
    free(y);
    flm_checkpoint_close(&a);
    flm_checkpoint_close(&b);
    return rc;
}

static flm_status poison(flm_comm *world, const char *path, const char *directory, const char *name,
                         const char *tokenizer)
{
    flm_status rc = FLM_OK;
    flm_checkpoint *from = NULL;
    flm_checkpoint_slice *slice = NULL;
    int count = 0, settings;
    bool found = false;
    FLM_TRY(flm_checkpoint_open(path, &from));
    const flm_checkpoint_dataset *d = flm_checkpoint_get_datasets(from, &count);
    const flm_setting *setting = flm_checkpoint_get_settings(from, &settings);
    flm_checkpoint_info info = *flm_checkpoint_get_info(from);
    info.step++;
    if (tokenizer != NULL) snprintf(info.vocabulary.name, sizeof info.vocabulary.name, "%s", tokenizer);
    slice = calloc((size_t)count, sizeof *slice);
    if (slice == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for %d slices", count);
    for (int i = 0; i < count; i++) {
        slice[i] = (flm_checkpoint_slice){i, 0, flm_checkpoint_elements(&d[i]), NULL, NULL};
        FLM_TRY(read_all(from, &d[i], &slice[i].data));
        if (strcmp(d[i].name, name) != 0) continue;
        slice[i].data[0] = NAN;
        found = true;
    }
    if (!found) FLM_FAIL(FLM_E_ARG, "%s has no %s", path, name);
    FLM_TRY(flm_checkpoint_write(world, directory, &info, setting, settings, d, count, slice, count, 0));
done:
    for (int i = 0; slice != NULL && i < count; i++) free(slice[i].data);
    free(slice);
    flm_checkpoint_close(&from);
    return rc;
}

static flm_status flip(const char *path, const char *dataset, int64_t byte)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, set = H5I_INVALID_HID;
    unsigned char value;
    int fd = -1;
    FLM_TRY(flm_h5_open(path, false, &file, NULL));
    FLM_H5(set = H5Dopen2(file, dataset, H5P_DEFAULT));
    const haddr_t offset = H5Dget_offset(set);
    if (offset == HADDR_UNDEF) FLM_FAIL(FLM_E_FORMAT, "%s: %s has no place in the file", path, dataset);
    flm_h5_close(&set);
    flm_h5_close(&file);
    fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &value, 1, (off_t)offset + byte) != 1)
        FLM_FAIL(FLM_E_IO, "%s: cannot be read: %s", path, strerror(errno));
    value ^= 4;
    if (pwrite(fd, &value, 1, (off_t)offset + byte) != 1)
        FLM_FAIL(FLM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
done:
    if (fd >= 0) close(fd);
    flm_h5_close(&set);
    flm_h5_close(&file);
    return rc;
}

static flm_status print_attribute(const char *path, const char *group_path, const char *name)
{
    flm_status rc = FLM_OK;
    hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID;
    char text[1024];
    FLM_TRY(flm_h5_open(path, false, &file, NULL));
    FLM_H5(group = H5Gopen2(file, group_path, H5P_DEFAULT));
    FLM_TRY(flm_h5_get_string(group, name, text, sizeof text));
    puts(text);
done:
    flm_h5_close(&group);
    flm_h5_close(&file);
    return rc;
}

/* set: a name like steps_8, or the number of steps alone. */
static flm_status find_set(const flm_samples *file, const char *path, const char *set, int *out)
{
    char name[FLM_SAMPLES_SETTING_BYTES];
    snprintf(name, sizeof name, "%s%s", strspn(set, "0123456789") == strlen(set) ? "steps_" : "", set);
    for (*out = 0; *out < flm_samples_count(file); ++*out)
        if (strcmp(flm_samples_get_name(file, *out), name) == 0) return FLM_OK;
    return flm_err_raise(FLM_E_ARG, __FILE__, __LINE__, "%s: has no set %s", path, name);
}

static flm_status print_ids(const char *path, const char *name)
{
    flm_status rc = FLM_OK;
    flm_samples *file = NULL;
    int32_t *ids = NULL;
    int set;
    FLM_TRY(flm_samples_open_read(path, &file));
    FLM_TRY(find_set(file, path, name, &set));
    const flm_samples_info *info = flm_samples_get_info(file);
    ids = malloc((size_t)info->L * sizeof *ids);
    if (ids == NULL) FLM_FAIL(FLM_E_NOMEM, "no memory for a row");
    for (int64_t i = 0; i < info->samples; i++) {
        FLM_TRY(flm_samples_read(file, set, i, 1, ids));
        for (int64_t l = 0; l < info->L; l++) printf("%" PRId32 "%c", ids[l], l + 1 < info->L ? ' ' : '\n');
    }
done:
    free(ids);
    flm_samples_close(&file);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    if (argc == 4 && strcmp(argv[1], "compare") == 0)
        FLM_TRY(compare(argv[2], argv[3]));
    else if ((argc == 5 || argc == 6) && strcmp(argv[1], "poison") == 0) {
        FLM_TRY(
            flm_process_init(&argc, &argv, &world)); /* the others do without MPI, whose start takes longer than they */
        FLM_TRY(poison(world, argv[2], argv[3], argv[4], argv[5])); /* argv[argc] is NULL */
    } else if (argc == 5 && strcmp(argv[1], "flip") == 0)
        FLM_TRY(flip(argv[2], argv[3], atoll(argv[4])));
    else if (argc == 5 && strcmp(argv[1], "attribute") == 0)
        FLM_TRY(print_attribute(argv[2], argv[3], argv[4]));
    else if (argc == 4 && strcmp(argv[1], "ids") == 0)
        FLM_TRY(print_ids(argv[2], argv[3]));
    else
        FLM_FAIL(FLM_E_USAGE, "file_tool compare A B | poison A DIR NAME [TOK] | flip FILE DATASET BYTE | "
                              "attribute FILE GROUP NAME | ids FILE SET");
done:
    if (rc != FLM_OK) flm_process_fail(rc);
    return world != NULL ? flm_process_finish(rc, &world) : 0;
}
