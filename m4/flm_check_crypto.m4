# FLM_CHECK_CRYPTO: required; SHA-256 of inputs and vocabularies. Probe = EVP_Digest links (OpenSSL 1.1.1 or newer; 3 is
# Apache-2.0, as the suite). Sets CRYPTO_CPPFLAGS, CRYPTO_LIBS.
AC_DEFUN([FLM_CHECK_CRYPTO],[
  CRYPTO_CPPFLAGS= CRYPTO_LIBS=-lcrypto
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libcrypto],[
    CRYPTO_CPPFLAGS=`$PKG_CONFIG --cflags libcrypto` CRYPTO_LIBS=`$PKG_CONFIG --libs libcrypto`])
  flm_save_CPPFLAGS=$CPPFLAGS flm_save_LIBS=$LIBS flm_crypto_ok=no
  CPPFLAGS="$CPPFLAGS $CRYPTO_CPPFLAGS" LIBS="$CRYPTO_LIBS $LIBS"
  AC_MSG_CHECKING([for libcrypto])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <openssl/evp.h>]],
    [[unsigned char sum[EVP_MAX_MD_SIZE]; unsigned size = 0;
return EVP_Digest("", 0, sum, &size, EVP_sha256(), 0) != 1;]])],[flm_crypto_ok=yes])
  AC_MSG_RESULT([$flm_crypto_ok])
  CPPFLAGS=$flm_save_CPPFLAGS LIBS=$flm_save_LIBS
  AS_IF([test $flm_crypto_ok = no],[AC_MSG_ERROR([OpenSSL's libcrypto 1.1.1 or newer is required (Debian: libssl-dev); see config.log])])
  AC_SUBST([CRYPTO_CPPFLAGS]) AC_SUBST([CRYPTO_LIBS])
])
