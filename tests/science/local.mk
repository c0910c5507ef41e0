# Does a network learn a known source? Takes minutes, so only make check-science runs it.
EXTRA_DIST += %D%/markov.t
EXTRA_PROGRAMS += %D%/markov_tool
CLEANFILES += %D%/markov_tool$(EXEEXT)
%C%_markov_tool_SOURCES = %D%/markov_tool.c %D%/markov.c %D%/markov.h
%C%_markov_tool_LDADD = $(LINK_TRAIN)

check-science: all %D%/markov_tool$(EXEEXT)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(srcdir)/tests/science/markov.t'
.PHONY: check-science
