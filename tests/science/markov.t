#!/bin/sh
# markov.t - does it learn? A corpus drawn from a known first-order Markov source (16 symbols, rows Dirichlet(0.25)
# mixed with 2 % uniform, L = 24), for three sources. The exact negative log-likelihood a symbol of 128-step samples
# must be at most 1.10 times the source's, the mean histogram entropy of a sample within 2 % of the corpus's.
# make check-science runs it; it takes minutes. SPDX-License-Identifier: Apache-2.0
. "$abs_top_srcdir/tests/tap.sh"
bin=$abs_top_builddir
tool=$bin/tests/science/markov_tool
rows=200000
samples=2048
sources=${FLM_SCIENCE_SEEDS:-1 2 3}

for seed in $sources; do
    mkdir "shards$seed"
    "$tool" make "$seed" $rows 2048 "shards$seed" 2>err
    tap_ok $? "source $seed: shards" || cat err
    # shellcheck disable=SC2086 # a command with its flags
    $MPIEXEC -n 2 "$bin/flm_train" --data "shards$seed" --out "run$seed" --preset tiny --hidden-size 64 --heads 4 \
        --cond-size 64 --blocks 3 --dropout 0 --batch 128 --lr 2e-3 --warmup 100 --ema-decay 0.999 --steps 3000 \
        --eval-every 1000 --log-every 500 --precision fp32 --threads 1 --seed "$seed" 2>err
    tap_ok $? "source $seed: training"
    sed 's/^/#   /' err
    # shellcheck disable=SC2086
    $MPIEXEC -n 2 "$bin/flm_generate" --checkpoint "run$seed" --samples $samples --steps 128 --batch 256 \
        --precision fp32 --threads 1 --out "samples$seed.h5" >out 2>err
    tap_ok $? "source $seed: 128-step samples"
    "$tool" score "$seed" $rows "samples$seed.h5" >score
    awk '$1 == 128 { exit !($2 <= 1.10) } END { if (!NR) exit 1 }' score
    tap_ok $? "source $seed: likelihood, 128 steps: $(awk '{ print $2 }' score) of the source's, at most 1.10"
    awk '$1 == 128 { exit !($3 >= 0.98 && $3 <= 1.02) } END { if (!NR) exit 1 }' score
    tap_ok $? "source $seed: entropy, 128 steps: $(awk '{ print $3 }' score) of the corpus's, within 2 %"
done
tap_end
