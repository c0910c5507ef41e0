noinst_LIBRARIES += libflm_tensor.a
libflm_tensor_a_SOURCES = %D%/tensor.c %D%/tensor.h
