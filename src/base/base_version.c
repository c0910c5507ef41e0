/* base_version.c - see base_version.h. base_revision.h is made by scripts/revision-header and rewritten only when the
 * revision changes, so that only this file is recompiled. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_version.h"

#include "base/base_revision.h"
#include "config.h"

#include <stdio.h>

const char *flm_version_string(void) { return PACKAGE_VERSION; }

const char *flm_version_revision(void) { return FLM_REVISION; }

void flm_version_describe(char *text, size_t size)
{
    snprintf(text, size, "%s (%s)", flm_version_string(), flm_version_revision());
}
