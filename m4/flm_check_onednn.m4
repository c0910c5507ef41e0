# FLM_CHECK_ONEDNN: required; the CPU backend's matrix products. 2.6 (Debian 12) and 3.x both serve:
# src/backend/cpu/cpu_onednn.c alone knows the difference. Probe = dnnl_matmul descriptors through the C API link.
# Sets ONEDNN_CPPFLAGS, ONEDNN_LIBS. --with-onednn=DIR for one that is not in the system's paths.
AC_DEFUN([FLM_CHECK_ONEDNN],[
  AC_ARG_WITH([onednn],[AS_HELP_STRING([--with-onednn=DIR],[oneDNN's prefix @<:@system@:>@])],[],[with_onednn=yes])
  AS_IF([test "x$with_onednn" = xno],[AC_MSG_ERROR([oneDNN is required by the CPU backend])])
  ONEDNN_CPPFLAGS= ONEDNN_LIBS=-ldnnl
  AS_IF([test "x$with_onednn" != xyes],[
    ONEDNN_CPPFLAGS="-I$with_onednn/include"
    flm_dir=$with_onednn/lib
    AS_IF([test -d "$with_onednn/lib64"],[flm_dir=$with_onednn/lib64])
    ONEDNN_LIBS="-L$flm_dir -Wl,-rpath,$flm_dir -ldnnl"])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_onednn_version=no
  CPPFLAGS="$CPPFLAGS $ONEDNN_CPPFLAGS" LIBS="$ONEDNN_LIBS $LIBS"
  AC_MSG_CHECKING([for oneDNN])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <dnnl.h>
#if DNNL_VERSION_MAJOR < 2 || (DNNL_VERSION_MAJOR == 2 && DNNL_VERSION_MINOR < 6)
#error too old
#endif]],[[dnnl_engine_t e; dnnl_primitive_attr_t a; dnnl_primitive_attr_create(&a);
return dnnl_engine_create(&e, dnnl_cpu, 0);]])],[
    flm_onednn_version=`printf '#include <dnnl_version.h>\nflm_v DNNL_VERSION_MAJOR DNNL_VERSION_MINOR\n' |
      $CPP $CPPFLAGS - 2>/dev/null | $AWK '/^flm_v /{print $[]2 "." $[]3}'`])
  AC_MSG_RESULT([$flm_onednn_version])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test "x$flm_onednn_version" = xno],[AC_MSG_ERROR([oneDNN 2.6 or newer is required; see --with-onednn])])
  AC_SUBST([ONEDNN_CPPFLAGS]) AC_SUBST([ONEDNN_LIBS])
])
