# FLM_CHECK_LAPACK: required; Cholesky algebra of the noise basis in fp64. Probe = cblas_dsyrk and dpotrf_ link,
# from OpenBLAS first (its thread count can be set: openblas_set_num_threads), else from LAPACK + CBLAS.
# Sets LAPACK_LIBS and FLM_HAVE_OPENBLAS.
AC_DEFUN([FLM_CHECK_LAPACK],[
  AC_ARG_WITH([lapack],[AS_HELP_STRING([--with-lapack=LIBS],[linker flags for CBLAS and LAPACK @<:@-lopenblas@:>@])],
    [],[with_lapack=])
  flm_save_LIBS=$LIBS flm_lapack_name=no flm_openblas=0
  AC_MSG_CHECKING([for CBLAS and LAPACK])
  for flm_w in "$with_lapack" "-lopenblas" "-llapack -lcblas" "-llapack -lblas"; do
    AS_IF([test -n "$flm_w" && test "$flm_lapack_name" = no],[
      LIBS="$flm_w $flm_save_LIBS"
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[void cblas_dsyrk(void); void dpotrf_(void);]],[[cblas_dsyrk(); dpotrf_();]])],[
        flm_lapack_name=`echo $flm_w | tr -d ' '` LAPACK_LIBS=$flm_w
        AC_LINK_IFELSE([AC_LANG_PROGRAM([[void openblas_set_num_threads(int);]],[[openblas_set_num_threads(1);]])],
          [flm_openblas=1])])])
  done
  LIBS=$flm_save_LIBS
  AC_MSG_RESULT([$flm_lapack_name])
  AS_IF([test "$flm_lapack_name" = no],[AC_MSG_ERROR([CBLAS and LAPACK are required, OpenBLAS by choice; see --with-lapack])])
  AC_DEFINE_UNQUOTED([FLM_HAVE_OPENBLAS],[$flm_openblas],[1 if BLAS is OpenBLAS, else 0])
  AC_SUBST([LAPACK_LIBS])
])
