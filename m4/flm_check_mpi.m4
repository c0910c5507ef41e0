# FLM_CHECK_MPI: required; the suite is MPI programs. Probe = MPI_Comm_split_type (MPI 3) links.
# Flags are asked of the wrapper (Open MPI's -showme, MPICH's -show); CC stays the user's compiler.
# Sets and substitutes MPI_CPPFLAGS, MPI_LIBS, MPIEXEC, MPIEXEC_FLAGS.
AC_DEFUN([FLM_CHECK_MPI],[
  AC_ARG_VAR([MPICC],[MPI compiler wrapper, asked for flags only])
  AC_ARG_VAR([MPIEXEC],[MPI launcher used by the tests])
  AC_ARG_VAR([MPIEXEC_FLAGS],[extra launcher flags for the tests])
  dnl AC_PATH_PROGS would replace a name that is no path, as mpicc.mpich, by what it finds itself.
  AS_IF([test -z "$MPICC"],[AC_PATH_PROGS([MPICC],[mpicc])])
  AS_IF([test -z "$MPIEXEC"],[AC_PATH_PROGS([MPIEXEC],[mpiexec mpirun srun])])
  AS_IF([test -z "$MPICC"],[AC_MSG_ERROR([MPI is required: no mpicc found (Debian: libopenmpi-dev); install one or set MPICC])])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_mpi_ok=no
  AS_IF([MPI_CPPFLAGS=`$MPICC -showme:compile 2>/dev/null`],[MPI_LIBS=`$MPICC -showme:link 2>/dev/null`],[
    MPI_CPPFLAGS= MPI_LIBS=
    for flm_w in `$MPICC -show 2>/dev/null`; do
      AS_CASE([$flm_w],[-I*|-D*],[MPI_CPPFLAGS="$MPI_CPPFLAGS $flm_w"],[-L*|-l*|-Wl*],[MPI_LIBS="$MPI_LIBS $flm_w"])
    done])
  CPPFLAGS="$CPPFLAGS $MPI_CPPFLAGS" LIBS="$MPI_LIBS $LIBS"
  AC_MSG_CHECKING([that an MPI program links])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <mpi.h>]],
    [[MPI_Comm c; MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &c);]])],[flm_mpi_ok=yes])
  AC_MSG_RESULT([$flm_mpi_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test "x$flm_mpi_ok" != xyes],[AC_MSG_ERROR([MPI is required and $MPICC does not link a program that calls MPI 3; see config.log, and set MPICC])])
  AC_SUBST([MPI_CPPFLAGS]) AC_SUBST([MPI_LIBS])
])
