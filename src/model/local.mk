noinst_LIBRARIES += libflm_model.a
libflm_model_a_SOURCES =
