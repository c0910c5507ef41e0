#!/bin/sh
# memory.t - more memory than a GPU has: one error with the size of the request, the free memory and the options to change.
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
sed -n "s/.*: error: .*out of GPU memory: \([0-9.]*\) MiB requested, \([0-9.]*\) MiB free.*/\1 \2/p" err |
    awk '$1 > $2 && $2 > 0 { said++ } END { exit said != 1 }'
tap_ok $? "the request is larger than the free memory"
tap_has err "--micro-batch" "the option to change is named"
tap_end
