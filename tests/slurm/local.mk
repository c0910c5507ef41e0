# Jobs under a real Slurm of their own (cluster.sh); skipped where Slurm is not installed.
EXTRA_DIST += %D%/cluster.sh
dist_check_SCRIPTS += %D%/jobs.t %D%/preempt.t
