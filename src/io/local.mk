noinst_LIBRARIES += libflm_io.a
libflm_io_a_SOURCES = %D%/io_h5.c %D%/io_h5.h %D%/io_schema.c %D%/io_schema_check.c %D%/io_schema.h \
  %D%/io_schema_internal.h %D%/io_checkpoint.h %D%/io_shard.h %D%/io_samples.h \
  %D%/io_vocabulary.c %D%/io_vocabulary.h %D%/io_internal.h %D%/io_checkpoint_directory.c %D%/io_checkpoint_internal.h \
  %D%/io_checkpoint_layout.c %D%/io_checkpoint_read.c %D%/io_checkpoint_resume.c %D%/io_checkpoint_write.c \
  %D%/io_lineage.c %D%/io_lineage.h %D%/io_samples.c %D%/io_samples_file.c %D%/io_samples_internal.h \
  %D%/io_samples_scores.c \
  %D%/io_shard_file.c %D%/io_shard_internal.h %D%/io_shard_write.c %D%/io_shard_publish.c %D%/io_shard_read.c \
  %D%/io_shard_loader.c
nodist_libflm_io_a_SOURCES = %D%/io_schema_text.c
libflm_io_a_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)

# The schemas as strings of the library, so that no path is needed at run time.
FLM_SCHEMAS = $(srcdir)/hdf5-schemas/checkpoint.schema $(srcdir)/hdf5-schemas/shard.schema \
  $(srcdir)/hdf5-schemas/index.schema $(srcdir)/hdf5-schemas/samples.schema
%D%/io_schema_text.c: %D%/io_schema_text.awk $(FLM_SCHEMAS)
	$(AM_V_GEN)$(MKDIR_P) %D% && $(AWK) -f $(srcdir)/%D%/io_schema_text.awk $(FLM_SCHEMAS) >$@.tmp && mv $@.tmp $@
CLEANFILES += %D%/io_schema_text.c
EXTRA_DIST += %D%/io_schema_text.awk
