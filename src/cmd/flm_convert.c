/* flm_convert.c - converts published weights to the suite's format, and back. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "convert/convert.h"
#include "process/process.h"

#define FLM_OPT_STRUCT flm_convert_options

static const char *const weights_choices[] = {"all", "ema", "raw", NULL};
static const char *const formats[] = {"safetensors", "hub", NULL};

static const flm_option rows[] = {
    FLM_OPT_GROUP("Published checkpoint to HDF5 (values missing from the file)"),
    FLM_OPT_STRING("tokenizer", tokenizer, "", "NAME",
                   "bytes, gpt2 or bert-base-uncased\nnone = tokens cannot be decoded to text"),
    FLM_OPT_INT("length", length, NULL, "L", "length of a sequence in tokens", .limit = 1 << 20),
    FLM_OPT_INT("heads", heads, "0", "H",
                "number of attention heads\n0 = derived from the rotary frequencies in the file", .max = 65536),
    FLM_OPT_STRING("kind", kind, "auto", "KIND",
                   "kind of model: flm, fmlm, fmlm-any-order, fmlm-two-model or fmlm-two-stage\n"
                   "auto = detected; a two-time network needs a released folder or a .ckpt with its settings"),
    FLM_OPT_FLOAT("logit-cap", logit_cap, "30", "C",
                  "cap of the logits, which published files do not record: softmax is applied to C tanh(z / C)\n"
                  "0 = no cap, as in the method's first version; fmlm-two-model has none",
                  .max = 1000),
    FLM_OPT_STRING("parent", lineage, "", "TEXT",
                   "description of the model that it was distilled from, recorded in OUTPUT"),
    FLM_OPT_GROUP("HDF5 to safetensors"),
    FLM_OPT_CHOICE("format", format, "safetensors", formats,
                   "what OUTPUT is\nsafetensors = a file\n"
                   "hub = a new folder as released networks have it, for the published code: config.json, and "
                   "model.safetensors with one set of weights (by default the EMA weights)"),
    FLM_OPT_CHOICE(
        "weights", weights, "all", weights_choices,
        "weights to write\nall = raw weights as NAME and EMA weights as ema.NAME\nema, raw = only these, as NAME"),
};

static const flm_options_spec spec = {
    .program = "flm_convert",
    .purpose =
        "Convert weights between published formats and the suite's HDF5 checkpoints. If INPUT is a Hugging Face folder "
        "of GPT-2, an FLM or an FMLM, or a published checkpoint (PyTorch .ckpt or .safetensors), OUTPUT is an HDF5 "
        "checkpoint. If INPUT is an HDF5 checkpoint, OUTPUT is a safetensors file or, with "
        "--format hub, a folder.",
    .arguments = "INPUT OUTPUT",
    FLM_OPT_ROWS(rows),
};

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_comm *world = NULL;
    flm_options *options = NULL;
    flm_convert_options o = {0};
    bool stop = false, is_root;
    int count;

    FLM_TRY(flm_process_init(&argc, &argv, &world));
    is_root = flm_comm_rank(world) == 0;
    FLM_TRY(flm_options_parse(&spec, argc, argv, &o, is_root, &stop, &options));
    if (stop) goto done;
    const char *const *path = flm_options_positional(options, &count);
    o.logit_cap_given = flm_options_given(options, "logit-cap");
    if (count != 2) FLM_FAIL(FLM_E_USAGE, "expected two arguments, INPUT and OUTPUT, got %d; see --help", count);
    FLM_TRY(flm_comm_agree(world, is_root ? flm_convert_run(&o, path[0], path[1]) : FLM_OK));
done:
    flm_options_destroy(&options);
    return flm_process_finish(rc, &world);
}
