/* safetensors_fuzz.c - damaged safetensors files and indices. Reading must succeed or return one error, and not crash.
 *
 * safetensors_fuzz.t [ITERATIONS [SEED]]: mutates the bytes of a valid file and of its index; a seed always gives the
 * same mutations. Mostly the length of the header is corrected afterwards, so that the header is parsed. A sanitizer
 * build finds more.
 * SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_safetensors.h"
#include "tests/fuzz/external_fuzz.h"

enum { BYTES_MAX = 1 << 14 };

static const char *const words[] = {"0",
                                    "-1",
                                    "9223372036854775807",
                                    "9223372036854775808",
                                    "1e300",
                                    "null",
                                    "[]",
                                    "{}",
                                    "\"F32\"",
                                    "\"BF16\"",
                                    ",",
                                    "\"shape\":[2,2]",
                                    "\"a\"",
                                    "[[[[[[",
                                    "__metadata__",
                                    "data_offsets",
                                    "\\u0000"};

static flm_status zeros(void *context, int index, float *data)
{
    const flm_checkpoint_dataset *d = (const flm_checkpoint_dataset *)context + index;
    memset(data, 0, (size_t)(d->ndim == 2 ? d->dim[0] * d->dim[1] : d->dim[0]) * sizeof *data);
    return FLM_OK;
}

static size_t read_good(const char *path, unsigned char *data)
{
    FILE *file = fopen(path, "r");
    const size_t n = file ? fread(data, 1, BYTES_MAX, file) : 0;
    if (file) fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    flm_checkpoint_dataset datasets[] = {{"a", 2, {3, 4}}, {"b.weight", 1, {7, 0}}, {"c", 2, {1, 1}}};
    const flm_setting metadata[] = {{"flm.kind", "flm"}};
    const char index[] =
        "{\"metadata\":{},\"weight_map\":{\"a\":\"good.safetensors\",\"b.weight\":\"good.safetensors\",\"c\":"
        "\"good.safetensors\"}}";
    static unsigned char good[BYTES_MAX], bad[2 * BYTES_MAX];
    long iterations = argc > 1 ? atol(argv[1]) : 6000, unsound = 0, refused = 0, done = 0;
    char folder[] = "safetensors-fuzz.XXXXXX", path[64], broken[64], list[64];
    int opened;

    fuzz_key = flm_philox_stream(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, FLM_RANDOM_INIT, 0, 0);
    if (!mkdtemp(folder)) return tap_skip_all("no directory for files");
    snprintf(path, sizeof path, "%s/good.safetensors", folder);
    snprintf(broken, sizeof broken, "%s/bad.safetensors", folder);
    snprintf(list, sizeof list, "%s/index.json", folder);
    const int ready = flm_safetensors_write(path, datasets, 3, metadata, 1, zeros, datasets) == FLM_OK;
    const size_t length = read_good(path, good);
    tap_ok(ready && fuzz_sound(path, &opened) && opened, "a valid file: %s", flm_err_message());
    tap_ok(fuzz_put(list, index, strlen(index)) && fuzz_sound(list, &opened) && opened, "a valid index: %s",
           flm_err_message());
    for (long i = 0; ready && i < iterations; i++, done++) {
        const int of_index = fuzz_draw(4) == 0;
        size_t n = of_index ? strlen(index) : length;
        memcpy(bad, of_index ? (const unsigned char *)index : good, n);
        uint64_t header = 0;
        memcpy(&header, good, sizeof header);
        const size_t data = length - 8 - header;
        for (uint32_t k = 1 + fuzz_draw(3); k > 0; k--) n = fuzz_mutate(bad, n, words, sizeof words / sizeof words[0]);
        if (!of_index && n > 8 + data && fuzz_draw(4)) {
            header = n - 8 - data;
            memcpy(bad, &header, sizeof header);
        }
        if (!fuzz_put(of_index ? list : broken, bad, n)) break;
        if (!fuzz_sound(of_index ? list : broken, &opened) && unsound++ == 0)
            printf("# iteration %ld: %s\n", i, flm_err_message());
        refused += !opened;
    }
    tap_ok(done == iterations && unsound == 0,
           "%ld damaged files, %ld neither read nor refused with a documented error", done, unsound);
    tap_ok(refused > iterations / 10 && refused < iterations, "%ld refused, the others read", refused);
    unlink(path);
    unlink(broken);
    unlink(list);
    rmdir(folder);
    return tap_end();
}
