# FLM_COMPILER_FLAGS: C11 with OpenMP, warnings, sanitizers.
# Sets FLM_CFLAGS (language, OpenMP, warnings) and FLM_SANITIZE; CFLAGS stays the user's, -O3 -g when not given.
# -Werror is on in a git tree (--enable-werror elsewhere): a release must build with tomorrow's compilers.
AC_DEFUN([FLM_COMPILER_FLAGS],[
  AC_ARG_ENABLE([werror],[AS_HELP_STRING([--enable-werror],[warnings are errors @<:@yes in a git tree@:>@])],
    [],[AS_IF([test -e "$srcdir/.git"],[enable_werror=yes],[enable_werror=no])])
  AC_ARG_ENABLE([asan],[AS_HELP_STRING([--enable-asan],[build with AddressSanitizer])],[],[enable_asan=no])
  AC_ARG_ENABLE([ubsan],[AS_HELP_STRING([--enable-ubsan],[build with UndefinedBehaviorSanitizer])],[],[enable_ubsan=no])
  AC_OPENMP
  AS_IF([test "x$ac_cv_prog_c_openmp" = xunsupported],[AC_MSG_ERROR([the C compiler must support OpenMP])])
  FLM_CFLAGS="-std=gnu11 $OPENMP_CFLAGS -fno-math-errno -fno-trapping-math -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla"
  AS_IF([test "x$enable_werror" = xyes],[FLM_CFLAGS="$FLM_CFLAGS -Werror"])
  flm_sanitize=
  # The linker takes base_sanitize.c into every program, where the libraries find its dlclose.
  AS_IF([test "x$enable_asan" = xyes],
    [flm_sanitize="-fsanitize=address -Wl,--undefined=flm_base_sanitize,--export-dynamic-symbol=dlclose"])
  AS_IF([test "x$enable_ubsan" = xyes],[flm_sanitize="$flm_sanitize -fsanitize=undefined -fno-sanitize-recover=undefined"])
  AS_IF([test -n "$flm_sanitize"],[FLM_CFLAGS="$FLM_CFLAGS $flm_sanitize -fno-omit-frame-pointer"])
  AS_IF([test "x$ac_cv_env_CFLAGS_set" != xset],[CFLAGS="-O3 -g"])
  AC_DEFINE_UNQUOTED([FLM_SANITIZE],[`test -n "$flm_sanitize" && echo 1 || echo 0`],[1 when built with a sanitizer])
  dnl Fibers and sanitizers do not go together; without a C++ compiler only the tests in tests/emulate/ are missing.
  AM_CONDITIONAL([FLM_EMULATE],[test -z "$flm_sanitize" && command -v $CXX >/dev/null 2>&1])
  AC_SUBST([FLM_CFLAGS])
])
