/* flm_convert.c - the program: published weights to the suite's files, and back. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_file.h"
#include "base/base_options.h"
#include "convert/convert.h"
#include "flow/flow_kind.h"
#include "io/io_h5.h"
#include "process/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field) offsetof(flm_convert_options, field)

static const char *const weights_choices[] = {"all", "ema", "raw", NULL};

static const flm_option table[] = {
    {"tokenizer", FLM_OPTION_STRING, AT(tokenizer), "", 0, 0, NULL, "Published checkpoint", "NAME",
     "What its tokens are: bytes, gpt2, bert-base-uncased; none: numbers without texts", false},
    {"length", FLM_OPTION_INT, AT(length), "0", 0, 1 << 20, NULL, "Published checkpoint", "L",
     "Tokens a sequence; the file does not say it", false},
    {"heads", FLM_OPTION_INT, AT(heads), "0", 0, 1 << 16, NULL, "Published checkpoint", "H",
     "Heads; 0: by the file's rotary frequencies", false},
    {"kind", FLM_OPTION_STRING, AT(kind), "auto", 0, 0, NULL, "Published checkpoint", "KIND",
     "What it was trained as: flm, fmlm-two-model or fmlm-two-stage; auto: by the file, which does not say it of a "
     "two-time network",
     false},
    {"parent", FLM_OPTION_STRING, AT(lineage), "", 0, 0, NULL, "Published checkpoint", "TEXT",
     "What it was distilled from, for the record", false},
    {"weights", FLM_OPTION_CHOICE, AT(weights), "all", 0, 0, weights_choices, "To safetensors", "SET",
     "all: NAME and ema.NAME; ema or raw: that set alone, under the plain names", false},
};

static flm_status check_kind(const char *name)
{
    flm_status rc = FLM_OK;
    const flm_kind *kind = NULL;
    if (strcmp(name, "auto") == 0) goto done;
    if (flm_kind_find(name, &kind) != FLM_OK) {
        flm_err_clear();
        FLM_FAIL(FLM_E_USAGE, "--kind %s is not known; see --help", name);
    }
    if (strcmp(name, kind->name) != 0) FLM_FAIL(FLM_E_USAGE, "--kind %s is called %s now", name, kind->name);
done:
    return rc;
}

/* Whether a file is one of a Hugging Face folder's; then the folder's path. */
static bool in_folder(const char *path, char *folder, size_t size)
{
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json"};
    char config[4096];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    bool known = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) known = known || strcmp(name, names[i]) == 0;
    if (!known || snprintf(folder, size, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".") >= (int)size)
        return false;
    return snprintf(config, sizeof config, "%s/config.json", folder) < (int)sizeof config && access(config, F_OK) == 0;
}

static flm_status convert(const flm_convert_options *o, const char *in, const char *out)
{
    flm_status rc = FLM_OK;
    struct stat st;
    bool hdf5 = false;
    char folder[4000];
    FLM_TRY(check_kind(o->kind));
    if (stat(in, &st) != 0) FLM_FAIL(flm_status_from_errno(errno), "%s: %s", in, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        FLM_TRY(flm_convert_gpt2(in, out));
        goto done;
    }
    if (in_folder(in, folder, sizeof folder)) {
        FLM_TRY(flm_convert_gpt2(folder, out));
        goto done;
    }
    FLM_TRY(flm_h5_detect(in, &hdf5));
    FLM_TRY(hdf5 ? flm_convert_export(o, in, out) : flm_convert_flm(o, in, out));
done:
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *words = NULL;
    flm_convert_options o = {0};
    bool stop = false, first;
    int count;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    first = flm_comm_rank(world) == 0;
    FLM_TRY(flm_options_parse("flm_convert",
                              "Convert weights: a Hugging Face folder of GPT-2, or a published checkpoint (.ckpt, "
                              ".safetensors), to the suite's "
                              "HDF5; a checkpoint of the suite to safetensors.",
                              "INPUT OUTPUT", table, sizeof table / sizeof table[0], argc, argv, &o, first, &stop,
                              &words));
    if (stop) goto done;
    const char *const *path = flm_options_positional(words, &count);
    if (count != 2) FLM_FAIL(FLM_E_USAGE, "name an input and an output; see --help");
    FLM_TRY(flm_comm_agree(world, first ? convert(&o, path[0], path[1]) : FLM_OK)); /* one rank is enough */
done:
    flm_options_destroy(&words);
    return flm_process_finish(rc, &world);
}
