/* base_sanitize.c - what a build with AddressSanitizer needs to find this project's leaks among the MPI library's own.
 *
 * MPI libraries leak a little at MPI_Init, from modules that they unload: leak reports then lack function names. So
 * nothing is unloaded, stacks are unwound exactly, and leaks in MPI and its libraries are suppressed. In other
 * builds this file is empty. SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#if FLM_SANITIZE

extern const int flm_base_sanitize;
int dlclose(void *handle);
const char *__asan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

/* A symbol that makes the linker take this file: the sanitizer's library defines the other ones too. */
const int flm_base_sanitize = 1;

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

const char *__asan_default_options(void) { return "fast_unwind_on_malloc=0"; }

const char *__lsan_default_options(void) { return "print_suppressions=0"; }

const char *__lsan_default_suppressions(void)
{
    return "leak:libmpi\nleak:libopen-rte\nleak:libopen-pal\nleak:mca_\nleak:libpmix\nleak:libhwloc\nleak:libevent\n"
           "leak:libucp\nleak:libucs\nleak:libfabric\n"
           "leak:H5FL_\n"; /* HDF5 1.10 loses the header of an object that it finds damaged */
}

#endif
