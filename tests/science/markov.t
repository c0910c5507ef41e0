#!/bin/sh
# markov.t - a network learns known sources. The corpora are drawn from first-order Markov sources (16 symbols, transition
# rows Dirichlet(0.25) mixed with 2 % uniform, L = 24) with exact likelihoods. make check-science PARTS=markov runs
# this test alone; it takes up to 30 minutes.
#
# FLM, three sources: the negative log-likelihood per symbol of 128-step samples is at most 1.10 times the source's, and
# the mean histogram entropy of a sample is within 2 % of the corpus's. Distillation, one source: one-step samples of the
# stage-one map and of the two-stage map have at most 1.08 times the negative log-likelihood of the FLM's 128-step samples
# and at least 97 % of the corpus's entropy. One-network map, the same source: against the source's likelihood, at most 1.36
# in one step, 1.20 in four and 1.06 in 32 with fresh noise of level 0.8, entropies within 3 %; what it learns from data alone
# is shown. One-step samples of the FLM collapse, to less than a quarter of it.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-science}/tests/tap.sh"
. "$abs_top_srcdir/tests/science/science.sh"

for seed in 1 2 3; do
    make_source $seed
    # shellcheck disable=SC2086 # several options
    on_two "$bin/flm_train" --data "shards$seed" --out "flm$seed" $network $common --lr 2e-3 --ema-decay 0.9997 --steps 5500
    tap_ok $? "source $seed: an FLM is trained"
    score "flm$seed" "flm$seed" "$seed" --samples 2048 --steps 1,128
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
    score $map $map 1 --samples 2048 --steps 1,2,4
    holds $map 1 "l <= $max" "likelihood at most 1.08 of the FLM's 128 steps, $max"
    holds $map 1 'h >= 0.97' "entropy at least 97 %"
done

# The one-network map, with a teacher and without.
# shellcheck disable=SC2086
{
    on_two "$bin/flm_distill" --data shards1 --out psd --teacher flm1 $common --lr 1e-3 --lr-decay 1000 --ema-decay 0.999 \
        --steps 3000
    tap_ok $? "the one-network map is distilled"
    on_two "$bin/flm_train" --data shards1 --out alone --objective fmlm $network $common --lr 2e-3 --ema-decay 0.999 --steps 3000
    tap_ok $? "and learned from data"
}
for map in psd alone; do score $map $map 1 --samples 2048 --steps 1,4,32 --noise-level 0.8; done
for bound in "1 1.36" "4 1.20" "32 1.06"; do
    holds psd "${bound% *}" "l <= ${bound#* }" "likelihood at most ${bound#* } of the source's"
    holds psd "${bound% *}" 'h >= 0.97 && h <= 1.03' "entropy within 3 %"
    holds alone "${bound% *}" 'l > 0' "without a teacher, measured"
done
tap_end
