noinst_LIBRARIES += libflm_convert.a
libflm_convert_a_SOURCES = %D%/convert.c %D%/convert.h %D%/convert_gpt2.c %D%/convert_flm.c %D%/convert_export.c \
  %D%/convert_external.h %D%/convert_external_internal.h %D%/convert_external.c %D%/convert_safetensors.c \
  %D%/convert_safetensors.h %D%/convert_safetensors_write.c %D%/convert_pickle.h %D%/convert_pickle_internal.h \
  %D%/convert_pickle.c %D%/convert_pickle_names.c %D%/convert_torch.c %D%/convert_names.c %D%/convert_names.h \
  %D%/convert_hub.c %D%/convert_hub.h %D%/convert_hub_write.c %D%/convert_settings.c \
  %D%/convert_vocabulary.c %D%/convert_vocabulary.h %D%/convert_index.c
libflm_convert_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBZIP_CPPFLAGS) $(JANSSON_CPPFLAGS)
