# Comparison of the tokenisers with Hugging Face's: compare.py, which needs Python and is run by hand, calls tokenise.
noinst_PROGRAMS += %D%/tokenise
%C%_tokenise_SOURCES = %D%/tokenise.c
%C%_tokenise_LDADD = $(LINK_TEXT)
EXTRA_DIST += %D%/compare.py %D%/pairs.py
