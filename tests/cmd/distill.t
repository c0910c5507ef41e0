#!/bin/sh
# distill.t - flm_distill in both stages as it is run: any ranks and micro-batches, killed and run again, what it refuses;
# samples of all three kinds of checkpoint. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
small="--batch 8 --lr 1e-3 --warmup 0 --precision fp32 --threads 1 --log-every 1"
steps=60
test "$sanitized" = 0 || steps=12
shards_make shards 32

# distill NAME RANKS OPTION... - trains.
distill() {
    name=$1 ranks=$2
    shift 2
    # shellcheck disable=SC2086 # several options
    on_ranks "$ranks" "$bin/flm_distill" --data shards --out "$name" $small --steps $steps "$@"
    status=$?
    tap_is $status 0 "$name: distilled"
    test $status = 0 || cat err
}

# near A B - two runs: losses, gradient norms, weights.
near() {
    curves_near "$2" "$1" "$2" $steps
    weights_near "$2" "$1/checkpoints/latest" "$2/checkpoints/latest"
}

# refused STATUS TEXT NAME COMMAND... - one message with that text, that exit status.
refused() {
    status=$1 text=$2 what=$3
    shift 3
    timeout -k 5 120 "$@" >out 2>err </dev/null
    tap_is $? "$status" "$what: refused"
    tap_lines err "error: " 1 "$what: one message"
    tap_has err "$text" "$what: says what fits"
}

# shellcheck disable=SC2086 # several options
on_ranks 1 "$bin/flm_train" --data shards --out flm $tiny --steps 40 --eval-samples 5 --eval-steps 1,2,4
tap_is $? 0 "the teacher is trained"
first="--teacher flm --stage 1"
# shellcheck disable=SC2086
{
    distill one 1 $first --eval-every 20 --eval-rows 20 --eval-samples 5 --eval-steps 1,2,4
    tap_has one/metrics.jsonl '"valid_error":' "stage 1: validation has loss and error"
    distill one-ranks-2 2 $first
    distill one-ranks-3 3 $first --micro-batch 2 --chunk 37
}
# Losses of stage one are negative logarithms and pass zero, where relative distances mean nothing: the errors are compared.
curve() {
    sed -n -e 's/^{"step":\([0-9]*\),.*"grad_norm":\([^,]*\),.*"error":\([^,}]*\).*/\1 \3 \2/p' "$1/metrics.jsonl"
}
near one one-ranks-2
near one one-ranks-3
second="--teacher flm --stage 2 --flow-map one"
curve_of_two() {
    sed -n -e 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),"grad_norm":\([^,]*\),.*/\1 \2 \3/p' "$1/metrics.jsonl"
}
# shellcheck disable=SC2086
{
    distill two 1 $second --eval-samples 5 --eval-steps 1,2,4
    distill two-ranks-2 2 $second --micro-batch 3
}
curve() { curve_of_two "$1"; }
near two two-ranks-2

# Killed at some moment, and the same command again: bit for bit the run that was not.
for stage in one two; do
    test $stage = one && which=$first || which=$second
    # shellcheck disable=SC2086
    "$bin/flm_distill" --data shards --out killed-$stage $small --steps $steps $which --checkpoint-every 5 2>err &
    pid=$!
    tries=0
    until grep -q '^{"step":11,' killed-$stage/metrics.jsonl 2>/dev/null || test $tries -ge 1000; do
        tries=$((tries + 1))
        sleep 0.02
    done
    kill -9 $pid
    wait $pid 2>/dev/null
    # shellcheck disable=SC2086
    distill killed-$stage 1 $which --checkpoint-every 5
    tap_is "$(curve_of_two killed-$stage)" "$(curve_of_two $stage)" "$stage, killed: the same losses, bit for bit"
    weights_same "$stage, killed: and the same weights" $stage/checkpoints/latest killed-$stage/checkpoints/latest
done

# Samples of every kind; a stage-one map finds its teacher, wherever it went.
for kind in flm one two; do
    on_ranks 1 "$bin/flm_generate" --checkpoint $kind --out $kind.h5 --samples 5 --steps 1,2,4 --batch 5 --precision fp32
    tap_is $? 0 "$kind: samples"
    awk '$1 == "==" && $2 + 0 > 0 && NF == 4 { print $2, $4 }' out >said
    sed -n 's/.*"sample_steps":\([0-9]*\),"samples":5,"sample_entropy":\([0-9.]*\)}$/\1 \2/p' $kind/metrics.jsonl |
        tail -n 3 | awk '{ printf "%d %.4f\n", $1, $2 }' >seen
    tap_is "$(cat seen)" "$(cat said)" "$kind: the entropies that its last validation gave"
    on_ranks 2 "$bin/flm_generate" --checkpoint $kind --out $kind-2.h5 --samples 5 --steps 1,2,4 --batch 2 --precision fp32
    tap_is "$("$tool" ids $kind-2.h5 2)" "$("$tool" ids $kind.h5 2)" "$kind: the same on two ranks, in other batches"
done
mv flm moved
refused 66 "set its new path with --teacher" "a teacher that is gone" "$bin/flm_generate" --checkpoint one --out gone.h5
on_ranks 1 "$bin/flm_generate" --checkpoint one --teacher moved --out one-moved.h5 --samples 5 --steps 2 --batch 5 \
    --precision fp32
tap_is "$("$tool" ids one-moved.h5 2)" "$("$tool" ids one.h5 2)" "a teacher that moved is given by --teacher"
mv moved flm

# What does not fit is refused in one line.
common="--data shards --out refused $small --steps 5"
# shellcheck disable=SC2086
{
    refused 65 "expected kind flm" "a map for a teacher" "$bin/flm_distill" $common --teacher one
    refused 65 "expected kind fmlm-two-model" "an FLM for a map" "$bin/flm_distill" $common --teacher flm --stage 2 \
        --flow-map flm
    refused 2 "needs --flow-map" "stage 2 without a map" "$bin/flm_distill" $common --teacher flm --stage 2
    refused 2 "needs --stage 2" "stage 1 with a map" "$bin/flm_distill" $common --teacher flm --flow-map one
    refused 66 "cannot be opened" "no teacher" "$bin/flm_distill" $common --teacher nowhere
    refused 65 "this run resumes from kind flm" "a map for flm_train" "$bin/flm_train" --data shards --out refused2 $tiny \
        --steps 5 --resume one/checkpoints/latest
    refused 2 "which has no teacher" "a teacher for an FLM" "$bin/flm_generate" --checkpoint flm --teacher flm --out no.h5
    shards_make shards24 24
    refused 65 "has length L = 32" "shards of another length" "$bin/flm_distill" --data shards24 --out refused3 $small \
        --steps 5 --teacher flm
    on_ranks 1 "$bin/flm_train" --data shards --out flm2 $tiny --steps 3
    refused 65 "was distilled from" "a map of another teacher" "$bin/flm_distill" $common --teacher flm2 --stage 2 \
        --flow-map one
    refused 65 "set --teacher to the original file" "samples with another teacher" "$bin/flm_generate" --checkpoint one \
        --teacher flm2 --out no.h5
    refused 65 "has changed or is another file" "going on with another teacher" "$bin/flm_distill" --data shards \
        --out one $small --steps $steps --teacher flm2
}
tap_end
