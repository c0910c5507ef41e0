#!/bin/sh
# check-gpu.sh BUILD [--probe|--quick] - all tests on a GPU; make check-gpu and quickstart check-gpu call it.
#
# Conformance, golden files, whole programs, training in bf16, ranks, too little memory, compute-sanitizer: tests/gpu/. The
# results are kept in BUILD/check-gpu; please send them to the maintainers. Without a GPU, or a build for one, the first line
# says what is missing, and nothing counts as passed. --probe does only this check. The last line is "N passed, N failed, N skipped";
# exit status 1 if any failed. How long it takes on a GPU is not known yet; each part is ended after the time named here.
#
# --quick is for a GPU that is at hand for minutes: conformance of matmul, attention, softmax and fp64 algebra, one golden file,
# 200 steps of training beside the CPU, bench_train --profile, Nsight Compute. It ends eight minutes after FLM_GPU_BEGIN (seconds
# since 1970; by default now). quick.txt in the folder of the results has all that ran, complete after every part.
#
# For rehearsals: FLM_GPU_PROGRAMS and similar variables (tests/gpu/gpu.sh), FLM_GPU_PROBE, the program that finds the device,
# FLM_GPU_TESTS, which parts, and FLM_GPU_SECONDS, the time of --quick: its parts have shares of it. SPDX-License-Identifier: Apache-2.0
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
build=${1:?check-gpu.sh BUILD}
quick=
deadline=
out=${FLM_GPU_OUT:-$build/check-gpu}
begin=$(date +%s)
passed=0
failed=0
skipped=0

die() {
    printf 'check-gpu: nothing was checked: %s\n' "$*" >&2
    exit 1
}
say() { printf '[%4d s] %s\n' $(($(date +%s) - begin)) "$*"; }

found=$("${FLM_GPU_PROBE:-$build/tests/gpu/device}" 2>&1) || case $found in
*"no CUDA backend"*) die "$found: configure it where nvcc is in PATH, or with --with-cuda=DIR" ;;
*) die "$found" ;;
esac
if test "${2-}" = --probe; then exit 0; fi
if test "${2-}" = --quick; then
    quick=$out/quick.txt
    FLM_GPU_QUICK=1
    export FLM_GPU_QUICK
    begin=${FLM_GPU_BEGIN:-$begin}
    quick_seconds=${FLM_GPU_SECONDS:-480}
    deadline=$((begin + quick_seconds))
fi
say "$found"

# The tests see one GPU, the first; the one about several takes them all.
FLM_GPU_PROGRAMS=${FLM_GPU_PROGRAMS:-$build}
FLM_GPU_ALL=${CUDA_VISIBLE_DEVICES-all}
CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-0}
CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES%%,*}
if test -z "${FLM_GPU_SANITIZER+set}"; then
    FLM_GPU_SANITIZER=$(command -v compute-sanitizer || true)
    beside=$(dirname "${NVCC:-/usr/local/cuda/bin/nvcc}")/compute-sanitizer
    if test -z "$FLM_GPU_SANITIZER" && test -x "$beside"; then FLM_GPU_SANITIZER=$beside; fi
fi
if test -z "${FLM_GPU_NCU+set}"; then
    FLM_GPU_NCU=$(command -v ncu || true)
    beside=$(dirname "${NVCC:-/usr/local/cuda/bin/nvcc}")/ncu
    if test -z "$FLM_GPU_NCU" && test -x "$beside"; then FLM_GPU_NCU=$beside; fi
fi
FLM_GPU_OUT=$out
export FLM_GPU_PROGRAMS FLM_GPU_ALL FLM_GPU_SANITIZER FLM_GPU_NCU FLM_GPU_OUT CUDA_VISIBLE_DEVICES

rm -rf "$out"
mkdir -p "$out" || exit 1
{
    echo "$found"
    "$FLM_GPU_PROGRAMS/flm_train" --version
    uname -srm
    if command -v nvidia-smi >/dev/null 2>&1; then timeout 10 nvidia-smi; fi
    if test -n "${NVCC-}"; then "$NVCC" --version; fi
} >"$out/machine.txt" 2>&1
# note TEXT... - a line, also of quick.txt.
note() {
    say "$*"
    if test -n "$quick"; then say "$*" >>"$quick"; fi
}
if test -n "$quick"; then cat "$out/machine.txt" >"$quick"; fi

# part NAME SECONDS SCRIPT - one test script, never longer than that, nor than --quick may take.
part() {
    case " ${FLM_GPU_TESTS:-$1} " in *" $1 "*) ;; *) return ;; esac
    seconds=$2 grace=30
    if test -n "$quick"; then
        left=$((deadline - $(date +%s) - 5)) grace=5
        seconds=$((seconds * quick_seconds / 480))
        test $left -ge "$seconds" || seconds=$left
        if test "$seconds" -lt 5; then
            note "$1: SKIPPED: no time is left"
            skipped=$((skipped + 1))
            return
        fi
        FLM_GPU_DEADLINE=$(($(date +%s) + seconds - 3)) # its programs end first, so that the part can report them
        export FLM_GPU_DEADLINE
    fi
    note "$1: at most $seconds seconds"
    timeout -k $grace "$seconds" sh "$top/$3" >"$out/$1.tap" 2>"$out/$1.err" </dev/null
    status=$?
    if test -n "$quick"; then cat "$out/$1.tap" "$out/$1.err" >>"$quick"; fi
    # shellcheck disable=SC2046 # three numbers and whether the plan was kept
    set -- "$1" $(awk '/^ok .*# SKIP/ { s++; n++; next } /^ok / { p++; n++ } /^not ok / { f++; n++ }
        /^1\.\.[0-9]+$/ { plan = substr($0, 4); plans++ }
        END { print p + 0, f + 0, s + 0, (plans == 1 && plan == n && n > 0) }' "$out/$1.tap")
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    note "$1: $2 passed, $3 failed, $4 skipped"
    grep '# SKIP' "$out/$1.tap" | head -n 5 | sed 's/^/    /'
    if test "$3" -gt 0; then grep -A 6 '^not ok' "$out/$1.tap" | head -n 60 | sed 's/^/    /'; fi
    # A script that does not end, or fails without a failed test, counts as one more failure.
    if test "$5" != 1 || { test $status != 0 && test "$3" = 0; }; then
        failed=$((failed + 1))
        note "$1: FAILED: ended with $status before its end (124: too long); see $out/$1.tap and $out/$1.err"
    fi
}

if test -n "$quick"; then
    part conform 150 tests/gpu/conform.t
    part parity 60 tests/gpu/parity.t
    part train 120 tests/gpu/train.t
    part bench 90 tests/gpu/bench.t
    part ncu 160 tests/gpu/ncu.t
else
    part conform 3600 tests/gpu/conform.t
    part parity 1800 tests/gpu/parity.t
    part programs 1800 tests/emulate/programs.t
    part train 1800 tests/gpu/train.t
    part memory 300 tests/gpu/memory.t
    part sanitizer 14400 tests/gpu/sanitizer.t
fi

echo "what came out is in ${quick:-$out}; please send it back"
totals="$passed passed, $failed failed, $skipped skipped"
echo "$totals" | tee "$out/summary.txt"
if test -n "$quick"; then echo "$totals" >>"$quick"; fi
test "$failed" -eq 0 && test "$passed" -gt 0
