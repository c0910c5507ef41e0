#!/bin/sh
# distill.t - flm_distill with all methods: on different numbers of ranks and micro-batches, killed and resumed, with invalid
# input; and samples from every kind of checkpoint. SPDX-License-Identifier: Apache-2.0
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
    on_ranks "$ranks" "$bin/${program-flm_distill}" --data shards --out "$name" $small --steps $steps "$@"
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
    tap_has err "$text" "$what: the message"
}

# shellcheck disable=SC2086 # several options
on_ranks 1 "$bin/flm_train" --data shards --out flm $tiny --steps 40 --eval-samples 5 --eval-steps 1,2,4
tap_is $? 0 "the teacher is trained"
first="--teacher flm --method two-model"
# shellcheck disable=SC2086
{
    distill one 1 $first --eval-every 20 --eval-rows 20 --eval-samples 5 --eval-steps 1,2,4
    tap_has one/metrics.jsonl '"valid_error":' "stage 1: validation has loss and error"
    distill one-ranks-2 2 $first
    distill one-ranks-3 3 $first --micro-batch 2 --chunk 37
}
# Losses of stage one are negative logarithms and cross zero, where relative distances are meaningless; so errors are compared.
curve() {
    sed -n -e 's/^{"step":\([0-9]*\),.*"grad_norm":\([^,]*\),.*"error":\([^,}]*\).*/\1 \3 \2/p' "$1/metrics.jsonl"
}
near one one-ranks-2
near one one-ranks-3
second="--teacher flm --method two-stage --flow-map one"
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

# The one-network map, with and without teacher: other ranks, micro-batches and chunks.
psd="--teacher flm"
alone="--objective fmlm --preset tiny --hidden-size 32 --heads 2 --cond-size 16 --blocks 2"
# shellcheck disable=SC2086
{
    distill psd 1 $psd --eval-every 20 --eval-rows 20 --eval-samples 5 --eval-steps 1,2,4
    tap_has psd/metrics.jsonl '"loss_diagonal":' "psd: reports have the loss of the diagonal samples"
    tap_has psd/metrics.jsonl '"valid_loss_off_diagonal":' "psd: validations have the loss of the others"
    distill psd-ranks-2 2 $psd --micro-batch 3
    distill psd-ranks-3 3 $psd --micro-batch 2 --chunk 37
    near psd psd-ranks-2
    near psd psd-ranks-3
    distill average 1 $psd --target-weights ema --diagonal-fraction 0.25 --boundary 4
    distill average-ranks-2 2 $psd --target-weights ema --diagonal-fraction 0.25 --boundary 4 --micro-batch 1
    near average average-ranks-2
    program=flm_train
    distill alone 1 $alone
    distill alone-ranks-2 2 $alone --micro-batch 3 --chunk 50
    near alone alone-ranks-2
    program=flm_distill
}

# The any-order map, from data and from another one: likewise.
any="--objective any-order --preset tiny --hidden-size 32 --heads 2 --cond-size 16 --blocks 2"
taught="--method any-order --teacher any"
# shellcheck disable=SC2086
{
    program=flm_train
    distill any 1 $any --eval-every 20 --eval-rows 20 --eval-samples 5 --eval-steps 1,2,4
    tap_has any/metrics.jsonl '"loss_diagonal":' "any-order: reports have the loss of the diagonal samples"
    distill any-ranks-3 3 $any --micro-batch 2 --chunk 37
    near any any-ranks-3
    program=flm_distill
    distill taught 1 $taught
    distill taught-ranks-2 2 $taught --micro-batch 3
    near taught taught-ranks-2
}

# Killed and resumed: bit for bit the same as a run that was never killed.
for stage in one two psd alone any taught; do
    program=flm_distill
    case $stage in
        one) which=$first ;;
        two) which=$second ;;
        psd) which=$psd ;;
        alone) which=$alone program=flm_train ;;
        any) which=$any program=flm_train ;;
        taught) which=$taught ;;
    esac
    # shellcheck disable=SC2086
    "$bin/$program" --data shards --out killed-$stage $small --steps $steps $which --checkpoint-every 5 2>err &
    pid=$!
    tap_wait 120 grep -q '^{"step":11,' killed-$stage/metrics.jsonl
    kill -9 $pid
    wait $pid 2>/dev/null
    # shellcheck disable=SC2086
    distill killed-$stage 1 $which --checkpoint-every 5
    tap_is "$(curve_of_two killed-$stage)" "$(curve_of_two $stage)" "$stage, killed: the same losses, bit for bit"
    weights_same "$stage, killed: and the same weights" $stage/checkpoints/latest killed-$stage/checkpoints/latest
done

program=flm_distill

# Samples of every kind; the teacher of a stage-one map is found, or given by --teacher.
for kind in flm one two psd any; do
    on_ranks 1 "$bin/flm_generate" --checkpoint $kind --out $kind.h5 --samples 5 --steps 1,2,4 --batch 5 --precision fp32 --sampler flow
    tap_is $? 0 "$kind: samples"
    awk '$1 == "==" && $2 + 0 > 0 && NF == 5 { print $2, $4 }' out >said
    sed -n 's/.*"sample_steps":\([0-9]*\),"samples":5,"sample_entropy":\([0-9.]*\)}$/\1 \2/p' $kind/metrics.jsonl |
        tail -n 3 | awk '{ printf "%d %.4f\n", $1, $2 }' >seen
    tap_is "$(cat seen)" "$(cat said)" "$kind: the same entropies as in the last validation"
    on_ranks 2 "$bin/flm_generate" --checkpoint $kind --out $kind-2.h5 --samples 5 --steps 1,2,4 --batch 2 --precision fp32 --sampler flow
    tap_is "$("$tool" ids $kind-2.h5 2)" "$("$tool" ids $kind.h5 2)" "$kind: the same on two ranks, in other batches"
done
for kind in two psd; do
    for ranks in 1 2; do
        on_ranks $ranks "$bin/flm_generate" --checkpoint $kind --out $kind-noise-$ranks.h5 --samples 5 --steps 4 \
            --noise-level 0.8 --batch $((6 - 2 * ranks)) --precision fp32
        tap_is $? 0 "$kind: samples with fresh noise"
    done
    tap_is "$("$tool" ids $kind-noise-2.h5 steps_4_noise_0.8)" "$("$tool" ids $kind-noise-1.h5 steps_4_noise_0.8)" "$kind: the same on two ranks"
done

# Initial weights from another checkpoint: emb_u is taken over from a map, and zero from an FLM.
init="$small --steps 1 --warmup 5 --eval-every 0" # the first update has the rate 0
# shellcheck disable=SC2086
{
    on_ranks 1 "$bin/flm_distill" --data shards --out from-map $init --teacher flm --init-from psd
    tap_is $? 0 "a map from another map's weights" || cat err
    "$tool" compare psd/checkpoints/latest from-map/checkpoints/latest | awk '$1 == "ema" && $2 < 1e-6 { ok = 1 } END { exit !ok }'
    tap_ok $? "has its averages"
    on_ranks 1 "$bin/flm_train" --data shards --out from-flm $alone $init --init-from flm
    tap_is $? 0 "a map without teacher from an FLM's weights" || cat err
    on_ranks 1 "$bin/flm_train" --data shards --out any-from-map $any $init --init-from alone
    tap_is $? 0 "an any-order map from another map's weights" || cat err
    "$tool" compare alone/checkpoints/latest any-from-map/checkpoints/latest | awk '$1 == "ema" && $2 < 1e-6 { ok = 1 } END { exit !ok }'
    tap_ok $? "has its averages"
    on_ranks 1 "$bin/flm_distill" --data shards --out from-teacher $init --teacher flm
    "$tool" compare from-flm/checkpoints/latest from-teacher/checkpoints/latest |
        awk '$1 == "weights" && $2 < 1e-6 { ok = 1 } END { exit !ok }'
    tap_ok $? "has those that a distillation begins with"
}

mv flm moved
refused 66 "set its new path with --teacher" "a teacher that is gone" "$bin/flm_generate" --checkpoint one --out gone.h5
on_ranks 1 "$bin/flm_generate" --checkpoint one --teacher moved --out one-moved.h5 --samples 5 --steps 2 --batch 5 \
    --precision fp32
tap_is "$("$tool" ids one-moved.h5 2)" "$("$tool" ids one.h5 2)" "a teacher that moved is given by --teacher"
mv moved flm

# Files that do not match are refused with one message.
common="--data shards --out refused $small --steps 5"
# shellcheck disable=SC2086
{
    refused 65 "expected kind flm" "a map for a teacher" "$bin/flm_distill" $common --teacher one
    refused 65 "expected kind fmlm-any-order" "an FLM for an any-order teacher" "$bin/flm_distill" $common --teacher flm \
        --method any-order
    refused 65 "expected kind fmlm-two-model" "an FLM for a map" "$bin/flm_distill" $common --teacher flm --method two-stage \
        --flow-map flm
    refused 2 "needs --flow-map" "stage 2 without a map" "$bin/flm_distill" $common --teacher flm --method two-stage
    refused 2 "needs --method two-stage" "stage 1 with a map" "$bin/flm_distill" $common --teacher flm --flow-map one
    refused 66 "cannot be opened" "no teacher" "$bin/flm_distill" $common --teacher nowhere
    refused 65 "this run resumes from kind flm" "a map for flm_train" "$bin/flm_train" --data shards --out refused2 $tiny \
        --steps 5 --resume one/checkpoints/latest
    refused 2 "--stage was renamed: use --method two-model (1) or two-stage (2)" "a stage" "$bin/flm_distill" $common \
        --teacher flm --stage 1
    refused 65 "was trained with --method psd, which a resumed run cannot change to two-model" "another method" \
        "$bin/flm_distill" --data shards --out psd $small --steps $steps --teacher flm --method two-model
    refused 65 "was trained with --boundary 32, which" "another share of boundary jumps" \
        "$bin/flm_distill" --data shards --out psd $small --steps $steps --teacher flm --boundary 16
    refused 65 "was trained with --objective fmlm, which" "another objective" \
        "$bin/flm_train" --data shards --out alone $small --steps $steps --objective flm
    refused 2 "--diagonal-fraction needs --method psd" "a share of another method" "$bin/flm_distill" $common --teacher flm \
        --method two-model --diagonal-fraction 0.25
    refused 2 "--boundary needs --objective fmlm" "a share of another objective" "$bin/flm_train" $common $tiny --boundary 8
    refused 65 "is of kind" "initial weights of a correction" "$bin/flm_distill" $common --teacher flm --init-from one
    refused 65 "a different shape" "initial weights of other sizes" "$bin/flm_train" $common --init-from flm --preset tiny
    for from in "one" "flm --preset tiny --hidden-size 64" "flm --logit-cap 20" nowhere; do
        on_ranks 1 "$bin/flm_train" --data shards --out no-init $tiny --steps 5 --init-from $from
        test $? != 0 && test ! -e no-init
        tap_ok $? "initial weights from $from: refused before the run directory is made"
    done
    tap_lines err "error: " 1 "with one message"
    refused 65 "has logit cap = 30, but this run has 20" "initial weights with another cap" "$bin/flm_train" --data shards \
        --out no-init $tiny --steps 5 --init-from flm --logit-cap 20
    refused 65 "was trained with --logit-cap 30, which a resumed run cannot change to 20" "another cap than the run's" \
        "$bin/flm_train" --data shards --out flm $tiny --steps 50 --logit-cap 20
    refused 65 "is a checkpoint of kind fmlm; expected kind fmlm-two-model" "a one-network map for the first stage's" \
        "$bin/flm_distill" $common --teacher flm --method two-stage --flow-map psd
    refused 65 "is a checkpoint of kind fmlm; expected kind flm" "a one-network map for a teacher" "$bin/flm_distill" $common \
        --teacher psd
    refused 2 "numbers from 0 to 1" "a noise level that is not a number" "$bin/flm_generate" --checkpoint psd --out no.h5 \
        --noise-level nan
    refused 2 "draws no fresh noise" "a noise level for an FLM" "$bin/flm_generate" --checkpoint flm --out no.h5 \
        --noise-level 0.5
    refused 2 "draws no fresh noise" "a noise level for a correction" "$bin/flm_generate" --checkpoint one --out no.h5 \
        --noise-level 0.5
    refused 2 "numbers from 0 to 1" "a noise level out of range" "$bin/flm_generate" --checkpoint psd --out no.h5 \
        --noise-level 1.5
    refused 65 "it has no group steps_4_noise_0.5" "samples of another noise level" "$bin/flm_generate" --checkpoint psd --out psd-noise-1.h5 \
        --samples 5 --steps 4 --noise-level 0.5 --batch 4 --precision fp32
    refused 2 "which has no teacher" "a teacher for an FLM" "$bin/flm_generate" --checkpoint flm --teacher flm --out no.h5
    shards_make shards24 24
    refused 65 "has length L = 32" "shards of another length" "$bin/flm_distill" --data shards24 --out refused3 $small \
        --steps 5 --teacher flm
    on_ranks 1 "$bin/flm_train" --data shards --out flm2 $tiny --steps 3
    refused 65 "was distilled from" "a map of another teacher" "$bin/flm_distill" $common --teacher flm2 --method two-stage \
        --flow-map one
    refused 65 "set --teacher to the original file" "samples with another teacher" "$bin/flm_generate" --checkpoint one \
        --teacher flm2 --out no.h5
    refused 65 "has changed or is another file" "resuming with another teacher" "$bin/flm_distill" --data shards \
        --out one $small --steps $steps --teacher flm2
}
tap_end
