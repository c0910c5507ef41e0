# A room's tests link only its own and lower archives. Each room's lists stand together.

# base
check_PROGRAMS += %D%/base/status.t %D%/base/crc32c.t %D%/base/philox.t %D%/base/log.t %D%/base/version.t \
  %D%/base/options.t %D%/base/permute.t
%C%_base_status_t_SOURCES = %D%/base/status.c
%C%_base_status_t_LDADD = $(LINK_BASE)
%C%_base_permute_t_SOURCES = %D%/base/permute.c
%C%_base_permute_t_LDADD = $(LINK_BASE)
%C%_base_crc32c_t_SOURCES = %D%/base/crc32c.c
%C%_base_crc32c_t_LDADD = $(LINK_BASE)
%C%_base_philox_t_SOURCES = %D%/base/philox.c
%C%_base_philox_t_LDADD = $(LINK_BASE)
%C%_base_log_t_SOURCES = %D%/base/log.c
%C%_base_log_t_LDADD = $(LINK_BASE)
%C%_base_version_t_SOURCES = %D%/base/version.c
%C%_base_version_t_LDADD = $(LINK_BASE)
%C%_base_options_t_SOURCES = %D%/base/options.c
%C%_base_options_t_LDADD = $(LINK_BASE)

check_PROGRAMS += %D%/backend/tensor.t
%C%_backend_tensor_t_SOURCES = %D%/backend/tensor.c
%C%_backend_tensor_t_LDADD = $(LINK_BACKEND)

# backend
check_PROGRAMS += %D%/backend/registry.t %D%/backend/arena.t
%C%_backend_registry_t_SOURCES = %D%/backend/registry.c
%C%_backend_registry_t_LDADD = $(LINK_BACKEND)
%C%_backend_arena_t_SOURCES = %D%/backend/arena.c
%C%_backend_arena_t_LDADD = $(LINK_BACKEND)

# cuda: arithmetic of launches, no CUDA
check_PROGRAMS += %D%/cuda/shape.t
%C%_cuda_shape_t_SOURCES = %D%/cuda/shape.c cuda/kernel/shape.h
%C%_cuda_shape_t_LDADD = $(LINK_BASE)
# cuda: arithmetic
check_PROGRAMS += %D%/cuda/attention_tiles.t
%C%_cuda_attention_tiles_t_SOURCES = %D%/cuda/attention_tiles.c

# io: files
EXTRA_DIST += tests/io_fixture.h
check_PROGRAMS += %D%/io/checkpoint.t %D%/io/samples.t
check_PROGRAMS += %D%/io/checkpoint.t %D%/io/samples.t %D%/io/schema.t
%C%_io_checkpoint_t_SOURCES = %D%/io/checkpoint.c
%C%_io_checkpoint_t_LDADD = $(LINK_IO)
%C%_io_samples_t_SOURCES = %D%/io/samples.c
%C%_io_samples_t_LDADD = $(LINK_IO)
%C%_io_schema_t_SOURCES = %D%/io/schema.c
%C%_io_schema_t_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_io_schema_t_LDADD = $(LINK_IO)

# text
check_PROGRAMS += %D%/text/bytes.t
%C%_text_bytes_t_SOURCES = %D%/text/bytes.c
%C%_text_bytes_t_LDADD = $(LINK_TEXT)
check_PROGRAMS += %D%/text/gpt2.t %D%/text/bert.t %D%/text/lm1b.t
EXTRA_DIST += tests/text_pairs.h %D%/text/pairs-gpt2.tsv %D%/text/pairs-bert.tsv %D%/text/detokenize-lm1b.tsv
%C%_text_gpt2_t_SOURCES = %D%/text/gpt2.c
%C%_text_gpt2_t_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CPPFLAGS)
%C%_text_gpt2_t_LDADD = $(LINK_TEXT) $(PCRE2_LIBS)
%C%_text_bert_t_SOURCES = %D%/text/bert.c
%C%_text_bert_t_LDADD = $(LINK_TEXT)
%C%_text_lm1b_t_SOURCES = %D%/text/lm1b.c
%C%_text_lm1b_t_LDADD = $(LINK_TEXT)

# io: shards
check_PROGRAMS += %D%/io/shard.t
%C%_io_shard_t_SOURCES = %D%/io/shard.c
%C%_io_shard_t_LDADD = $(LINK_IO)

# comm
check_PROGRAMS += %D%/comm/self.t
%C%_comm_self_t_SOURCES = %D%/comm/self.c
%C%_comm_self_t_LDADD = $(LINK_COMM)
# model
EXTRA_DIST += %D%/network.h
check_PROGRAMS += %D%/model/shape.t %D%/model/weights.t %D%/model/dit.t
%C%_model_shape_t_SOURCES = %D%/model/shape.c
%C%_model_shape_t_LDADD = $(LINK_MODEL)
%C%_model_weights_t_SOURCES = %D%/model/weights.c
%C%_model_weights_t_LDADD = $(LINK_MODEL)
%C%_model_dit_t_SOURCES = %D%/model/dit.c
%C%_model_dit_t_LDADD = $(LINK_MODEL)

# flow
check_PROGRAMS += %D%/flow/gamma.t %D%/flow/time.t
%C%_flow_gamma_t_SOURCES = %D%/flow/gamma.c
%C%_flow_gamma_t_LDADD = libflm_flow.a $(LINK_BASE)
%C%_flow_time_t_SOURCES = %D%/flow/time.c
%C%_flow_time_t_LDADD = libflm_flow.a $(LINK_BASE)
EXTRA_DIST += %D%/flow/flow.h
check_PROGRAMS += %D%/flow/noise.t %D%/flow/projection.t %D%/flow/objective.t \
  %D%/flow/joint.t %D%/flow/distill.t
%C%_flow_distill_t_SOURCES = %D%/flow/distill.c
%C%_flow_distill_t_LDADD = $(LINK_FLOW)
%C%_flow_joint_t_SOURCES = %D%/flow/joint.c
%C%_flow_joint_t_LDADD = $(LINK_FLOW)
%C%_flow_noise_t_SOURCES = %D%/flow/noise.c
%C%_flow_noise_t_LDADD = $(LINK_FLOW)
%C%_flow_projection_t_SOURCES = %D%/flow/projection.c
%C%_flow_projection_t_LDADD = $(LINK_FLOW)
%C%_flow_objective_t_SOURCES = %D%/flow/objective.c
%C%_flow_objective_t_LDADD = $(LINK_FLOW)

# score
check_PROGRAMS += %D%/score/statistics.t
%C%_score_statistics_t_SOURCES = %D%/score/statistics.c
%C%_score_statistics_t_LDADD = $(LINK_SCORE)
