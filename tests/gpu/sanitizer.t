#!/bin/sh
# sanitizer.t - compute-sanitizer over the conformance programs: memcheck on all of them; racecheck, synccheck and initcheck on
# those that run only the suite's own kernels, not NVIDIA's libraries. A run has a timeout of ten minutes.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
FLM_TEST_DEVICE=cuda
export FLM_TEST_DEVICE
if test -z "${FLM_GPU_SANITIZER-}"; then
    tap_skip "compute-sanitizer" "not found in PATH or beside nvcc"
    tap_end
fi

# sanitize TOOL PROGRAM - runs a program with a tool of compute-sanitizer, whose summary must report no errors.
sanitize() {
    name=${2##*/}
    timeout -k 5 600 "$FLM_GPU_SANITIZER" --tool "$1" --error-exitcode 99 --print-limit 20 "$bin/$2" >out 2>&1 </dev/null
    status=$?
    if test $status = 124 || test $status = 137; then
        tap_skip "$1: ${name%.t}" "not finished in ten minutes"
        return
    fi
    tap_is "$status $(grep -c -e 'ERROR SUMMARY: 0 errors' -e 'RACECHECK SUMMARY: 0 hazards' out)" "0 1" "$1: ${name%.t}"
    test $status = 0 || grep -e '^=========' -e '^not ok' out | head -n 60 | sed 's/^/#   /'
}

for program in ${FLM_GPU_CONFORM:?}; do
    sanitize memcheck "$program"
    case $program in
    *matmul* | *lapack*) continue ;;
    esac
    for tool in racecheck synccheck initcheck; do sanitize $tool "$program"; done
done
tap_end
