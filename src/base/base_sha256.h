/* base_sha256.h - SHA-256, which identifies vocabularies and inputs, by OpenSSL's libcrypto.
 * Source: FIPS 180-4. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_SHA256_H
#define FLM_BASE_SHA256_H

#include "base/base_err.h"

#include <stddef.h>

enum { FLM_SHA256_BYTES = 65 }; /* a digest as 64 lower-case hex digits, and the NUL */

typedef struct flm_sha256 flm_sha256; /* a digest in progress */

/* flm_sha256_begin, _add, _end - the digest of the added bytes, in order; _end writes it to text [FLM_SHA256_BYTES] and
 * destroys. Errors: FLM_E_NOMEM (libcrypto failed). */
flm_status flm_sha256_begin(flm_sha256 **out);
flm_status flm_sha256_add(flm_sha256 *sum, const void *data, size_t bytes);
flm_status flm_sha256_end(flm_sha256 **sum, char *text);

/* flm_sha256_destroy - discard a digest in progress. Accepts NULL, nulls it. */
void flm_sha256_destroy(flm_sha256 **sum);

/* flm_sha256_digest - the digest of bytes at once, to text [FLM_SHA256_BYTES]. Errors: FLM_E_NOMEM. */
flm_status flm_sha256_digest(const void *data, size_t bytes, char *text);

#endif
