#!/bin/sh
# check.sh BUILD SANITIZE - every test of a built tree; quickstart check calls it.
#
# In BUILD: make check, make distcheck (with the tests of whole programs left to the former). In SANITIZE, configured
# with AddressSanitizer and UndefinedBehaviorSanitizer: unit, conform, parity, command and fuzz tests. Then the
# linters that are installed. The last line is "N passed, N failed, N skipped" over all of them, each single TAP line
# counted; exit status 1 if any failed. SPDX-License-Identifier: Apache-2.0
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
sanitize=$2
jobs=$(nproc 2>/dev/null || echo 2)
begin=$(date +%s)
passed=0
failed=0
skipped=0

say() { printf '[%4d s] %s\n' $(($(date +%s) - begin)) "$*"; }
pass() {
    passed=$((passed + 1))
    say "passed: $1"
}
fail() {
    failed=$((failed + 1))
    say "FAILED: $1"
}
skip() {
    skipped=$((skipped + 1))
    say "skipped: $1"
}

# run_tests FOLDER NAME TESTS: make check of these (all when empty); what the harness counted goes to the sums.
run_tests() {
    folder=$1
    name=$2
    log=$folder/check.log
    find "$folder/tests" -name '*.trs' -exec rm -f {} + 2>/dev/null
    rm -f "$folder/test-suite.log"
    say "$name"
    if test -n "$3"; then
        make -s -C "$folder" -j"$jobs" check TESTS="$3" >"$log" 2>&1
    else
        make -s -C "$folder" -j"$jobs" check >"$log" 2>&1
    fi
    status=$?
    # shellcheck disable=SC2046 # three numbers
    set -- $(find "$folder/tests" -name '*.trs' -exec cat {} + | awk '
        /^:test-result: (PASS|XFAIL)/ { p++ } /^:test-result: (FAIL|XPASS|ERROR)/ { f++ } /^:test-result: SKIP/ { s++ }
        END { print p + 0, f + 0, s + 0 }')
    say "$name: $1 passed, $2 failed, $3 skipped"
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
    if test $status -ne 0; then
        grep -vE '^(PASS|SKIP|  [A-Z]+ )' "$log" | tail -n 100
        if test -f "$folder/test-suite.log"; then tail -n 200 "$folder/test-suite.log"; fi
        if test "$2" -eq 0; then fail "$name: make check ended with $status, see $log"; fi
    elif test $(($1 + $3)) -eq 0; then
        fail "$name: no test ran, see $log"
    fi
}

# quietly NAME LOG COMMAND...: one check by exit status.
quietly() {
    name=$1
    log=$2
    shift 2
    say "$name"
    if "$@" >"$log" 2>&1; then
        pass "$name"
    else
        tail -n 80 "$log"
        fail "$name, see $log"
    fi
}

# some_tests FOLDER KIND...: of this build, the tests in these folders of tests/.
some_tests() {
    all_tests=$(make -s -C "$1" show-tests)
    shift
    for test in $all_tests; do
        for kind in "$@"; do
            case $test in "tests/$kind/"*) printf '%s ' "$test" ;; esac
        done
    done
}

sources() { find "$top/src" "$top/data-prep" "$top/tests" "$top/bench" -name '*.[ch]'; }

run_tests "$build" "tests" ""
say "building with sanitizers"
if make -s -C "$sanitize" -j"$jobs" >"$sanitize/make.log" 2>&1; then
    run_tests "$sanitize" "tests with sanitizers" "$(some_tests "$sanitize" unit conform parity cmd fuzz)"
else
    tail -n 60 "$sanitize/make.log"
    fail "the build with sanitizers, see $sanitize/make.log"
fi
quietly "make distcheck" "$build/distcheck.log" \
    make -s -C "$build" -j"$jobs" distcheck DISTCHECK_CONFIGURE_FLAGS=--with-cuda=no TESTS="$(some_tests "$build" unit/base unit/tensor fuzz)"

if test -f "$build/libflm_cuda.a"; then # no attention kernel spills
    quietly "kernel-report" "$build/kernel-report.log" "$top/scripts/kernel-report" "$build"
fi
if command -v shellcheck >/dev/null 2>&1; then
    cd "$top" || exit 1 # where it looks for what the tests source
    # shellcheck disable=SC2046 # no blanks in these names
    quietly "shellcheck" "$build/shellcheck.log" shellcheck -x quickstart bootstrap .ci/run \
        $(grep -rlE '^#!/bin/(sh|bash)|^# shellcheck shell=' scripts tests data-prep jobs bench)
else
    skip "shellcheck is not installed"
fi
if command -v clang-format >/dev/null 2>&1; then # versions differ: information
    # shellcheck disable=SC2046
    if ! clang-format --dry-run $(sources) >"$build/clang-format.log" 2>&1 || test -s "$build/clang-format.log"; then
        say "for information: clang-format would change $(grep -c 'warning:' "$build/clang-format.log") places"
    fi
fi
if command -v clang-tidy >/dev/null 2>&1; then # slow and its checks differ: information, at most two minutes
    flags=$(make -s -C "$build" show-flags)
    # shellcheck disable=SC2086 # flags are words
    find "$top/src" "$top/data-prep" -name '*.c' -print0 |
        (cd "$build" && timeout 120 xargs -0 -P "$jobs" -I '{}' clang-tidy --quiet '{}' -- $flags) \
            >"$build/clang-tidy.log" 2>/dev/null
    say "for information: clang-tidy has $(grep -c 'warning:' "$build/clang-tidy.log") remarks so far, in $build/clang-tidy.log"
fi
"$top/scripts/size-report" | tail -n 3

echo "$passed passed, $failed failed, $skipped skipped"
test "$failed" -eq 0
