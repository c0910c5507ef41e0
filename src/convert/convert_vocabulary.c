/* convert_vocabulary.c - see convert_vocabulary.h. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_vocabulary.h"

#include "base/base_sha256.h"
#include "text/text_tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Names of other models with the same vocabulary. */
static const char *const same[][2] = {
    {"gpt2-medium", "gpt2"}, {"gpt2-large", "gpt2"}, {"gpt2-xl", "gpt2"}, {"distilgpt2", "gpt2"}};

static bool given(const char *text) { return text != NULL && text[0] != '\0'; }

/* The tokeniser that the settings name, opened; NULL if there is none or the suite does not have it. */
static flm_status open_settings(const flm_tokenizer_source *s, flm_tokenizer **out)
{
    flm_status rc = FLM_OK;
    const char *name = s->settings;
    if (!given(name)) goto done;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (strcmp(name, same[i][0]) == 0) name = same[i][1];
    rc = flm_tokenizer_create(name, out);
    if (rc == FLM_E_ARG) {
        flm_err_clear();
        rc = FLM_OK;
    }
done:
    return rc;
}

/* By the option or the metadata. name: the one that both must be. */
static flm_status open_named(const flm_tokenizer_source *s, const flm_tokenizer *settings, const char *name,
                             flm_tokenizer **out)
{
    flm_status rc = FLM_OK;
    if (given(s->option) && given(s->metadata) && strcmp(s->option, s->metadata) != 0)
        FLM_FAIL(FLM_E_MISMATCH, "--tokenizer %s contradicts %s, whose metadata say %.64s; leave out the option",
                 s->option, s->path, s->metadata);
    if (strcmp(name, "none") == 0) goto done;
    if (given(s->option) && settings != NULL && strcmp(name, flm_tokenizer_name(settings)) != 0)
        FLM_FAIL(FLM_E_MISMATCH,
                 "--tokenizer %s contradicts %s, whose settings say %s; leave out the option, or use none", name,
                 s->settings_path, s->settings);
    rc = flm_tokenizer_create(name, out);
    if (rc == FLM_E_ARG)
        rc = given(s->option) ? flm_err_prefix(FLM_E_USAGE, "--tokenizer") : flm_err_prefix(FLM_E_FORMAT, s->path);
done:
    return rc;
}

static flm_status open_chosen(const flm_tokenizer_source *s, const char *name, flm_tokenizer **out)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *settings = NULL;
    FLM_TRY(open_settings(s, &settings));
    if (name != NULL) {
        FLM_TRY(open_named(s, settings, name, out));
        goto done;
    }
    if (settings == NULL && given(s->settings))
        FLM_FAIL(
            FLM_E_USAGE,
            "--tokenizer is needed: %s names the tokeniser %s, which is not in this suite (with none, tokens cannot "
            "be decoded to text)",
            s->settings_path, s->settings);
    if (settings == NULL) FLM_FAIL(FLM_E_USAGE, "--tokenizer is needed: %s does not record its tokeniser", s->path);
    *out = settings;
    settings = NULL;
done:
    flm_tokenizer_destroy(&settings);
    return rc;
}

flm_status flm_tokenizer_source_resolve(const flm_tokenizer_source *s, flm_vocabulary *out)
{
    flm_status rc = FLM_OK;
    flm_tokenizer *tokenizer = NULL;
    const char *name = given(s->option) ? s->option : given(s->metadata) ? s->metadata : NULL;
    FLM_TRY(open_chosen(s, name, &tokenizer));
    if (tokenizer == NULL) {
        snprintf(out->name, sizeof out->name, "none");
        FLM_TRY(flm_sha256_digest(out->name, strlen(out->name), out->sha256));
        goto done;
    }
    if (flm_tokenizer_size(tokenizer) > out->V)
        FLM_FAIL(FLM_E_MISMATCH, "%s: V is %" PRId64 ", but tokeniser %s has %" PRId64 " tokens", s->path, out->V,
                 flm_tokenizer_name(tokenizer), flm_tokenizer_size(tokenizer));
    snprintf(out->name, sizeof out->name, "%s", flm_tokenizer_name(tokenizer));
    snprintf(out->sha256, sizeof out->sha256, "%s", flm_tokenizer_sha256(tokenizer));
    out->begin_id = flm_tokenizer_begin_id(tokenizer);
    out->end_id = flm_tokenizer_end_id(tokenizer);
done:
    flm_tokenizer_destroy(&tokenizer);
    return rc;
}
