noinst_LIBRARIES += libflm_backend.a
libflm_backend_a_SOURCES = %D%/backend_tensor.h %D%/backend_tensor.c \
  %D%/backend.h %D%/backend_arguments.h %D%/backend_ops.h %D%/backend_trace.h %D%/backend_ops.def %D%/backend_ops.c %D%/backend_internal.h %D%/backend.c \
  %D%/backend_check.h %D%/backend_check.c %D%/backend_check_model.c \
  %D%/backend_check_embed.c %D%/backend_check_softmax.c %D%/backend_check_elementwise.c \
  %D%/backend_check_attention.c %D%/backend_check_algebra.c \
  %D%/backend_adamw.h %D%/backend_adamw.c %D%/backend_arena.h %D%/backend_arena.c %D%/backend_stage.h %D%/backend_stage.c %D%/backend_plan.c \
  %D%/cpu/cpu_internal.h %D%/cpu/cpu_backend.c %D%/cpu/cpu_memory.c %D%/cpu/cpu_packed.c \
  %D%/cpu/cpu_amx.h %D%/cpu/cpu_amx.c %D%/cpu/cpu_amx_matmul.c %D%/cpu/cpu_amx_parts.c \
  %D%/cpu/cpu_dnnl.h %D%/cpu/cpu_onednn.c %D%/cpu/cpu_matmul.c %D%/cpu/cpu_lapack.c %D%/cpu/cpu_gram.c \
  %D%/cpu/cpu_attention.h %D%/cpu/cpu_attention.c %D%/cpu/cpu_attention_backward.c %D%/cpu/cpu_attention_causal.c %D%/cpu/cpu_rope.c \
  %D%/cpu/cpu_tile.h %D%/cpu/cpu_tile.c %D%/cpu/cpu_pair.h %D%/cpu/cpu_pair.c %D%/cpu/cpu_attention_pairs.c \
  %D%/cpu/cpu_math.h %D%/cpu/cpu_rows.h %D%/cpu/cpu_rows.c %D%/cpu/cpu_layernorm.c %D%/cpu/cpu_gate.c \
  %D%/cpu/cpu_activation.c %D%/cpu/cpu_embed.c %D%/cpu/cpu_elementwise.c %D%/cpu/cpu_adamw.c \
  %D%/cpu/cpu_softmax.h %D%/cpu/cpu_softmax.c %D%/cpu/cpu_distill.c %D%/cpu/cpu_mixture.c %D%/cpu/cpu_choose.c
libflm_backend_a_CPPFLAGS = $(AM_CPPFLAGS) $(ONEDNN_CPPFLAGS) $(LAPACK_CPPFLAGS)
