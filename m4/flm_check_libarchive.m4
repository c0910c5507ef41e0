# FLM_CHECK_LIBARCHIVE: required; corpora in archives (data-prep). Probes = archive_read_new links (libarchive 3.3.3 or
# newer), and zlib, which reads gzip by itself: libarchive does not check gzip's sums.
# Sets LIBARCHIVE_CPPFLAGS, LIBARCHIVE_LIBS (zlib included).
AC_DEFUN([FLM_CHECK_LIBARCHIVE],[
  LIBARCHIVE_CPPFLAGS= LIBARCHIVE_LIBS=-larchive
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libarchive],[
    LIBARCHIVE_CPPFLAGS=`$PKG_CONFIG --cflags libarchive` LIBARCHIVE_LIBS=`$PKG_CONFIG --libs libarchive`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_libarchive_ok=no flm_zlib_ok=no
  CPPFLAGS="$CPPFLAGS $LIBARCHIVE_CPPFLAGS"
  m4_define([FLM_LIBARCHIVE_PROBE],[AC_LANG_PROGRAM([[#include <archive.h>
#include <archive_entry.h>]],[[struct archive *a = archive_read_new();
struct archive_entry *e = 0;
return archive_read_support_filter_zstd(a) + archive_read_next_header(a, &e) + archive_entry_is_encrypted(e);]])])
  AC_MSG_CHECKING([for libarchive])
  LIBS="$LIBARCHIVE_LIBS $flm_save_LIBS"
  AC_LINK_IFELSE([FLM_LIBARCHIVE_PROBE],[flm_libarchive_ok=yes],[
    dnl A static one names what it needs.
    AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libarchive],[
      LIBARCHIVE_LIBS=`$PKG_CONFIG --static --libs libarchive` LIBS="$LIBARCHIVE_LIBS $flm_save_LIBS"
      AC_LINK_IFELSE([FLM_LIBARCHIVE_PROBE],[flm_libarchive_ok=yes])])])
  AC_MSG_RESULT([$flm_libarchive_ok])
  AC_MSG_CHECKING([for zlib])
  LIBS="-lz $flm_save_LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <zlib.h>]],
    [[z_stream z = {0}; return inflateInit2(&z, 31);]])],[flm_zlib_ok=yes])
  AC_MSG_RESULT([$flm_zlib_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_libarchive_ok = no],[AC_MSG_ERROR([libarchive 3.3.3 or newer is required (Debian: libarchive-dev); see config.log])])
  AS_IF([test $flm_zlib_ok = no],[AC_MSG_ERROR([zlib is required (Debian: zlib1g-dev); see config.log])])
  LIBARCHIVE_LIBS="$LIBARCHIVE_LIBS -lz"
  AC_SUBST([LIBARCHIVE_CPPFLAGS]) AC_SUBST([LIBARCHIVE_LIBS])
])
