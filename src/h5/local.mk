noinst_LIBRARIES += libflm_h5.a
libflm_h5_a_SOURCES = %D%/h5.c %D%/h5.h %D%/h5_edit.c %D%/h5_format.h %D%/h5_schema.c %D%/h5_schema_check.c %D%/h5_schema.h %D%/h5_schema_internal.h
nodist_libflm_h5_a_SOURCES = %D%/h5_schema_text.c
libflm_h5_a_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)

# The schemas as strings of the library, so that no path is needed at run time.
FLM_SCHEMAS = $(srcdir)/hdf5-schemas/checkpoint.schema $(srcdir)/hdf5-schemas/shard.schema \
  $(srcdir)/hdf5-schemas/index.schema $(srcdir)/hdf5-schemas/samples.schema
%D%/h5_schema_text.c: %D%/h5_schema_text.awk $(FLM_SCHEMAS)
	$(AM_V_GEN)$(MKDIR_P) %D% && $(AWK) -f $(srcdir)/%D%/h5_schema_text.awk $(FLM_SCHEMAS) >$@.tmp && mv $@.tmp $@
CLEANFILES += %D%/h5_schema_text.c
EXTRA_DIST += %D%/h5_schema_text.awk
