# FLM_CHECK_ONEDNN: required; the CPU backend's matrix products. 2.6 (Debian 12) and 3.x both serve:
# src/backend/cpu/cpu_onednn.c alone knows the difference.
# Probe = the matmul descriptor of the C API links, which
# the two spell differently; and its threads are OpenMP's, because the suite sets their number.
# Sets ONEDNN_CPPFLAGS, ONEDNN_LIBS. --with-onednn=DIR for one that is not in the system's paths.
AC_DEFUN([FLM_CHECK_ONEDNN],[
  AC_ARG_WITH([onednn],[AS_HELP_STRING([--with-onednn=DIR],[oneDNN's prefix @<:@system@:>@])],[],[with_onednn=yes])
  AS_IF([test "x$with_onednn" = xno],[AC_MSG_ERROR([oneDNN is required by the CPU backend])])
  ONEDNN_CPPFLAGS= ONEDNN_LIBS=-ldnnl
  AS_IF([test "x$with_onednn" != xyes],[
    AS_IF([test ! -f "$with_onednn/include/oneapi/dnnl/dnnl.h"],
      [AC_MSG_ERROR([--with-onednn=$with_onednn: no include/oneapi/dnnl/dnnl.h there])])
    ONEDNN_CPPFLAGS="-I$with_onednn/include"
    flm_dir=$with_onednn/lib
    AS_IF([test -d "$with_onednn/lib64"],[flm_dir=$with_onednn/lib64])
    ONEDNN_LIBS="-L$flm_dir -Wl,-rpath,$flm_dir -ldnnl"])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_onednn_ok=no flm_onednn_version=no
  CPPFLAGS="$CPPFLAGS $ONEDNN_CPPFLAGS" LIBS="$ONEDNN_LIBS $LIBS"
  AC_MSG_CHECKING([for oneDNN])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <oneapi/dnnl/dnnl.h>
#if DNNL_VERSION_MAJOR < 2 || (DNNL_VERSION_MAJOR == 2 && DNNL_VERSION_MINOR < 6)
#error too old
#endif]],[[
#if DNNL_VERSION_MAJOR >= 3
return dnnl_matmul_primitive_desc_create(NULL, NULL, NULL, NULL, NULL, NULL, NULL);
#else
return dnnl_matmul_desc_init(NULL, NULL, NULL, NULL, NULL);
#endif]])],[flm_onednn_ok=yes])
  AC_MSG_RESULT([$flm_onednn_ok])
  AS_IF([test $flm_onednn_ok = yes],[
    AC_COMPUTE_INT([flm_major],[DNNL_VERSION_MAJOR],[#include <oneapi/dnnl/dnnl.h>])
    AC_COMPUTE_INT([flm_minor],[DNNL_VERSION_MINOR],[#include <oneapi/dnnl/dnnl.h>])
    AC_COMPUTE_INT([flm_patch],[DNNL_VERSION_PATCH],[#include <oneapi/dnnl/dnnl.h>])
    flm_onednn_version=$flm_major.$flm_minor.$flm_patch])
  flm_onednn_threads=no
  AS_IF([test $flm_onednn_ok = yes],[
    AC_MSG_CHECKING([that oneDNN uses OpenMP])
    AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <oneapi/dnnl/dnnl.h>
#if DNNL_CPU_THREADING_RUNTIME != DNNL_RUNTIME_OMP
#error no
#endif]])],[flm_onednn_threads=yes])
    AC_MSG_RESULT([$flm_onednn_threads])])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_onednn_ok != yes],
    [AC_MSG_ERROR([oneDNN 2.6 or newer is required (Debian: libdnnl-dev); see config.log, and --with-onednn=DIR])])
  AS_IF([test $flm_onednn_threads != yes],
    [AC_MSG_ERROR([oneDNN must be built for OpenMP (ONEDNN_CPU_RUNTIME=OMP); see --with-onednn=DIR])])
  AC_SUBST([ONEDNN_CPPFLAGS]) AC_SUBST([ONEDNN_LIBS])
])
