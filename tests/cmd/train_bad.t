#!/bin/sh
# train_bad.t - flm_train with invalid input: one message that names the problem and its place, the right exit status, no
# hang, and existing files unchanged. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# refused STATUS TEXT NAME OPTION... - flm_train alone, with the shards of ./shards unless given.
refused() {
    want=$1 text=$2 name=$3
    shift 3
    # shellcheck disable=SC2086 # several options
    timeout -k 5 60 "$bin/flm_train" --data shards $tiny --steps 8 "$@" >out 2>err </dev/null
    refused_check $?
}

# The same on two ranks.
refused_by_two() {
    want=$1 text=$2 name=$3
    shift 3
    # shellcheck disable=SC2086
    tap_mpi 2 "$bin/flm_train" --data shards $tiny --steps 8 "$@"
    refused_check $?
}

refused_check() {
    tap_is "$1 $(grep -c '^flm_train: error:' err)" "$want 1" "$name: status $want, one message"
    tap_has err "$text" "$name: the message"
}

shards_make shards 32
shards_make shards-24 24
cp "$abs_top_srcdir/LICENSE" text
# shellcheck disable=SC2086
"$bin/flm_train" --data shards --out run $tiny --steps 6 --checkpoint-every 2 --keep 0 >out 2>err || cat err
first=run/checkpoints/step-00000002.h5 newest=step-00000006.h5
# shellcheck disable=SC2012 # names of our own
tap_is "$(ls run/checkpoints | wc -l)" 4 "three checkpoints and latest"

# Usage.
refused 2 "unknown option --no-such" "unknown option" --out x --no-such 3
refused 2 "--batch: '0' is not valid; expected an integer from 1 to 16777216" "out of range" --out x --batch 0
refused 2 "--lr: 'nan' is not valid" "not a number" --out x --lr nan
refused 2 "--preset: unknown preset 'huge'" "unknown preset" --out x --preset huge
refused 2 "not a multiple of the number of heads H = 5" "sizes that do not fit" --out x --heads 5
refused 2 "logit cap is 0.05, must be 0 (none) or from 0.1 to 1000" "a logit cap of no use" --out x --logit-cap 0.05
refused 2 "--logit-cap: '-30' is not valid" "a negative logit cap" --out x --logit-cap -30
refused 2 "--out DIR is required" "no run directory"
refused 2 "unexpected argument 'extra'" "an argument" --out x extra
refused_by_two 2 "--batch 1 is smaller than the number of ranks (2)" "batch below ranks" --out x --batch 1
refused_by_two 2 "--preset: unknown preset 'huge'" "unknown preset, two ranks" --out x --preset huge
refused 2 "--resume no: run/checkpoints already has checkpoints" "--resume no" --out run --resume no
refused 2 "--resume $first: run/checkpoints has checkpoints of another run" "another's checkpoint" --out run --resume $first
refused 2 "--eval-only: x/checkpoints has no checkpoint to evaluate" "nothing to measure" --out x --eval-only
refused 69 "device cuda: th" "no GPU, or none built in" --out x --device cuda
test ! -e x/metrics.jsonl && test ! -e x/config.ini
tap_ok $? "no output was created"

# Files that are missing or of the wrong kind.
refused 66 "run/checkpoints/latest/index.h5: is missing" "a checkpoint as shards" --out x --data run/checkpoints/latest
refused 66 "text/index.h5: is missing" "a text as shards" --out x --data text
refused 66 "nowhere/index.h5: cannot be opened: No such file" "no shards" --out x --data nowhere
refused 65 "shards/index.h5: is a file of kind index, expected checkpoint" "an index as checkpoint" --out x \
    --resume shards/index.h5
refused 65 "text: is not an HDF5 file" "a text as checkpoint" --out x --resume text
refused 66 "nowhere: cannot be opened: No such file" "no checkpoint" --out x --resume nowhere

# Shards.
mkdir unfinished && cp shards/train-* unfinished
refused 66 "unfinished/index.h5: is missing" "shards without index" --out x --data unfinished
cp -r shards truncated && truncate -s -100 truncated/train-00000-of-00001.h5
refused 65 "truncated/train-00000-of-00001.h5: is truncated" "truncated shard" --out x --data truncated
cp -r shards flipped && "$tool" flip flipped/train-00000-of-00001.h5 /tokens $((5 * 64 + 3))
rows=$(($(stat -c %s shards/train-00000-of-00001.h5) / 64)) # about as many: every row comes once in an epoch
refused 65 "flipped/train-00000-of-00001.h5: /tokens: row 5: checksum mismatch" "a changed row" --out x --data flipped --steps $((rows / 16))
refused_by_two 65 "flipped/train-00000-of-00001.h5: /tokens: row 5: checksum mismatch" "a changed row, two ranks" --out x2 --data flipped \
    --steps $((rows / 16))
cp -r shards held && "$tool" flip held/valid-00000-of-00001.h5 /tokens $((5 * 64 + 3))
refused_by_two 65 "held/valid-00000-of-00001.h5: /tokens: row 5: checksum mismatch" "a changed held-out row, two ranks" --out x3 --data held
cp -r shards summed && "$tool" flip summed/train-00000-of-00001.h5 /checksums 3
refused 65 "summed/train-00000-of-00001.h5: /checksums: checksum mismatch" "changed checksums" --out x --data summed

# Checkpoints that do not match the run, and damaged ones. The run itself is unchanged.
cp run/metrics.jsonl metrics && cp run/config.ini config
refused 65 "run/checkpoints/$newest has length L = 32, but this run has 24" "other length" --out run --data shards-24
refused 65 "run/checkpoints/$newest has hidden size d = 32, but this run has 48" "other size" --out run --hidden-size 48
refused 65 "run/checkpoints/$newest was trained with --logit-cap 30, which a resumed run cannot change to 0" "other cap" \
    --out run --logit-cap 0
refused 65 "run/checkpoints/$newest was trained with --seed 1, which a resumed run cannot change to 5" "other seed" \
    --out run --seed 5
refused_by_two 65 "run/checkpoints/$newest was trained with --batch 16" "other batch" --out run --batch 8
refused 65 "run/checkpoints/$newest is at step 6, beyond --steps 3" "fewer steps" --out run --steps 3
cmp -s run/metrics.jsonl metrics && cmp -s run/config.ini config
tap_ok $? "the run is unchanged"
"$tool" poison run/checkpoints/$newest vocabulary weights/vocab_embed.embedding bert-base-uncased
refused 65 "vocabulary/step-00000007.h5 was trained with tokeniser bert-base-uncased" "other vocabulary" --out x \
    --resume vocabulary/step-00000007.h5

fall_back() { # NAME TEXT - the run in ./NAME resumes from step 4, and reports why
    # shellcheck disable=SC2086
    tap_mpi 2 "$bin/flm_train" --data shards --out "$1" $tiny --steps 8
    tap_is $? 0 "$1: the run resumes"
    tap_lines err "$1/checkpoints/$newest: $2" 1 "$1: one warning names the damaged file"
    tap_has err "resuming from step 4" "$1: from the previous checkpoint"
}
cp -r run cut && truncate -s 5000 cut/checkpoints/$newest
fall_back cut "is truncated: it has 5000 bytes"
cp -r run turned && "$tool" flip turned/checkpoints/$newest /optimizer/m/blocks.1.attn_out.weight 77
fall_back turned "optimizer/m/blocks.1.attn_out.weight: block 0: checksum mismatch"
tap_is "$(curve cut)" "$(curve turned)" "both runs have the same losses"
for step in 2 4 6; do truncate -s 100 cut/checkpoints/step-0000000$step.h5; done
rm cut/checkpoints/step-00000008.h5
refused 65 "cut/checkpoints: none of the" "all damaged" --out cut

# Numbers that are not finite.
for name in blocks.0.attn_qkv.weight vocab_embed.embedding; do
    rm -rf nan && cp -r run nan
    "$tool" poison nan/checkpoints/$newest nan/checkpoints weights/$name
    cp nan/checkpoints/step-00000007.h5 kept
    refused_by_two 76 "not finite" "$name not finite" --out nan --checkpoint-every 1
    tap_has err "the last checkpoint is kept" "$name not finite: the message"
    grep -q "error: .*step [78][: ]" err
    tap_ok $? "$name not finite: names the step"
    tap_is "$(readlink nan/checkpoints/latest)" step-00000007.h5 "$name not finite: latest is unchanged"
    cmp -s nan/checkpoints/step-00000007.h5 kept
    tap_ok $? "$name not finite: the checkpoint is unchanged"
done

# Where nothing can be written.
refused 66 "text/checkpoints: cannot be created: Not a directory" "a file instead of a directory" --out text
mkdir -p blocked/metrics.jsonl unset/config.ini
refused_by_two 66 "blocked/metrics.jsonl: cannot be opened: Is a directory" "no metrics" --out blocked
refused 66 "unset/config.ini" "no config.ini" --out unset
tap_is "$(find unset -type f)" "" "no config.ini: nothing left behind"

# whole DIR STEP NAME - after a full disk: latest is the previous checkpoint and valid, and no incomplete file is left.
whole() {
    tap_is "$(readlink "$1/checkpoints/latest")" "step-0000000$2.h5" "$3: latest is the previous checkpoint"
    "$tool" compare "$1/checkpoints/latest" "$1/checkpoints/latest" >out 2>&1
    tap_ok $? "$3: it is valid"
    tap_is "$(find "$1/checkpoints" -name '.*' -type f)" "" "$3: no incomplete file is left"
}
if command -v prlimit >/dev/null; then
    # The limit comes after the start: MPI has large files of its own.
    cp -r run limited
    # shellcheck disable=SC2016,SC2086 # expanded by the process that notes its number; several options
    timeout -k 5 60 sh -c 'echo $$ >pid; exec "$@"' sh "$bin/flm_train" --data shards --out limited $tiny \
        --steps 100000 >out 2>err </dev/null &
    launcher=$!
    until grep -q '"step":9,' limited/metrics.jsonl || ! kill -0 $launcher 2>/dev/null; do sleep 0.02; done
    prlimit --fsize=200000 --pid "$(cat pid)" && kill -USR1 "$(cat pid)"
    want=74 text="cannot be written: File too large" name="file-size limit"
    wait $launcher
    refused_check $?
    whole limited 6 "file-size limit"
else
    tap_skip "file-size limit" "no prlimit"
fi
mkdir small
if test "$(id -u)" = 0 && mount -t tmpfs -o size=3m none small 2>/dev/null; then
    trap 'umount "$tap_folder/small"; tap_remove' EXIT
    refused_by_two 74 ".step-00000008.h5.tmp: " "full disk" --out small/run --checkpoint-every 2 --keep 0
    tap_has err "No space left on device" "full disk: the reason"
    whole small/run 6 "full disk"
    dd if=/dev/zero of=small/rest bs=1024 2>/dev/null
    refused 74 "small/run/config.ini.tmp: cannot be written: No space left" "fuller disk" --out small/run
    whole small/run 6 "fuller disk"
    rm small/rest small/run/checkpoints/step-00000002.h5
    # shellcheck disable=SC2086
    tap_mpi 2 "$bin/flm_train" --data shards --out small/run $tiny --steps 8 --keep 3
    tap_is $? 0 "with free space the run resumes"
else
    tap_skip "full disk" "no right to mount"
fi
tap_end
