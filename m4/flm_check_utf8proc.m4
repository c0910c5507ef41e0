# FLM_CHECK_UTF8PROC: required; categories, lower case and decomposition of the tokenisers' texts. Probe =
# utf8proc_decompose_char and utf8proc_category link (2.7 or newer, which knows Unicode 14).
# Sets UTF8PROC_CPPFLAGS, UTF8PROC_LIBS.
AC_DEFUN([FLM_CHECK_UTF8PROC],[
  UTF8PROC_CPPFLAGS= UTF8PROC_LIBS=-lutf8proc
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libutf8proc],[
    UTF8PROC_CPPFLAGS=`$PKG_CONFIG --cflags libutf8proc` UTF8PROC_LIBS=`$PKG_CONFIG --libs libutf8proc`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_utf8proc_ok=no
  CPPFLAGS="$CPPFLAGS $UTF8PROC_CPPFLAGS" LIBS="$UTF8PROC_LIBS $LIBS"
  AC_MSG_CHECKING([for utf8proc])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <utf8proc.h>
#if UTF8PROC_VERSION_MAJOR < 2 || (UTF8PROC_VERSION_MAJOR == 2 && UTF8PROC_VERSION_MINOR < 7)
#error "too old"
#endif]],[[utf8proc_int32_t out[8]; int boundary = 0;
return (int)utf8proc_decompose_char(0xe9, out, 8, UTF8PROC_DECOMPOSE, &boundary) + (int)utf8proc_category(0x41);]])],
    [flm_utf8proc_ok=yes])
  AC_MSG_RESULT([$flm_utf8proc_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_utf8proc_ok = no],[AC_MSG_ERROR([utf8proc 2.7 or newer is required (Debian: libutf8proc-dev); see config.log])])
  AC_SUBST([UTF8PROC_CPPFLAGS]) AC_SUBST([UTF8PROC_LIBS])
])
