# Does a network learn a known source? Takes minutes, so only make check-science runs these tests; one of them alone by
# make check-science PARTS=infill.
SCIENCE = markov infill
EXTRA_DIST += %D%/markov.t %D%/infill.t %D%/science.sh
EXTRA_PROGRAMS += %D%/markov_tool
CLEANFILES += %D%/markov_tool$(EXEEXT)
%C%_markov_tool_SOURCES = %D%/markov_tool.c %D%/markov.c %D%/markov.h
%C%_markov_tool_LDADD = $(LINK_TRAIN)

# The exact likelihoods that they measure by.
check_PROGRAMS += %D%/condition.t
%C%_condition_t_SOURCES = %D%/condition.c %D%/markov.c %D%/markov.h
%C%_condition_t_LDADD = $(LINK_BASE)

check-science: all %D%/markov_tool$(EXEEXT)
	@parts='$(PARTS)' tests=; for part in $${parts:-$(SCIENCE)}; do \
	  case ' $(SCIENCE) ' in *" $$part "*) ;; \
	    *) echo "make check-science: there is no part $$part; the parts are: $(SCIENCE)" >&2; exit 1 ;; esac; \
	  tests="$$tests $(srcdir)/tests/science/$$part.t"; done; \
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS="$$tests"
.PHONY: check-science
