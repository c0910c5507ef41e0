noinst_LIBRARIES += libflm_cmd.a
libflm_cmd_a_SOURCES = %D%/cmd_run.c %D%/cmd_run.h

# flm_inspect
bin_PROGRAMS += flm_inspect
flm_inspect_SOURCES = %D%/flm_inspect.c %D%/cmd_inspect.h %D%/cmd_inspect_structure.c %D%/cmd_inspect_rows.c \
  %D%/cmd_inspect_checkpoint.c
flm_inspect_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
flm_inspect_LDADD = libflm_cmd.a libflm_io.a libflm_text.a $(LINK_COMM) $(HDF5_LIBS) $(MPI_LIBS)
