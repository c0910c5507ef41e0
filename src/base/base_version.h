/* base_version.h - version and git revision of the suite. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_BASE_VERSION_H
#define FLM_BASE_VERSION_H

#include <stddef.h>

/* flm_version_string - the release, e.g. "0.1.0". Never NULL. */
const char *flm_version_string(void);

/* flm_version_revision - the git revision it was built from, as printed by git describe ("-dirty" if the tree differed
 * from it); that of the release in a tarball; "unknown" without either. Never NULL. */
const char *flm_version_revision(void);

/* flm_version_describe - "VERSION (REVISION)" into text [size], cut where it does not fit: what files record. */
void flm_version_describe(char *text, size_t size);

#endif
