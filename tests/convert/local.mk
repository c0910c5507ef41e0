# Published weights in and out.
dist_check_SCRIPTS += %D%/convert.t %D%/hub.t
EXTRA_DIST += %D%/make_ckpt.py %D%/check_back.py %D%/golden/plain.ckpt %D%/golden/ema.ckpt \
  %D%/golden/wrapped.ckpt %D%/golden/pytorch_model.bin %D%/golden/pytorch_model.bin.index.json \
  %D%/golden/pytorch_model-00001-of-00002.bin %D%/golden/pytorch_model-00002-of-00002.bin %D%/make_hub.py \
  %D%/golden/hub/flm.h5 %D%/golden/hub/flm/config.json %D%/golden/hub/flm/model.safetensors \
  %D%/golden/hub/fmlm.h5 %D%/golden/hub/fmlm/config.json %D%/golden/hub/fmlm/model.safetensors %D%/golden/hub/fmlm.ckpt
noinst_PROGRAMS += %D%/logits
%C%_logits_SOURCES = %D%/logits.c
%C%_logits_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_logits_LDADD = $(LINK_CONVERT)
%D%/convert.log: %D%/logits$(EXEEXT) flm_convert$(EXEEXT) flm_generate$(EXEEXT) flm_inspect$(EXEEXT)
%D%/hub.log: %D%/logits$(EXEEXT) flm_convert$(EXEEXT) flm_generate$(EXEEXT) flm_inspect$(EXEEXT)
