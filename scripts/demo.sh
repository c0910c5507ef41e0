#!/bin/sh
# demo.sh BUILD OUT [CORPUS] - raw text to samples: flm_shard, flm_train on two ranks, flm_generate, the loss curve.
#
# BUILD holds the programs; OUT is made, or made anew when an earlier demo made it; CORPUS is a text file, a document a
# line (without one: Webster's dictionary of 1913 as Debian packages it). quickstart demo calls it.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
out=$2
corpus=${3:-}

# The model and its schedule.
length=64
steps=3000
batch=64

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

# The dictionary's compressed text: installed, or out of its package, which need not be installed for that.
find_dictionary() {
    dictionary=/usr/share/dictd/gcide.dict.dz
    if test -r "$dictionary"; then return 0; fi
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
        die "no $dictionary here (Debian's dict-gcide); give a text of your own with --corpus FILE"
    fi
    say "fetching the dictionary's package, dict-gcide"
    mkdir -p "$out/package"
    (cd "$out/package" && apt-get -q download dict-gcide) ||
        die "cannot fetch the package dict-gcide; run apt-get update as root, or give a text with --corpus FILE"
    dpkg-deb -x "$out"/package/dict-gcide_*.deb "$out/package"
    dictionary=$out/package$dictionary
    test -r "$dictionary" || die "the package dict-gcide has no gcide.dict.dz"
}

if test -e "$out" && test ! -e "$out/.flm-demo" && test -n "$(ls -A "$out" 2>&1)"; then
    die "$out is there and was not made by a demo; choose another place with --out DIR"
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
if test -n "$corpus"; then # an absolute path: awk takes NAME=VALUE for something else
    corpus=$(cd "$(dirname "$corpus")" && pwd)/$(basename "$corpus")
    case $corpus in "$out"/*) die "--corpus $corpus lies in $out, which is made anew; choose another --out DIR" ;; esac
fi
rm -rf "$out"/package "$out"/run "$out"/shards "$out"/text.txt "$out"/loss.png "$out"/samples.h5 "$out"/samples.txt
: >"$out/.flm-demo"

if test -n "$corpus"; then
    text=$corpus
else
    find_dictionary
    text=$out/text.txt
    gzip -dc <"$dictionary" | awk -f "$top/scripts/gcide-text.awk" >"$text"
fi
say "text: $(wc -c <"$text") bytes, $(wc -l <"$text") lines, $text"

say "flm_shard: bytes as tokens, sequences of $length"
"$build/flm_shard" --tokenizer bytes --documents line --length $length --valid-last 1000 --out "$out/shards" "$text"

say "flm_train: $steps steps on two ranks"
mpiexec -n 2 "$build/flm_train" --data "$out/shards" --out "$out/run" --preset tiny --length $length --batch $batch \
    --steps $steps --lr 1e-3 --warmup 100 --ema-decay 0.999 --eval-every 500 --log-every 50 --precision auto \
    --threads 1 --seed 1

say "the loss"
"$top/scripts/plot-metrics" "$out/run/metrics.jsonl" "$out/loss.png"
"$top/scripts/plot-metrics" "$out/run/metrics.jsonl"

say "flm_generate: 16 samples of 128 steps"
mpiexec -n 2 "$build/flm_generate" --checkpoint "$out/run/checkpoints/latest" --samples 16 --steps 128 --batch 16 \
    --out "$out/samples.h5" --text --threads 1 --seed 1 >"$out/samples.txt"
cat "$out/samples.txt"

# shellcheck disable=SC2046 # two numbers
set -- $(awk -f "$top/scripts/word-share.awk" "$text" "$out/samples.txt")
say "$1 % of the samples' $2 words of three letters or more are words of the text"
say "loss curve: $out/loss.png; checkpoint: $out/run/checkpoints/latest; samples: $out/samples.h5, $out/samples.txt"
