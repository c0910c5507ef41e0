noinst_LIBRARIES += libflm_inspect.a
libflm_inspect_a_SOURCES = %D%/inspect.c %D%/inspect.h %D%/inspect_internal.h %D%/inspect_structure.c \
  %D%/inspect_rows.c %D%/inspect_checkpoint.c
libflm_inspect_a_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
