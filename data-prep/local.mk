# flm_shard: raw text to shards.
bin_PROGRAMS += flm_shard
flm_shard_SOURCES = %D%/flm_shard.c %D%/prep.h %D%/prep_read.h %D%/prep_options.c %D%/prep_read.c %D%/prep_survey.c \
  %D%/prep_groups.c %D%/prep_state.c %D%/prep_run.c %D%/prep_report.c %D%/prep_verify.c
flm_shard_LDADD = libflm_cmd.a libflm_text.a $(LINK_IO) $(TEXT_LIBS)

# Vocabularies, for src/text/text_files.c; each where it lies in the tree, under pkgdatadir.
gpt2datadir = $(pkgdatadir)/vocabularies/gpt2
dist_gpt2data_DATA = %D%/vocabularies/gpt2/vocab.json %D%/vocabularies/gpt2/merges.txt
bertdatadir = $(pkgdatadir)/vocabularies/bert-base-uncased
dist_bertdata_DATA = %D%/vocabularies/bert-base-uncased/vocab.txt
vocabulariesdir = $(pkgdatadir)/vocabularies
dist_vocabularies_DATA = %D%/vocabularies/README.md
