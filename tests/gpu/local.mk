# make check-gpu, for a machine with a GPU. It takes minutes to hours, so it is not part of make check, where rehearse.t runs
# the same scripts on the emulated device (tests/emulate/local.mk).
EXTRA_DIST += %D%/bench.t %D%/ncu.t %D%/conform.t %D%/gpu.sh %D%/memory.t %D%/parity.t %D%/rehearse.t %D%/sanitizer.t %D%/train.t
EXTRA_PROGRAMS += %D%/device
CLEANFILES += %D%/device$(EXEEXT)
%C%_device_SOURCES = %D%/device.c
%C%_device_LDADD = $(LINK_BACKEND)

# The conformance programs, except those that test the CPU backend alone.
GPU_CONFORM = tests/conform/conform_layernorm.t tests/conform/conform_gate.t tests/conform/conform_activation.t \
  tests/conform/conform_elementwise.t tests/conform/conform_adamw.t tests/conform/conform_embed.t \
  tests/conform/conform_gather.t \
  tests/conform/conform_softmax.t tests/conform/conform_distill.t tests/conform/conform_attention.t \
  tests/conform/conform_rope.t tests/conform/conform_causal.t tests/conform/conform_matmul.t tests/conform/conform_lapack.t
CHECK_GPU = $(AM_TESTS_ENVIRONMENT) NVCC='$(NVCC)' FLM_GPU_CONFORM='$(GPU_CONFORM)' \
  $(SHELL) $(srcdir)/scripts/check-gpu.sh '$(abs_builddir)'

# The GPU is looked for before the minutes of the build.
check-gpu: %D%/device$(EXEEXT)
	@$(CHECK_GPU) --probe
	@$(MAKE) $(AM_MAKEFLAGS) check-gpu-run
check-gpu-run: all $(GPU_CONFORM) tests/cmd/file_tool$(EXEEXT) tests/score/score_files$(EXEEXT)
	@$(CHECK_GPU)
# The part that fits into minutes, with what it needs alone; quickstart gives it eight minutes from its own start.
GPU_QUICK = tests/conform/conform_matmul.t tests/conform/conform_attention.t tests/conform/conform_softmax.t tests/conform/conform_lapack.t
CHECK_GPU_QUICK = $(AM_TESTS_ENVIRONMENT) NVCC='$(NVCC)' FLM_GPU_CONFORM='$(GPU_QUICK)' \
  $(SHELL) $(srcdir)/scripts/check-gpu.sh '$(abs_builddir)'
check-gpu-quick: %D%/device$(EXEEXT)
	@$(CHECK_GPU_QUICK) --probe
	@$(MAKE) $(AM_MAKEFLAGS) check-gpu-quick-run
check-gpu-quick-run: $(GPU_QUICK) flm_shard$(EXEEXT) flm_train$(EXEEXT) tests/cmd/file_tool$(EXEEXT) \
  tests/parity/parity$(EXEEXT) bench/bench_train$(EXEEXT)
	@$(CHECK_GPU_QUICK) --quick
.PHONY: check-gpu check-gpu-run check-gpu-quick check-gpu-quick-run
