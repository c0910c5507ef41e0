/* text_special.c - special tokens and text edits; see text_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* first: memmem is a GNU extension */

#include "text/text_internal.h"

#include <stdlib.h>

flm_status text_specials_add(text_specials *specials, const char *text, size_t bytes, int32_t id)
{
    flm_status rc = FLM_OK;
    text_special *grown = realloc(specials->list, (specials->count + 1) * sizeof *grown);
    char *copy;

    if (!grown) FLM_FAIL(FLM_E_NOMEM, "no memory for a special token");
    specials->list = grown;
    copy = malloc(bytes + 1);
    if (!copy) FLM_FAIL(FLM_E_NOMEM, "no memory for a special token");
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    specials->list[specials->count++] = (text_special){copy, bytes, id};
    specials->first[(unsigned char)text[0]] = true;
done:
    return rc;
}

void text_specials_free(text_specials *specials)
{
    for (size_t i = 0; i < specials->count; i++) free(specials->list[i].text);
    free(specials->list);
    *specials = (text_specials){0};
}

static const text_special *longest_at(const text_specials *specials, const char *text, size_t bytes)
{
    const text_special *best = NULL;

    for (size_t i = 0; i < specials->count; i++) {
        const text_special *s = &specials->list[i];
        if (s->bytes <= bytes && memcmp(s->text, text, s->bytes) == 0 && (!best || s->bytes > best->bytes)) best = s;
    }
    return best;
}

const text_special *text_specials_find(const text_specials *specials, const char *text, size_t bytes, size_t *at)
{
    const text_special *found = NULL;
    size_t i = 0;

    for (; i < bytes; i++)
        if (specials->first[(unsigned char)text[i]] && (found = longest_at(specials, text + i, bytes - i))) break;
    *at = i;
    return found;
}

void text_replace(char *text, size_t *bytes, const char *from, const char *to)
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
void text_clean_up(char *text, size_t *bytes)
{
    static const char *const edits[][2] = {{" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
                                           {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};

    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) text_replace(text, bytes, edits[i][0], edits[i][1]);
    text[*bytes] = '\0';
}
