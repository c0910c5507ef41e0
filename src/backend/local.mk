noinst_LIBRARIES += libflm_backend.a
libflm_backend_a_SOURCES = %D%/backend.h %D%/backend_ops.h %D%/backend_arena.h %D%/cpu/cpu_internal.h
libflm_backend_a_CPPFLAGS = $(AM_CPPFLAGS) $(ONEDNN_CPPFLAGS)
