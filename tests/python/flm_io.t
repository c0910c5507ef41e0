#!/bin/sh
# flm_io.t - python/flm_io and the C programs read each other's files: shards both ways, checkpoints, samples, and a training
# step by PyTorch with our weights, rows, times and noise. PYTHON names a Python with numpy, h5py and torch; without one the test
# is skipped. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
python=${PYTHON:-python3}
if ! "$python" -c 'import sys, h5py, numpy, torch; sys.exit(sys.version_info < (3, 9))' >have 2>&1; then
    echo "1..0 # SKIP $python has no numpy, h5py and torch (PYTHON=...): $(tail -n 1 have)"
    exit 0
fi
OMP_NUM_THREADS=1 OMPI_MCA_btl=self
PYTHONDONTWRITEBYTECODE=1
export OMP_NUM_THREADS OMPI_MCA_btl PYTHONDONTWRITEBYTECODE

# compare PART ARGUMENT... - output in out.
compare() {
    timeout -k 5 120 "$python" "$abs_top_srcdir/tests/python/compare.py" "$@" >out 2>err
    tap_is "$?" 0 "flm_io: $1"
    test ! -s err || sed 's/^/# /' err
}
shard_rows=$abs_top_builddir/tests/cmd/shard_rows

compare self_test
sed -n 1,150p "$abs_top_srcdir/docs/model.md" | grep . >text.txt
"$bin/flm_shard" --out shards --length 24 --valid-last 20 text.txt >made 2>&1
compare rows shards train
"$shard_rows" shards train >rows
cmp out rows
tap_ok $? "rows of a data set, read by a worker"
compare copy shards copied
for split in train valid; do
    "$shard_rows" shards $split >rows
    "$shard_rows" copied $split >again
    cmp rows again
    tap_ok $? "its copy in several files, split $split"
done
"$bin/flm_shard" --verify copied >out 2>err && "$bin/flm_inspect" copied >out 2>&1
tap_is $? 0 "flm_shard and flm_inspect accept it"
"$bin/flm_shard" --out packed --length 24 --group-docs 0 text.txt >made 2>&1
compare text packed mine text.txt 24
"$shard_rows" packed train >rows
"$shard_rows" mine train >again
cmp rows again
tap_ok $? "packed as by flm_shard"

# Training on both sets of files is the same; then the step by PyTorch.
settings="--hidden-size 32 --heads 2 --cond-size 16 --blocks 2 --batch 8 --lr 1e-2 --warmup 0 --precision fp32 --threads 1"
for data in shards copied; do
    # shellcheck disable=SC2086 # options
    "$bin/flm_train" --data $data --out run-$data --preset tiny $settings --steps 6 --log-every 1 >made 2>&1
    sed -n 's/.*"loss": *\([-+0-9.e]*\).*/\1/p' run-$data/metrics.jsonl >losses-$data
done
test "$(wc -l <losses-shards)" -ge 6 && cmp losses-shards losses-copied
tap_ok $? "the same losses on the copy"
checkpoint=run-shards/checkpoints/latest
for weights in ema raw; do
    "$bin/flm_convert" --weights $weights $checkpoint $weights.safetensors >made 2>&1
    compare export run-shards $weights $weights.safetensors
done
compare loss $checkpoint shards step.h5
"$abs_top_builddir/tests/parity/parity" step.h5 >out 2>err
tap_is "$? $(tail -n 1 out)" "0 $(grep -c . out | awk '{ print $1 - 1 }') passed, 0 failed, 0 skipped" \
    "its loss, logits and gradients are ours, given the same tokens, times and noise"
awk '$3 == "loss" { seen = 1; exit !($5 <= 1e-5) } END { if (!seen) exit 1 }' out
tap_ok $? "the loss to 1e-5: $(awk '$3 == "loss" { print $5 }' out)"
test "$(grep -c ' grad/' out)" = 30
tap_ok $? "all gradients of two blocks"

# Networks of all kinds.
"$bin/flm_distill" --data shards --teacher run-shards --out map --batch 8 --steps 1 --precision fp32 --threads 1 >made 2>&1
"$bin/flm_distill" --data shards --teacher run-shards --out two-model --method two-model --batch 8 --steps 1 --precision fp32 \
    --threads 1 >made 2>&1
compare shapes run-shards map two-model
tap_is "$(tr '\n' ';' <out)" "flm [2, 24, 257];fmlm [2, 24, 257];fmlm-two-model [2, 24, 257];" "networks of three kinds"

"$bin/flm_generate" --checkpoint run-shards --samples 5 --steps 2 --out samples.h5 --text --precision fp32 --threads 1 >texts 2>err
compare samples samples.h5 steps_2
grep -v '^== ' texts | tr -d '\n' >ours
tr -d '\n' <out >theirs
cmp ours theirs
tap_ok $? "texts of samples"

# Damage: a byte of the rows, of a weight, of a sample; another file.
damage() {
    cp -R "$1" "$2"
    printf '\377\376\375' | dd of="$2${3:+/$3}" bs=1 seek="$4" conv=notrunc 2>made
}
offset=$(($(wc -c <shards/train-00000-of-00001.h5) / 2))
damage shards bad train-00000-of-00001.h5 $offset
damage "$(readlink -f $checkpoint)" bad.h5 '' $(($(wc -c <$checkpoint) / 8))
"$python" -c 'if 1:
    import sys
    sys.path.insert(0, sys.argv[1] + "/python")
    import flm_io
    for read in (lambda: flm_io.Shards("bad")[:], lambda: flm_io.Checkpoint("bad.h5").weights("raw"),
                 lambda: flm_io.Shards("shards", "test"), lambda: flm_io.Checkpoint("samples.h5")):
        try:
            print("read:", read())
        except flm_io.FormatError as error:
            print(error)' "$abs_top_srcdir" >out 2>&1
tap_has out "bad/train-00000-of-00001.h5: /tokens: row " "a damaged row is named"
tap_has out "bad.h5: /weights/" "a damaged weight is named"
tap_has out "shards: no split 'test'; it has train, valid" "a split that is not there"
tap_has out "samples.h5: expected a file of format flm-checkpoint, found 'flm-samples'" "a file of another kind"
tap_lines out "read:" 0 "none is read"
tap_end
