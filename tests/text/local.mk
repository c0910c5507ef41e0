# The tokenisers against Hugging Face's: compare.py needs Python and is run by hand; it calls tokenise.
noinst_PROGRAMS += %D%/tokenise
%C%_tokenise_SOURCES = %D%/tokenise.c
%C%_tokenise_LDADD = $(LINK_TEXT)
EXTRA_DIST += %D%/compare.py %D%/pairs.py
