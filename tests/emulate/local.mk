# The CUDA backend's own ops and kernels, run on the CPU: see emulate.h. Not under sanitizers, which lose track of fibers.
if !FLM_SANITIZE
EMULATED_KERNELS = cuda/kernel/layernorm.eo
EMULATED_KERNELS += cuda/kernel/rope.eo cuda/kernel/attention.eo cuda/kernel/attention_causal.eo cuda/kernel/attention_plain.eo \
  cuda/kernel/attention_plain_backward.eo cuda/kernel/attention_rows.eo cuda/kernel/attention_backward_kv.eo \
  cuda/kernel/attention_backward_q.eo
EMULATE_CXXFLAGS = -std=c++17 -O1 -g -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wall -Wextra -Wno-unknown-pragmas -Wno-psabi \
  -U_FORTIFY_SOURCE

check_LIBRARIES += libflm_emulate.a
libflm_emulate_a_SOURCES = %D%/emulate.cc %D%/emulate_backend.c src/backend/backend.c cuda/cuda_rows.c
libflm_emulate_a_SOURCES += cuda/cuda_attention.c
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
check_PROGRAMS += tests/conform/layernorm_emulated.t
tests_conform_layernorm_emulated_t_SOURCES = tests/conform/conform_layernorm.c $(CONFORM_COMMON)
tests_conform_layernorm_emulated_t_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
tests_conform_layernorm_emulated_t_LDADD = $(LINK_EMULATED)
# attention
check_PROGRAMS += tests/conform/attention_emulated.t tests/conform/rope_emulated.t tests/conform/causal_emulated.t
tests_conform_attention_emulated_t_SOURCES = tests/conform/conform_attention.c $(CONFORM_COMMON)
tests_conform_attention_emulated_t_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
tests_conform_attention_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_rope_emulated_t_SOURCES = tests/conform/conform_rope.c $(CONFORM_COMMON)
tests_conform_rope_emulated_t_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
tests_conform_rope_emulated_t_LDADD = $(LINK_EMULATED)
tests_conform_causal_emulated_t_SOURCES = tests/conform/conform_causal.c $(CONFORM_COMMON)
tests_conform_causal_emulated_t_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_EMULATED
tests_conform_causal_emulated_t_LDADD = $(LINK_EMULATED)
endif
EXTRA_DIST += cuda/kernel/rope.cu cuda/kernel/attention.cu cuda/kernel/attention_causal.cu cuda/kernel/attention_plain.cu \
  cuda/kernel/attention_plain_backward.cu cuda/kernel/attention_rows.cu cuda/kernel/attention_backward_kv.cu \
  cuda/kernel/attention_backward_q.cu cuda/kernel/attention_tiles.h cuda/kernel/attention_shape.cuh \
  cuda/kernel/attention_plain.cuh cuda/kernel/attention_tensor.cuh cuda/kernel/attention_forward.cuh \
  cuda/kernel/attention_backward.cuh
EXTRA_DIST += %D%/emulate.h %D%/emulate_memory.h cuda/kernel/device.cuh cuda/kernel/mma.cuh cuda/kernel/kernel.h cuda/kernel/layernorm.cu \
  cuda/cuda_internal.h
