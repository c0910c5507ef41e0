# Tests of whole programs, in shell (tests/tap.sh).
EXTRA_DIST += tests/tap.sh
dist_check_SCRIPTS += %D%/run.t

# Programs that a test runs, and that are no test themselves.
EXTRA_PROGRAMS += %D%/run_probe
CLEANFILES += %D%/run_probe$(EXEEXT)
%C%_run_probe_SOURCES = %D%/run_probe.c
%C%_run_probe_LDADD = libflm_cmd.a $(LINK_COMM)
%D%/run.log: %D%/run_probe$(EXEEXT)

# flm_shard
dist_check_SCRIPTS += %D%/shard.t
EXTRA_PROGRAMS += %D%/shard_rows
CLEANFILES += %D%/shard_rows$(EXEEXT)
%C%_shard_rows_SOURCES = %D%/shard_rows.c
%C%_shard_rows_LDADD = $(LINK_IO)
%D%/shard.log: flm_shard$(EXEEXT) %D%/shard_rows$(EXEEXT)

# flm_inspect
dist_check_SCRIPTS += %D%/inspect.t
EXTRA_PROGRAMS += %D%/inspect_files
CLEANFILES += %D%/inspect_files$(EXEEXT)
%C%_inspect_files_SOURCES = %D%/inspect_files.c
%C%_inspect_files_LDADD = libflm_text.a $(LINK_IO) $(TEXT_LIBS)
%D%/inspect.log: %D%/inspect_files$(EXEEXT) flm_inspect$(EXEEXT)
