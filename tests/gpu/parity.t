#!/bin/sh
# parity.t - the golden files on the device in both precisions, none skipped; each run has a timeout of five minutes.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
set -- "$golden"/*.h5
test -z "${FLM_GPU_QUICK-}" || set -- "$golden/head64_capped.h5" # heads of 64 columns: the kernels for tensor cores
test -z "${FLM_GPU_SMALL-}" || set -- "$golden/tinyvocab.h5"
for precision in fp32 bf16; do
    for sizes in "0 0" "1 7" "2 1000"; do
        test -z "${FLM_GPU_SMALL-}${FLM_GPU_QUICK-}" || test "$sizes" = "0 0" || continue
        within 300 "$parity" --device cuda --precision $precision --micro-batch "${sizes% *}" --chunk "${sizes#* }" \
            "$@" >out 2>err </dev/null
        status=$?
        tap_is "$status $(tail -n 1 out | sed 's/^[1-9][0-9]* passed/some passed/')" "0 some passed, 0 failed, 0 skipped" \
            "golden files, $precision, micro-batch and chunk $sizes: $(tail -n 1 out)"
        grep -e FAIL -e skipped out | sed 's/^/#   /'
        test $status = 0 || tail -n 5 err | sed 's/^/#   /'
    done
done
tap_end
