noinst_LIBRARIES += libflm_process.a
libflm_process_a_SOURCES = %D%/process.c %D%/process.h
