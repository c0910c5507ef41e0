/* text_special.c - special tokens and edits of text (text_internal.h). SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: memmem is a GNU extension */

#include "text/text_internal.h"

#include <stdlib.h>

flm_status flm_special_tokens_add(flm_special_tokens *specials, const char *text, size_t bytes, int32_t id)
{
    flm_status rc = FLM_OK;
    flm_special_token *grown = realloc(specials->list, (specials->count + 1) * sizeof *grown);
    char *copy;

    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for a special token");
    specials->list = grown;
    copy = malloc(bytes + 1);
    if (!copy) FLM_FAIL(FLM_E_NOMEM, "no memory for a special token");
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    specials->list[specials->count++] = (flm_special_token){copy, bytes, id};
    specials->first[(unsigned char)text[0]] = true;
done:
    return rc;
}

void flm_special_tokens_free(flm_special_tokens *specials)
{
    for (size_t i = 0; i < specials->count; i++) free(specials->list[i].text);
    free(specials->list);
    *specials = (flm_special_tokens){0};
}

static const flm_special_token *longest_at(const flm_special_tokens *specials, const char *text, size_t bytes)
{
    const flm_special_token *best = NULL;

    for (size_t i = 0; i < specials->count; i++) {
        const flm_special_token *s = &specials->list[i];
        if (s->bytes <= bytes && memcmp(s->text, text, s->bytes) == 0 && (!best || s->bytes > best->bytes)) best = s;
    }
    return best;
}

/* The first special token in text, with its offset; NULL and `bytes` if there is none. */
static const flm_special_token *find(const flm_special_tokens *specials, const char *text, size_t bytes, size_t *at)
{
    const flm_special_token *found = NULL;
    size_t i = 0;

    for (; i < bytes; i++)
        if (specials->first[(unsigned char)text[i]] && (found = longest_at(specials, text + i, bytes - i))) break;
    *at = i;
    return found;
}

flm_status flm_special_tokens_encode(const flm_special_tokens *specials,
                                     flm_status (*plain)(void *state, const char *text, size_t bytes, flm_ids *ids),
                                     void *state, const char *text, size_t bytes, flm_ids *ids)
{
    flm_status rc = FLM_OK;

    while (bytes > 0) {
        size_t at;
        const flm_special_token *special = find(specials, text, bytes, &at);
        FLM_TRY(plain(state, text, at, ids));
        if (!special) break;
        FLM_TRY(flm_ids_push(ids, &special->id, 1));
        text += at + special->bytes;
        bytes -= at + special->bytes;
    }
done:
    return rc;
}

void flm_text_replace(char *text, size_t *bytes, const char *from, const char *to)
{
    size_t n = strlen(from), m = strlen(to), left = *bytes;
    char *in = text, *out = text, *hit;

    while (left >= n && (hit = memmem(in, left, from, n))) {
        size_t before = (size_t)(hit - in);
        if (out != in) memmove(out, in, before);
        memcpy(out + before, to, m);
        out += before + m;
        in = hit + n;
        left -= before + n;
    }
    if (out == in) return;
    memmove(out, in, left);
    *bytes = (size_t)(out - text) + left;
}

/* Source: transformers 4.49.0, PreTrainedTokenizerBase.clean_up_tokenization, in its order. */
void flm_text_clean_up(char *text, size_t *bytes)
{
    static const char *const edits[][2] = {{" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
                                           {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};

    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) flm_text_replace(text, bytes, edits[i][0], edits[i][1]);
    text[*bytes] = '\0';
}
