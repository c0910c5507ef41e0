# The CUDA backend's own ops and kernels, run on the CPU: see emulate.h. Not under sanitizers, which lose track of fibers.
if !FLM_SANITIZE
EMULATED_KERNELS = cuda/kernel/layernorm.eo \
  cuda/kernel/gate.eo cuda/kernel/activation.eo cuda/kernel/reduce.eo cuda/kernel/elementwise.eo cuda/kernel/adamw.eo \
  cuda/kernel/embed.eo cuda/kernel/scatter.eo cuda/kernel/normal.eo cuda/kernel/softmax.eo cuda/kernel/distill.eo
EMULATED_OPS = cuda/cuda_rows.c \
  cuda/cuda_activation.c cuda/cuda_elementwise.c cuda/cuda_adamw.c cuda/cuda_embed.c cuda/cuda_softmax.c
EMULATE_CXXFLAGS = -std=c++17 -O1 -g -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wall -Wextra -Wno-unknown-pragmas -Wno-psabi \
  -U_FORTIFY_SOURCE

check_LIBRARIES += libflm_emulate.a
libflm_emulate_a_SOURCES = %D%/emulate.cc %D%/emulate_backend.c src/backend/backend.c $(EMULATED_OPS)
libflm_emulate_a_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
libflm_emulate_a_CXXFLAGS = $(EMULATE_CXXFLAGS)
libflm_emulate_a_LIBADD = $(EMULATED_KERNELS)
libflm_emulate_a_DEPENDENCIES = $(EMULATED_KERNELS)

SUFFIXES += .cu .eo
.cu.eo:
	$(AM_V_CXX)$(MKDIR_P) $(@D) && $(CXX) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) -DFLM_EMULATED $(EMULATE_CXXFLAGS) -MD -MF $(@:.eo=.ed) \
	  -x c++ -c -o $@ $<
-include $(EMULATED_KERNELS:.eo=.ed)
CLEANFILES += $(EMULATED_KERNELS) $(EMULATED_KERNELS:.eo=.ed)

# The conformance suite again, on the emulated device.
LINK_EMULATED = libflm_emulate.a $(LINK_BACKEND)
EMULATED_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
check_PROGRAMS += tests/conform/layernorm_emulated.t tests/conform/gate_emulated.t tests/conform/activation_emulated.t \
  tests/conform/elementwise_emulated.t tests/conform/adamw_emulated.t tests/conform/embed_emulated.t \
  tests/conform/softmax_emulated.t tests/conform/distill_emulated.t
tests_conform_layernorm_emulated_t_SOURCES = tests/conform/conform_layernorm.c $(CONFORM_COMMON)
tests_conform_layernorm_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_layernorm_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_gate_emulated_t_SOURCES = tests/conform/conform_gate.c $(CONFORM_COMMON)
tests_conform_gate_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_gate_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_activation_emulated_t_SOURCES = tests/conform/conform_activation.c $(CONFORM_COMMON)
tests_conform_activation_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_activation_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_elementwise_emulated_t_SOURCES = tests/conform/conform_elementwise.c $(CONFORM_COMMON)
tests_conform_elementwise_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_elementwise_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_adamw_emulated_t_SOURCES = tests/conform/conform_adamw.c $(CONFORM_COMMON)
tests_conform_adamw_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_adamw_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_embed_emulated_t_SOURCES = tests/conform/conform_embed.c $(CONFORM_COMMON)
tests_conform_embed_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_embed_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_softmax_emulated_t_SOURCES = tests/conform/conform_softmax.c $(CONFORM_COMMON)
tests_conform_softmax_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_softmax_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_distill_emulated_t_SOURCES = tests/conform/conform_distill.c $(CONFORM_COMMON)
tests_conform_distill_emulated_t_CPPFLAGS = $(EMULATED_CPPFLAGS)
tests_conform_distill_emulated_t_LDADD = $(LINK_EMULATED)
endif
EXTRA_DIST += %D%/emulate.h %D%/emulate_memory.h cuda/kernel/device.cuh cuda/kernel/mma.cuh cuda/kernel/kernel.h cuda/kernel/layernorm.cu \
  cuda/cuda_internal.h cuda/kernel/vector.cuh cuda/kernel/gate.cu cuda/kernel/activation.cu cuda/kernel/reduce.cu \
  cuda/kernel/elementwise.cu cuda/kernel/adamw.cu cuda/kernel/embed.cu cuda/kernel/scatter.cu cuda/kernel/normal.cu \
  cuda/kernel/softmax.cuh cuda/kernel/softmax.cu cuda/kernel/distill.cu
