# Golden files against the programs' own path; tests/parity/parity compares any of their layout.
dist_check_SCRIPTS += %D%/parity.t
EXTRA_DIST += %D%/golden/README.md %D%/golden/gamma.h5 %D%/golden/small.h5 %D%/golden/head64.h5 \
  %D%/golden/tinyvocab.h5 %D%/golden/small_capped.h5 %D%/golden/head64_capped.h5 %D%/golden/tinyvocab_capped.h5 %D%/golden/small_any_order.h5 \
  %D%/golden/tinyvocab_any_order.h5
noinst_PROGRAMS += %D%/parity
%C%_parity_SOURCES = %D%/parity.c %D%/parity.h %D%/parity_file.c %D%/parity_network.c %D%/parity_loss.c \
  %D%/parity_sample.c %D%/parity_order.c
%C%_parity_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CPPFLAGS)
%C%_parity_LDADD = $(LINK_TRAIN)
