/* base_sha256.c - see base_sha256.h. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_sha256.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>

struct flm_sha256 {
    EVP_MD_CTX *context;
};

flm_status flm_sha256_begin(flm_sha256 **out)
{
    flm_status rc = FLM_OK;
    flm_sha256 *sum = calloc(1, sizeof *sum);

    if (!sum) FLM_FAIL(FLM_E_NOMEM, "no memory for a SHA-256 digest");
    sum->context = EVP_MD_CTX_new();
    if (!sum->context || EVP_DigestInit_ex(sum->context, EVP_sha256(), NULL) != 1)
        FLM_FAIL(FLM_E_NOMEM, "libcrypto: SHA-256 is not available");
    *out = sum;
    sum = NULL;
done:
    flm_sha256_destroy(&sum);
    return rc;
}

flm_status flm_sha256_add(flm_sha256 *sum, const void *data, size_t bytes)
{
    if (EVP_DigestUpdate(sum->context, data, bytes) == 1) return FLM_OK;
    return flm_err_raise(FLM_E_NOMEM, __FILE__, __LINE__, "libcrypto: SHA-256 failed");
}

flm_status flm_sha256_end(flm_sha256 **sum, char *text)
{
    flm_status rc = FLM_OK;
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (EVP_DigestFinal_ex((*sum)->context, raw, &size) != 1 || 2 * size + 1 != FLM_SHA256_BYTES)
        FLM_FAIL(FLM_E_NOMEM, "libcrypto: SHA-256 failed");
    for (unsigned i = 0; i < size; i++) snprintf(text + 2 * i, 3, "%02x", raw[i]);
done:
    flm_sha256_destroy(sum);
    return rc;
}

void flm_sha256_destroy(flm_sha256 **sum)
{
    if (!*sum) return;
    EVP_MD_CTX_free((*sum)->context);
    free(*sum);
    *sum = NULL;
}

flm_status flm_sha256_digest(const void *data, size_t bytes, char *text)
{
    flm_status rc = FLM_OK;
    flm_sha256 *sum = NULL;

    FLM_TRY(flm_sha256_begin(&sum));
    FLM_TRY(flm_sha256_add(sum, data, bytes));
    FLM_TRY(flm_sha256_end(&sum, text));
done:
    flm_sha256_destroy(&sum);
    return rc;
}
