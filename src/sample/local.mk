noinst_LIBRARIES += libflm_sample.a
libflm_sample_a_SOURCES = %D%/sample_generate.c %D%/sample_generate.h %D%/sample_internal.h %D%/sample_load.c %D%/sample_prompts.c %D%/sample_prompts.h %D%/sample_settings.c %D%/sample_text.c \
  %D%/sample_score.c %D%/sample_checkpoints.c %D%/sample_checkpoints.h
libflm_sample_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
