#!/bin/sh
# train_eval.t - validation by itself, a run from its own config.ini, and from another run's checkpoint.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
shards_make shards 32

# train RANKS OPTION...
train() {
    ranks=$1
    shift
    # shellcheck disable=SC2086 # several options
    on_ranks "$ranks" "$bin/flm_train" --data shards "$@"
}

# validations DIR - as flm_train --eval-only prints them
validations() {
    sed -n 's/^{"step":\([0-9]*\),"valid_loss":\([^,]*\),.*/\1 \2/p' "$1/metrics.jsonl" |
        awk '{ printf "step %d  valid_loss %.6f\n", $1, $2 }'
}

for rows in 0 21; do
    # shellcheck disable=SC2086
    train 1 --out run$rows $tiny --steps 12 --eval-every 5 --eval-rows $rows --seed 3
    tap_is "$? $(validations run$rows | wc -l)" "0 3" "--eval-rows $rows: trained; every 5 steps and at the end"
    cp run$rows/metrics.jsonl before
    # shellcheck disable=SC2086
    train 1 --out run$rows $tiny --eval-rows $rows --seed 3 --eval-only
    tap_is "$? $(cat out)" "0 $(validations run$rows | tail -n 1)" "--eval-rows $rows: --eval-only prints the same loss"
    for ranks in 2 3; do
        # shellcheck disable=SC2086
        train $ranks --out run$rows $tiny --eval-rows $rows --seed 3 --eval-only --micro-batch 5
        # printed with six digits, of which rounding may turn the last
        validations run$rows | tail -n 1 | cat - out |
            awk '{ loss[NR] = $4 } END { e = loss[1] - loss[2]; exit !(NR == 2 && e <= 2e-6 && e >= -2e-6) }'
        tap_ok $? "--eval-rows $rows: on $ranks ranks in small micro-batches too"
    done
    cmp -s run$rows/metrics.jsonl before
    tap_ok $? "--eval-rows $rows: --eval-only does not change the metrics"
done
test "$(validations run0 | tail -n 1)" != "$(validations run21 | tail -n 1)"
tap_ok $? "other rows give another loss"
tap_has run21/metrics.jsonl '"valid_rows":21' "the number of rows is recorded"

# A run from its own configuration; the command line takes precedence.
timeout 60 "$bin/flm_train" --config run21/config.ini --out again >out 2>err
tap_is $? 0 "--config with a run's config.ini"
tap_is "$(curve again)" "$(curve run21)" "the same run"
weights_same "the same weights" run21/checkpoints/latest again/checkpoints/latest
tap_is "$(grep -v '^out = ' again/config.ini | grep -v '^# *config')" \
    "$(grep -v '^out = ' run21/config.ini | grep -v '^# *config')" "the same configuration is recorded"
timeout 60 "$bin/flm_train" --config run21/config.ini --out shorter --steps 9 >out 2>err
tap_is $? 0 "--config and an option"
tap_is "$(curve shorter | grep -v valid)" "$(curve run21 | grep -v valid | head -n 9)" "the command line takes precedence"
printf 'data = shards\nout = x\nno-such = 3\n' >wrong.ini
timeout 60 "$bin/flm_train" --config wrong.ini >out 2>err
tap_is $? 2 "a wrong name in the file is bad usage"
tap_lines err "wrong.ini:3" 1 "its line is named"

# From another run's checkpoint, stopped by a signal, and the same command again.
cp run21/checkpoints/latest from.h5
timeout 60 "$bin/flm_train" --config run21/config.ini --out direct --steps 40 >out 2>err
tap_is $? 0 "a run of 40 steps"
timeout 60 "$bin/flm_train" --config run21/config.ini --out onward --resume from.h5 --steps 40 --checkpoint-every 3 \
    >out 2>err &
pid=$!
until grep -q '"step":14,' onward/metrics.jsonl 2>/dev/null || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
# timeout passes the signal on
kill -TERM $pid 2>/dev/null
wait $pid
timeout 60 "$bin/flm_train" --config run21/config.ini --out onward --resume from.h5 --steps 40 --checkpoint-every 3 \
    >out 2>err
tap_is $? 0 "--resume FILE, stopped, and the same command again"
weights_same "ends where an uninterrupted run ends" direct/checkpoints/latest onward/checkpoints/latest
tap_is "$(curve onward | grep -v valid)" "$(curve direct | grep -v valid | tail -n 28)" "has the same losses"
tap_end
