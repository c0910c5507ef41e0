noinst_LIBRARIES += libflm_io.a
libflm_io_a_SOURCES = %D%/io_checkpoint.h %D%/io_shard.h %D%/io_samples.h %D%/io_samples_setting.h \
  %D%/io_vocabulary.c %D%/io_vocabulary.h %D%/io_internal.h %D%/io_checkpoint_directory.c %D%/io_checkpoint_internal.h \
  %D%/io_checkpoint_layout.c %D%/io_checkpoint_read.c %D%/io_checkpoint_resume.c %D%/io_checkpoint_write.c \
  %D%/io_lineage.c %D%/io_lineage.h %D%/io_lock.c %D%/io_lock.h %D%/samples/io_samples.c %D%/samples/io_samples_file.c \
  %D%/samples/io_samples_internal.h %D%/samples/io_samples_prompts.c %D%/samples/io_samples_scores.c \
  %D%/samples/io_samples_setting.c %D%/samples/io_samples_tokens.c \
  %D%/io_shard_file.c %D%/io_shard_internal.h %D%/io_shard_write.c %D%/io_shard_publish.c %D%/io_shard_read.c \
  %D%/io_shard_loader.c
libflm_io_a_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
