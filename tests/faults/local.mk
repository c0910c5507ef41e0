# Faults: what a kill, a full disk, a second job or a damaged file must not do. In make check a few of each; more by
# make check-faults (at most eight minutes), and all by make check-faults FULL=1 (an hour or more).
dist_check_SCRIPTS += %D%/two_jobs.t %D%/identity.t %D%/kill.t %D%/full.t %D%/random.t %D%/damage.t %D%/watchdog.t
EXTRA_DIST += %D%/faults.sh
FAULTS_TOOLS = $(bin_PROGRAMS) tests/score/score_files$(EXEEXT) tests/cmd/file_tool$(EXEEXT)
%D%/two_jobs.log %D%/identity.log %D%/kill.log %D%/full.log %D%/random.log %D%/damage.log: $(FAULTS_TOOLS)

check-faults: all $(FAULTS_TOOLS) tests/fuzz/checkpoint_fuzz.t tests/fuzz/shard_fuzz.t tests/fuzz/safetensors_fuzz.t \
  tests/fuzz/pickle_fuzz.t
	@$(AM_TESTS_ENVIRONMENT) FULL='$(FULL)' PARTS='$(PARTS)' RESUME='$(RESUME)' $(SHELL) $(srcdir)/scripts/check-faults.sh '$(abs_builddir)'
.PHONY: check-faults
