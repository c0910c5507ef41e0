/* flow_kind.c - see flow_kind.h. SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_kind.h"

#include "flow/flow_objective_internal.h"
#include "flow/flow_sampler_internal.h"

#include <stdio.h>
#include <string.h>

const flm_kind flm_kinds[FLM_KINDS] = {
#define FLM_KIND(id, name, old_name, network, objective, sampler) \
    [FLM_KIND_##id] = {name, old_name, FLM_NETWORK_##network, &flm_objective_##objective, &flm_sampler_##sampler},
#include "flow/flow_kind.def"
};

flm_status flm_kind_find(const char *name, const flm_kind **out)
{
    flm_status rc = FLM_OK;
    char known[128] = "";
    for (int i = 0; i < FLM_KINDS; i++) {
        const flm_kind *kind = &flm_kinds[i];
        if (strcmp(name, kind->name) == 0 || (kind->old_name != NULL && strcmp(name, kind->old_name) == 0)) {
            *out = kind;
            goto done;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i > 0 ? ", " : "", kind->name);
    }
    FLM_FAIL(FLM_E_MISMATCH, "unsupported kind of checkpoint: %s; expected one of %s", name, known);
done:
    return rc;
}

flm_status flm_kind_make_gamma(const flm_kind *kind, int64_t V, flm_gamma **out)
{
    return kind->network == FLM_NETWORK_ANY_ORDER ? flm_gamma_create_identity(out) : flm_gamma_create(V, out);
}

const char *flm_role_name(flm_role role)
{
    static const char *const names[FLM_ROLES] = {
        [FLM_ROLE_TEACHER] = "teacher", [FLM_ROLE_FLOW_MAP] = "flow-map", [FLM_ROLE_AVERAGE] = "average"};
    return names[role];
}

flm_status flm_kind_check_parts(const flm_kind *kind, const flm_kind_part *parts, const flm_weights *const *frozen,
                                const flm_model_shape *shape)
{
    flm_status rc = FLM_OK;
    for (int r = 0; r < FLM_ROLES; r++) {
        const flm_kind *want = parts[r].kind;
        const char *role = flm_role_name((flm_role)r);
        if (frozen[r] == NULL && (want == NULL || parts[r].optional)) continue;
        if (want == NULL) FLM_FAIL(FLM_E_ARG, "kind %s takes no %s", kind->name, role);
        if (frozen[r] == NULL) FLM_FAIL(FLM_E_ARG, "kind %s needs a %s", kind->name, role);
        if (frozen[r]->shape.network != want->network)
            FLM_FAIL(FLM_E_ARG, "the %s of a network of kind %s must be of kind %s", role, kind->name, want->name);
        if (!flm_model_same_sizes(&frozen[r]->shape, shape))
            FLM_FAIL(FLM_E_ARG, "the %s and the network of kind %s have different shapes", role, kind->name);
    }
done:
    return rc;
}

int flm_kind_embeddings(const flm_weights *const *frozen, flm_tensor *E)
{
    int count = 0;
    for (int r = 0; r < FLM_ROLES; r++)
        if (frozen[r] != NULL) E[count++] = frozen[r]->w.E;
    return count;
}
