# The C files of the CUDA backend over libraries made up on the host (fake.h): objects of the program, which come before
# the real libraries.
FAKE_CUDA = %D%/fake.h %D%/fake_cuda.c %D%/fake_blas.c
FAKE_CPPFLAGS = $(AM_CPPFLAGS) $(LAPACK_CPPFLAGS) $(CUDA_CPPFLAGS)
if FLM_HAVE_CUDA
check_PROGRAMS += %D%/matmul_fake.t %D%/lapack_fake.t
endif
%C%_matmul_fake_t_SOURCES = tests/conform/conform_matmul.c $(FAKE_CUDA)
%C%_matmul_fake_t_CPPFLAGS = $(FAKE_CPPFLAGS)
%C%_matmul_fake_t_LDADD = $(LINK_BACKEND)
%C%_lapack_fake_t_SOURCES = tests/conform/conform_lapack.c $(FAKE_CUDA)
%C%_lapack_fake_t_CPPFLAGS = $(FAKE_CPPFLAGS)
%C%_lapack_fake_t_LDADD = $(LINK_BACKEND)
