# flm_shard: raw text to shards.
noinst_LIBRARIES += libflm_prep.a
libflm_prep_a_SOURCES = %D%/prep.h %D%/prep_corpus.h %D%/prep_options.c %D%/prep_corpus.c %D%/prep_clean.c \
  %D%/prep_survey.c %D%/prep_groups.c %D%/prep_state.c %D%/prep_run.c %D%/prep_report.c %D%/prep_verify.c
LINK_PREP = libflm_prep.a libflm_cmd.a libflm_source.a libflm_text.a libflm_io.a libflm_process.a $(LINK_COMM) $(IO_LIBS) $(TEXT_LIBS) $(LIBARCHIVE_LIBS)

bin_PROGRAMS += flm_shard
flm_shard_SOURCES = %D%/flm_shard.c
flm_shard_LDADD = $(LINK_PREP)

# Vocabularies, for src/text/text_files.c; each where it lies in the tree, under pkgdatadir.
gpt2datadir = $(pkgdatadir)/vocabularies/gpt2
dist_gpt2data_DATA = %D%/vocabularies/gpt2/vocab.json %D%/vocabularies/gpt2/merges.txt
bertdatadir = $(pkgdatadir)/vocabularies/bert-base-uncased
dist_bertdata_DATA = %D%/vocabularies/bert-base-uncased/vocab.txt
vocabulariesdir = $(pkgdatadir)/vocabularies
dist_vocabularies_DATA = %D%/vocabularies/README.md

# Corpora and weights to start from.
fetchdir = $(pkgdatadir)
dist_fetch_SCRIPTS = %D%/fetch-lm1b %D%/fetch-owt %D%/fetch-gpt2 %D%/fetch-flm
dist_fetch_DATA = %D%/fetch.sh
