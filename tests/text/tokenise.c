/* tokenise.c - runs a tokeniser on records from standard input to standard output, for compare.py.
 *
 * tokenise encode|decode|decode-clean|decode-plain NAME [VOCAB [MERGES]]
 * tokenise lm1b
 * A record is a count (uint32, little-endian) and as many bytes of text or ids (int32).
 * SPDX-License-Identifier: Apache-2.0 */
#include "text/text_lm1b.h"
#include "text/text_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_MAX = 1 << 30 };

/* Read a record of items of `size` bytes; *more is false at the end of the input. */
static flm_status read_record(size_t size, char **data, size_t *count, bool *more)
{
    flm_status rc = FLM_OK;
    uint32_t items;

    *more = fread(&items, sizeof items, 1, stdin) == 1;
    if (!*more) goto done;
    if (items > RECORD_MAX / size) FLM_FAIL(FLM_E_FORMAT, "a record of %u items is too large", items);
    free(*data);
    *data = malloc(items * size + 1);
    if (!*data) FLM_FAIL(FLM_E_NOMEM, "no memory for a record of %u items", items);
    if (fread(*data, size, items, stdin) != items) FLM_FAIL(FLM_E_FORMAT, "the last record is truncated");
    *count = items;
done:
    return rc;
}

static flm_status write_record(const void *data, size_t size, size_t count)
{
    flm_status rc = FLM_OK;
    uint32_t items = (uint32_t)count;

    if (fwrite(&items, sizeof items, 1, stdout) != 1 || fwrite(data, size, count, stdout) != count)
        FLM_FAIL(FLM_E_IO, "standard output cannot be written");
done:
    return rc;
}

static flm_status one(const char *mode, flm_tokenizer *t, char *data, size_t count)
{
    flm_status rc = FLM_OK;
    flm_ids ids = {NULL, 0, 0};
    char *text = NULL;

    if (!t) {
        flm_text_lm1b_detokenize(data, &count);
        FLM_TRY(write_record(data, 1, count));
    } else if (strcmp(mode, "encode") == 0) {
        FLM_TRY(flm_tokenizer_encode(t, data, count, &ids, NULL));
        FLM_TRY(write_record(ids.ids, sizeof *ids.ids, ids.count));
    } else {
        FLM_TRY(flm_tokenizer_decode(t, (const int32_t *)(void *)data, count, &text, &count));
        FLM_TRY(write_record(text, 1, count));
    }
done:
    free(ids.ids);
    free(text);
    return rc;
}

int main(int argc, char **argv)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *t = NULL;
    char *data = NULL;
    const char *mode = argc > 1 ? argv[1] : "";
    size_t count = 0;
    bool more = true;

    if (strcmp(mode, "lm1b") != 0) {
        if (argc < 3) FLM_FAIL(FLM_E_USAGE, "tokenise encode|decode|decode-clean|decode-plain NAME [VOCAB [MERGES]]");
        FLM_TRY(flm_tokenizer_create_from(argv[2], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL, &t));
        if (strcmp(mode, "decode-clean") == 0 || strcmp(mode, "decode-plain") == 0)
            flm_tokenizer_set_clean_up(t, strcmp(mode, "decode-clean") == 0);
    }
    for (;;) {
        FLM_TRY(read_record(strncmp(mode, "decode", 6) == 0 ? sizeof(int32_t) : 1, &data, &count, &more));
        if (!more) break;
        FLM_TRY(one(mode, t, data, count));
    }
done:
    if (rc != FLM_OK) fprintf(stderr, "tokenise: error: %s\n", flm_err_message());
    flm_tokenizer_destroy(&t);
    free(data);
    return rc != FLM_OK;
}
