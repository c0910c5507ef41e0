#!/bin/sh
# schedule.t - the learning rate of every update under each --schedule, and --stop-after. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
shards_make shards 32

# rates NAME OPTION... - train 8 steps; the rates of the updates in NAME.
rates() {
    name=$1
    shift
    # shellcheck disable=SC2086 # several options
    timeout -k 5 60 "$bin/flm_train" --data shards --out "$name" $tiny --batch 4 --lr 1e-3 --warmup 2 --steps 8 --checkpoint-every 0 \
        --eval-rows 4 "$@" >out 2>err
    sed -n 's/.*"lr":\([-+0-9.e]*\),.*/\1/p' "$name/metrics.jsonl" >"rates-$name"
}

# expected FORMULA - compare the rates with those that awk computes from x = left / decay, for a decay over DECAY of 8 updates.
expected() {
    awk -v min="$3" -v decay="$2" "NR > 0 {
        k = NR - 1; x = (8 - k) / decay; lr = 1e-3
        if (k < 2) lr = lr * k / 2
        if (x < 1) lr = min + (lr - min) * ($4)
        if (!(lr - \$1 <= 1e-9 && \$1 - lr <= 1e-9)) print \"update \" k \": \" \$1 \", expected \" lr
    } END { if (NR != 8) print NR \" rates\" }" "rates-$1"
}

rates constant
tap_is "$(expected constant 1e-9 0 x)" "" "constant after the warm-up"
rates lines --lr-decay 4
tap_is "$(expected lines 4 0 x)" "" "--lr-decay alone: a line over the last updates"
rates linear --schedule linear --lr-min 1e-4
tap_is "$(expected linear 6 1e-4 x)" "" "linear: from the warm-up to --lr-min"
rates cosine --schedule cosine --lr-decay 5 --lr-min 1e-4
tap_is "$(expected cosine 5 1e-4 '(1 - cos(3.14159265358979 * x)) / 2')" "" "cosine over the last updates"
# shellcheck disable=SC2086 # several options
tap_refused 2 "--lr-min 0.01 is larger than --lr 0.001" "a minimum above the rate" \
    "$bin/flm_train" --data shards --out none $tiny --lr-min 1e-2

rates stopped --stop-after 1e-4
tap_is "$(grep -c . rates-stopped) $(readlink stopped/checkpoints/latest)" "1 step-00000001.h5" "--stop-after: saved after a step"
tap_has err "stopped at step 1 of 8; the state is saved" "it says so"
rates stopped
tap_is "$(grep -c . rates-stopped) $(cmp rates-stopped rates-constant)" "8 " "the same command without it resumes"
rm -rf stopped
# shellcheck disable=SC2086 # several options
timeout -k 5 60 "$bin/flm_train" --data shards --out stopped $tiny --steps 8 --stop-after 1e-4 >out 2>err
tap_is "$?" 75 "its exit code is that of a signal"
tap_end
