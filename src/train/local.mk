noinst_LIBRARIES += libflm_train.a
libflm_train_a_SOURCES = %D%/train_optimizer.c %D%/train_optimizer.h \
  %D%/train_checkpoint.c %D%/train_checkpoint.h
