#!/bin/sh
# demo.sh BUILD OUT [CORPUS] - from raw text to samples in one command: flm_shard, flm_train on two ranks, flm_distill,
# flm_generate with both networks; the loss curves, and quality against the number of steps.
#
# BUILD holds the programs; OUT is created, and replaced if an earlier demo created it; CORPUS is a text file, one document per
# line (default: the four Gospels of the King James Bible of 1611 from the Debian package, one verse per line, in lower
# case: simple words that are often repeated are what a small network learns in minutes). quickstart demo calls it.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
out=$2
corpus=${3:-}

# The model and its schedule: short rows, which a small network masters in minutes.
length=32
batch=64
steps=7000
steps_map=900
samples=256

# Open MPI: as root, on fewer cores than ranks, two ranks that share them politely.
OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1
OMPI_MCA_hwloc_base_binding_policy=none
OMPI_MCA_mpi_yield_when_idle=1
OMPI_MCA_btl_vader_single_copy_mechanism=none
OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe \
    OMPI_MCA_hwloc_base_binding_policy OMPI_MCA_mpi_yield_when_idle OMPI_MCA_btl_vader_single_copy_mechanism \
    OMP_WAIT_POLICY

say() { printf '\ndemo: %s\n' "$*"; }
die() {
    printf 'demo: error: %s\n' "$*" >&2
    exit 1
}

if test -e "$out" && test ! -e "$out/.flm-demo" && test -n "$(ls -A "$out" 2>&1)"; then
    die "$out exists and was not created by a demo; choose another directory with --out DIR"
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
if test -n "$corpus"; then # an absolute path: awk takes NAME=VALUE for something else
    corpus=$(cd "$(dirname "$corpus")" && pwd)/$(basename "$corpus")
    case $corpus in "$out"/*) die "--corpus $corpus is inside $out, which is replaced; choose another --out DIR" ;; esac
fi
rm -rf "$out"/shards "$out"/text.txt "$out"/flm "$out"/fmlm "$out"/map1 "$out"/map2 "$out"/*.png "$out"/*.h5 \
    "$out"/*.samples.txt "$out"/*.quality
: >"$out/.flm-demo"

if test -n "$corpus"; then
    text=$corpus
else
    text=$out/text.txt
    command -v bible >/dev/null 2>&1 || die "no program bible here (Debian's bible-kjv); give a text with --corpus FILE"
    bible -f mat1:1-joh21:25 | sed 's/^[^ ]* //' | tr '[:upper:]' '[:lower:]' >"$text"
    test "$(wc -c <"$text")" -gt 400000 || die "the program bible gave only $(wc -c <"$text") bytes of text"
fi
say "text: $(wc -c <"$text") bytes, $(wc -l <"$text") lines, $text"

say "flm_shard: bytes as tokens, sequences of $length"
"$build/flm_shard" --tokenizer bytes --documents line --length $length --valid-last 100 --out "$out/shards" "$text"

# on_two COMMAND... - on two ranks of one thread.
on_two() { mpiexec -n 2 "$@" --threads 1 --seed 1; }

# train NAME COMMAND... - a network into OUT/NAME, and its loss.
train() {
    name=$1
    shift
    on_two "$@" --data "$out/shards" --out "$out/$name" --dropout 0 --eval-rows 1024 --log-every 100
    "$top/scripts/plot-metrics" "$out/$name/metrics.jsonl" "$out/$name.png"
    "$top/scripts/plot-metrics" "$out/$name/metrics.jsonl"
}

# generate NAME STEPS SAMPLES OPTION... - its samples, as text; their cross-entropy to the corpus and entropy for each number of steps.
generate() {
    of=$out/$1 of_steps=$2 of_samples=$3
    shift 3
    on_two "$build/flm_generate" --checkpoint "$of" --samples "$of_samples" --steps "$of_steps" --batch 64 \
        --out "$of.h5" --text "$@" >"$of.samples.txt"
    awk -f "$top/scripts/ngram-score.awk" "$text" "$of.samples.txt" >"$of.nats"
    awk 'NR == FNR { nats[$1] = $2; next } $1 == "==" && $2 in nats { print $2, nats[$2], $4 }' "$of.nats" \
        "$of.samples.txt" >"$of.quality"
    rm "$of.nats"
}

# show NAME STEPS - a few of its samples, and how many of their words are words.
show() {
    printf '\n%s, %s steps:\n' "$1" "$2"
    awk -v steps="$2" '/^== sample/ { shown = $4 == steps } shown' "$out/$1.samples.txt" >"$out/$1.shown"
    grep -v '^==' "$out/$1.shown" | head -n 12 | sed 's/^/    /'
    # shellcheck disable=SC2046 # two numbers
    set -- "$1" $(awk -f "$top/scripts/word-share.awk" "$text" "$out/$1.shown")
    rm "$out/$1.shown"
    echo "$2 % of $3 words of three letters or more are words of the text"
}

say "flm_train: a flow language model, $steps steps on two ranks"
train flm "$build/flm_train" --preset tiny --batch $batch --steps $steps --lr 3e-3 --warmup 100 \
    --lr-decay 2500 --ema-decay 0.998 --eval-every 2500
say "flm_distill: a flow map in one network, distilled from itself and the language model, $steps_map steps"
train fmlm "$build/flm_distill" --teacher "$out/flm" --batch $batch --steps $steps_map --lr 1e-3 --warmup 20 --ema-decay 0.99 \
    --eval-every 300

say "flm_generate: $samples samples of the flow language model, half as many of the map, with fresh noise at every step"
generate flm 1,2,4,32,128 $samples
generate fmlm 1,2,4,32 $((samples / 2)) --noise-level 0.8
show flm 128
show flm 1
show fmlm 1
show fmlm 4
"$top/scripts/plot-steps" "$out/quality.png" "FLM=$out/flm.quality" "flow map=$out/fmlm.quality"
printf '\n%-8s %6s %34s %24s\n' network steps "cross-entropy (nats a character)" "entropy of a sample"
for name in flm fmlm; do
    awk -v name=$name '{ printf "%-8s %6d %34.3f %24.3f\n", name, $1, $2, $3 }' "$out/$name.quality"
done
say "in $out: flm, fmlm (runs), *.png (losses, quality against steps), *.samples.txt, *.h5 (samples)"
