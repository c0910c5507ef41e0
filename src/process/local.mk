noinst_LIBRARIES += libflm_process.a
libflm_process_a_SOURCES = %D%/process.c %D%/process.h %D%/process_guard.c %D%/process_guard.h %D%/process_affinity.c \
  %D%/process_affinity.h
