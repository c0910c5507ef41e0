# attention
check_PROGRAMS += %D%/conform_attention.t %D%/conform_rope.t
%C%_conform_attention_t_SOURCES = %D%/conform_attention.c
%C%_conform_attention_t_LDADD = $(LINK_BACKEND)
%C%_conform_rope_t_SOURCES = %D%/conform_rope.c
%C%_conform_rope_t_LDADD = $(LINK_BACKEND)
# products and fp64 algebra
check_PROGRAMS += %D%/conform_matmul.t %D%/conform_matmul_avx2.t %D%/conform_lapack.t
%C%_conform_matmul_t_SOURCES = %D%/conform_matmul.c
%C%_conform_matmul_t_LDADD = $(LINK_BACKEND)
%C%_conform_matmul_avx2_t_SOURCES = %D%/conform_matmul.c
%C%_conform_matmul_avx2_t_CPPFLAGS = $(AM_CPPFLAGS) -DFLM_TEST_MAX_ISA='"AVX2"'
%C%_conform_matmul_avx2_t_LDADD = $(LINK_BACKEND)
%C%_conform_lapack_t_SOURCES = %D%/conform_lapack.c
%C%_conform_lapack_t_LDADD = $(LINK_BACKEND)
