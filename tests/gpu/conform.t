#!/bin/sh
# conform.t - every operation of the device against its reference: the conformance suite, fp32 and bf16. Each program has a
# timeout of ten minutes. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
FLM_TEST_DEVICE=cuda
export FLM_TEST_DEVICE
# run PROGRAM - its output, and its exit status, into files named after it. With few minutes all run at once: most of their
# time is that of the references on the CPU.
run() {
    name=${1##*/}
    within 600 "$bin/$1" >"$name.out" 2>"$name.err" </dev/null
    echo $? >"$name.status"
}
for program in ${FLM_GPU_CONFORM:?}; do
    if test -n "${FLM_GPU_QUICK-}"; then run "$program" & else run "$program"; fi
done
wait
for program in $FLM_GPU_CONFORM; do
    name=${program##*/}
    status=$(cat "$name.status")
    tap_take "$name.out" "$status" "${name%.t}"
    case $name in *matmul*) tap_has "$name.out" "# cuda" "a test that runs on any device ran on this one" ;; esac
    test "$status" = 0 || tail -n 20 "$name.err" | sed 's/^/#   /'
done
tap_end
