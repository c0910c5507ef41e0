# Fuzz drivers: files made by mutation from a seed, a bounded number of them; more with arguments, see each source.
check_PROGRAMS += %D%/options_fuzz.t
%C%_options_fuzz_t_SOURCES = %D%/options_fuzz.c
%C%_options_fuzz_t_LDADD = $(LINK_BASE)

# checkpoints and samples files
check_PROGRAMS += %D%/checkpoint_fuzz.t
%C%_checkpoint_fuzz_t_SOURCES = %D%/checkpoint_fuzz.c
%C%_checkpoint_fuzz_t_LDADD = $(LINK_IO)

# shards
check_PROGRAMS += %D%/shard_fuzz.t
%C%_shard_fuzz_t_SOURCES = %D%/shard_fuzz.c
%C%_shard_fuzz_t_LDADD = $(LINK_IO)

# texts and vocabularies
check_PROGRAMS += %D%/text_fuzz.t
%C%_text_fuzz_t_SOURCES = %D%/text_fuzz.c
%C%_text_fuzz_t_LDADD = $(LINK_TEXT)

# flm_shard's readers
check_PROGRAMS += %D%/archive_fuzz.t %D%/jsonl_fuzz.t
%C%_archive_fuzz_t_SOURCES = %D%/archive_fuzz.c %D%/prep_fuzz.c %D%/prep_fuzz.h
%C%_archive_fuzz_t_CPPFLAGS = $(AM_CPPFLAGS) $(LIBARCHIVE_CPPFLAGS)
%C%_archive_fuzz_t_LDADD = $(LINK_PREP)
%C%_jsonl_fuzz_t_SOURCES = %D%/jsonl_fuzz.c %D%/prep_fuzz.c %D%/prep_fuzz.h
%C%_jsonl_fuzz_t_LDADD = $(LINK_PREP)

# other programs' files
EXTRA_DIST += %D%/external_fuzz.h
check_PROGRAMS += %D%/safetensors_fuzz.t %D%/pickle_fuzz.t
%C%_safetensors_fuzz_t_SOURCES = %D%/safetensors_fuzz.c
%C%_safetensors_fuzz_t_LDADD = $(LINK_CONVERT)
%C%_pickle_fuzz_t_SOURCES = %D%/pickle_fuzz.c
%C%_pickle_fuzz_t_CPPFLAGS = $(AM_CPPFLAGS) $(LIBZIP_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_pickle_fuzz_t_LDADD = $(LINK_CONVERT)
check_PROGRAMS += %D%/json_fuzz.t
%C%_json_fuzz_t_SOURCES = %D%/json_fuzz.c
%C%_json_fuzz_t_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_json_fuzz_t_LDADD = $(LINK_CONVERT) $(MPI_LIBS)
