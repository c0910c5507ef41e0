noinst_LIBRARIES += libflm_flow.a
libflm_flow_a_SOURCES = %D%/flow_kind.c %D%/flow_kind.h %D%/flow_kind.def %D%/flow_gamma.c %D%/flow_gamma.h %D%/flow_time.c \
  %D%/flow_time.h %D%/flow_noise.c %D%/flow_noise.h %D%/flow_coefficients.c %D%/flow_coefficients.h \
  %D%/flow_objective.c %D%/flow_objective.h %D%/flow_objective_internal.h %D%/flow_flm.c %D%/flow_two_model.c \
  %D%/flow_two_stage.c %D%/flow_psd.c %D%/flow_sampler.c %D%/flow_sampler.h %D%/flow_sampler_internal.h %D%/flow_sampler_flm.c \
  %D%/flow_sampler_two_model.c %D%/flow_sampler_map.c %D%/flow_sampler_any_order.c
