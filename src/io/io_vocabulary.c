/* io_vocabulary.c - the vocabulary as attributes of a file's root. SPDX-License-Identifier: Apache-2.0 */
#include "io/io_internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files are little-endian, and data are written as they are in memory");

flm_status flm_vocabulary_write(hid_t root, const flm_vocabulary *vocabulary)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_h5_set_string(root, "tokenizer", vocabulary->name));
    FLM_TRY(flm_h5_set_string(root, "tokenizer_sha256", vocabulary->sha256));
    FLM_TRY(flm_h5_set_i64(root, "V", vocabulary->V));
    FLM_TRY(flm_h5_set_i64(root, "begin_id", vocabulary->begin_id));
    FLM_TRY(flm_h5_set_i64(root, "end_id", vocabulary->end_id));
done:
    return rc;
}

flm_status flm_vocabulary_read(hid_t root, flm_vocabulary *vocabulary)
{
    flm_status rc = FLM_OK;

    FLM_TRY(flm_h5_get_string(root, "tokenizer", vocabulary->name, sizeof vocabulary->name));
    FLM_TRY(flm_h5_get_string(root, "tokenizer_sha256", vocabulary->sha256, sizeof vocabulary->sha256));
    FLM_TRY(flm_h5_get_i64(root, "V", &vocabulary->V));
    FLM_TRY(flm_h5_get_i64(root, "begin_id", &vocabulary->begin_id));
    FLM_TRY(flm_h5_get_i64(root, "end_id", &vocabulary->end_id));
    if (vocabulary->begin_id >= vocabulary->V || vocabulary->end_id >= vocabulary->V)
        FLM_FAIL(FLM_E_FORMAT, "attributes \"begin_id\" and \"end_id\" must be below \"V\"");
done:
    return rc;
}
