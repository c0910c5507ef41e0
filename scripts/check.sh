#!/bin/sh
# check.sh BUILD [SANITIZE] - test a built tree; called by quickstart check.
#
# With BUILD alone: make check, the plain tests. With SANITIZE, a second build configured with AddressSanitizer and
# UndefinedBehaviorSanitizer, this is the full check: also the linters, make distcheck (which leaves the tests of whole
# programs to make check), and in SANITIZE the unit, conform, parity and fuzz tests and some of the command tests. The
# last line is "N passed, N failed, N skipped", where each TAP line and each linter counts as one; the exit status is 1
# if any failed. SPDX-License-Identifier: Apache-2.0
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
sanitize=${2:-}
jobs=$(nproc 2>/dev/null || echo 2)
test_jobs=$((jobs + 1)) # the tests of Slurm and of killed runs wait more than they compute
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

summary() {
    echo "$passed passed, $failed failed, $skipped skipped"
    test "$failed" -eq 0
    exit
}

# run_tests FOLDER NAME TESTS: run make check on TESTS (all when empty) and add the counts of its result files.
run_tests() {
    folder=$1
    name=$2
    log=$folder/check.log
    find "$folder/tests" -name '*.trs' -exec rm -f {} + 2>/dev/null
    rm -f "$folder/test-suite.log"
    say "$name"
    if test -n "$3"; then
        make -s -C "$folder" -j"$test_jobs" check TESTS="$3" >"$log" 2>&1
    else
        make -s -C "$folder" -j"$test_jobs" check >"$log" 2>&1
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

# quietly NAME LOG COMMAND...: one check by its exit status; 77 is a skip, and its last line is the reason.
quietly() {
    name=$1
    log=$2
    shift 2
    say "$name"
    status=0
    "$@" >"$log" 2>&1 || status=$?
    case $status in
    0) pass "$name" ;;
    77) skip "$name: $(tail -n 1 "$log")" ;;
    *)
        tail -n 80 "$log"
        fail "$name, see $log"
        ;;
    esac
}

# some_tests FOLDER KIND...: the tests of this build that are in these folders of tests/.
some_tests() {
    all_tests=$(make -s -C "$1" show-tests)
    shift
    for test in $all_tests; do
        for kind in "$@"; do
            case $test in "tests/$kind/"*) printf '%s ' "$test" ;; esac
        done
    done
}

# Under sanitizers, which make a program several times slower: of the tests of whole programs those that read what users
# give them; not those that only draw many numbers, nor the second build of one test.
sanitized_programs="tests/cmd/corpora_bad.t tests/cmd/generate.t tests/cmd/inspect.t tests/cmd/prompts.t tests/cmd/report.t"
sanitized_programs="$sanitized_programs tests/cmd/shard.t tests/cmd/source.t tests/cmd/train_bad.t"
not_sanitized="tests/conform/conform_matmul_avx2.t tests/unit/flow/projection.t tests/unit/flow/sampler.t"

# sanitized_tests FOLDER: the tests that run under sanitizers.
sanitized_tests() {
    for name in $(some_tests "$1" unit conform parity fuzz) $sanitized_programs; do
        case " $not_sanitized " in *" $name "*) ;; *) printf '%s ' "$name" ;; esac
    done
}

# gate NAME: run the script of that name; the last line of its output is its result in one line.
gate() {
    quietly "$1" "$build/$1.log" "$top/scripts/$1"
    if test "$status" -eq 0; then say "$1: $(tail -n 1 "$build/$1.log")"; fi
}

run_tests "$build" "tests" ""
if test -z "$sanitize"; then summary; fi

for script in shell-check format-check size-report name-report commit-check; do gate "$script"; done
if test -f "$build/libflm_cuda.a"; then # no kernel spills, and none exceeds its bounds
    quietly "kernel-report" "$build/kernel-report.log" "$top/scripts/kernel-report" "$build"
fi

say "building with sanitizers"
if make -s -C "$sanitize" -j"$jobs" >"$sanitize/make.log" 2>&1; then
    run_tests "$sanitize" "tests with sanitizers" "$(sanitized_tests "$sanitize")"
else
    tail -n 60 "$sanitize/make.log"
    fail "the build with sanitizers, see $sanitize/make.log"
fi
quietly "make distcheck" "$build/distcheck.log" \
    make -s -C "$build" -j"$jobs" distcheck DISTCHECK_CONFIGURE_FLAGS=--with-cuda=no \
    TESTS="$(some_tests "$build" unit/base unit/backend fuzz)"
summary
