# A test X.t is made of X.c beside it, and links only the archive of its module and those below it.

# base
check_PROGRAMS += %D%/base/crc32c.t %D%/base/file.t %D%/base/log.t %D%/base/options.t %D%/base/path.t \
  %D%/base/permute.t %D%/base/philox.t %D%/base/share.t %D%/base/status.t %D%/base/table.t %D%/base/version.t
%C%_base_crc32c_t_LDADD = $(LINK_BASE)
%C%_base_file_t_LDADD = $(LINK_BASE)
%C%_base_log_t_LDADD = $(LINK_BASE)
%C%_base_options_t_LDADD = $(LINK_BASE)
%C%_base_path_t_LDADD = $(LINK_BASE)
%C%_base_permute_t_LDADD = $(LINK_BASE)
%C%_base_philox_t_LDADD = $(LINK_BASE)
%C%_base_share_t_LDADD = $(LINK_BASE)
%C%_base_status_t_LDADD = $(LINK_BASE)
%C%_base_table_t_LDADD = $(LINK_BASE)
%C%_base_version_t_LDADD = $(LINK_BASE)

# backend
check_PROGRAMS += %D%/backend/arena.t %D%/backend/registry.t %D%/backend/tensor.t
%C%_backend_arena_t_LDADD = $(LINK_BACKEND)
%C%_backend_registry_t_LDADD = $(LINK_BACKEND)
%C%_backend_tensor_t_LDADD = $(LINK_BACKEND)

# cuda: the arithmetic of launches, without CUDA
check_PROGRAMS += %D%/cuda/attention_tiles.t %D%/cuda/shape.t
%C%_cuda_attention_tiles_t_LDADD =
%C%_cuda_shape_t_LDADD = $(LINK_BASE)

# comm
check_PROGRAMS += %D%/comm/self.t
%C%_comm_self_t_LDADD = $(LINK_COMM)

# io
EXTRA_DIST += tests/io_fixture.h tests/io_folder.h
check_PROGRAMS += %D%/io/checkpoint.t %D%/io/samples.t %D%/io/schema.t %D%/io/shard.t
%C%_io_checkpoint_t_LDADD = $(LINK_IO)
%C%_io_samples_t_LDADD = $(LINK_IO)
%C%_io_schema_t_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_io_schema_t_LDADD = $(LINK_IO)
%C%_io_shard_t_LDADD = $(LINK_IO)

# source
check_PROGRAMS += %D%/source/json.t
%C%_source_json_t_LDADD = $(LINK_SOURCE)

# text
EXTRA_DIST += tests/text_pairs.h %D%/text/pairs-gpt2.tsv %D%/text/pairs-bert.tsv %D%/text/detokenize-lm1b.tsv
check_PROGRAMS += %D%/text/bert.t %D%/text/bytes.t %D%/text/gpt2.t %D%/text/lm1b.t
%C%_text_bert_t_LDADD = $(LINK_TEXT)
%C%_text_bytes_t_LDADD = $(LINK_TEXT)
%C%_text_gpt2_t_CPPFLAGS = $(AM_CPPFLAGS) $(PCRE2_CPPFLAGS)
%C%_text_gpt2_t_LDADD = $(LINK_TEXT) $(PCRE2_LIBS)
%C%_text_lm1b_t_LDADD = $(LINK_TEXT)

# model
EXTRA_DIST += %D%/network.h
check_PROGRAMS += %D%/model/dit.t %D%/model/shape.t %D%/model/weights.t
%C%_model_dit_t_LDADD = $(LINK_MODEL)
%C%_model_shape_t_LDADD = $(LINK_MODEL)
%C%_model_weights_t_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_model_weights_t_LDADD = $(LINK_MODEL)

# flow; the first two need no network
EXTRA_DIST += %D%/flow/flow.h
check_PROGRAMS += %D%/flow/gamma.t %D%/flow/time.t
%C%_flow_gamma_t_LDADD = libflm_flow.a $(LINK_BASE)
%C%_flow_time_t_LDADD = libflm_flow.a $(LINK_BASE)
check_PROGRAMS += %D%/flow/distill.t %D%/flow/joint.t %D%/flow/noise.t %D%/flow/objective.t %D%/flow/projection.t %D%/flow/psd.t %D%/flow/sampler.t
%C%_flow_distill_t_LDADD = $(LINK_FLOW)
%C%_flow_joint_t_LDADD = $(LINK_FLOW)
%C%_flow_noise_t_LDADD = $(LINK_FLOW)
%C%_flow_objective_t_LDADD = $(LINK_FLOW)
%C%_flow_projection_t_LDADD = $(LINK_FLOW)
%C%_flow_psd_t_LDADD = $(LINK_FLOW)
%C%_flow_sampler_t_LDADD = $(LINK_FLOW)

# score
EXTRA_DIST += %D%/score/shards.h
check_PROGRAMS += %D%/score/baseline.t %D%/score/mauve.t %D%/score/overlap.t %D%/score/statistics.t
%C%_score_baseline_t_LDADD = $(LINK_SCORE)
%C%_score_mauve_t_LDADD = $(LINK_SCORE)
%C%_score_overlap_t_LDADD = $(LINK_SCORE)
%C%_score_statistics_t_LDADD = $(LINK_SCORE)
