# Slurm jobs, beside the fetch scripts under pkgdatadir; they find the programs in bindir from there.
jobsdir = $(pkgdatadir)/jobs
dist_jobs_SCRIPTS = %D%/submit %D%/pipeline %D%/evaluate %D%/reproduce %D%/watch %D%/plot %D%/evaluate.slurm %D%/reproduce.slurm %D%/lm1b_shard.slurm %D%/lm1b_flm.slurm %D%/lm1b_flm_distill.slurm \
  %D%/lm1b_flm_distill_second.slurm %D%/lm1b_gen_ppl_flm.slurm %D%/lm1b_gen_ppl_fmlm.slurm %D%/lm1b_fmlm.slurm %D%/lm1b_gen_ppl_fmlm_two_stage.slurm %D%/owt_shard.slurm \
  %D%/owt_flm.slurm %D%/owt_flm_distill.slurm %D%/owt_flm_distill_second.slurm %D%/owt_gen_ppl_flm.slurm \
  %D%/owt_gen_ppl_fmlm.slurm %D%/owt_fmlm.slurm %D%/owt_any_order.slurm %D%/owt_gen_ppl_fmlm_two_stage.slurm
dist_jobs_DATA = %D%/common.sh %D%/progress.sh %D%/site.awk %D%/site.conf %D%/published.txt
