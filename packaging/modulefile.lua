-- Module file for Lmod: copy it to MODULEPATH/flm/0.2.0.lua and set prefix to where `make install` put the suite.
-- SPDX-License-Identifier: Apache-2.0
help([[flm: train, distil, sample and score flow language models. See man flm.]])
whatis("Name: flm")
whatis("Version: 0.2.0")
whatis("Description: flow language models in C with MPI and HDF5")

local prefix = "/opt/flm"

-- The MPI and HDF5 that it was built with, for example:
-- depends_on("gcc/12", "openmpi/4.1", "hdf5/1.14")
prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
setenv("FLM_JOBS_DIR", pathJoin(prefix, "share/flm/jobs"))
