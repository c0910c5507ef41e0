/* schema.c - the four schemas parse; texts that are no schemas do not; files that differ from theirs in one thing are
 * refused, and the message names it. SPDX-License-Identifier: Apache-2.0 */
#include "h5/h5_format.h"
#include "h5/h5_schema.h"

#include "base/base_log.h"
#include "tests/io_fixture.h"

static char folder[32], path[64];

static bool says(const char *text) { return strstr(flm_err_message(), text) != NULL; }

/* ---- texts ---- */

static void test_texts(void)
{
    static const char *const good[] = {"checkpoint", "shard", "index", "samples"};
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no object"},
        {"group /\n", "line 1"},
        {"schema a\nschema b\n", "line 2"},
        {"schema a\n@x int\n", "line 2"},
        {"schema a\n\ngroup x\n", "line 3"},
        {"schema a\ndataset /x f33 [n]\n", "f33"},
        {"schema a\ndataset /x f32\n", "line 2"},
        {"schema a\ndataset /x f32 [n\n", "bracket"},
        {"schema a\ndataset /x f32 [1,2,3,4,5]\n", "shape"},
        {"schema a\ndataset /x f32 [0]\n", "shape"},
        {"schema a\ndataset /x u16|u32|f32 [n]\n", "type"},
        {"schema a\ndataset /x f32 like x\n", "a group after"},
        {"schema a\ndataset /x f32 [n] optional more\n", "more"},
        {"schema a\ngroup /\n@x int 2..1\n", "range"},
        {"schema a\ngroup /\n@x string 1..2\n", "range"},
        {"schema a\ngroup /\n@x float 2..1\n", "range"},
        {"schema a\ngroup /\n@x int =\n", "no values"},
        {"schema a\ngroup /\n@* string\n", "optional"},
        {"schema a\ngroup /\n@x str0\n", "type"},
        {"schema a\ngroup /\n\x01\n", "character"},
    };
    flm_schema *schema = NULL;

    for (int i = 0; i < 4; i++) {
        const char *text = flm_schema_text(good[i]);
        tap_ok(text && flm_schema_parse(good[i], text, strlen(text), &schema) == FLM_OK, "%s.schema", good[i]);
        flm_schema_destroy(&schema);
    }
    tap_ok(flm_schema_text("none") == NULL, "there is no other");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        tap_ok(flm_schema_parse("bad", bad[i].text, strlen(bad[i].text), &schema) == FLM_E_FORMAT && !schema &&
                   says(bad[i].says),
               "no schema: %s", flm_err_message());
}

/* ---- files ---- */

static void must(flm_status rc)
{
    if (rc == FLM_OK) return;
    printf("Bail out! %s\n", flm_err_trace());
    exit(99);
}

static hid_t id(hid_t value)
{
    if (value >= 0) return value;
    printf("Bail out! HDF5\n");
    exit(99);
}

static void make_dataset(hid_t file, const char *name, hid_t type, int ndim, int64_t rows, int64_t columns)
{
    const int64_t dim[2] = {rows, columns};
    hid_t dataset;
    must(flm_h5_create_dataset(file, name, type, ndim, dim, &dataset));
    flm_h5_close(&dataset);
}

static void make_strings(hid_t file, const char *name, size_t size, int64_t rows)
{
    hid_t type = id(H5Tcopy(H5T_C_S1));
    id(H5Tset_size(type, size));
    make_dataset(file, name, type, 1, rows, 0);
    flm_h5_close(&type);
}

static void set_common(hid_t root, const char *format)
{
    const flm_checkpoint_info info = fixture_info(1);
    must(flm_h5_set_string(root, "format", format));
    must(flm_h5_set_i64(root, "format_version", 1));
    must(flm_h5_set_string(root, "program_version", "1"));
    must(flm_h5_set_string(root, "tokenizer", "bytes"));
    must(flm_h5_set_string(root, "tokenizer_sha256", info.vocabulary.sha256));
    must(flm_h5_set_i64(root, "V", 259));
    must(flm_h5_set_i64(root, "begin_id", 257));
    must(flm_h5_set_i64(root, "end_id", 258));
    must(flm_h5_set_i64(root, "L", 4));
}

static void set_corpus(hid_t file, hid_t root)
{
    must(flm_h5_set_string(root, "corpus", "text"));
    must(flm_h5_set_string(root, "documents", "line"));
    must(flm_h5_set_i64(root, "group_docs", 0));
    make_strings(file, "/inputs/name", 256, 2);
    make_dataset(file, "/inputs/bytes", H5T_STD_I64LE, 1, 2, 0);
    make_strings(file, "/inputs/sha256", 65, 2);
}

static void make_shard(hid_t file, hid_t root)
{
    set_common(root, "flm-shard");
    set_corpus(file, root);
    must(flm_h5_set_string(root, "split", "train"));
    must(flm_h5_set_i64(root, "number", 0));
    must(flm_h5_set_i64(root, "of", 1));
    make_dataset(file, "/tokens", H5T_STD_U16LE, 2, 3, 4);
    make_dataset(file, "/checksums", H5T_STD_U32LE, 1, 3, 0);
}

static void make_index(hid_t file, hid_t root)
{
    hid_t split;

    set_common(root, "flm-index");
    set_corpus(file, root);
    make_strings(file, "/splits/train/file", 64, 2);
    make_dataset(file, "/splits/train/rows", H5T_STD_I64LE, 1, 2, 0);
    make_dataset(file, "/splits/train/checksum", H5T_STD_U32LE, 1, 2, 0);
    split = id(H5Gopen2(file, "/splits/train", H5P_DEFAULT));
    must(flm_h5_set_i64(split, "rows", 6));
    must(flm_h5_set_i64(split, "shards", 2));
    must(flm_h5_set_i64(split, "documents", 6));
    must(flm_h5_set_i64(split, "dropped", 0));
    flm_h5_close(&split);
}

static void make_samples(hid_t file, hid_t root)
{
    set_common(root, "flm-samples");
    must(flm_h5_set_string(root, "kind", "flm"));
    must(flm_h5_set_string(root, "checkpoint", "x"));
    must(flm_h5_set_i64(root, "checkpoint_step", 1));
    must(flm_h5_set_i64(root, "checkpoint_identity", 1));
    must(flm_h5_set_string(root, "weights", "ema"));
    must(flm_h5_set_string(root, "precision", "fp32"));
    must(flm_h5_set_i64(root, "seed", 1));
    must(flm_h5_set_i64(root, "samples", 3));
    make_dataset(file, "/steps_8/tokens", H5T_STD_I32LE, 2, 3, 4);
    make_dataset(file, "/steps_8/checksums", H5T_STD_U32LE, 1, 3, 0);
}

static void make_weight(hid_t file, const char *name, int64_t rows, int64_t columns)
{
    const uint32_t sum = 1;
    hid_t dataset;

    make_dataset(file, name, H5T_IEEE_F32LE, columns ? 2 : 1, rows, columns);
    dataset = id(H5Dopen2(file, name, H5P_DEFAULT));
    must(flm_h5_set_u32s(dataset, "crc32c", &sum, 1));
    flm_h5_close(&dataset);
}

static void make_checkpoint(hid_t file, hid_t root)
{
    hid_t group;

    set_common(root, "flm-checkpoint");
    must(flm_h5_set_string(root, "kind", "fmlm-two-model"));
    must(flm_h5_set_string(root, "parent", ""));
    must(flm_h5_set_i64(root, "d", 5));
    must(flm_h5_set_i64(root, "H", 1));
    must(flm_h5_set_i64(root, "c", 3));
    must(flm_h5_set_i64(root, "N", 1));
    must(flm_h5_create_group(file, "/progress", &group));
    for (int i = 0; i < 5; i++) {
        static const char *const names[] = {"step", "epoch", "rows_read", "tokens_seen", "seed"};
        must(flm_h5_set_i64(group, names[i], i));
    }
    flm_h5_close(&group);
    must(flm_h5_create_group(file, "/config", &group));
    must(flm_h5_set_string(group, "lr", "1"));
    flm_h5_close(&group);
    make_weight(file, "/weights/blocks.0.attn_qkv.weight", 15, 5);
    make_weight(file, "/weights/more", 7, 0);
    make_weight(file, "/ema/more", 7, 0);
}

typedef void make_function(hid_t file, hid_t root);

/* Ways in which a file is changed after it was made well. */
typedef enum change {
    NOTHING,
    ATTRIBUTE_GONE,
    ATTRIBUTE_I64,
    ATTRIBUTE_F64,
    ATTRIBUTE_STRING,
    ATTRIBUTE_VARIABLE, /* a string of variable length */
    OBJECT_GONE,
    GROUP_MORE,
    SOFT_LINK,
    EXTERNAL_LINK,
    DATASET_U32, /* created again, of rows x columns */
    DATASET_I64,
    DATASET_CHUNKED,
    DATASET_BIG_ENDIAN,
    DATASET_STR64
} change;

typedef struct fault {
    make_function *make;
    const char *kind;
    change change;
    const char *object, *name;
    int64_t value, columns;
    const char *text, *says; /* says NULL: the file is still good */
} fault;

static const fault faults[] = {
    {make_shard, "shard", NOTHING, "/", "", 0, 0, "", NULL},
    {make_shard, "shard", ATTRIBUTE_GONE, "/", "corpus", 0, 0, "", "/: attribute \"corpus\" is missing"},
    {make_shard, "shard", ATTRIBUTE_I64, "/", "corpus", 1, 0, "", "attribute \"corpus\" has the wrong type"},
    {make_shard, "shard", ATTRIBUTE_VARIABLE, "/", "corpus", 1, 0, "", "attribute \"corpus\" has the wrong type"},
    {make_shard, "shard", ATTRIBUTE_F64, "/", "V", 259, 0, "", "attribute \"V\" has the wrong type"},
    {make_shard, "shard", ATTRIBUTE_I64, "/", "V", 1, 0, "", "attribute \"V\" is 1"},
    {make_shard, "shard", ATTRIBUTE_I64, "/", "format_version", 2, 0, "", "attribute \"format_version\" is 2"},
    {make_shard, "shard", ATTRIBUTE_I64, "/", "new", 2, 0, "", "attribute \"new\""},
    {make_shard, "shard", ATTRIBUTE_STRING, "/", "documents", 0, 0, "page", "attribute \"documents\""},
    {make_shard, "shard", ATTRIBUTE_STRING, "/", "documents", 0, 0, "file", NULL},
    {make_shard, "shard", ATTRIBUTE_STRING, "/", "tokenizer_sha256", 0, 0, "ab", "\"tokenizer_sha256\""},
    {make_shard, "shard", ATTRIBUTE_I64, "/", "L", 5, 0, "", "/tokens: axis 1"},
    {make_shard, "shard", OBJECT_GONE, "/tokens", "", 0, 0, "", "/tokens: is missing"},
    {make_shard, "shard", OBJECT_GONE, "/inputs", "", 0, 0, "", "/inputs: is missing"},
    {make_shard, "shard", GROUP_MORE, "/more", "", 0, 0, "", "/more: is not in the schema"},
    {make_shard, "shard", GROUP_MORE, "/inputs/more", "", 0, 0, "", "/inputs/more"},
    {make_shard, "shard", SOFT_LINK, "/link", "", 0, 0, "/tokens", "/link: is a soft or external link"},
    {make_shard, "shard", EXTERNAL_LINK, "/link", "", 0, 0, "/etc/passwd", "/link: is a soft or external link"},
    {make_shard, "shard", DATASET_U32, "/tokens", "", 3, 4, "", NULL},
    {make_shard, "shard", DATASET_U32, "/tokens", "", 3, 3, "", "/tokens: axis 1"},
    {make_shard, "shard", DATASET_U32, "/tokens", "", 3, 0, "", "/tokens: has 1 dimensions"},
    {make_shard, "shard", DATASET_I64, "/tokens", "", 3, 4, "", "/tokens: has the wrong type"},
    {make_shard, "shard", DATASET_CHUNKED, "/tokens", "", 3, 4, "", "/tokens: is not stored contiguously"},
    {make_shard, "shard", DATASET_BIG_ENDIAN, "/tokens", "", 3, 4, "", "/tokens: has the wrong type"},
    {make_shard, "shard", DATASET_U32, "/checksums", "", 4, 0, "", "axis 0"},
    {make_shard, "shard", DATASET_I64, "/inputs/bytes", "", 3, 0, "", "/inputs/"},
    {make_shard, "shard", DATASET_STR64, "/inputs/name", "", 2, 0, "", "/inputs/name: has the wrong type"},
    {make_index, "index", NOTHING, "/", "", 0, 0, "", NULL},
    {make_index, "index", OBJECT_GONE, "/splits/train", "", 0, 0, "", "/splits/*"},
    {make_index, "index", ATTRIBUTE_I64, "/splits/train", "shards", 3, 0, "", "/splits/train/"},
    {make_index, "index", ATTRIBUTE_GONE, "/splits/train", "rows", 0, 0, "", "/splits/train: attribute \"rows\""},
    {make_index, "index", DATASET_STR64, "/splits/train/file", "", 2, 0, "", NULL},
    {make_index, "index", GROUP_MORE, "/splits/valid", "", 0, 0, "", "/splits/valid: attribute"},
    {make_index, "shard", NOTHING, "/", "", 0, 0, "", "is a file of kind index, expected shard"},
    {make_samples, "samples", NOTHING, "/", "", 0, 0, "", NULL},
    {make_samples, "samples", ATTRIBUTE_F64, "/steps_8", "entropy", 4, 0, "", NULL},
    {make_samples, "samples", ATTRIBUTE_I64, "/steps_8", "entropy", 4, 0, "", "/steps_8: attribute \"entropy\""},
    {make_samples, "samples", GROUP_MORE, "/steps_x", "", 0, 0, "", "/steps_x"},
    {make_samples, "samples", GROUP_MORE, "/steps_08", "", 0, 0, "", "/steps_08"},
    {make_samples, "samples", GROUP_MORE, "/prompts", "", 0, 0, "", NULL},
    {make_samples, "samples", GROUP_MORE, "/prompt", "", 0, 0, "", "/prompt"},
    {make_samples, "samples", ATTRIBUTE_STRING, "/steps_8", "sampler", 0, 0, "flow", NULL},
    {make_samples, "samples", ATTRIBUTE_STRING, "/steps_8", "sampler", 0, 0, "other", "\"sampler\""},
    {make_samples, "samples", ATTRIBUTE_STRING, "/", "matmul", 0, 0, "auto", "\"matmul\""},
    {make_samples, "samples", ATTRIBUTE_I64, "/", "samples", 4, 0, "", "/steps_8/"},
    {make_samples, "samples", ATTRIBUTE_STRING, "/", "precision", 0, 0, "fp64", "\"precision\""},
    {make_samples, "samples", ATTRIBUTE_STRING, "/", "format", 0, 0, "flm-other", "not one of this suite"},
    {make_checkpoint, "checkpoint", NOTHING, "/", "", 0, 0, "", NULL},
    {make_checkpoint, "checkpoint", ATTRIBUTE_STRING, "/", "kind", 0, 0, "gpt", "\"kind\" has an unknown value"},
    {make_checkpoint, "checkpoint", ATTRIBUTE_I64, "/progress", "step", -1, 0, "", "/progress: attribute \"step\""},
    {make_checkpoint, "checkpoint", ATTRIBUTE_I64, "/config", "lr", 1, 0, "", "/config: attribute \"lr\""},
    {make_checkpoint, "checkpoint", ATTRIBUTE_I64, "/", "d", 6, 0, "", "/weights/blocks.0.attn_qkv.weight: axis 0"},
    {make_checkpoint, "checkpoint", ATTRIBUTE_F64, "/", "logit_cap", 30, 0, "", NULL},
    {make_checkpoint, "checkpoint", ATTRIBUTE_F64, "/", "logit_cap", 1001, 0, "",
     "\"logit_cap\" is 1001, must be from"},
    {make_checkpoint, "checkpoint", ATTRIBUTE_F64, "/", "logit_cap", -1, 0, "", "\"logit_cap\" is -1, must be from"},
    {make_checkpoint, "checkpoint", ATTRIBUTE_I64, "/", "logit_cap", 30, 0, "", "\"logit_cap\" has the wrong type"},
    {make_checkpoint, "checkpoint", OBJECT_GONE, "/weights/more", "", 0, 0, "",
     "/ema/more: has no counterpart /weights/more"},
    {make_checkpoint, "checkpoint", OBJECT_GONE, "/ema", "", 0, 0, "", NULL},
    {make_checkpoint, "checkpoint", ATTRIBUTE_GONE, "/weights/more", "crc32c", 0, 0, "", "/weights/more: attribute"},
    {make_checkpoint, "checkpoint", ATTRIBUTE_I64, "/weights/more", "crc32c", 0, 0, "", "/weights/more: attribute"},
    {make_checkpoint, "checkpoint", DATASET_I64, "/weights/more", "", 7, 0, "", "/weights/more: has the wrong type"},
    {make_checkpoint, "checkpoint", SOFT_LINK, "/optimizer", "", 0, 0, "/ema",
     "/optimizer: is a soft or external link"},
    {make_checkpoint, "checkpoint", GROUP_MORE, "/weights/deep", "", 0, 0, "", "/weights/deep: is not a dataset"},
};

static void set_variable_string(hid_t object, const char *name)
{
    const char *value = "text";
    hid_t type = id(H5Tcopy(H5T_C_S1)), space = id(H5Screate(H5S_SCALAR)), attribute;
    id(H5Tset_size(type, H5T_VARIABLE));
    id(H5Adelete(object, name));
    attribute = id(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    id(H5Awrite(attribute, type, &value));
    flm_h5_close(&attribute);
    flm_h5_close(&space);
    flm_h5_close(&type);
}

static void remake_dataset(hid_t file, const fault *f)
{
    const int ndim = f->columns ? 2 : 1;
    hsize_t extent[2] = {(hsize_t)f->value, (hsize_t)f->columns};
    hid_t made, space, dataset;

    id(H5Ldelete(file, f->object, H5P_DEFAULT));
    switch (f->change) {
    case DATASET_U32: make_dataset(file, f->object, H5T_STD_U32LE, ndim, f->value, f->columns); return;
    case DATASET_I64: make_dataset(file, f->object, H5T_STD_I64LE, ndim, f->value, f->columns); return;
    case DATASET_BIG_ENDIAN: make_dataset(file, f->object, H5T_STD_U16BE, ndim, f->value, f->columns); return;
    case DATASET_STR64: make_strings(file, f->object, 64, f->value); return;
    default: break;
    }
    made = id(H5Pcreate(H5P_DATASET_CREATE));
    space = id(H5Screate_simple(ndim, extent, NULL));
    id(H5Pset_chunk(made, ndim, extent));
    id(H5Pset_alloc_time(made, H5D_ALLOC_TIME_EARLY));
    dataset = id(H5Dcreate2(file, f->object, H5T_STD_U16LE, space, H5P_DEFAULT, made, H5P_DEFAULT));
    flm_h5_close(&dataset);
    flm_h5_close(&space);
    flm_h5_close(&made);
}

static void apply(hid_t file, const fault *f)
{
    hid_t object = H5I_INVALID_HID, group = H5I_INVALID_HID;

    if (f->change >= ATTRIBUTE_GONE && f->change <= ATTRIBUTE_VARIABLE)
        object = id(H5Oopen(file, f->object, H5P_DEFAULT));
    switch (f->change) {
    case NOTHING: break;
    case ATTRIBUTE_GONE: id(H5Adelete(object, f->name)); break;
    case ATTRIBUTE_I64: must(flm_h5_set_i64(object, f->name, f->value)); break;
    case ATTRIBUTE_F64: must(flm_h5_set_f64(object, f->name, (double)f->value)); break;
    case ATTRIBUTE_STRING: must(flm_h5_set_string(object, f->name, f->text)); break;
    case ATTRIBUTE_VARIABLE: set_variable_string(object, f->name); break;
    case OBJECT_GONE: id(H5Ldelete(file, f->object, H5P_DEFAULT)); break;
    case GROUP_MORE: must(flm_h5_create_group(file, f->object, &group)); break;
    case SOFT_LINK: id(H5Lcreate_soft(f->text, file, f->object, H5P_DEFAULT, H5P_DEFAULT)); break;
    case EXTERNAL_LINK: id(H5Lcreate_external(f->text, "/", file, f->object, H5P_DEFAULT, H5P_DEFAULT)); break;
    default: remake_dataset(file, f);
    }
    flm_h5_close(&group);
    flm_h5_close(&object);
}

static void test_fault(const fault *f)
{
    hid_t file, root;
    int64_t bytes = 0;
    flm_status rc;

    must(flm_h5_create(path, &file));
    root = id(H5Gopen2(file, "/", H5P_DEFAULT));
    f->make(file, root);
    flm_h5_close(&root);
    apply(file, f);
    flm_h5_close(&file);
    rc = flm_schema_open(path, f->kind, &file, &bytes);
    tap_ok(f->says ? rc == FLM_E_FORMAT && says(f->says) && says(path) : rc == FLM_OK, "%s %s: %s", f->object, f->name,
           rc == FLM_OK ? "good" : flm_err_message());
    if (rc == FLM_OK) flm_h5_close(&file);
}

static void test_foreign(void)
{
    const char *kind = NULL;
    hid_t file;
    FILE *text;

    must(flm_h5_create(path, &file));
    flm_h5_close(&file);
    tap_ok(flm_format_identify(path, &kind) == FLM_E_FORMAT && says("not one of this suite") && !kind,
           "an empty HDF5 file");
    file = id(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    flm_h5_close(&file);
    tap_ok(flm_format_identify(path, &kind) == FLM_E_FORMAT && says("superblock version 0"),
           "a file of HDF5's oldest format");
    if ((text = fopen(path, "w"))) fclose(text);
    tap_ok(flm_format_identify(path, &kind) == FLM_E_FORMAT && says("not an HDF5 file"), "an empty file");
    unlink(path);
    tap_ok(flm_format_identify(path, &kind) == FLM_E_MISSING && says(path), "no file");
}

int main(void)
{
    strcpy(folder, "io-test.XXXXXX");
    if (!mkdtemp(folder)) return 99;
    snprintf(path, sizeof path, "%s/file.h5", folder);
    flm_log_init(0, FLM_LOG_ERROR);
    test_texts();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) test_fault(&faults[i]);
    test_foreign();
    tap_ok(fixture_remove(folder), "the test's folder is gone");
    return tap_end();
}
