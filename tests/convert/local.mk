# Published weights in and out.
dist_check_SCRIPTS += %D%/convert.t
EXTRA_DIST += %D%/make_ckpt.py %D%/check_back.py %D%/golden/plain.ckpt %D%/golden/ema.ckpt \
  %D%/golden/wrapped.ckpt %D%/golden/pytorch_model.bin
noinst_PROGRAMS += %D%/logits
%C%_logits_SOURCES = %D%/logits.c
%C%_logits_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_logits_LDADD = $(LINK_CONVERT)
%D%/convert.log: %D%/logits$(EXEEXT) flm_convert$(EXEEXT) flm_generate$(EXEEXT) flm_inspect$(EXEEXT)
