noinst_LIBRARIES += libflm_cmd.a
libflm_cmd_a_SOURCES = %D%/cmd_run.c %D%/cmd_run.h
