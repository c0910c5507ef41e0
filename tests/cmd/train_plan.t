#!/bin/sh
# train_plan.t - --plan: the memory that a run would take, computed without a GPU. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# planned FILE - MiB in all; their parts must add up to it
planned() {
    awk '/  total$/ { all = $1; exit } NR > 1 { sum += $1 } END { if (sum - all > 0.5 || all - sum > 0.5) all = "no sum"; print all }' "$1"
}

shards_make shards 32
# shellcheck disable=SC2086 # several options
timeout 60 "$bin/flm_train" --data shards --out run $tiny --micro-batch 4 --chunk 64 --plan >plan 2>err
tap_is "$?" 0 "--plan"
test ! -e run
tap_ok $? "nothing is written"
# shellcheck disable=SC2086
timeout 60 "$bin/flm_train" --data shards --out run $tiny --micro-batch 4 --chunk 64 --steps 1 >out 2>err
tap_is "$? $(sed -n 's/.*; \([0-9]*\) MiB per rank$/\1/p' err)" "0 $(printf '%.0f' "$(planned plan)")" \
    "the run takes what was planned"
timeout 60 "$bin/flm_distill" --data shards --teacher run --out map --batch 16 --plan >plan 2>err
tap_is "$? $(grep -c 'frozen networks' plan)" "0 1" "flm_distill --plan counts the teacher"
test ! -e map
tap_ok $? "and writes nothing"
# shellcheck disable=SC2086
tap_mpi 4 "$bin/flm_train" --data shards --out run4 $tiny --plan
tap_is "$? $(grep -c 'total$' out)" "0 1" "on four ranks: printed once"
tap_has out "GB sent per rank and step, on 4 ranks" "with what they communicate"
# A batch of 5 on 3 ranks: one sequence on the first, two on the others.
# shellcheck disable=SC2086
tap_mpi 3 "$bin/flm_train" --data shards --out run3 $tiny --batch 5 --plan
tap_is "$? $(sed -n 's/micro-batch of \([0-9]*\) x 32 tokens.*/\1/p' out)" "0 2" "uneven shares: the largest is printed"
# shellcheck disable=SC2086
timeout 60 "$bin/flm_train" --data shards --out run $tiny --plan --eval-samples 4 >plan 2>err
tap_is "$? $(grep -c '^ *[0-9.]*  extra while' plan)" "0 1" "so is the memory for the samples of a validation"
# shellcheck disable=SC2086
timeout 60 "$bin/flm_train" --data shards --out run $tiny --plan --eval-only >plan 2>err
tap_is "$? $(grep -c -e --eval-only err)" "2 1" "not with --eval-only"
# shellcheck disable=SC2086
timeout 60 "$bin/flm_train" --data shards --out run $tiny --plan --device cpu >plan 2>err
tap_is "$? $(grep -c -e '--device cpu' err)" "2 1" "nor with --device cpu"

# The published micro-batch on an 80 GB card (model.md section 11): with a fifth of it free.
"$bin/flm_shard" --tokenizer gpt2 --out owt --length 1024 "$abs_top_srcdir/docs/model.md" >/dev/null 2>err
timeout 60 "$bin/flm_train" --data owt --out published --preset small --batch 512 --micro-batch 64 --plan >plan 2>err
tap_is "$? $(grep -c 'V 50258' err)" "0 1" "64 sequences of 1024 tokens of \`small\`, V = 50258"
awk -v all="$(planned plan)" 'BEGIN { exit !(all > 20000 && all * 1048576 < 64e9) }'
tap_ok $? "fit 80 GB with room: $(planned plan) MiB"
tap_has plan "      2.71  a checkpoint" "a checkpoint of 169.6 M parameters, four times in fp32"
tap_has plan "time: unknown; --tokens-per-second gives a measured speed" "the time is not guessed"
for given in "--tokens-per-second 1e6" "--peak-tflops 989"; do
    # shellcheck disable=SC2086 # several words
    timeout 60 "$bin/flm_train" --data owt --out published --preset small --batch 512 --micro-batch 64 --plan $given >plan 2>err
    grep '^time: ' plan
done >timed
tap_has timed "time: 6.07 days without validations, at 1000000 tokens/s as measured" "the time at a measured speed"
tap_has timed "on 1 rank, assuming 40 % of the peak of 989 TFLOP/s" "or at an assumed share of the peak"
timeout 60 "$bin/flm_train" --data owt --out published --preset small --micro-batch 64 --recompute --plan >again 2>err
awk -v kept="$(planned plan)" -v again="$(planned again)" 'BEGIN { exit !(again > 2000 && again < kept / 2) }'
tap_ok $? "--recompute takes less than half: $(planned again) MiB"
timeout 60 "$bin/flm_train" --data owt --out published --objective any-order --preset small --batch 512 --micro-batch 64 \
    --plan >plan 2>err
awk -v all="$(planned plan)" 'BEGIN { exit !(all > 10000 && all * 1048576 < 64e9) }'
tap_ok $? "64 sequences of an any-order map fit, too: $(planned plan) MiB"
tap_end
