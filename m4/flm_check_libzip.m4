# FLM_CHECK_LIBZIP: required; PyTorch's checkpoints are zip files. Probe = zip_open links and members can be read.
# Sets LIBZIP_CPPFLAGS, LIBZIP_LIBS.
AC_DEFUN([FLM_CHECK_LIBZIP],[
  LIBZIP_CPPFLAGS= LIBZIP_LIBS=-lzip
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libzip],[
    LIBZIP_CPPFLAGS=`$PKG_CONFIG --cflags libzip` LIBZIP_LIBS=`$PKG_CONFIG --libs libzip`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_libzip_ok=no
  CPPFLAGS="$CPPFLAGS $LIBZIP_CPPFLAGS" LIBS="$LIBZIP_LIBS $LIBS"
  AC_MSG_CHECKING([for libzip])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <zip.h>]],[[
zip_t *zip = zip_open("", ZIP_RDONLY | ZIP_CHECKCONS, NULL);
return zip_fopen_index(zip, 0, 0) != NULL;]])],[flm_libzip_ok=yes])
  AC_MSG_RESULT([$flm_libzip_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_libzip_ok = no],[AC_MSG_ERROR([libzip is required (Debian: libzip-dev); see config.log])])
  AC_SUBST([LIBZIP_CPPFLAGS]) AC_SUBST([LIBZIP_LIBS])
])
