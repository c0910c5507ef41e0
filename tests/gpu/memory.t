#!/bin/sh
# memory.t - more than a GPU has: one error that says how much was asked for, what is free and what to turn.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
shards_make shards 32
# 8.4 M tokens at 70 KB of activations each: more than any GPU has.
large="--preset tiny --hidden-size 768 --heads 12 --cond-size 16 --blocks 2 --batch 262144 --micro-batch 262144"
# shellcheck disable=SC2086 # several options
timeout -k 5 60 "$device/flm_train" --data shards --out large $large --precision bf16 --plan >plan 2>err </dev/null
tap_ok $? "planned: $(awk '/  all$/ { print $1 }' plan) MiB"
# shellcheck disable=SC2086
timeout -k 5 120 "$device/flm_train" --data shards --out large $large --precision bf16 --device cuda --steps 1 >out 2>err </dev/null
tap_is $? 71 "out of memory: exit status 71"
tap_is "$(grep -c ': error: ' err)" 1 "one error"
grep ': error: ' err | sed 's/^/#   /'
sed -n "s/.*: error: .* \([0-9.]*\) MiB of the GPU's memory asked for, \([0-9.]*\) MiB free.*/\1 \2/p" err |
    awk '$1 > $2 && $2 > 0 { said++ } END { exit said != 1 }'
tap_ok $? "what was asked for is more than what is free"
tap_has err "--micro-batch" "and the option to turn is named"
tap_end
