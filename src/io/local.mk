noinst_LIBRARIES += libflm_io.a
libflm_io_a_SOURCES = %D%/io_h5.c %D%/io_h5.h %D%/io_checkpoint.h %D%/io_shard.h %D%/io_samples.h
libflm_io_a_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
