noinst_LIBRARIES += libflm_score.a
libflm_score_a_SOURCES = %D%/score_entropy.c %D%/score_entropy.h %D%/score_gpt2.c %D%/score_gpt2.h \
  %D%/score_gpt2_internal.h %D%/score_gpt2_weights.c
