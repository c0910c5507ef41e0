noinst_LIBRARIES += libflm_train.a
libflm_train_a_SOURCES =
