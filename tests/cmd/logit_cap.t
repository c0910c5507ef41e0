#!/bin/sh
# logit_cap.t - the cap of a network's logits: new networks have one of 30, a resumed run and a flow map keep that of their
# checkpoint and teacher, and samples and converted weights record it. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# train DIR OPTION... - flm_train on the shards of ./shards.
train() {
    run=$1
    shift
    # shellcheck disable=SC2086 # several options
    "$bin/flm_train" --data shards --out "$run" $tiny "$@" >out 2>err </dev/null || cat err
}

# cap_of FILE - its attribute logit_cap; nothing if it has none.
cap_of() { "$bin/flm_inspect" "$1" 2>err | sed -n 's/^ *logit_cap = //p'; }

# setting_of DIR - logit-cap in its config.ini.
setting_of() { sed -n 's/^logit-cap = //p' "$1/config.ini"; }

shards_make shards 32
train capped --steps 2
tap_has err "logit cap 30" "a new network has a cap of 30"
tap_is "$(cap_of capped/checkpoints/latest) $(setting_of capped)" "30 30" "and its files say so"
train plain --steps 2 --logit-cap 0
tap_is "$(cap_of plain/checkpoints/latest) $(setting_of plain)" " 0" "a network without a cap has no attribute"
train small --steps 2 --logit-cap 2.5
tap_is "$(cap_of small/checkpoints/latest)" 2.5 "a cap of 2.5"

# Resumed without the option.
train plain --steps 3
tap_is "$(cap_of plain/checkpoints/latest) $(setting_of plain)" " 0" "a resumed run keeps having none"
train small --steps 3
tap_is "$(cap_of small/checkpoints/latest) $(setting_of small)" "2.5 2.5" "a resumed run keeps its cap"
train small --steps 4 --config small/config.ini
tap_is "$(cap_of small/checkpoints/latest)" 2.5 "also with its config.ini"
train plain-whole --steps 3 --logit-cap 0
weights_same "the resumed run has the same weights" plain/checkpoints/step-00000003.h5 plain-whole/checkpoints/step-00000003.h5
train large --steps 3 --logit-cap 1000
curve large >large.curve
curve plain-whole >plain.curve
cmp -s large.curve plain.curve
tap_is $? 1 "a cap has an effect"

# Distillation and samples.
on_ranks 1 "$bin/flm_distill" --data shards --teacher small --out map --steps 2 --batch 16 --precision fp32 --threads 1
tap_is "$? $(cap_of map/checkpoints/latest)" "0 2.5" "a flow map has the cap of its teacher"
on_ranks 1 "$bin/flm_distill" --data shards --teacher small --out map --steps 3 --batch 16 --precision fp32 --threads 1
tap_is "$?" 0 "and resumes" || cat err
"$bin/flm_distill" --data shards --teacher small --out other --logit-cap 3 >out 2>err
tap_is "$? $(grep -c 'no --logit-cap: the flow map has the logit cap of its teacher' err)" "2 1" "and none of its own"
for run in small plain map; do
    "$bin/flm_generate" --checkpoint $run --samples 2 --steps 2 --out $run.h5 --precision fp32 >out 2>err || cat err
done
tap_is "$(cap_of small.h5) $(cap_of plain.h5) $(cap_of map.h5)" "2.5  2.5" "samples record the cap"

# Converted.
"$bin/flm_convert" small/checkpoints/latest small.safetensors >out 2>err || cat err
"$bin/flm_convert" small.safetensors again.h5 >out 2>err || cat err
tap_is "$(cap_of again.h5)" 2.5 "safetensors carry the cap"
grep -a -o '"flm.logit_cap":"[^"]*"' small.safetensors >out
tap_is "$(cat out)" '"flm.logit_cap":"2.5"' "as metadata"
sed 's/"flm.logit_cap":"2.5"/"flm.logit_cap":"2,5"/' small.safetensors >wrong.safetensors
"$bin/flm_convert" wrong.safetensors wrong.h5 >out 2>err
tap_is "$? $(grep -c "flm.logit_cap is '2,5', not a number" err)" "65 1" "a cap that is not a number is refused"
tap_end
