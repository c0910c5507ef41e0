/* convert_names.c - see convert_names.h. SPDX-License-Identifier: Apache-2.0 */
#include "convert/convert_names.h"

#include <string.h>

/* Parts that wrappers put anywhere into a name; no parameter of a network has one of these. */
static const char *const wrappers[] = {
    "module",          "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_fpw_module",
    "_forward_module", NULL};
/* Parts that a name can begin with. */
static const char *const containers[] = {"state_dict", "model", "model_state_dict", NULL};
static const char *const networks[] = {"backbone", "network", "net", "dit", "transformer", NULL};

/* Whether the part [bytes] is in the list. */
static bool is_among(const char *part, size_t bytes, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) == bytes && memcmp(part, *list, bytes) == 0) return true;
    return false;
}

void flm_external_name_strip(const char *name, char out[FLM_EXTERNAL_NAME_BYTES], bool *network)
{
    size_t used = 0;

    *network = false;
    while (*name) {
        const size_t bytes = strcspn(name, ".");
        const bool last = name[bytes] == '\0', first = used == 0;
        const bool inner = first && !last && is_among(name, bytes, networks);
        const bool drop =
            !last && (inner || is_among(name, bytes, wrappers) || (first && is_among(name, bytes, containers)));
        *network = *network || inner;
        if (!drop && used + bytes + 2 < FLM_EXTERNAL_NAME_BYTES) {
            if (!first) out[used++] = '.';
            memcpy(out + used, name, bytes);
            used += bytes;
        }
        name += bytes + !last;
    }
    out[used] = '\0';
}
