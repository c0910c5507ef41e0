# FLM_CHECK_HDF5: required, 1.10 or newer. Probe = H5Dget_offset links: the suite lets HDF5 lay files out and moves
# the data itself at the datasets' file offsets, so both the parallel and the serial library serve.
# Asked of, in turn: h5pcc -show, pkg-config hdf5-openmpi, hdf5, h5cc -show. Sets HDF5_CPPFLAGS, HDF5_LIBS.
AC_DEFUN([FLM_CHECK_HDF5],[
  AC_ARG_VAR([H5CC],[HDF5 compiler wrapper, asked for flags only])
  dnl AC_PATH_PROGS would replace a name that is no path, as h5pcc.mpich, by what it finds itself.
  AS_IF([test -z "$H5CC"],[AC_PATH_PROGS([H5CC],[h5pcc h5pcc.openmpi h5cc])])
  HDF5_CPPFLAGS= HDF5_LIBS= flm_hdf5_ok=no flm_hdf5_version=no
  AS_IF([test -n "$H5CC"],[
    for flm_w in `$H5CC -show 2>/dev/null`; do
      AS_CASE([$flm_w],[-I*|-D*],[HDF5_CPPFLAGS="$HDF5_CPPFLAGS $flm_w"],
        [-L*|-l*|-Wl,-rpath*|*.so|*.a],[HDF5_LIBS="$HDF5_LIBS $flm_w"])
    done
    AS_CASE([" $HDF5_LIBS "],[*" -lhdf5 "*|*libhdf5*],[],[HDF5_LIBS="$HDF5_LIBS -lhdf5"])],
   [AS_IF([test -n "$PKG_CONFIG"],[
    for flm_w in hdf5-openmpi hdf5; do
      AS_IF([$PKG_CONFIG --exists $flm_w],[
        HDF5_CPPFLAGS=`$PKG_CONFIG --cflags $flm_w` HDF5_LIBS=`$PKG_CONFIG --libs $flm_w`; break])
    done])])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS
  CPPFLAGS="$CPPFLAGS $HDF5_CPPFLAGS $MPI_CPPFLAGS" LIBS="$HDF5_LIBS $MPI_LIBS $LIBS"
  AC_MSG_CHECKING([for HDF5])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <hdf5.h>
#if H5_VERS_MAJOR == 1 && H5_VERS_MINOR < 10
#error too old
#endif]],[[return H5Dget_offset(0) == HADDR_UNDEF;]])],[flm_hdf5_ok=yes])
  AC_MSG_RESULT([$flm_hdf5_ok])
  AS_IF([test $flm_hdf5_ok = yes],[
    AC_COMPUTE_INT([flm_major],[H5_VERS_MAJOR],[#include <hdf5.h>])
    AC_COMPUTE_INT([flm_minor],[H5_VERS_MINOR],[#include <hdf5.h>])
    AC_COMPUTE_INT([flm_patch],[H5_VERS_RELEASE],[#include <hdf5.h>])
    flm_hdf5_version=$flm_major.$flm_minor.$flm_patch])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test "x$flm_hdf5_ok" != xyes],[AC_MSG_ERROR([HDF5 1.10 or newer is required (Debian: libhdf5-openmpi-dev); see config.log, and set H5CC to its compiler wrapper])])
  AC_SUBST([HDF5_CPPFLAGS]) AC_SUBST([HDF5_LIBS])
])
