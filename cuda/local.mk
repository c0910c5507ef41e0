# The CUDA backend: an archive of its own, linked after libflm_backend.a, whose registry opens it. One source a line.
# In a build without CUDA its files are only distributed.
if FLM_HAVE_CUDA
noinst_LIBRARIES += libflm_cuda.a
CUDA_ARCHIVE = libflm_cuda.a
endif
libflm_cuda_a_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS)
# Operations and kernels that also run over the emulator of tests/emulate/.
CUDA_OPS = %D%/cuda_activation.c
CUDA_OPS += %D%/cuda_adamw.c
CUDA_OPS += %D%/cuda_attention.c
CUDA_OPS += %D%/cuda_elementwise.c
CUDA_OPS += %D%/cuda_embed.c
CUDA_OPS += %D%/cuda_rows.c
CUDA_OPS += %D%/cuda_softmax.c
CUDA_KERNELS = %D%/kernel/activation.cu
CUDA_KERNELS += %D%/kernel/adamw.cu
CUDA_KERNELS += %D%/kernel/algebra.cu
CUDA_KERNELS += %D%/kernel/attention.cu
CUDA_KERNELS += %D%/kernel/attention_backward_kv.cu
CUDA_KERNELS += %D%/kernel/attention_backward_q.cu
CUDA_KERNELS += %D%/kernel/attention_causal.cu
CUDA_KERNELS += %D%/kernel/attention_plain.cu
CUDA_KERNELS += %D%/kernel/attention_plain_backward.cu
CUDA_KERNELS += %D%/kernel/attention_rows.cu
CUDA_KERNELS += %D%/kernel/choose.cu
CUDA_KERNELS += %D%/kernel/distill.cu
CUDA_KERNELS += %D%/kernel/elementwise.cu
CUDA_KERNELS += %D%/kernel/embed.cu
CUDA_KERNELS += %D%/kernel/gather.cu
CUDA_KERNELS += %D%/kernel/epilogue.cu
CUDA_KERNELS += %D%/kernel/gate.cu
CUDA_KERNELS += %D%/kernel/layernorm.cu
CUDA_KERNELS += %D%/kernel/mixture.cu
CUDA_KERNELS += %D%/kernel/normal.cu
CUDA_KERNELS += %D%/kernel/reduce.cu
CUDA_KERNELS += %D%/kernel/rope.cu
CUDA_KERNELS += %D%/kernel/scatter.cu
CUDA_KERNELS += %D%/kernel/softmax.cu
# CUB's sort, which needs a GPU: the emulator has its own (tests/emulate/emulate_sort.c).
CUDA_SORT = %D%/kernel/sort.cu
CUDA_INCLUDED = %D%/cuda_internal.h %D%/cuda_blas.h %D%/kernel/kernel.h %D%/kernel/kernel_attention.h %D%/kernel/kernel_choose.h %D%/kernel/kernel_rows.h \
  %D%/kernel/kernel_vocabulary.h %D%/kernel/shape.h %D%/kernel/device.cuh \
  %D%/kernel/attention_tiles.h %D%/kernel/attention_shape.cuh %D%/kernel/attention_plain.cuh %D%/kernel/attention_tensor.cuh \
  %D%/kernel/attention_forward.cuh %D%/kernel/attention_backward.cuh %D%/kernel/mma.cuh %D%/kernel/softmax.cuh %D%/kernel/tanh.cuh \
  %D%/kernel/vector.cuh
libflm_cuda_a_SOURCES = $(CUDA_INCLUDED) $(CUDA_OPS) $(CUDA_KERNELS) $(CUDA_SORT) \
  %D%/cuda_backend.c %D%/cuda_memory.c %D%/cuda_matmul.c %D%/cuda_algebra.c
EXTRA_DIST += $(CUDA_INCLUDED) $(CUDA_OPS) $(CUDA_KERNELS) $(CUDA_SORT)

SUFFIXES += .cu
# ptxas reports each kernel's registers, spills and shared memory: kept beside the object for scripts/kernel-report; all
# other output of nvcc is shown.
AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =
.cu.o:
	$(AM_V_NVCC)$(NVCC) $(NVCC_GENCODE) $(FLM_NVCCFLAGS) $(DEFAULT_INCLUDES) -I$(srcdir)/src $(NVCCFLAGS) -Xptxas -v \
	  -MD -MP -MF $(@:.o=.d) -c -o $@ $< 2>$(@:.o=.ptxas); status=$$?; \
	  grep -v -e '^ptxas info' -e '^ *[0-9][0-9]* bytes stack frame' $(@:.o=.ptxas) >&2; exit $$status

# The headers that a .cu file includes. The list also has the names of the C files, for which automake keeps its own
# dependencies: those do not exist.
cuda_dependencies = $(libflm_cuda_a_OBJECTS:.o=.d)
-include $(cuda_dependencies)
CLEANFILES += $(cuda_dependencies) $(libflm_cuda_a_OBJECTS:.o=.ptxas)
