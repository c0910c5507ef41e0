# FLM_CHECK_CUDA: optional; the CUDA backend. CUDA 11.8, 12 and 13 are supported. Probes = a kernel compiles with the
# flags of the build, CUB's headers exist, and a C program links with cudaStreamCreateWithFlags (cudart), cublasDsyrk_v2
# (cublas), cublasLtMatmulAlgoGetHeuristic (cublasLt) and cusolverDnDpotrf (cusolver). None of them needs a driver to load,
# so a CUDA build starts on a machine without a GPU; libcuda itself is never linked.
# --with-cuda=auto searches beside nvcc in PATH, then in /usr/local/cuda; with yes and DIR a missing CUDA is an error.
# Sets CUDA_CPPFLAGS, CUDA_LIBS, NVCC, NVCC_GENCODE, NVCCFLAGS (the user's), FLM_NVCCFLAGS (ours), flm_cuda_ok and
# flm_cuda_version; defines FLM_HAVE_CUDA, always 0 or 1.

# FLM_CUDA_FIND(DIR): the flags of a toolkit in DIR into flm_cuda_inc, flm_cuda_lib; flm_cuda_inc is empty if there is none.
AC_DEFUN([FLM_CUDA_FIND],[
  flm_cuda_inc= flm_cuda_lib=
  for flm_w in include targets/x86_64-linux/include targets/sbsa-linux/include; do
    AS_IF([test -z "$flm_cuda_inc" && test -f "$1/$flm_w/cuda_runtime_api.h"],[flm_cuda_inc=$1/$flm_w])
  done
  for flm_w in lib64 lib targets/x86_64-linux/lib targets/sbsa-linux/lib; do
    AS_IF([test -z "$flm_cuda_lib" && test -e "$1/$flm_w/libcudart.so"],[flm_cuda_lib=$1/$flm_w])
  done
])

AC_DEFUN([FLM_CHECK_CUDA],[
  AC_ARG_WITH([cuda],[AS_HELP_STRING([--with-cuda=auto|yes|no|DIR],[CUDA backend @<:@auto@:>@])],[],[with_cuda=auto])
  AC_ARG_VAR([NVCC],[CUDA compiler])
  AC_ARG_VAR([NVCC_GENCODE],[-gencode flags: the GPUs to build for @<:@sm_80, sm_90, and PTX for later ones@:>@])
  AC_ARG_VAR([NVCCFLAGS],[CUDA compiler flags @<:@-O3@:>@])
  flm_cuda_ok=no flm_cuda_why= flm_cuda_version= CUDA_CPPFLAGS= CUDA_LIBS= FLM_NVCCFLAGS=
  AS_IF([test "x$with_cuda" != xno],[
    AS_CASE([$with_cuda],[auto|yes],[flm_cuda_path=$PATH:/usr/local/cuda/bin],[flm_cuda_path=$with_cuda/bin])
    AC_PATH_PROG([NVCC],[nvcc],[],[$flm_cuda_path])
    AS_IF([test -z "$NVCC"],[flm_cuda_why="no nvcc in $flm_cuda_path"],[FLM_CUDA_PROBE])
    AC_MSG_CHECKING([for CUDA])
    AS_IF([test $flm_cuda_ok = yes],[AC_MSG_RESULT([$flm_cuda_version])],[
      AC_MSG_RESULT([no: $flm_cuda_why])
      AS_CASE([$with_cuda],[auto],[],
        [AC_MSG_ERROR([--with-cuda=$with_cuda: $flm_cuda_why; see config.log, NVCC and --with-cuda=DIR])])])])
  AS_IF([test $flm_cuda_ok = no],[CUDA_CPPFLAGS= CUDA_LIBS= FLM_NVCCFLAGS=])
  AC_DEFINE_UNQUOTED([FLM_HAVE_CUDA],[`test $flm_cuda_ok = yes && echo 1 || echo 0`],[1 if the CUDA backend is built, else 0])
  AM_CONDITIONAL([FLM_HAVE_CUDA],[test $flm_cuda_ok = yes])
  AC_SUBST([CUDA_CPPFLAGS]) AC_SUBST([CUDA_LIBS]) AC_SUBST([FLM_NVCCFLAGS])
])

# FLM_CUDA_PROBE: with NVCC found. Sets flm_cuda_ok, or flm_cuda_why.
AC_DEFUN([FLM_CUDA_PROBE],[
  dnl The headers and libraries are in DIR, or in the parent of the folder that the link nvcc points to. Debian's are in
  dnl the compiler's own paths and need no flags.
  AS_CASE([$with_cuda],[auto|yes],[flm_cuda_nvcc=`readlink -f "$NVCC" 2>/dev/null || echo "$NVCC"`
    flm_cuda_dir=`AS_DIRNAME(["$flm_cuda_nvcc"])` flm_cuda_dir=`AS_DIRNAME(["$flm_cuda_dir"])`],[flm_cuda_dir=$with_cuda])
  FLM_CUDA_FIND([$flm_cuda_dir])
  AS_CASE([$with_cuda:$flm_cuda_inc],[auto:|yes:],[FLM_CUDA_FIND([/usr/local/cuda])])
  AS_IF([test -n "$flm_cuda_inc" && test "$flm_cuda_inc" != /usr/include],[CUDA_CPPFLAGS="-isystem $flm_cuda_inc"])
  AS_CASE([$flm_cuda_lib],[''|/usr/lib|/usr/lib64],[],[CUDA_LIBS="-L$flm_cuda_lib -Wl,-rpath,$flm_cuda_lib"])
  CUDA_LIBS="$CUDA_LIBS -lcusolver -lcublas -lcublasLt -lcudart -lstdc++"

  AS_IF([test "x$ac_cv_env_NVCCFLAGS_set" != xset],[NVCCFLAGS=-O3])
  AS_IF([test "x$ac_cv_env_NVCC_GENCODE_set" != xset],
    [NVCC_GENCODE="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_90,code=compute_90"])
  FLM_NVCCFLAGS="-std=c++17 -Xcompiler -Wall,-Wextra"
  AS_IF([test "x$enable_werror" = xyes],[FLM_NVCCFLAGS="$FLM_NVCCFLAGS,-Werror"])
  cat >conftest.cu <<'_FLM_CU'
#include <cuda_runtime.h>
#include <cuda_bf16.h>
#if !__has_include(<cub/device/device_radix_sort.cuh>)
#error no CUB
#endif
__global__ static void fill(__nv_bfloat16 *p, float v) { if constexpr (sizeof(v) == 4) p[[threadIdx.x]] = __float2bfloat16(v); }
extern "C" int fill_launch(void *p) { fill<<<1, 1>>>((__nv_bfloat16 *)p, 1.0f); return (int)cudaGetLastError(); }
_FLM_CU
  flm_cuda_compiles=no
  dnl --Werror all-warnings is used if this nvcc supports it.
  AS_IF([test "x$enable_werror" = xyes && AC_RUN_LOG([$NVCC $NVCC_GENCODE $FLM_NVCCFLAGS --Werror all-warnings $NVCCFLAGS -c -o conftest_cu.o conftest.cu >&2])],
    [flm_cuda_compiles=yes FLM_NVCCFLAGS="$FLM_NVCCFLAGS --Werror all-warnings"],
    [AC_RUN_LOG([$NVCC $NVCC_GENCODE $FLM_NVCCFLAGS $NVCCFLAGS -c -o conftest_cu.o conftest.cu >&2])],[flm_cuda_compiles=yes])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS
  CPPFLAGS="$CPPFLAGS $CUDA_CPPFLAGS" LIBS="conftest_cu.o $CUDA_LIBS $LIBS"
  AS_IF([test $flm_cuda_compiles = no],[flm_cuda_why="$NVCC does not compile a kernel with $NVCC_GENCODE, or its toolkit has no CUB"],[
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cuda_runtime_api.h>
#include <cublas_v2.h>
#include <cublasLt.h>
#include <cusolverDn.h>
#if CUDART_VERSION < 11080
#error too old
#endif
int fill_launch(void *p);]],[[cudaStream_t s; int n = 0; double a = 1;
return cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking) + fill_launch(0) +
  cublasDsyrk_v2(0, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N, 1, 1, &a, &a, 1, &a, &a, 1) +
  cublasLtMatmulAlgoGetHeuristic(0, 0, 0, 0, 0, 0, 0, 0, 0, &n) +
  cusolverDnDpotrf(0, CUBLAS_FILL_MODE_UPPER, 1, &a, 1, &a, 1, &n);]])],[flm_cuda_ok=yes],
      [flm_cuda_why="no CUDA 11.8 or newer with cudart, cublas, cublasLt and cusolver beside $NVCC"])])
  AS_IF([test $flm_cuda_ok = yes],[
    AC_COMPUTE_INT([flm_major],[CUDART_VERSION / 1000],[#include <cuda_runtime_api.h>])
    AC_COMPUTE_INT([flm_minor],[CUDART_VERSION % 1000 / 10],[#include <cuda_runtime_api.h>])
    flm_cuda_version=$flm_major.$flm_minor])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  rm -f conftest.cu conftest_cu.o
])
