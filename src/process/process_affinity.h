/* process_affinity.h - binds this process to the cores of its GPU's NUMA domain. SPDX-License-Identifier: Apache-2.0 */
#ifndef FLM_PROCESS_AFFINITY_H
#define FLM_PROCESS_AFFINITY_H

#include "base/base_err.h"

#include <stddef.h>

/* flm_affinity_bind - bind all threads of this process, and so those that it starts later, to those of its present
 * cores that are local to a PCI device: ROOT/bus/pci/devices/BUS/local_cpulist, where ROOT is /sys and bus any case.
 * Cores that the launcher did not give are not taken. Without that file, or if none of the present cores is local,
 * nothing is bound.   out  line [bytes]: what was done or why not, for the log. Not collective. Errors: FLM_E_FORMAT
 * (the file is not a list of cores), FLM_E_IO. Source: Linux, Documentation/ABI/testing/sysfs-bus-pci. */
flm_status flm_affinity_bind(const char *root, const char *bus, char *line, size_t bytes);

#endif
