noinst_LIBRARIES += libflm_cmd.a
libflm_cmd_a_SOURCES = %D%/cmd_options.c %D%/cmd_options.h %D%/cmd_backend.c %D%/cmd_backend.h %D%/cmd_threads.c %D%/cmd_threads.h

bin_PROGRAMS += flm_train flm_distill flm_generate flm_score flm_convert flm_inspect flm_report
flm_train_SOURCES = %D%/flm_train.c %D%/cmd_train_main.c %D%/cmd_train_options.h
flm_train_LDADD = libflm_cmd.a $(LINK_TRAIN)
flm_distill_SOURCES = %D%/flm_distill.c %D%/cmd_train_main.c %D%/cmd_train_options.h
flm_distill_LDADD = libflm_cmd.a $(LINK_TRAIN)
flm_generate_SOURCES = %D%/flm_generate.c
flm_generate_LDADD = libflm_cmd.a $(LINK_SAMPLE)
flm_score_SOURCES = %D%/flm_score.c
flm_score_LDADD = libflm_cmd.a $(LINK_SAMPLE)
flm_convert_SOURCES = %D%/flm_convert.c
flm_convert_LDADD = libflm_cmd.a $(LINK_CONVERT)
flm_inspect_SOURCES = %D%/flm_inspect.c
flm_inspect_LDADD = libflm_cmd.a $(LINK_INSPECT)
flm_report_SOURCES = %D%/flm_report.c
flm_report_LDADD = libflm_cmd.a $(LINK_REPORT)
