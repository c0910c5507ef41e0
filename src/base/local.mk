noinst_LIBRARIES += libflm_base.a
libflm_base_a_SOURCES = %D%/base_status.h %D%/base_err.c %D%/base_err.h %D%/base_log.c %D%/base_log.h \
  %D%/base_options.c %D%/base_options_file.c %D%/base_options_help.c %D%/base_options_pages.c %D%/base_options_value.c \
  %D%/base_options.h %D%/base_options_internal.h \
  %D%/base_crc32c.c %D%/base_crc32c.h %D%/base_philox.h %D%/base_permute.c %D%/base_permute.h \
  %D%/base_progress.c %D%/base_progress.h %D%/base_version.c %D%/base_version.h \
  %D%/base_sha256.c %D%/base_sha256.h %D%/base_file.c %D%/base_file.h %D%/base_path.c %D%/base_path.h \
  %D%/base_table.c %D%/base_table.h %D%/base_share.h %D%/base_clock.h \
  %D%/base_sanitize.c

# Asked at every make, written only when it changed.
CLEANFILES += %D%/base_revision.h
%D%/base_revision.h: flm-always
	$(AM_V_at)$(srcdir)/scripts/revision-header $(srcdir) $@
%D%/base_version.$(OBJEXT): %D%/base_revision.h
.PHONY: flm-always
