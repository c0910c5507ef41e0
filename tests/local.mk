# Tests speak TAP. The ending says how a test is run: .t as it is, .mp2 and .mp4 on that many ranks.
# Names must differ before the dot (x_n2.mp2, x_n4.mp4): automake would merge their logs otherwise.
TEST_EXTENSIONS = .t .mp2 .mp4
TAP = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
T_LOG_DRIVER = $(TAP)
MP2_LOG_DRIVER = $(TAP)
MP4_LOG_DRIVER = $(TAP)
MP2_LOG_COMPILER = $(MPIEXEC)
AM_MP2_LOG_FLAGS = $(MPIEXEC_FLAGS) -n 2
MP4_LOG_COMPILER = $(MPIEXEC)
AM_MP4_LOG_FLAGS = $(MPIEXEC_FLAGS) -n 4

# As root, on fewer cores than ranks, and two launchers side by side.
AM_TESTS_ENVIRONMENT = \
  OMPI_ALLOW_RUN_AS_ROOT=1; OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; OMPI_MCA_rmaps_base_oversubscribe=1; \
  OMPI_MCA_hwloc_base_binding_policy=none; OMPI_MCA_mpi_yield_when_idle=1; OMPI_MCA_btl_vader_single_copy_mechanism=none; \
  OMP_WAIT_POLICY=passive; \
  export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe \
    OMPI_MCA_hwloc_base_binding_policy OMPI_MCA_mpi_yield_when_idle OMPI_MCA_btl_vader_single_copy_mechanism OMP_WAIT_POLICY; \
  abs_top_srcdir='$(abs_top_srcdir)'; abs_top_builddir='$(abs_top_builddir)'; MPIEXEC='$(MPIEXEC) $(MPIEXEC_FLAGS)'; \
  export abs_top_srcdir abs_top_builddir MPIEXEC;

EXTRA_DIST += %D%/tap.h %D%/sampler_scores.h

include tests/unit/local.mk
include tests/conform/local.mk
include tests/emulate/local.mk
include tests/cuda/local.mk
include tests/gpu/local.mk
include tests/parity/local.mk
include tests/ranks/local.mk
include tests/cmd/local.mk
include tests/text/local.mk
include tests/science/local.mk
include tests/score/local.mk
include tests/convert/local.mk
include tests/compat/local.mk
include tests/python/local.mk
include tests/faults/local.mk
include tests/fuzz/local.mk
include tests/slurm/local.mk
