/* flow_kind.h - the kinds of networks that the suite trains, converts and samples, in one table.
 *
 * A kind, the attribute "kind" of a checkpoint, has a name, a form of network, an objective that trains it and a
 * sampler that draws from it. The table is made of flow_kind.def; a new kind is a row there, and a file for its
 * objective. Owns no memory; files are read and written by io. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_FLOW_KIND_H
#define FLM_FLOW_KIND_H

#include "flow/flow_gamma.h"
#include "model/model_weights.h"

/* Rows of the table: FLM_KIND_FLM, FLM_KIND_FMLM_TWO_MODEL, ... */
typedef enum flm_kind_id {
#define FLM_KIND(id, name, old_name, network, objective, sampler) FLM_KIND_##id,
#include "flow/flow_kind.def"
    FLM_KINDS
} flm_kind_id;

/* Roles of the networks without gradient beside the trained or sampled one, in the order of the noise basis. The first
 * FLM_ROLE_FILES of them are frozen and come from files; the average is the trained network's own EMA. */
typedef enum flm_role {
    FLM_ROLE_TEACHER,
    FLM_ROLE_FLOW_MAP,
    FLM_ROLE_FILES,
    FLM_ROLE_AVERAGE = FLM_ROLE_FILES,
    FLM_ROLES
} flm_role;

typedef struct flm_kind {
    const char *name;     /* in files, options and logs */
    const char *old_name; /* in files of version 0.1, which can be read; NULL: the same */
    flm_network network;  /* form of the network */
    const struct flm_objective_ops *objective;
    const struct flm_sampler_ops *sampler;
} flm_kind;

extern const flm_kind flm_kinds[FLM_KINDS];

/* The network that an objective or a sampler needs in a role; kind NULL: none. */
typedef struct flm_kind_part {
    const flm_kind *kind;
    bool optional;
} flm_kind_part;

/* flm_kind_find - a kind by its name or old name. Errors: FLM_E_MISMATCH naming the known kinds. */
flm_status flm_kind_find(const char *name, const flm_kind **out);

/* flm_kind_make_gamma - the path time of a kind's network times, for a vocabulary of V: flm_gamma_create, or the
 * identity of model.md section 10. Errors: those of flm_gamma_create. */
flm_status flm_kind_make_gamma(const flm_kind *kind, int64_t V, flm_gamma **out);

/* flm_role_name - "teacher", "flow-map" (the name of the option, and of the role in the lineage of a checkpoint), or
 * "average". */
const char *flm_role_name(flm_role role);

/* flm_kind_check_parts - check that the frozen networks are those that `parts` asks for, with the sizes of `shape`.
 * in  frozen [FLM_ROLES], NULL: none in this role. Errors: FLM_E_ARG naming the role. */
flm_status flm_kind_check_parts(const flm_kind *kind, const flm_kind_part *parts, const flm_weights *const *frozen,
                                const flm_model_shape *shape);

/* flm_kind_embeddings - the embeddings of the frozen networks that are not NULL, in the order of the noise basis.
 * in  frozen [FLM_ROLES]   out E [FLM_ROLES]: views f32 [V, d]. Returns their number. */
int flm_kind_embeddings(const flm_weights *const *frozen, flm_tensor *E);

#endif
