# Installed beside the jobs: the demo, pictures of a run and of scores, metrics in other formats, the cost of many GPUs.
scriptsdir = $(pkgdatadir)/scripts
dist_scripts_SCRIPTS = %D%/demo.sh %D%/metrics-export %D%/plot-metrics %D%/plot-scores %D%/plot-steps %D%/scaling-table
dist_scripts_DATA = %D%/ngram-score.awk %D%/word-share.awk
EXTRA_DIST += %D%/check.sh %D%/check-faults.sh %D%/check-gpu.sh %D%/gpu-bundle %D%/kernel-bounds.txt %D%/kernel-report %D%/kernel-sass.awk %D%/revision-header
# The gates of check.sh.
EXTRA_DIST += %D%/commit-check %D%/format-check %D%/name-report %D%/name-report.awk %D%/shell-check %D%/size-report
