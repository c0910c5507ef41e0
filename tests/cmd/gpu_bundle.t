#!/bin/sh
# gpu_bundle.t - scripts/gpu-bundle: what it refuses. That a bundle builds and runs is tried by hand (docs/install.md): it takes
# minutes. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
bundle=$abs_top_srcdir/scripts/gpu-bundle
tap_refused 1 "expected one argument, the file to write" "no file" sh "$bundle"
tap_refused 1 "two.zip: the name must end in .tar.xz" "another format" sh "$bundle" two.zip
# Stand-ins of the tools; dpkg-query knows two of quickstart's packages, one of them not installed.
mkdir tools
for tool in git autoreconf xz; do printf '#!/bin/sh\nexit 1\n' >tools/$tool; done
cat >tools/dpkg-query <<'END'
#!/bin/sh
printf 'make\tinstall ok installed\tlibc6 (>= 2.34)\t\n'
printf 'pkgconf\tinstall ok installed\t\tpkg-config (= 1.8.1)\n'
printf 'libjansson-dev\tdeinstall ok config-files\t\t\n'
END
chmod +x tools/*
PATH=$PWD/tools:$PATH
tap_refused 1 "not installed here: " "packages that are missing" sh "$bundle" one.tar.xz
for package in libopenmpi-dev libhdf5-openmpi-dev libdnnl-dev libjansson-dev zlib1g-dev; do tap_has err " $package " "$package is named"; done
tap_is "$(grep -cE ' (make|pkg-config) ' err) $(test -e one.tar.xz && echo written)" "0 " "those that are there, or provided by others, are not"
tap_end
