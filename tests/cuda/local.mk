# The C files of the CUDA backend with stand-ins for CUDA's libraries (fake.h), which are objects of the program and so come
# before the real libraries.
FAKE_CUDA = %D%/fake.h %D%/fake_stream.h %D%/fake_stream.c %D%/fake_cuda.c %D%/fake_blas.c
# A stand-in replaces one launcher of an object whose other launchers are used: the linker takes the first definition.
FAKE_FIRST = $(AM_LDFLAGS) -Wl,-z,muldefs
FAKE_CPPFLAGS = $(AM_CPPFLAGS) $(LAPACK_CPPFLAGS) $(CUDA_CPPFLAGS)
if FLM_HAVE_CUDA
check_PROGRAMS += %D%/matmul_fake.t %D%/matmul_hopper_fake.t %D%/lapack_fake.t %D%/chunks_fake.t
endif
if FLM_HAVE_NCCL
check_PROGRAMS += %D%/nccl_fake.mp2
endif
%C%_matmul_fake_t_SOURCES = tests/conform/conform_matmul.c $(FAKE_CUDA)
%C%_matmul_fake_t_CPPFLAGS = $(FAKE_CPPFLAGS)
%C%_matmul_fake_t_LDFLAGS = $(FAKE_FIRST)
%C%_matmul_fake_t_LDADD = $(LINK_BACKEND)
%C%_matmul_hopper_fake_t_SOURCES = tests/conform/conform_matmul.c $(FAKE_CUDA)
%C%_matmul_hopper_fake_t_CPPFLAGS = $(FAKE_CPPFLAGS) -DFAKE_MAJOR=9
%C%_matmul_hopper_fake_t_LDFLAGS = $(FAKE_FIRST)
%C%_matmul_hopper_fake_t_LDADD = $(LINK_BACKEND)
%C%_lapack_fake_t_SOURCES = tests/conform/conform_lapack.c $(FAKE_CUDA)
%C%_lapack_fake_t_CPPFLAGS = $(FAKE_CPPFLAGS)
%C%_lapack_fake_t_LDFLAGS = $(FAKE_FIRST)
%C%_lapack_fake_t_LDADD = $(LINK_BACKEND)
%C%_chunks_fake_t_SOURCES = %D%/chunks.c $(FAKE_CUDA)
%C%_chunks_fake_t_CPPFLAGS = $(FAKE_CPPFLAGS)
%C%_chunks_fake_t_LDFLAGS = $(FAKE_FIRST)
%C%_chunks_fake_t_LDADD = $(LINK_BACKEND)
%C%_nccl_fake_mp2_SOURCES = %D%/nccl.c %D%/fake_nccl.h %D%/fake_nccl.c $(FAKE_CUDA)
%C%_nccl_fake_mp2_CPPFLAGS = $(FAKE_CPPFLAGS) $(NCCL_CPPFLAGS)
%C%_nccl_fake_mp2_LDFLAGS = $(FAKE_FIRST)
%C%_nccl_fake_mp2_LDADD = $(LINK_COMM)
