# The CUDA backend: an archive of its own behind libflm_backend.a, whose registry opens it. One source a line.
# Where it is not built, its files are only carried along.
if FLM_HAVE_CUDA
noinst_LIBRARIES += libflm_cuda.a
CUDA_ARCHIVE = libflm_cuda.a
endif
libflm_cuda_a_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS)
libflm_cuda_a_SOURCES = %D%/cuda_internal.h
libflm_cuda_a_SOURCES += %D%/cuda_blas.h
libflm_cuda_a_SOURCES += %D%/cuda_backend.c
libflm_cuda_a_SOURCES += %D%/cuda_memory.c
libflm_cuda_a_SOURCES += %D%/cuda_matmul.c
libflm_cuda_a_SOURCES += %D%/cuda_algebra.c
libflm_cuda_a_SOURCES += %D%/kernel/kernel.h
libflm_cuda_a_SOURCES += %D%/kernel/epilogue.cu
libflm_cuda_a_SOURCES += %D%/kernel/algebra.cu

SUFFIXES += .cu
# ptxas tells what every kernel takes (registers, spills, shared memory): kept beside the object for
# scripts/kernel-report; the rest of what nvcc says is shown.
AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =
.cu.o:
	$(AM_V_NVCC)$(NVCC) $(NVCC_GENCODE) $(FLM_NVCCFLAGS) $(DEFAULT_INCLUDES) $(NVCCFLAGS) -Xptxas -v \
	  -MD -MP -MF $(@:.o=.d) -c -o $@ $< 2>$(@:.o=.ptxas); status=$$?; \
	  grep -v -e '^ptxas info' -e '^ *[0-9][0-9]* bytes stack frame' $(@:.o=.ptxas) >&2; exit $$status


# What a .cu includes. Those of the C files, which automake sees to itself, are named here too and are not there.
cuda_dependencies = $(libflm_cuda_a_OBJECTS:.o=.d)
-include $(cuda_dependencies)
CLEANFILES += $(cuda_dependencies) $(libflm_cuda_a_OBJECTS:.o=.ptxas)
