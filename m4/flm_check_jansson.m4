# FLM_CHECK_JANSSON: required; JSON in and out (metrics, reports). Probe = json_dumpf links (2.10 or newer).
# Sets JANSSON_CPPFLAGS, JANSSON_LIBS.
AC_DEFUN([FLM_CHECK_JANSSON],[
  JANSSON_CPPFLAGS= JANSSON_LIBS=-ljansson
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists jansson],[
    JANSSON_CPPFLAGS=`$PKG_CONFIG --cflags jansson` JANSSON_LIBS=`$PKG_CONFIG --libs jansson`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_jansson_ok=no
  CPPFLAGS="$CPPFLAGS $JANSSON_CPPFLAGS" LIBS="$JANSSON_LIBS $LIBS"
  AC_MSG_CHECKING([for Jansson])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <jansson.h>]],[[return json_dumpf(json_object(), stdout, 0);]])],[flm_jansson_ok=yes])
  AC_MSG_RESULT([$flm_jansson_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_jansson_ok = no],[AC_MSG_ERROR([Jansson 2.10 or newer is required (Debian: libjansson-dev); see config.log])])
  AC_SUBST([JANSSON_CPPFLAGS]) AC_SUBST([JANSSON_LIBS])
])
