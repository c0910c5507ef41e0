/* text_bytes.c - the tokeniser of bytes: an id is the value of a byte; 256 is begin and end. It has no vocabulary file;
 * its digest is that of its name. Source: data.md section 2. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_sha256.h"
#include "text/text_internal.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_END = 256, BYTES_V = 257 };

static const char END_TEXT[] = "<|end|>";

static flm_status bytes_create(const flm_tokenizer_files *files, void **state, flm_tokenizer_info *info)
{
    (void)files;
    *state = NULL;
    info->V = BYTES_V;
    info->begin_id = info->end_id = BYTES_END;
    return flm_sha256_digest("bytes", strlen("bytes"), info->sha256);
}

static void bytes_destroy(void *state) { (void)state; }

static flm_status bytes_encode(void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;
    const unsigned char *byte = (const unsigned char *)text;

    (void)state;
    FLM_TRY(flm_ids_reserve(ids, bytes));
    for (size_t i = 0; i < bytes; i++) ids->ids[ids->count + i] = byte[i];
    ids->count += bytes;
done:
    return rc;
}

static flm_status bytes_decode(void *state, const int32_t *ids, size_t count, char **text, size_t *bytes)
{
    flm_status rc = FLM_OK;
    size_t size = 0;
    char *out, *p;

    (void)state;
    if (count > SIZE_MAX / 2 / sizeof END_TEXT) FLM_FAIL(FLM_E_NOMEM, "no memory for the text of %zu ids", count);
    for (size_t i = 0; i < count; i++) size += ids[i] == BYTES_END ? sizeof END_TEXT - 1 : 1;
    p = out = malloc(size + 1);
    if (!out) FLM_FAIL(FLM_E_NOMEM, "no memory for a text of %zu bytes", size);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == BYTES_END)
            p = (char *)memcpy(p, END_TEXT, sizeof END_TEXT - 1) + sizeof END_TEXT - 1;
        else
            *p++ = (char)ids[i];
    }
    *p = '\0';
    *text = out;
    *bytes = size;
done:
    return rc;
}

const flm_tokenizer_ops flm_tokenizer_bytes = {
    .name = "bytes",
    .create = bytes_create,
    .destroy = bytes_destroy,
    .encode = bytes_encode,
    .decode = bytes_decode,
};
