# python/flm_io against the programs; skipped where Python lacks h5py or PyTorch.
dist_check_SCRIPTS += %D%/flm_io.t
EXTRA_DIST += %D%/compare.py
%D%/flm_io.log: flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_distill$(EXEEXT) flm_generate$(EXEEXT) flm_convert$(EXEEXT) \
  flm_inspect$(EXEEXT) tests/cmd/shard_rows$(EXEEXT) tests/parity/parity$(EXEEXT)
EXTRA_DIST += python/README.md python/pyproject.toml python/flm_io/__init__.py python/flm_io/checkpoint.py \
  python/flm_io/data.py python/flm_io/files.py python/flm_io/network.py python/flm_io/objective.py \
  python/flm_io/samples.py python/flm_io/shards.py
