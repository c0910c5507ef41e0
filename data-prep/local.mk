# flm_shard: raw text to shards.
bin_PROGRAMS += flm_shard
flm_shard_SOURCES = %D%/flm_shard.c %D%/prep.h %D%/prep_read.h %D%/prep_options.c %D%/prep_read.c %D%/prep_survey.c \
  %D%/prep_groups.c %D%/prep_state.c %D%/prep_run.c %D%/prep_report.c %D%/prep_verify.c
flm_shard_LDADD = libflm_cmd.a libflm_text.a $(LINK_IO)
