noinst_LIBRARIES += libflm_score.a
libflm_score_a_SOURCES = %D%/score_entropy.c %D%/score_entropy.h %D%/score_gpt2.c %D%/score_gpt2.h \
  %D%/score_gpt2_internal.h %D%/score_gpt2_weights.c %D%/score_statistics.c %D%/score_statistics.h \
  %D%/score_scorer.c %D%/score_scorer.h %D%/score_run.c %D%/score_run.h %D%/score_samples.c \
  %D%/score_files.c %D%/score_files.h %D%/score_texts.c %D%/score_keep.c %D%/score_report.c
libflm_score_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
