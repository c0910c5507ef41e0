noinst_LIBRARIES += libflm_flow.a
libflm_flow_a_SOURCES = %D%/flow_gamma.c %D%/flow_gamma.h %D%/flow_time.c %D%/flow_time.h \
  %D%/flow_noise.c %D%/flow_noise.h %D%/flow_coefficients.c %D%/flow_coefficients.h \
  %D%/flow_objective.c %D%/flow_objective.h %D%/flow_objective_internal.h %D%/flow_stage_one.c %D%/flow_stage_two.c \
  %D%/flow_sampler.c %D%/flow_sampler.h
