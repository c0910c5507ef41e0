#!/bin/sh
# packaging.t - what packaging/ says agrees with the tree and with itself: versions, lists of packages, options of configure,
# licences; scripts and recipes are read by their interpreters where those are installed. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
LC_ALL=C
export LC_ALL
packaging=$abs_top_srcdir/packaging

# ---- versions ----
version=$(sed -n 's/^AC_INIT(\[flm\],\[\([0-9.]*\)\].*/\1/p' "$abs_top_srcdir/configure.ac")
tap_is "$(sed -n '1s/^flm (\(.*\)) .*/\1/p' "$packaging/debian/changelog")" "${version:-none}" "debian/changelog: version $version"
tap_is "$(sed -n 's/^ *version("\([^"]*\)".*/\1/p' "$packaging/spack/package.py")" "${version:-none}" "Spack: the same"
tap_is "$(sed -n 's/^whatis("Version: \(.*\)")/\1/p' "$packaging/modulefile.lua")" "${version:-none}" "the module file: the same"

# ---- packages to build with: those of quickstart everywhere ----
sed -n '/^packages_build=/,/"$/p' "$abs_top_srcdir/quickstart" | tr -d '"' | sed 's/^packages_build=//' | tr -s ' ' '\n' |
    sed -n 's/:.*//p' | grep . | sort >want
# listed FILE COMMAND - the words of the command that starts with COMMAND, with the lines that continue it, without options.
listed() {
    awk -v start="$2" 'index($0, start) { on = 1; sub(".*" start, "") }
        on { print; if (!/\\$/) exit }' "$1" | sed 's/\\$//;s/&&.*//' | tr -s ' ' '\n' | grep '^[a-z]' | sort
}
listed "$packaging/Dockerfile" "install -y --no-install-recommends" >have
tap_is "$(diff want have)" "" "Dockerfile: the packages of quickstart"
listed "$packaging/apptainer.def" "install -y --no-install-recommends" | grep -vx -e curl -e gnuplot-nox -e python3 >have
tap_is "$(diff want have)" "" "Apptainer: the same, and those to run jobs"
listed "$abs_top_srcdir/docs/install.md" "sudo apt-get install --no-install-recommends" >have
tap_is "$(diff want have)" "" "docs/install.md: the same"
sed -n 's/^Build-Depends: //p' "$packaging/debian/control" | tr ',' '\n' | sed 's/^ *//;s/ (.*//' | grep -v '^debhelper' | sort >have
grep -vx -e gcc -e g++ -e libc6-dev -e make want | diff - have >out
tap_is "$(cat out)" "" "Debian: the same without those that every build has"

# ---- options of configure ----
{
    echo with-cuda with-nccl prefix
    sed -n 's/.*AC_ARG_VAR(\[\([A-Z0-9_]*\)\].*/\1/p' "$abs_top_srcdir"/m4/*.m4
} | tr ' ' '\n' >known
sed 's/^ *#.*//' "$packaging/Dockerfile" "$packaging/apptainer.def" "$packaging/debian/rules" "$packaging/spack/package.py" |
    grep -oE -e '--(with|enable|prefix)[a-z-]*' -e '\b(MPICC|H5CC|NVCC[A-Z_]*)=' | sed 's/^--//;s/=$//' | sort -u >have
grep -vxF -f known have >out
tap_is "$(cat out) $(wc -l <have)" " 6" "options that configure has"

# ---- Debian ----
awk '/^ / && length > 81 { print FILENAME ": " $0 }' "$packaging/debian/copyright" "$packaging/debian/changelog" >out
sed -n '/^Description/,$p' "$packaging/debian/control" | awk 'length > 81' >>out
tap_is "$(cat out)" "" "texts of 80 columns"
for folder in "$abs_top_srcdir"/data-prep/vocabularies/*/; do
    name=data-prep/vocabularies/$(basename "$folder")
    grep -qF "Files: $name/*" "$packaging/debian/copyright" || echo "$name"
done >out
tap_is "$(cat out)" "" "copyright: each vocabulary"
tr -s ' \n>' '  ' <"$abs_top_srcdir/data-prep/vocabularies/README.md" | tr -s ' ' >readme
sed -n '/^License: modified-MIT/,$p' "$packaging/debian/copyright" | sed '1,/^License: modified-MIT/d;/^License: /,$d;s/^ \.$//' | tr -s ' \n' ' ' |
    sed 's/^ //;s/ $//' >licence
tap_is "$(wc -w <licence | tr -d ' ') $(grep -cF "$(cat licence)" readme)" "218 1" "the licence of GPT-2's, word for word"

# ---- shell, Python and Lua ----
sed -n '/^%post/,/^%environment/{/^%/d;p;}' "$packaging/apptainer.def" >post.sh
awk '/^RUN / { on = 1; sub(/^RUN /, "") } on { print; if (!/\\$/) { on = 0; print ":" } }' "$packaging/Dockerfile" >run.sh
for script in post.sh run.sh "$packaging/runtime-packages"; do
    sh -n "$script" || echo "$script"
done >out 2>&1
tap_is "$(cat out) $(grep -c apt-get post.sh) $(grep -c apt-get run.sh)" " 2 3" "commands of the images: read by the shell"
if command -v shellcheck >have 2>&1; then
    tap_is "$(shellcheck "$packaging/runtime-packages" 2>&1) $(shellcheck -s sh -e SC2086,SC2164 post.sh run.sh 2>&1)" " " "and by shellcheck"
else
    tap_skip "and by shellcheck" "no shellcheck"
fi
python=${PYTHON:-python3}
if "$python" -c '' >have 2>&1; then
    "$python" -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$packaging/spack/package.py" >out 2>&1
    tap_is "$? $(cat out)" "0 " "the Spack recipe: read by Python"
else
    tap_skip "the Spack recipe: read by Python" "no $python"
fi
tap_is "$(awk 'length > 99' "$packaging/spack/package.py")" "" "the Spack recipe: lines of at most 99 characters"
if command -v luac >have 2>&1; then
    tap_is "$(luac -p "$packaging/modulefile.lua" 2>&1)" "" "the module file: read by Lua"
else
    tap_skip "the module file: read by Lua" "no luac"
fi

# ---- the libraries of the programs ----
if command -v dpkg-query >have 2>&1 && dpkg-query -S "$(command -v dpkg-query)" >have 2>&1 &&
    ! ldd "$abs_top_builddir/flm_train" | grep -q '=> /usr/local/\|=> /opt/\|not found'; then
    "$packaging/runtime-packages" "$abs_top_builddir"/flm_train "$abs_top_builddir"/flm_score >have 2>err
    tap_is "$? $(cat err)" "0 " "packages of the programs' libraries"
    tap_is "$(grep -cE '^(libc6|libdnnl[0-9]|libjansson4|libarchive13(t64)?)$' have) $(grep -c '[^a-z0-9.+-]' have)" "4 0" "one a line"
    cp "$abs_top_builddir/flm_inspect" program && tap_is "$("$packaging/runtime-packages" program | wc -l | awk '{ print ($1 > 5) }')" 1 "of any program"
    "$packaging/runtime-packages" >out 2>err
    tap_has err "usage: runtime-packages PROGRAM..." "without a program: the usage"
else
    tap_skip "packages of the programs' libraries" "not Debian, or libraries that are in no package"
fi
tap_end
