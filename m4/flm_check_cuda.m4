# FLM_CHECK_CUDA: the CUDA backend is not written yet, so there is nothing to probe: --with-cuda=yes|DIR is refused
# rather than quietly ignored, auto and no build without it. Defines FLM_HAVE_CUDA, always 0 or 1.
AC_DEFUN([FLM_CHECK_CUDA],[
  AC_ARG_WITH([cuda],[AS_HELP_STRING([--with-cuda=auto|yes|no|DIR],[CUDA backend: not available yet @<:@auto@:>@])],[],[with_cuda=auto])
  flm_cuda_ok=no
  AS_CASE([$with_cuda],[auto|no],[],[AC_MSG_ERROR([--with-cuda=$with_cuda: this version has no CUDA backend yet])])
  AC_DEFINE([FLM_HAVE_CUDA],[0],[1 if the CUDA backend is built, else 0])
])
