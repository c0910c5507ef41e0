noinst_LIBRARIES += libflm_cmd.a
libflm_cmd_a_SOURCES = %D%/cmd_run.c %D%/cmd_run.h %D%/cmd_options.c %D%/cmd_options.h

bin_PROGRAMS += flm_train flm_distill flm_generate
flm_train_SOURCES = %D%/flm_train.c %D%/cmd_train_main.c %D%/cmd_train_options.h
flm_distill_SOURCES = %D%/flm_distill.c %D%/cmd_train_main.c %D%/cmd_train_options.h
flm_distill_LDADD = $(LINK_CMD)
flm_train_LDADD = $(LINK_CMD)
flm_generate_SOURCES = %D%/flm_generate.c %D%/cmd_generate.c %D%/cmd_generate.h \
  %D%/cmd_generate_internal.h %D%/cmd_generate_load.c %D%/cmd_generate_score.c %D%/cmd_score.h %D%/cmd_score_report.c
flm_generate_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
flm_generate_LDADD = $(LINK_CMD)

# flm_inspect
bin_PROGRAMS += flm_inspect
flm_inspect_SOURCES = %D%/flm_inspect.c %D%/cmd_inspect.h %D%/cmd_inspect_structure.c %D%/cmd_inspect_rows.c \
  %D%/cmd_inspect_checkpoint.c
flm_inspect_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
flm_inspect_LDADD = libflm_cmd.a libflm_io.a libflm_text.a $(LINK_COMM) $(IO_LIBS) $(TEXT_LIBS) $(MPI_LIBS)

# flm_convert
bin_PROGRAMS += flm_convert
flm_convert_SOURCES = %D%/flm_convert.c %D%/cmd_convert.h %D%/cmd_convert_gpt2.c %D%/cmd_convert_flm.c \
  %D%/cmd_convert_back.c
flm_convert_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
flm_convert_LDADD = $(LINK_CMD)

# flm_score
bin_PROGRAMS += flm_score
flm_score_SOURCES = %D%/flm_score.c %D%/cmd_score.h %D%/cmd_score.c %D%/cmd_score_texts.c %D%/cmd_score_report.c \
  %D%/cmd_score_keep.c %D%/cmd_score_sample.c %D%/cmd_generate.c %D%/cmd_generate.h %D%/cmd_generate_internal.h \
  %D%/cmd_generate_load.c %D%/cmd_generate_score.c
flm_score_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS) $(HDF5_CPPFLAGS)
flm_score_LDADD = $(LINK_CMD)
