# attention
check_PROGRAMS += %D%/conform_attention.t %D%/conform_rope.t
%C%_conform_attention_t_SOURCES = %D%/conform_attention.c $(CONFORM_COMMON)
%C%_conform_attention_t_LDADD = $(LINK_BACKEND)
%C%_conform_rope_t_SOURCES = %D%/conform_rope.c $(CONFORM_COMMON)
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
# rows, elements and random numbers
CONFORM_COMMON = %D%/conform_common.c %D%/conform_common.h
check_PROGRAMS += %D%/conform_layernorm.t %D%/conform_gate.t %D%/conform_activation.t \
  %D%/conform_embed.t %D%/conform_gather.t %D%/conform_distill.t %D%/conform_mixture.t %D%/conform_softmax.t \
  %D%/conform_choose.t %D%/conform_elementwise.t %D%/conform_adamw.t
%C%_conform_layernorm_t_SOURCES = %D%/conform_layernorm.c $(CONFORM_COMMON)
%C%_conform_layernorm_t_LDADD = $(LINK_BACKEND)
%C%_conform_gate_t_SOURCES = %D%/conform_gate.c $(CONFORM_COMMON)
%C%_conform_gate_t_LDADD = $(LINK_BACKEND)
%C%_conform_activation_t_SOURCES = %D%/conform_activation.c $(CONFORM_COMMON)
%C%_conform_activation_t_LDADD = $(LINK_BACKEND)
%C%_conform_embed_t_SOURCES = %D%/conform_embed.c $(CONFORM_COMMON)
%C%_conform_embed_t_LDADD = $(LINK_BACKEND)
%C%_conform_gather_t_SOURCES = %D%/conform_gather.c $(CONFORM_COMMON)
%C%_conform_gather_t_LDADD = $(LINK_BACKEND)
%C%_conform_softmax_t_SOURCES = %D%/conform_softmax.c $(CONFORM_COMMON)
%C%_conform_softmax_t_LDADD = $(LINK_BACKEND)
%C%_conform_choose_t_SOURCES = %D%/conform_choose.c $(CONFORM_COMMON)
%C%_conform_choose_t_LDADD = $(LINK_BACKEND)
%C%_conform_distill_t_SOURCES = %D%/conform_distill.c $(CONFORM_COMMON)
%C%_conform_distill_t_LDADD = $(LINK_BACKEND)
%C%_conform_mixture_t_SOURCES = %D%/conform_mixture.c $(CONFORM_COMMON)
%C%_conform_mixture_t_LDADD = $(LINK_BACKEND)
%C%_conform_elementwise_t_SOURCES = %D%/conform_elementwise.c $(CONFORM_COMMON)
%C%_conform_elementwise_t_LDADD = $(LINK_BACKEND)
%C%_conform_adamw_t_SOURCES = %D%/conform_adamw.c $(CONFORM_COMMON)
%C%_conform_adamw_t_LDADD = $(LINK_BACKEND)
# attention from left to right
check_PROGRAMS += %D%/conform_causal.t
%C%_conform_causal_t_SOURCES = %D%/conform_causal.c $(CONFORM_COMMON)
%C%_conform_causal_t_LDADD = $(LINK_BACKEND)
