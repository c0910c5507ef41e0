noinst_LIBRARIES += libflm_model.a
libflm_model_a_SOURCES = %D%/model.c %D%/model.h %D%/model_parameter.c %D%/model_parameter.h %D%/model_weights.c \
  %D%/model_weights.h %D%/model_dit.c %D%/model_dit.h %D%/model_condition.c %D%/model_head.c %D%/model_backward.c %D%/model_internal.h \
  %D%/model_load.c %D%/model_load.h %D%/model_weighting.c %D%/model_weighting.h
