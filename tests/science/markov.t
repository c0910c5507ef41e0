#!/bin/sh
# markov.t - a network learns known sources. The corpora are drawn from first-order Markov sources (16 symbols, transition
# rows Dirichlet(0.25) mixed with 2 % uniform, L = 24) with exact likelihoods. make check-science runs this test; it takes
# up to 30 minutes.
#
# FLM, three sources: the negative log-likelihood per symbol of 128-step samples is at most 1.10 times the source's, and
# the mean histogram entropy of a sample is within 2 % of the corpus's. Distillation, one source: one-step samples of the
# stage-one map and of the two-stage map have at most 1.08 times the negative log-likelihood of the FLM's 128-step samples
# and at least 97 % of the corpus's entropy. One-network map, the same source: against the source's likelihood, at most 1.36
# in one step, 1.20 in four and 1.06 in 32 with fresh noise of level 0.8, entropies within 3 %; what it learns from data alone
# is shown. One-step samples of the FLM collapse, to less than a quarter of it.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-science}/tests/tap.sh"
bin=${abs_top_builddir:?}
tool=$bin/tests/science/markov_tool
rows=200000
common="--dropout 0 --batch 128 --warmup 100 --eval-every 1000 --log-every 500 --precision fp32 --threads 1 --seed 1"

# on_two COMMAND... - run on two ranks without a time limit; its stderr becomes TAP comments.
on_two() {
    # shellcheck disable=SC2086 # a command with its flags
    $MPIEXEC -n 2 "$@" >out 2>err </dev/null
    status=$?
    sed 's/^/#   /' err
    return $status
}

# score NAME SEED STEPS OPTION... - draw samples with a run's EMA weights and write lines "steps likelihood entropy" to
# NAME.score.
score() {
    run=$1 seed_of=$2 steps=$3
    shift 3
    on_two "$bin/flm_generate" --checkpoint "$run" --samples 2048 --steps "$steps" --batch 256 --precision fp32 --threads 1 \
        --out "$run.h5" "$@"
    tap_ok $? "$run: samples with $steps steps"
    "$tool" score "$seed_of" $rows "$run.h5" >"$run.score"
}

# holds NAME STEPS CONDITION TEXT - check an awk condition on likelihood l and entropy h, relative to the source's.
holds() {
    awk -v steps="$2" '$1 == steps { l = $2; h = $3; seen++; exit !('"$3"') } END { if (!seen) exit 1 }' "$1.score"
    status=$?
    tap_ok $status "$1, $2 steps: $4 ($(awk -v steps="$2" '$1 == steps { print "likelihood " $2 ", entropy " $3 }' "$1.score"))"
}

for seed in 1 2 3; do
    mkdir "shards$seed"
    "$tool" make "$seed" $rows 2048 "shards$seed" 2>err
    tap_ok $? "source $seed: shards" || cat err
    # shellcheck disable=SC2086 # several options
    on_two "$bin/flm_train" --data "shards$seed" --out "flm$seed" --preset tiny --hidden-size 64 --heads 4 --cond-size 64 \
        --blocks 3 $common --lr 2e-3 --ema-decay 0.9997 --steps 5500
    tap_ok $? "source $seed: an FLM is trained"
    score "flm$seed" "$seed" 1,128
    holds "flm$seed" 128 'l <= 1.10' "likelihood at most 1.10 of the source's"
    holds "flm$seed" 128 'h >= 0.98 && h <= 1.02' "entropy within 2 %"
done

holds flm1 1 'h < 0.25' "one-step samples of the FLM collapse"
# shellcheck disable=SC2086
on_two "$bin/flm_distill" --data shards1 --out map1 --teacher flm1 --method two-model $common --lr 1e-3 --ema-decay 0.999 --steps 2500
tap_ok $? "stage 1 is distilled"
# shellcheck disable=SC2086
on_two "$bin/flm_distill" --data shards1 --out map2 --teacher flm1 --method two-stage --flow-map map1 $common --lr 1e-3 \
    --ema-decay 0.999 --steps 1500
tap_ok $? "stage 2 is distilled"
max=$(awk '$1 == 128 { print 1.08 * $2 }' flm1.score)
for map in map1 map2; do
    score $map 1 1,2,4
    holds $map 1 "l <= $max" "likelihood at most 1.08 of the FLM's 128 steps, $max"
    holds $map 1 'h >= 0.97' "entropy at least 97 %"
done

# The one-network map, with a teacher and without.
# shellcheck disable=SC2086
{
    on_two "$bin/flm_distill" --data shards1 --out psd --teacher flm1 $common --lr 1e-3 --lr-decay 1000 --ema-decay 0.999 \
        --steps 3000
    tap_ok $? "the one-network map is distilled"
    on_two "$bin/flm_train" --data shards1 --out alone --objective fmlm --preset tiny --hidden-size 64 --heads 4 --cond-size 64 \
        --blocks 3 $common --lr 2e-3 --ema-decay 0.999 --steps 3000
    tap_ok $? "and learned from data"
}
for map in psd alone; do score $map 1 1,4,32 --noise-level 0.8; done
for bound in "1 1.36" "4 1.20" "32 1.06"; do
    holds psd "${bound% *}" "l <= ${bound#* }" "likelihood at most ${bound#* } of the source's"
    holds psd "${bound% *}" 'h >= 0.97 && h <= 1.03' "entropy within 3 %"
    holds alone "${bound% *}" 'l > 0' "without a teacher, measured"
done
tap_end
