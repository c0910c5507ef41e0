#!/bin/sh
# train_ranks.t - the run is a function of its seed, not of the number of ranks, the micro-batch or the chunk; ranks and
# micro-batches that divide the batch unevenly too. Bounds: losses 1e-4 and weights 1e-3 relative, gradient norms 1e-4
# at the start (fp32, no warm-up, dropout on). SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
steps=200
test "$sanitized" = 0 || steps=40
shards_make shards 32

# run NAME RANKS OPTION... - trains, and compares with the run named whole.
run() {
    name=$1 ranks=$2
    shift 2
    # shellcheck disable=SC2086 # several options
    on_ranks "$ranks" "$bin/flm_train" --data shards --out "$name" $tiny --steps $steps "$@"
    status=$?
    tap_is $status 0 "$name: trained"
    test $status = 0 || cat err
    test "$name" = whole && return
    curves_near "$name" whole "$name" $steps
    weights_near "$name" whole/checkpoints/latest "$name/checkpoints/latest"
}

run whole 1
run again 1
tap_is "$(curve again)" "$(curve whole)" "the same command twice: the same losses, bit for bit"
weights_same "and the same weights" whole/checkpoints/latest again/checkpoints/latest
run ranks-2 2
run ranks-3 3
run ranks-4 4
run micro-1 1 --micro-batch 1
run micro-3 1 --micro-batch 3 --chunk 37
run ranks-2-micro-3 2 --micro-batch 3
run ranks-3-micro-2 3 --micro-batch 2 --chunk 64

# The comparison itself can fail.
# shellcheck disable=SC2086
on_ranks 1 "$bin/flm_train" --data shards --out other $tiny --steps $steps --seed 2
(curves_near other whole other $steps) | grep -q '^not ok'
tap_ok $? "another seed has other losses"
(weights_near other whole/checkpoints/latest other/checkpoints/latest) | grep -q '^not ok'
tap_ok $? "and other weights"
tap_end
