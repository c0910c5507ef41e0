noinst_LIBRARIES += libflm_report.a
libflm_report_a_SOURCES = %D%/report.c %D%/report.h %D%/report_internal.h %D%/report_html.c %D%/report_html.h \
  %D%/report_axis.c %D%/report_axis.h %D%/report_chart.c %D%/report_chart.h %D%/report_run.c %D%/report_run.h \
  %D%/report_set.c %D%/report_set.h %D%/report_curves.c %D%/report_quality.c %D%/report_samples.c %D%/report_tables.c
nodist_libflm_report_a_SOURCES = %D%/report_style.c
libflm_report_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)

# The style sheet as a string of the program.
%D%/report_style.c: %D%/report_style.awk %D%/report_style.css
	$(AM_V_GEN)$(MKDIR_P) %D% && $(AWK) -f $(srcdir)/%D%/report_style.awk $(srcdir)/%D%/report_style.css >$@.tmp && mv $@.tmp $@
CLEANFILES += %D%/report_style.c
EXTRA_DIST += %D%/report_style.awk %D%/report_style.css
