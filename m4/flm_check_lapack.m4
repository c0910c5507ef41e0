# FLM_CHECK_LAPACK: required; Cholesky algebra of the noise basis in fp64. Probe = cblas.h compiles, cblas_dsyrk and
# dpotrf_ link, from OpenBLAS first (its thread count can be set: openblas_set_num_threads), else from LAPACK + CBLAS.
# Sets LAPACK_CPPFLAGS, LAPACK_LIBS and FLM_HAVE_OPENBLAS (its header declares openblas_get_corename, too).
AC_DEFUN([FLM_CHECK_LAPACK],[
  AC_ARG_WITH([lapack],[AS_HELP_STRING([--with-lapack=LIBS],[linker flags for CBLAS and LAPACK @<:@-lopenblas@:>@])],
    [],[with_lapack=])
  LAPACK_CPPFLAGS= LAPACK_LIBS= flm_lapack_name=no flm_openblas=0
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists openblas],[LAPACK_CPPFLAGS=`$PKG_CONFIG --cflags openblas`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS
  CPPFLAGS="$CPPFLAGS $LAPACK_CPPFLAGS"
  AC_MSG_CHECKING([for CBLAS and LAPACK])
  for flm_w in "-lopenblas" "-llapack -lcblas" "-llapack -lblas"; do
    AS_IF([test -n "$with_lapack"],[flm_w=$with_lapack])
    AS_IF([test "$flm_lapack_name" = no],[
      LIBS="$flm_w $flm_save_LIBS"
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cblas.h>
void dpotrf_(const char *, const int *, double *, const int *, int *);]],
        [[double a = 1; int n = 1; cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, 1, 1, 1.0, &a, 1, 1.0, &a, 1);
dpotrf_("U", &n, &a, &n, &n);]])],[
        flm_lapack_name=`echo $flm_w | tr -d ' '` LAPACK_LIBS=$flm_w
        AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cblas.h>]],
          [[openblas_set_num_threads(1); return !openblas_get_config() || !openblas_get_corename();]])],[flm_openblas=1])])])
  done
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AC_MSG_RESULT([$flm_lapack_name])
  AS_IF([test "$flm_lapack_name" = no],
    [AC_MSG_ERROR([CBLAS and LAPACK are required (Debian: libopenblas-dev); see config.log, and --with-lapack=LIBS])])
  AC_DEFINE_UNQUOTED([FLM_HAVE_OPENBLAS],[$flm_openblas],[1 if BLAS is OpenBLAS, else 0])
  AC_SUBST([LAPACK_CPPFLAGS]) AC_SUBST([LAPACK_LIBS])
])
