noinst_LIBRARIES += libflm_score.a
libflm_score_a_SOURCES = %D%/score_gpt2.c %D%/score_gpt2.h %D%/score_gpt2_internal.h %D%/score_gpt2_weights.c \
  %D%/score_protocol.c %D%/score_protocol.h %D%/score_scorer.c %D%/score_scorer.h %D%/score_statistics.c %D%/score_statistics.h %D%/score_result.c \
  %D%/score_result.h %D%/score_rows.c %D%/score_rows.h %D%/score_samples.c %D%/score_samples.h %D%/score_texts.c \
  %D%/score_texts.h %D%/score_store.c %D%/score_store.h %D%/score_report.c %D%/score_report.h %D%/score_table.c %D%/score_files.c \
  %D%/score_files.h %D%/compare/score_baseline.c %D%/compare/score_baseline.h %D%/compare/score_cluster.c %D%/compare/score_cluster.h \
  %D%/compare/score_features.c %D%/compare/score_features.h %D%/compare/score_reference.c %D%/compare/score_reference.h \
  %D%/compare/score_mauve.c %D%/compare/score_mauve.h %D%/compare/score_compare.c %D%/compare/score_compare.h %D%/compare/score_overlap.c \
  %D%/compare/score_overlap.h %D%/compare/score_set.c %D%/compare/score_set.h
libflm_score_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
