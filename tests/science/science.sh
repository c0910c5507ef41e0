# shellcheck shell=sh
# science.sh - what the tests of known sources share; sourced after tap.sh. A network is trained on shards of a Markov source
# (markov_tool), and its samples are scored with the source's exact likelihoods.
# SPDX-License-Identifier: Apache-2.0
bin=${abs_top_builddir:?}
tool=$bin/tests/science/markov_tool
rows=200000 # of training; 2048 more are held out
# shellcheck disable=SC2034 # for the tests
network="--preset tiny --hidden-size 64 --heads 4 --cond-size 64 --blocks 3"
# shellcheck disable=SC2034
common="--dropout 0 --batch 128 --warmup 100 --eval-every 1000 --log-every 500 --precision fp32 --threads 1 --seed 1"

# on_two COMMAND... - run on two ranks without a time limit; its stderr becomes TAP comments.
on_two() {
    # shellcheck disable=SC2086 # a command with its flags
    $MPIEXEC -n 2 "$@" >out 2>err </dev/null
    status=$?
    sed 's/^/#   /' err
    return $status
}

# make_source SEED - the folder shardsSEED.
make_source() {
    mkdir "shards$1"
    "$tool" make "$1" $rows 2048 "shards$1" 2>err
    tap_ok $? "source $1: shards" || cat err
}

# score NAME RUN SEED OPTION... - draw samples with the EMA weights of a run into NAME.h5, and score them by the source of a
# seed into NAME.score: lines "steps likelihood entropy variation set", relative to the source's (markov_tool.c).
score() {
    name=$1 run=$2 seed_of=$3
    shift 3
    on_two "$bin/flm_generate" --checkpoint "$run" --batch 256 --precision fp32 --threads 1 --out "$name.h5" "$@"
    tap_ok $? "$name: samples of $run with $*"
    "$tool" score "$seed_of" $rows "$name.h5" >"$name.score"
}

# holds NAME STEPS CONDITION TEXT - check an awk condition on likelihood l, entropy h and variation v of a set by its number of
# steps; 0: the source's own rows.
holds() {
    awk -v steps="$2" '$1 == steps { l = $2; h = $3; v = $4; seen++; exit !('"$3"') } END { if (!seen) exit 1 }' "$1.score"
    status=$?
    tap_ok $status "$1, $2 steps: $4 ($(awk -v steps="$2" '$1 == steps { print "likelihood " $2 ", entropy " $3 ", variation " $4 }' "$1.score"))"
}
