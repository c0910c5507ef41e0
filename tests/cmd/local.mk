# Tests of whole programs, in shell (tests/tap.sh).
EXTRA_DIST += tests/tap.sh %D%/train.sh
dist_check_SCRIPTS += %D%/run.t %D%/kernel_report.t %D%/gpu_bundle.t

# Programs that a test runs, and that are no test themselves.
EXTRA_PROGRAMS += %D%/run_probe
CLEANFILES += %D%/run_probe$(EXEEXT)
%C%_run_probe_SOURCES = %D%/run_probe.c
%C%_run_probe_LDADD = $(LINK_PROCESS)
%D%/run.log: %D%/run_probe$(EXEEXT)

# flm_shard
dist_check_SCRIPTS += %D%/shard.t
EXTRA_PROGRAMS += %D%/shard_rows
CLEANFILES += %D%/shard_rows$(EXEEXT)
%C%_shard_rows_SOURCES = %D%/shard_rows.c
%C%_shard_rows_LDADD = $(LINK_IO)
%D%/shard.log: flm_shard$(EXEEXT) %D%/shard_rows$(EXEEXT)

# flm_shard on archives
dist_check_SCRIPTS += %D%/corpora.t %D%/corpora_bad.t
EXTRA_DIST += %D%/corpora_rows.awk
%D%/corpora.log: flm_shard$(EXEEXT) flm_inspect$(EXEEXT) %D%/shard_rows$(EXEEXT)
%D%/corpora_bad.log: flm_shard$(EXEEXT) %D%/shard_rows$(EXEEXT)

# the reader of texts
dist_check_SCRIPTS += %D%/source.t
%D%/source.log: flm_shard$(EXEEXT) flm_convert$(EXEEXT) flm_inspect$(EXEEXT) %D%/shard_rows$(EXEEXT)

# fetch-lm1b, fetch-owt, fetch-gpt2, fetch-flm
dist_check_SCRIPTS += %D%/fetch.t

# all programs under signals
dist_check_SCRIPTS += %D%/signals.t
%D%/signals.log: $(bin_PROGRAMS) tests/score/score_files$(EXEEXT)

# flm_inspect
dist_check_SCRIPTS += %D%/inspect.t
EXTRA_PROGRAMS += %D%/inspect_files
CLEANFILES += %D%/inspect_files$(EXEEXT)
%C%_inspect_files_SOURCES = %D%/inspect_files.c
%C%_inspect_files_LDADD = libflm_text.a $(LINK_IO) $(TEXT_LIBS)
%D%/inspect.log: %D%/inspect_files$(EXEEXT) flm_inspect$(EXEEXT)
# Training and generation as a user runs them.
EXTRA_PROGRAMS += %D%/file_tool
CLEANFILES += %D%/file_tool$(EXEEXT)
%C%_file_tool_SOURCES = %D%/file_tool.c
%C%_file_tool_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_file_tool_LDADD = libflm_io.a $(LINK_PROCESS) $(IO_LIBS)
dist_check_SCRIPTS += tests/ranks/train_ranks.t %D%/train_kill.t %D%/train_bad.t %D%/train_eval.t %D%/train_plan.t \
  %D%/schedule.t %D%/generate.t %D%/prompts.t %D%/distill.t %D%/logit_cap.t %D%/precision.t %D%/threads.t
tests/ranks/train_ranks.log %D%/train_kill.log %D%/train_bad.log %D%/train_eval.log %D%/schedule.log %D%/generate.log %D%/prompts.log %D%/distill.log %D%/logit_cap.log %D%/precision.log: %D%/file_tool$(EXEEXT)

# flm_train and flm_distill with settings near those of a published run
dist_check_SCRIPTS += %D%/published.t
EXTRA_PROGRAMS += %D%/published_probe
CLEANFILES += %D%/published_probe$(EXEEXT)
%C%_published_probe_SOURCES = %D%/published_probe.c src/cmd/cmd_train_main.c
%C%_published_probe_LDADD = libflm_cmd.a $(LINK_TRAIN)
%D%/published.log: %D%/published_probe$(EXEEXT) flm_train$(EXEEXT) flm_shard$(EXEEXT)

# scripts/metrics-export; skipped without Python
dist_check_SCRIPTS += %D%/metrics_export.t
EXTRA_PROGRAMS += %D%/event_rows
CLEANFILES += %D%/event_rows$(EXEEXT)
%C%_event_rows_SOURCES = %D%/event_rows.c
%C%_event_rows_LDADD = $(LINK_BASE)
%D%/metrics_export.log: %D%/event_rows$(EXEEXT) flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_distill$(EXEEXT)

# All help texts and messages in one file; after a change: make messages.
dist_check_SCRIPTS += %D%/messages.t
EXTRA_DIST += %D%/messages.txt
%D%/messages.log: %D%/file_tool$(EXEEXT) tests/score/score_files$(EXEEXT) $(bin_PROGRAMS)
.PHONY: messages
messages: all
	UPDATE=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/cmd/messages.t

# flm_report
dist_check_SCRIPTS += %D%/report.t
EXTRA_DIST += %D%/report_tags.awk
%D%/report.log: tests/score/score_files$(EXEEXT) flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_generate$(EXEEXT) flm_score$(EXEEXT) flm_report$(EXEEXT)

# packaging/
dist_check_SCRIPTS += %D%/packaging.t
%D%/packaging.log: flm_train$(EXEEXT) flm_score$(EXEEXT) flm_inspect$(EXEEXT)

# make install
dist_check_SCRIPTS += %D%/install.t
%D%/install.log: all-am
