noinst_LIBRARIES += libflm_base.a
libflm_base_a_SOURCES = %D%/base_status.c %D%/base_status.h %D%/base_log.c %D%/base_log.h \
  %D%/base_options.h %D%/base_crc32c.c %D%/base_crc32c.h %D%/base_philox.h
