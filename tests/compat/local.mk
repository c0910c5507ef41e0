# Files of earlier versions.
dist_check_SCRIPTS += %D%/compat.t
EXTRA_DIST += %D%/figures.sh \
  %D%/files-0.1.0/README.md \
  %D%/files-0.1.0/make.sh \
  %D%/files-0.1.0/expected.txt \
  %D%/files-0.1.0/shards/.flm-shard \
  %D%/files-0.1.0/shards/index.h5 \
  %D%/files-0.1.0/shards/train-00000-of-00001.h5 \
  %D%/files-0.1.0/shards/valid-00000-of-00001.h5 \
  %D%/files-0.1.0/flm/config.ini \
  %D%/files-0.1.0/flm/metrics.jsonl \
  %D%/files-0.1.0/flm/checkpoints/step-00000018.h5 \
  %D%/files-0.1.0/one/config.ini \
  %D%/files-0.1.0/one/metrics.jsonl \
  %D%/files-0.1.0/one/checkpoints/step-00000018.h5 \
  %D%/files-0.1.0/two/config.ini \
  %D%/files-0.1.0/two/metrics.jsonl \
  %D%/files-0.1.0/two/checkpoints/step-00000018.h5 \
  %D%/files-0.1.0/samples-flm.h5 \
  %D%/files-0.1.0/samples-one.h5 \
  %D%/files-0.1.0/samples-two.h5
%D%/compat.log: flm_inspect$(EXEEXT) flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_distill$(EXEEXT) flm_generate$(EXEEXT) \
  flm_score$(EXEEXT) flm_convert$(EXEEXT) tests/cmd/file_tool$(EXEEXT) tests/score/score_files$(EXEEXT)
