# FLM_CHECK_PCRE2: required; GPT-2's splitting pattern, the reference that the tests hold the splitter to. Probe =
# pcre2_compile links with UTF built in (10.30 or newer). Sets PCRE2_CPPFLAGS, PCRE2_LIBS.
AC_DEFUN([FLM_CHECK_PCRE2],[
  PCRE2_CPPFLAGS= PCRE2_LIBS=-lpcre2-8
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libpcre2-8],[
    PCRE2_CPPFLAGS=`$PKG_CONFIG --cflags libpcre2-8` PCRE2_LIBS=`$PKG_CONFIG --libs libpcre2-8`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_pcre2_ok=no
  CPPFLAGS="$CPPFLAGS $PCRE2_CPPFLAGS" LIBS="$PCRE2_LIBS $LIBS"
  AC_MSG_CHECKING([for PCRE2])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>]],[[int error; PCRE2_SIZE at;
return pcre2_compile((PCRE2_SPTR)"a", 1, PCRE2_UTF | PCRE2_UCP, &error, &at, 0) == 0;]])],[flm_pcre2_ok=yes])
  AC_MSG_RESULT([$flm_pcre2_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_pcre2_ok = no],[AC_MSG_ERROR([PCRE2 10.30 or newer, 8-bit, is required (Debian: libpcre2-dev); see config.log])])
  AC_SUBST([PCRE2_CPPFLAGS]) AC_SUBST([PCRE2_LIBS])
])
