noinst_LIBRARIES += libflm_flow.a
libflm_flow_a_SOURCES =
