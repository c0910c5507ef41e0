EXTRA_DIST += %D%/check.sh %D%/check-faults.sh %D%/check-gpu.sh %D%/demo.sh %D%/kernel-report %D%/ngram-score.awk %D%/plot-metrics %D%/plot-scores \
  %D%/plot-steps %D%/revision-header %D%/scaling-table %D%/word-share.awk
# The gates of check.sh.
EXTRA_DIST += %D%/commit-check %D%/format-check %D%/name-report %D%/name-report.awk %D%/shell-check %D%/size-report
