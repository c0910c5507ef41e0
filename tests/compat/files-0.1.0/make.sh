#!/bin/sh
# make.sh BUILD FOLDER - how the files here were made, in FOLDER, by the programs of version 0.1.0 built in BUILD (with
# tests/cmd/file_tool and tests/score/score_files). README.md says what they are. SPDX-License-Identifier: Apache-2.0
set -eu
bin=$(cd "$1" && pwd)
file_tool=$bin/tests/cmd/file_tool
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/compat/figures.sh
. "$here/../figures.sh"
LC_ALL=C CUDA_VISIBLE_DEVICES='' && export LC_ALL CUDA_VISIBLE_DEVICES
mkdir "$2" && cd "$2"

i=0
while test $i -lt 100; do
    echo "line $i of a text: $((i * i)) is the square of $i, and $((i * i * i)) its cube"
    i=$((i + 1))
done >text
"$bin/flm_shard" --tokenizer bytes --documents line --length 16 --valid-last 8 --out shards text
rm text

# stopped_run NAME RANKS PROGRAM OPTION... - trains until step 16 is reported, then asks one rank to stop. Again when it
# stopped after step 24.
stopped_run() {
    name=$1 ranks=$2
    shift 2
    step='s/^{"step":\([0-9]*\),.*/\1/'
    until test "$(tail -n 1 "$name/metrics.jsonl" 2>/dev/null | sed "$step")" -le 24 2>/dev/null; do
        rm -rf "$name" pids
        # shellcheck disable=SC2016 # expanded by the ranks
        mpiexec -n "$ranks" sh -c 'echo $$ >>pids; exec "$@"' rank "$@" --data shards --out "$name" --steps 36 \
            --batch 64 --lr 1e-2 --warmup 4 --lr-decay 10 --ema-decay 0.9 --eval-every 10 --eval-rows 24 \
            --precision fp32 --threads 1 --log-every 1 </dev/null &
        launcher=$!
        until grep -q '^{"step":16,' "$name/metrics.jsonl" 2>/dev/null || ! kill -0 $launcher 2>/dev/null; do :; done
        kill -TERM "$(head -n 1 pids)" || true
        wait $launcher || test $? = 75 || exit 1
    done
    rm pids
}
stopped_run flm 2 "$bin/flm_train" --preset tiny --hidden-size 4 --heads 2 --cond-size 2 --blocks 1
stopped_run one 1 "$bin/flm_distill" --teacher flm --stage 1
stopped_run two 1 "$bin/flm_distill" --teacher flm --stage 2 --flow-map one

# What the same commands make of them: each run to its end, in a copy.
mkdir finished && cp -R shards flm one two finished
(
    cd finished
    "$bin/flm_distill" --config two/config.ini
    "$bin/flm_distill" --config one/config.ini
    mpiexec -n 2 "$bin/flm_train" --config flm/config.ini
)
{
    for run in flm one two; do
        first=$(($(readlink $run/checkpoints/latest | sed 's/step-0*//; s/\.h5//') + 1))
        figures_losses $run finished/$run $first
        figures_weights $run-stopped $run/checkpoints/latest | grep '^sha256 '
        figures_weights $run finished/$run/checkpoints/latest
    done
} >expected.txt

# Samples of every kind. Those of the flow map of stage one are stopped with some of the rows of 500 steps and none of 4
# and 1, and finished in a copy; those of stage two have scores.
samples="--samples 6 --seed 7 --precision fp32 --threads 1"
rows=0
until test "$rows" -ge 1 && test "$rows" -le 5; do
    rm -f samples-one.h5
    # shellcheck disable=SC2086 # several options
    "$bin/flm_generate" --checkpoint one --out samples-one.h5 $samples --steps 500,4,1 --batch 1 >out 2>&1 &
    generator=$!
    until grep -q thread out || ! kill -0 $generator 2>/dev/null; do :; done
    sleep 0.05
    kill -TERM $generator || true
    wait $generator || test $? = 75 || exit 1
    rows=$(figures_ids one samples-one.h5 500 | grep -c '^ids one 500 [0-9]* [0-9]* ') || true
done
cp samples-one.h5 finished.h5
# shellcheck disable=SC2086
{
    "$bin/flm_generate" --checkpoint one --out finished.h5 $samples --steps 500,4,1
    "$bin/flm_generate" --checkpoint flm --out samples-flm.h5 $samples --steps 1,4
    "$bin/flm_generate" --checkpoint two --out samples-two.h5 $samples --steps 1,4
}
{
    for steps in 1 4; do
        figures_ids flm samples-flm.h5 $steps
        figures_ids one finished.h5 $steps
        figures_ids two samples-two.h5 $steps
    done
    figures_ids one finished.h5 500
} >>expected.txt
"$bin/tests/score/score_files" gpt2 gpt2.h5
"$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 samples-two.h5
"$bin/flm_score" --compare samples-two.h5 | awk '$3 == "|" && $2 ~ /^[0-9]/ { print "ppl", $2, $4 }' >>expected.txt
rm -r out gpt2.h5 figures.safetensors figures.out finished finished.h5
rm flm/checkpoints/latest one/checkpoints/latest two/checkpoints/latest
