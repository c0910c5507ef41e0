# The CUDA backend's operations and kernels, run on the CPU: see emulate.h. Not with sanitizers, which do not support fibers.
if FLM_EMULATE
EMULATED_KERNELS = $(CUDA_KERNELS:.cu=.eo)
EMULATE_CXXFLAGS = -std=c++17 -O1 -g -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wall -Wextra -Wno-unknown-pragmas -Wno-psabi \
  -U_FORTIFY_SOURCE -fsanitize=alignment,shift,signed-integer-overflow,bounds -fsanitize-undefined-trap-on-error

check_LIBRARIES += libflm_emulate.a
libflm_emulate_a_SOURCES = %D%/emulate.cc %D%/emulate_backend.c %D%/emulate_late.c %D%/emulate_sort.c src/backend/backend.c $(CUDA_OPS) \
  $(CONFORM_COMMON)
libflm_emulate_a_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
libflm_emulate_a_CXXFLAGS = $(EMULATE_CXXFLAGS)
libflm_emulate_a_LIBADD = $(EMULATED_KERNELS)
libflm_emulate_a_DEPENDENCIES = $(EMULATED_KERNELS)

SUFFIXES += .eo
.cu.eo:
	$(AM_V_CXX)$(MKDIR_P) $(@D) && $(CXX) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) -DFLM_EMULATED $(EMULATE_CXXFLAGS) -MD -MF $(@:.eo=.ed) \
	  -x c++ -c -o $@ $<
-include $(EMULATED_KERNELS:.eo=.ed)
CLEANFILES += $(EMULATED_KERNELS) $(EMULATED_KERNELS:.eo=.ed)

# The conformance suite on the emulated device, for which the archive has its own conform_common.o.
LINK_EMULATED = libflm_emulate.a $(LINK_BACKEND)
EMULATED_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
check_PROGRAMS += tests/conform/layernorm_emulated.t tests/conform/gate_emulated.t tests/conform/activation_emulated.t \
  tests/conform/elementwise_emulated.t tests/conform/adamw_emulated.t tests/conform/embed_emulated.t \
  tests/conform/gather_emulated.t tests/conform/softmax_emulated.t tests/conform/choose_emulated.t \
  tests/conform/distill_emulated.t tests/conform/mixture_emulated.t \
  tests/conform/attention_emulated.t tests/conform/rope_emulated.t tests/conform/causal_emulated.t \
  tests/conform/matmul_emulated.t tests/conform/lapack_emulated.t
tests_conform_layernorm_emulated_t_SOURCES = tests/conform/conform_layernorm.c
tests_conform_layernorm_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_gate_emulated_t_SOURCES = tests/conform/conform_gate.c
tests_conform_gate_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_activation_emulated_t_SOURCES = tests/conform/conform_activation.c
tests_conform_activation_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_elementwise_emulated_t_SOURCES = tests/conform/conform_elementwise.c
tests_conform_elementwise_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_adamw_emulated_t_SOURCES = tests/conform/conform_adamw.c
tests_conform_adamw_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_embed_emulated_t_SOURCES = tests/conform/conform_embed.c
tests_conform_embed_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_gather_emulated_t_SOURCES = tests/conform/conform_gather.c
tests_conform_gather_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_softmax_emulated_t_SOURCES = tests/conform/conform_softmax.c
tests_conform_softmax_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_choose_emulated_t_SOURCES = tests/conform/conform_choose.c
tests_conform_choose_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_choose_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_distill_emulated_t_SOURCES = tests/conform/conform_distill.c
tests_conform_distill_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_mixture_emulated_t_SOURCES = tests/conform/conform_mixture.c
tests_conform_mixture_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_attention_emulated_t_SOURCES = tests/conform/conform_attention.c
tests_conform_attention_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_attention_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_rope_emulated_t_SOURCES = tests/conform/conform_rope.c
tests_conform_rope_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_causal_emulated_t_SOURCES = tests/conform/conform_causal.c
tests_conform_causal_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_causal_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_matmul_emulated_t_SOURCES = tests/conform/conform_matmul.c
tests_conform_matmul_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_lapack_emulated_t_SOURCES = tests/conform/conform_lapack.c
tests_conform_lapack_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_lapack_emulated_t_LDADD = $(LINK_EMULATED)

check_PROGRAMS += %D%/bounds.t
%C%_bounds_t_SOURCES = %D%/bounds.c
%C%_bounds_t_LDADD = $(LINK_EMULATED)

check_PROGRAMS += %D%/waits.t
%C%_waits_t_SOURCES = %D%/waits.c
%C%_waits_t_LDADD = libflm_emulate.a $(LINK_TRAIN)

# Programs whose --device cuda is the emulated device.
EMULATED_TOOLS = %D%/flm_train %D%/flm_distill %D%/flm_generate %D%/flm_score %D%/parity
EMULATED_GPU_TOOLS = %D%/device %D%/bench_gemm %D%/bench_ops %D%/bench_train
EXTRA_PROGRAMS += $(EMULATED_TOOLS) $(EMULATED_GPU_TOOLS)
CLEANFILES += $(EMULATED_TOOLS) $(EMULATED_GPU_TOOLS)
check_DATA += $(EMULATED_TOOLS) $(EMULATED_GPU_TOOLS)
EMULATED_LDADD = libflm_emulate.a libflm_cmd.a libflm_sample.a $(LINK_TRAIN)
%C%_flm_train_SOURCES = $(flm_train_SOURCES)
%C%_flm_train_LDADD = $(EMULATED_LDADD)
%C%_flm_distill_SOURCES = $(flm_distill_SOURCES)
%C%_flm_distill_LDADD = $(EMULATED_LDADD)
%C%_flm_generate_SOURCES = $(flm_generate_SOURCES)
%C%_flm_generate_LDADD = $(EMULATED_LDADD)
%C%_flm_score_SOURCES = $(flm_score_SOURCES)
%C%_flm_score_LDADD = $(EMULATED_LDADD)
%C%_parity_SOURCES = $(tests_parity_parity_SOURCES)
%C%_parity_CPPFLAGS = $(tests_parity_parity_CPPFLAGS)
%C%_parity_LDADD = $(EMULATED_LDADD)
%C%_device_SOURCES = tests/gpu/device.c
%C%_device_LDADD = $(LINK_EMULATED)
%C%_bench_gemm_SOURCES = $(bench_bench_gemm_SOURCES)
%C%_bench_gemm_CPPFLAGS = $(bench_bench_gemm_CPPFLAGS)
%C%_bench_gemm_LDADD = $(LINK_EMULATED) $(JANSSON_LIBS)
%C%_bench_ops_SOURCES = $(bench_bench_ops_SOURCES)
%C%_bench_ops_CPPFLAGS = $(bench_bench_ops_CPPFLAGS)
%C%_bench_ops_LDADD = $(LINK_EMULATED) $(JANSSON_LIBS)
%C%_bench_train_SOURCES = $(bench_bench_train_SOURCES)
%C%_bench_train_CPPFLAGS = $(bench_bench_train_CPPFLAGS)
%C%_bench_train_LDADD = $(EMULATED_LDADD)
LONG_TESTS += %D%/programs.t
%D%/programs.log: $(EMULATED_TOOLS) flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_distill$(EXEEXT) flm_generate$(EXEEXT) \
  flm_score$(EXEEXT) tests/cmd/file_tool$(EXEEXT) tests/score/score_files$(EXEEXT)
# make check-gpu and make bench-gpu on the emulated device.
LONG_TESTS += tests/gpu/rehearse.t
tests/gpu/rehearse.log: $(EMULATED_TOOLS) $(EMULATED_GPU_TOOLS) $(REHEARSED) tests/gpu/device$(EXEEXT) flm_shard$(EXEEXT) \
  flm_train$(EXEEXT) tests/cmd/file_tool$(EXEEXT)
endif
REHEARSED = tests/conform/gate_emulated.t tests/conform/embed_emulated.t
EXTRA_DIST += %D%/programs.t
EXTRA_DIST += %D%/emulate.h %D%/emulate_memory.h
