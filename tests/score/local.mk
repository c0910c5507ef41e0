# Scores against those of Hugging Face transformers; tests/score/nll compares the files of make_golden.py, of any shape.
EXTRA_DIST += %D%/make_golden.py %D%/golden/config.json %D%/golden/model.safetensors %D%/golden/expected.json
noinst_PROGRAMS += %D%/nll
%C%_nll_SOURCES = %D%/nll.c
%C%_nll_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_nll_LDADD = $(LINK_TRAIN)
EXTRA_DIST += %D%/make_texts.py %D%/make_mauve.py %D%/golden/mauve.txt %D%/golden/texts.jsonl %D%/golden/texts-expected.json \
  %D%/golden/batches.jsonl %D%/golden/batches-expected.json
noinst_PROGRAMS += %D%/score_files
%C%_score_files_SOURCES = %D%/score_files.c
%C%_score_files_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_score_files_LDADD = $(LINK_CONVERT)
dist_check_SCRIPTS += %D%/gpt2.t %D%/score.t
%D%/gpt2.log: %D%/nll$(EXEEXT) flm_convert$(EXEEXT)
%D%/score.log: tests/cmd/file_tool$(EXEEXT) %D%/score_files$(EXEEXT) flm_score$(EXEEXT) flm_inspect$(EXEEXT)
dist_check_SCRIPTS += %D%/generate.t
%D%/generate.log: %D%/score_files$(EXEEXT) flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_generate$(EXEEXT) flm_score$(EXEEXT)
dist_check_SCRIPTS += %D%/compare.t
%D%/compare.log: %D%/score_files$(EXEEXT) flm_shard$(EXEEXT) flm_train$(EXEEXT) flm_generate$(EXEEXT) flm_score$(EXEEXT)
