#!/bin/sh
# demo.sh BUILD OUT [CORPUS] - from raw text to samples in one command: flm_shard, flm_train on two ranks, flm_distill,
# flm_generate with both networks, a prompt completed and a sentence infilled; the loss curves, quality against the number of
# steps, and all of it on one page (flm_report).
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
    "$out"/*.samples.txt "$out"/*.quality "$out"/*.json "$out"/*.jsonl "$out"/report.html
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

# words_of SAMPLES [STEPS] - which share of the words in the text of flm_generate, or in its samples of so many steps, are words
# of the corpus, in per cent; and the number of words.
words_of() {
    awk -v steps="${2:-}" '/^== / { shown = steps == "" || $4 == steps } shown' "$1" >"$out/shown"
    awk -f "$top/scripts/word-share.awk" "$text" "$out/shown"
    rm "$out/shown"
}

# generate NAME STEPS SAMPLES SET OPTION... - its samples, as text; for each number of steps their cross-entropy to the corpus,
# entropy and share of words, also as JSON for flm_report. SET: what follows the steps in the name of a set.
generate() {
    of=$out/$1 of_steps=$2 of_samples=$3 of_set=$4
    shift 4
    on_two "$build/flm_generate" --checkpoint "$of" --samples "$of_samples" --steps "$of_steps" --batch 64 \
        --out "$of.h5" --text "$@" >"$of.samples.txt"
    awk -f "$top/scripts/ngram-score.awk" "$text" "$of.samples.txt" >"$of.nats"
    awk 'NR == FNR { nats[$1] = $2; next } $1 == "==" && $2 in nats { print $2, nats[$2], $4 }' "$of.nats" \
        "$of.samples.txt" >"$of.quality"
    rm "$of.nats"
    separator='['
    while read -r at nats _; do
        # shellcheck disable=SC2046 # two numbers
        set -- $(words_of "$of.samples.txt" "$at")
        printf '%s{"file": "%s", "steps": %d, "setting": "steps_%d%s", "cross_entropy": %s, "word_share": %s}' "$separator" \
            "$(basename "$of").h5" "$at" "$at" "$of_set" "$nats" "$1"
        separator=',
'
    done <"$of.quality" >"$of.json"
    echo ']' >>"$of.json"
}

# show NAME STEPS - a few of its samples, and how many of their words are words.
show() {
    printf '\n%s, %s steps:\n' "$1" "$2"
    awk -v steps="$2" '/^== / { shown = $4 == steps; next } shown' "$out/$1.samples.txt" | head -n 12 | sed 's/^/    /'
    # shellcheck disable=SC2046 # two numbers
    set -- "$2" $(words_of "$out/$1.samples.txt" "$2")
    echo "$2 % of $3 words of three letters or more are words of the text"
}

# prompts - a beginning to complete and a sentence with a gap, as lines of JSON: of the Gospels, or of a line of the corpus that
# the network has not seen, and that needs no escapes.
prompts() {
    gap='[MASK][MASK][MASK][MASK][MASK]'
    if test -z "$corpus"; then
        printf '{"prefix": "and jesus said unto "}\n{"text": "verily, %s unto you, "}\n' "$gap"
    else
        tail -n 100 "$text" | awk -v gap="$gap" '
            /^[A-Za-z0-9 ,.;:-]+$/ && length($0) >= 20 {
                printf "{\"prefix\": \"%s\"}\n{\"text\": \"%s%s%s\"}\n", substr($0, 1, 14), substr($0, 1, 7), gap,
                    substr($0, 13, 8)
                exit
            }'
    fi
}

say "flm_train: a flow language model, $steps steps on two ranks"
train flm "$build/flm_train" --preset tiny --batch $batch --steps $steps --lr 3e-3 --warmup 100 \
    --lr-decay 2500 --ema-decay 0.998 --eval-every 2500
say "flm_distill: a flow map in one network, distilled from itself and the language model, $steps_map steps"
train fmlm "$build/flm_distill" --teacher "$out/flm" --batch $batch --steps $steps_map --lr 1e-3 --warmup 20 --ema-decay 0.99 \
    --eval-every 300

say "flm_generate: $samples samples of the flow language model, half as many of the map, with fresh noise at every step"
generate flm 1,2,4,32,128 $samples ''
generate fmlm 1,2,4,32 $((samples / 2)) _noise_0.8 --noise-level 0.8
show flm 128
show flm 1
show fmlm 1
show fmlm 4
"$top/scripts/plot-steps" "$out/quality.png" "FLM=$out/flm.quality" "flow map=$out/fmlm.quality"
printf '\n%-8s %6s %34s %24s\n' network steps "cross-entropy (nats a character)" "entropy of a sample"
for name in flm fmlm; do
    awk -v name=$name '{ printf "%-8s %6d %34.3f %24.3f\n", name, $1, $2, $3 }' "$out/$name.quality"
done
prompts >"$out/prompts.jsonl"
set -- "$out/flm" "$out/fmlm" "$out/flm.h5" "$out/fmlm.h5" "$out/flm.json" "$out/fmlm.json"
if test -s "$out/prompts.jsonl"; then
    say "flm_generate --prompts: a beginning completed, a gap filled in, by the flow language model in 128 steps"
    on_two "$build/flm_generate" --checkpoint "$out/flm" --prompts "$out/prompts.jsonl" --samples-per-prompt 4 --steps 128 \
        --out "$out/prompts.h5" --text >"$out/prompts.samples.txt"
    awk '/^== / { next } /^-- prompt/ { prompt = 1; next } /^-- / { prompt = 0; next }
        prompt && $0 != last { last = $0; gsub(/\[MASK\]/, "_"); printf "\n    %s\n", $0 }
        !prompt { print "        " $0 }' \
        "$out/prompts.samples.txt"
    set -- "$@" "$out/prompts.h5"
fi
say "flm_report: all of it on one page"
(cd "$out" && "$build/flm_report" --title "Demo of flow language models" --samples 12 --out report.html "$@")
say "in $out: flm, fmlm (runs), *.png (losses, quality against steps), *.samples.txt, *.h5 (samples)"
say "open $out/report.html in a browser: curves, quality against steps, samples"
