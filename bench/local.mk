# Benchmarks: made by "make bench", run by hand; they are no tests.
EXTRA_PROGRAMS += %D%/bench_gemm %D%/bench_comm %D%/bench_ops
CLEANFILES += %D%/bench_gemm$(EXEEXT) %D%/bench_comm$(EXEEXT) %D%/bench_ops$(EXEEXT)

.PHONY: bench
bench: %D%/bench_gemm$(EXEEXT) %D%/bench_comm$(EXEEXT) %D%/bench_ops$(EXEEXT)

%C%_bench_gemm_SOURCES = %D%/bench_gemm.c %D%/bench_matmuls.c %D%/bench_onednn.c %D%/bench_matmuls.h %D%/bench_common.c \
  %D%/bench_common.h
%C%_bench_gemm_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS) $(ONEDNN_CPPFLAGS)
%C%_bench_gemm_LDADD = $(LINK_BACKEND) $(JANSSON_LIBS)

EXTRA_PROGRAMS += %D%/bench_train
CLEANFILES += %D%/bench_train$(EXEEXT)
bench: %D%/bench_train$(EXEEXT)
%C%_bench_train_SOURCES = %D%/bench_train.c %D%/bench_profile.c %D%/bench_profile.h %D%/bench_matmuls.c %D%/bench_onednn.c \
  %D%/bench_matmuls.h %D%/bench_common.c %D%/bench_common.h
%C%_bench_train_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS) $(ONEDNN_CPPFLAGS)
%C%_bench_train_LDADD = libflm_cmd.a $(LINK_TRAIN)
%C%_bench_comm_SOURCES = %D%/bench_comm.c %D%/bench_common.c %D%/bench_common.h
%C%_bench_comm_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_bench_comm_LDADD = $(LINK_PROCESS) $(JANSSON_LIBS)
%C%_bench_ops_SOURCES = %D%/bench_ops.c %D%/bench_operands.c %D%/bench_operands.h %D%/bench_common.c %D%/bench_common.h
%C%_bench_ops_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_bench_ops_LDADD = $(LINK_BACKEND) $(JANSSON_LIBS)

EXTRA_PROGRAMS += %D%/bench_text
CLEANFILES += %D%/bench_text$(EXEEXT)
bench: %D%/bench_text$(EXEEXT)
EXTRA_DIST += %D%/bench_text.py
%C%_bench_text_SOURCES = %D%/bench_text.c %D%/bench_common.c %D%/bench_common.h
%C%_bench_text_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_bench_text_LDADD = libflm_text.a $(LINK_BACKEND) $(TEXT_LIBS)

EXTRA_DIST += %D%/score_transformers.py
EXTRA_PROGRAMS += %D%/bench_score
CLEANFILES += %D%/bench_score$(EXEEXT)
bench: %D%/bench_score$(EXEEXT)
%C%_bench_score_SOURCES = %D%/bench_score.c %D%/bench_common.c %D%/bench_common.h
%C%_bench_score_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_bench_score_LDADD = libflm_cmd.a $(LINK_TRAIN)
EXTRA_DIST += %D%/results/score.md %D%/results/tokenisers.md %D%/results/train.md

# make bench-peer: the training step and the sampler beside PyTorch's.
EXTRA_DIST += %D%/peer %D%/peer_torch.py
bench-peer: %D%/bench_train$(EXEEXT)
	@$(SHELL) $(srcdir)/bench/peer '$(abs_builddir)'
.PHONY: bench-peer

# make bench-gpu DIR=...: everything that a GPU is asked, in one folder.
EXTRA_DIST += %D%/gpu %D%/gpu-table.awk
bench-gpu: bench
	@$(SHELL) $(srcdir)/bench/gpu '$(abs_builddir)' '$(DIR)'
.PHONY: bench-gpu
DIR = gpu-results
