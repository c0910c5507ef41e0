#!/bin/sh
# conform.t - every operation of the device against its reference: the conformance suite, fp32 and bf16. Each program has a
# timeout of ten minutes. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
FLM_TEST_DEVICE=cuda
export FLM_TEST_DEVICE
for program in ${FLM_GPU_CONFORM:?}; do
    timeout -k 5 600 "$bin/$program" >out 2>err </dev/null
    status=$?
    name=${program##*/}
    tap_take out $status "${name%.t}"
    case $name in *matmul*) tap_has out "# cuda" "a test that runs on any device ran on this one" ;; esac
    test $status = 0 || tail -n 20 err | sed 's/^/#   /'
done
tap_end
