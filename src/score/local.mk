noinst_LIBRARIES += libflm_score.a
libflm_score_a_SOURCES = %D%/score_entropy.c %D%/score_entropy.h
