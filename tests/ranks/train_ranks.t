#!/bin/sh
# train_ranks.t - a run depends on its seed, not on the number of ranks, the micro-batch or the chunk, also where they do
# not divide the batch evenly. Bounds, relative: losses 1e-4, weights 1e-3, gradient norms of the first steps 1e-4 (fp32,
# no warm-up, with dropout). SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
steps=200
test "$sanitized" = 0 || steps=40
shards_make shards 32

# run NAME RANKS OPTION... - train, and compare with the run named reference.
run() {
    name=$1 ranks=$2
    shift 2
    # shellcheck disable=SC2086 # several options
    on_ranks "$ranks" "$bin/flm_train" --data shards --out "$name" $tiny --steps $steps "$@"
    status=$?
    tap_is $status 0 "$name: trained"
    test $status = 0 || cat err
    test "$name" = reference && return
    curves_near "$name" reference "$name" $steps
    weights_near "$name" reference/checkpoints/latest "$name/checkpoints/latest"
}

run reference 1
run again 1
tap_is "$(curve again)" "$(curve reference)" "the same command twice gives the same losses, bit for bit"
weights_same "and the same weights" reference/checkpoints/latest again/checkpoints/latest
run ranks-2 2
run ranks-3 3
run ranks-4 4
run micro-1 1 --micro-batch 1
run micro-3 1 --micro-batch 3 --chunk 37
run ranks-2-micro-3 2 --micro-batch 3
run ranks-3-micro-2 3 --micro-batch 2 --chunk 64

# The comparison itself must be able to fail.
# shellcheck disable=SC2086
on_ranks 1 "$bin/flm_train" --data shards --out other $tiny --steps $steps --seed 2
(curves_near other reference other $steps) | grep -q '^not ok'
tap_ok $? "another seed has other losses"
(weights_near other reference/checkpoints/latest other/checkpoints/latest) | grep -q '^not ok'
tap_ok $? "and other weights"
tap_end
