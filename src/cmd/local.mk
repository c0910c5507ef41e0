noinst_LIBRARIES += libflm_cmd.a
libflm_cmd_a_SOURCES = %D%/cmd_run.c %D%/cmd_run.h %D%/cmd_options.c %D%/cmd_options.h

bin_PROGRAMS += flm_train flm_generate
flm_train_SOURCES = %D%/flm_train.c
flm_train_LDADD = $(LINK_CMD)
flm_generate_SOURCES = %D%/flm_generate.c %D%/cmd_generate.c %D%/cmd_generate.h
flm_generate_LDADD = $(LINK_CMD)
