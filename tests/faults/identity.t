#!/bin/sh
# identity.t - outputs are not inputs, shards that changed under a run are noticed, and links of a run that goes on are
# followed once. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# unchanged NAME - the files of the sums taken by `sha256sum ... >sums` are as they were.
unchanged() {
    sha256sum -c --quiet sums >out 2>&1
    tap_ok $? "$1" || cat out
}

shards_make shards 32
# shellcheck disable=SC2086 # several options
train() { on_ranks 1 "$bin/flm_train" --data shards --out run $tiny "$@"; }
train --steps 4 --checkpoint-every 2
step=run/checkpoints/step-00000004.h5
cp $step c.h5
ln c.h5 hard.h5
ln -s c.h5 soft.h5
mkdir folder && ln -s ../run/checkpoints/latest folder/of-run.h5
cp c.h5 d.tmp
sha256sum c.h5 d.tmp $step >sums
for out in c.h5 ./c.h5 hard.h5 soft.h5; do
    tap_refused 2 "input and output are the same file" "flm_convert c.h5 $out" "$bin/flm_convert" c.h5 $out
done
tap_refused 2 "input and output are the same file" "the temporary name of the output" "$bin/flm_convert" d.tmp d
tap_refused 2 "a checkpoint of a run" "a checkpoint of a run" "$bin/flm_convert" c.h5 $step
tap_refused 2 "a checkpoint of a run" "a new one among them" "$bin/flm_convert" c.h5 run/checkpoints/step-00000099.h5
tap_refused 2 "a checkpoint of a run" "the link to the newest one" "$bin/flm_convert" c.h5 run/checkpoints/latest
tap_refused 2 "a checkpoint of a run" "a link to that" "$bin/flm_convert" c.h5 folder/of-run.h5
tap_refused 66 "is a directory" "a directory" "$bin/flm_convert" c.h5 folder
tap_refused 2 "is not a regular file" "a device" "$bin/flm_convert" c.h5 /dev/full
unchanged "nothing was written to them"
tap_is "$(readlink run/checkpoints/latest)" step-00000004.h5 "nor to the link"
timeout 60 "$bin/flm_convert" c.h5 w.safetensors >out 2>err && timeout 60 "$bin/flm_convert" c.h5 w.safetensors >out 2>err
tap_is $? 0 "an older output is replaced" || cat err

# A folder of GPT-2, and what is in it.
"$bin/tests/score/score_files" gpt2 gpt2.h5 2>err
mkdir hf && timeout 60 "$bin/flm_convert" gpt2.h5 hf/model.safetensors >out 2>err && echo '{}' >hf/config.json
sha256sum hf/* >sums
for out in hf/model.safetensors hf/config.json; do
    tap_refused 2 "exists in the folder that is converted" "flm_convert hf $out" "$bin/flm_convert" hf $out
done
tap_refused 2 "exists in the folder that is converted" "its file as the input" "$bin/flm_convert" hf/model.safetensors hf/config.json
unchanged "the folder is as it was"

# Tables over inputs.
set -- --checkpoint run --samples 3 --steps 2 --precision fp32 --threads 1
on_ranks 1 "$bin/flm_generate" "$@" --out s.h5
echo "a text to score" >t.txt
echo '{"text": "a text to score"}' >t.jsonl
sha256sum s.h5 gpt2.h5 t.txt t.jsonl $step >sums
for over in s.h5 gpt2.h5 t.txt; do
    tap_refused 2 "--json $over: " "flm_score --json $over" "$bin/flm_score" --gpt2 gpt2.h5 --json $over t.txt
done
tap_refused 2 "is an input" "flm_score --json t.jsonl" "$bin/flm_score" --gpt2 gpt2.h5 --json t.jsonl t.jsonl
tap_refused 2 "is not a JSON file" "flm_generate --json over a checkpoint" "$bin/flm_generate" "$@" --out s.h5 --json $step
tap_refused 2 "is not a regular file" "flm_score --json to a device" "$bin/flm_score" --gpt2 gpt2.h5 --json /dev/full t.txt
unchanged "nothing was written to them"
timeout 60 "$bin/flm_score" --gpt2 gpt2.h5 --json t.json t.txt >out 2>err && timeout 60 "$bin/flm_score" --gpt2 gpt2.h5 --json t.json t.txt >out 2>err
tap_is $? 0 "an older table is replaced" || cat err

# Shards rebuilt under a run.
cp -r shards before
rm -rf shards
"$bin/flm_shard" --out shards --length 32 --valid-last 20 --shard-bytes 20000 "$abs_top_srcdir/docs/model.md" \
    "$abs_top_srcdir/README.md" "$abs_top_srcdir/CONTRIBUTING.md" "$abs_top_srcdir/LICENSE" >/dev/null 2>err
train --steps 6
tap_is $? 0 "the same rows in other files: the run resumes" || cat err
rm -rf shards
"$bin/flm_shard" --out shards --length 32 --valid-last 30 "$abs_top_srcdir/docs/files.md" "$abs_top_srcdir/README.md" >/dev/null 2>err
train --steps 8
tap_is $? 65 "other rows: it does not"
tap_has err "was trained on other rows than --data shards has now" "and says why"
tap_has err "--allow-changed-data" "and what to do"
train --steps 8 --eval-only --eval-rows 4
tap_is $? 0 "other rows can be used for --eval-only" || cat err
train --steps 8 --allow-changed-data
tap_is $? 0 "other rows on request: it resumes" || cat err
tap_has err "the validation rows of --data shards have changed" "the held-out rows are compared, too"
train --steps 10
tap_is $? 0 "and then trains on with them" || cat err
rm -rf shards && cp -r before shards
train --steps 12
tap_is $? 65 "the former rows are other ones now"

# Links of a run that goes on, with a checkpoint at each step of which two are kept.
rm -rf run
# shellcheck disable=SC2086
timeout -k 5 120 "$bin/flm_train" --data shards --out run $tiny --batch 1 --steps 4000 --checkpoint-every 1 --keep 1 >train.out 2>&1 </dev/null &
trainer=$!
until test -e run/checkpoints/latest || ! kill -0 $trainer 2>/dev/null; do sleep 0.02; done
bad=0 tried=0
for round in 1 2 3 4 5 6 7 8 9 10; do
    tried=$round
    timeout 60 "$bin/flm_inspect" run/checkpoints/latest >out 2>err || { bad=$((bad + 1)) && cat err; }
    timeout 60 "$bin/flm_inspect" run >out 2>err || { bad=$((bad + 1)) && cat err; }
    timeout 60 "$bin/flm_convert" run/checkpoints/latest live.safetensors >out 2>err || { bad=$((bad + 1)) && cat err; }
    timeout 60 "$bin/flm_generate" --checkpoint run --samples 1 --steps 1 --precision fp32 --threads 1 --out live$round.h5 >out 2>err || { bad=$((bad + 1)) && cat err; }
done
kill -0 $trainer 2>/dev/null
tap_ok $? "a run goes on"
kill -USR1 $trainer 2>/dev/null
wait $trainer
tap_is "$bad of $((4 * tried))" "0 of 40" "its newest checkpoint is inspected, converted and sampled meanwhile"

# What is behind the end of a file.
for file in s.h5 run/checkpoints/latest shards/index.h5 shards/train-00000-of-00001.h5; do
    cp "$(readlink -f $file)" longer.h5 && echo garbage >>longer.h5
    tap_refused 65 "8 bytes behind its end" "$file with a line appended" "$bin/flm_inspect" longer.h5
done
tap_end
