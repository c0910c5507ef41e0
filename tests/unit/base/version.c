/* version.c - the version record is there and plain. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_version.h"
#include "config.h"
#include "tests/tap.h"

#include <string.h>

int main(void)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    const char *revision = flm_version_revision();

    tap_ok(strcmp(flm_version_string(), PACKAGE_VERSION) == 0, "the version is the package's");
    tap_ok(strlen(revision) >= 7 && strspn(revision, plain) == strlen(revision), "the revision: %s", revision);
    return tap_end();
}
