noinst_LIBRARIES += libflm_flow.a
libflm_flow_a_SOURCES = %D%/flow_noise.c %D%/flow_noise.h
