# FLM_CHECK_NCCL: optional, and of use only with CUDA; collectives between GPUs. Probe = ncclCommInitRankConfig links, the
# newest call made (NCCL 2.14). --with-nccl=auto|yes|no|DIR as for CUDA. After FLM_CHECK_CUDA.
# Sets NCCL_CPPFLAGS, NCCL_LIBS, flm_nccl_ok, flm_nccl_version; defines FLM_HAVE_NCCL, always 0 or 1.
AC_DEFUN([FLM_CHECK_NCCL],[AC_REQUIRE([FLM_CHECK_CUDA])
  AC_ARG_WITH([nccl],[AS_HELP_STRING([--with-nccl=auto|yes|no|DIR],[collectives between GPUs @<:@auto@:>@])],[],[with_nccl=auto])
  flm_nccl_ok=no flm_nccl_why="no CUDA" flm_nccl_version= NCCL_CPPFLAGS= NCCL_LIBS=
  AS_CASE([$with_nccl],[auto|yes|no],[NCCL_LIBS=-lnccl],[
    AS_IF([test ! -f "$with_nccl/include/nccl.h"],[AC_MSG_ERROR([--with-nccl=$with_nccl: no include/nccl.h there])])
    flm_dir=$with_nccl/lib
    AS_IF([test -d "$with_nccl/lib64"],[flm_dir=$with_nccl/lib64])
    NCCL_CPPFLAGS="-isystem $with_nccl/include" NCCL_LIBS="-L$flm_dir -Wl,-rpath,$flm_dir -lnccl"])
  AS_IF([test "x$with_nccl" != xno],[
    AS_IF([test "x$flm_cuda_ok" = xyes],[
      flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS
      CPPFLAGS="$CPPFLAGS $NCCL_CPPFLAGS $CUDA_CPPFLAGS" LIBS="$NCCL_LIBS $CUDA_LIBS $LIBS"
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <nccl.h>]],
        [[ncclConfig_t config = NCCL_CONFIG_INITIALIZER; ncclUniqueId id; ncclComm_t comm;
ncclGetUniqueId(&id);
return ncclCommInitRankConfig(&comm, 1, id, 0, &config);]])],[flm_nccl_ok=yes],
        [flm_nccl_why="no NCCL 2.14 or newer: no program links with $NCCL_LIBS"])
      AS_IF([test $flm_nccl_ok = yes],[
        AC_COMPUTE_INT([flm_major],[NCCL_MAJOR],[#include <nccl.h>])
        AC_COMPUTE_INT([flm_minor],[NCCL_MINOR],[#include <nccl.h>])
        flm_nccl_version=$flm_major.$flm_minor])
      CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS])
    AC_MSG_CHECKING([for NCCL])
    AS_IF([test $flm_nccl_ok = yes],[AC_MSG_RESULT([$flm_nccl_version])],[
      AC_MSG_RESULT([no: $flm_nccl_why])
      AS_CASE([$with_nccl],[auto],[],[AC_MSG_ERROR([--with-nccl=$with_nccl: $flm_nccl_why; see config.log])])])])
  AS_IF([test $flm_nccl_ok = no],[NCCL_CPPFLAGS= NCCL_LIBS=])
  AC_DEFINE_UNQUOTED([FLM_HAVE_NCCL],[`test $flm_nccl_ok = yes && echo 1 || echo 0`],[1 if the NCCL transport is built, else 0])
  AM_CONDITIONAL([FLM_HAVE_NCCL],[test $flm_nccl_ok = yes])
  AC_SUBST([NCCL_CPPFLAGS]) AC_SUBST([NCCL_LIBS])
])
