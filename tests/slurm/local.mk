# Jobs under a real Slurm of their own (cluster.sh); skipped where Slurm is not installed. Four minutes on two cores.
EXTRA_DIST += %D%/cluster.sh
dist_check_SCRIPTS += %D%/jobs.t %D%/preempt.t %D%/failures.t %D%/pipeline.t %D%/nodes.t %D%/reproduce.t %D%/two_slurms.t %D%/installed.t
%D%/preempt.log %D%/failures.log %D%/nodes.log %D%/two_slurms.log: flm_shard$(EXEEXT) flm_train$(EXEEXT)
%D%/installed.log: all-am
%D%/reproduce.log: flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_generate$(EXEEXT) flm_convert$(EXEEXT) flm_inspect$(EXEEXT) \
  tests/score/score_files$(EXEEXT) tests/cmd/file_tool$(EXEEXT)
%D%/pipeline.log: flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_distill$(EXEEXT) flm_generate$(EXEEXT) flm_convert$(EXEEXT) \
  tests/score/score_files$(EXEEXT)
