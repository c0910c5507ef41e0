# Faults: what a kill, a full disk, a second job or a damaged file must not do.
dist_check_SCRIPTS += %D%/two_jobs.t %D%/identity.t
%D%/two_jobs.log %D%/identity.log: $(bin_PROGRAMS) tests/score/score_files$(EXEEXT)
