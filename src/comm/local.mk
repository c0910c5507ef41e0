noinst_LIBRARIES += libflm_comm.a
libflm_comm_a_SOURCES = %D%/comm.h
