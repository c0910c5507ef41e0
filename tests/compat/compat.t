#!/bin/sh
# compat.t - files of earlier versions (tests/compat/files-*) are read, sampled, scored and resumed.
#
# What is only read is compared bit for bit. What is computed from it is compared within 1e-4, because oneDNN and
# OpenBLAS choose their kernels by the processor, and the kernels' sums differ in the last bits: with kernels for
# SSE4.1, AVX2 and AVX-512, and on other numbers of ranks, losses and weights of these runs were within 1e-5 of each
# other. Without the EMA weights or a moment of AdamW, or one step off, the final weights differ by more than 1e-2.
# FLM_COMPAT_EXACT=1 asks for equal bits of the resumed runs too; for the processor on which expected.txt was made.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
file_tool=$tool
. "$abs_top_srcdir/tests/compat/figures.sh"
tolerance=1e-4
files=$abs_top_srcdir/tests/compat/files-0.1.0
want=$files/expected.txt

# files_copy DIR - a writable copy (those of a distribution may be read-only), with the links to the newest checkpoints.
files_copy() {
    cp -R "$files" "$1" && chmod -R u+w "$1" || exit 99
    for folder in "$1"/*/checkpoints; do ln -s "$(ls "$folder")" "$folder/latest"; done
}

# near WANT HAVE KIND RUN NAME - the lines "KIND RUN ..." of both files agree within the tolerance.
near() {
    figures_apart "$1" "$2" "$3" "$4" >far
    awk -v max=$tolerance '!(NF == 1 && $1 + 0 <= max) { bad = 1 } END { exit bad || NR != 1 }' far
    tap_ok $? "$5 ($(cat far))"
}

# ids_near HAVE RUN NAME - the samples of a run are the expected ones. Where two scores are equal but for rounding,
# either token may be chosen, and later steps of that row change with it: at most 16 tokens, a row, may differ.
ids_near() {
    awk -v run="$2" '
        $1 != "ids" || $2 != run { next }
        FNR == NR { want[$3, $4] = $0; wants++; next }
        {
            n = split(want[$3, $4], w)
            if (n != NF || n != 20) bad = 1
            for (k = 5; k <= n; k++) off += $k != w[k]
            haves++
        }
        END { print off + 0 " tokens differ"; exit bad || wants == 0 || haves != wants || off > 16 }' "$want" "$1" >far
    tap_ok $? "$3 ($(cat far))"
}

files_copy read && cd read || exit 99

# Read. A checkpoint's kind may be printed under the name that it had then or under the one that it has now.
timeout 60 "$bin/flm_inspect" shards flm one two samples-flm.h5 samples-one.h5 samples-two.h5 >out 2>err
tap_is $? 0 "flm_inspect takes every file" || cat err
sed -n 's/^ *kind = //p' out | sed 's/^flow-map-1$/fmlm-two-model/; s/^flow-map-2$/fmlm-two-stage/' | tr '\n' ' ' >have
tap_is "$(cat have)" "flm fmlm-two-model fmlm-two-stage flm fmlm-two-model fmlm-two-stage " \
    "checkpoints and samples are of the three kinds"
timeout 60 "$bin/flm_inspect" --rows 1 shards >out 2>err
tap_has out "<|end|>line 0 of a" "the first row of the shards is that of the text"
timeout 60 "$bin/flm_shard" --verify shards >out 2>err
tap_is $? 0 "flm_shard verifies the shards" || cat err
for run in flm one two; do
    figures_weights $run-stopped $run/checkpoints/latest 2>&1 | head -n 1 >have
    tap_is "$(cat have)" "$(grep "^sha256 $run-stopped " "$want")" "$run: weights and averages are read bit for bit"
done
for run in flm two; do
    for steps in 1 4; do figures_ids $run samples-$run.h5 $steps; done >have
    tap_is "$(cat have)" "$(grep "^ids $run " "$want")" "$run: the samples are read bit for bit"
done
cp samples-two.h5 scored.h5
timeout 60 "$bin/flm_score" --compare scored.h5 samples-flm.h5 >out 2>err
tap_is $? 0 "flm_score --compare takes samples" || cat err
tap_is "$(awk '$3 == "|" && $2 ~ /^[0-9]/ { print "ppl", $2, $4 }' out)" "$(grep '^ppl ' "$want")" \
    "and prints the figures stored in them"
"$bin/tests/score/score_files" gpt2 gpt2.h5 2>err &&
    timeout 60 "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 scored.h5 >out 2>err
tap_is $? 0 "flm_score takes scored samples"
tap_lines err " 0 of 6 texts to score" 2 "and computes none of their scores again"

# Sampled. Those of stage one were stopped early, and its teacher has another path now.
samples="--samples 6 --seed 7 --precision fp32 --threads 1"
figures_ids one samples-one.h5 500 | grep '^ids one 500 0 [0-9]* ' >first
# shellcheck disable=SC2086 # several options
{
    on_ranks 1 "$bin/flm_generate" --checkpoint one --teacher flm --out samples-one.h5 $samples --steps 500,4,1
    tap_is $? 0 "one: the same command finishes a samples file" || cat err
    for run in flm two; do
        on_ranks 1 "$bin/flm_generate" --checkpoint $run --out new-$run.h5 $samples --steps 1,4
        tap_is $? 0 "$run: samples" || cat err
    done
}
mv samples-one.h5 new-one.h5
for run in flm one two; do
    for steps in 1 4 500; do
        if test $run = one || test $steps != 500; then figures_ids $run new-$run.h5 $steps; fi
    done >have
    ids_near have $run "$run: the same samples as then"
done
tap_is "$(figures_ids one new-one.h5 500 | head -n 1)" "$(cat first)" "one: the finished sample is kept"

# Resumed to the end, each in a copy of its own, by the configuration file of the run; the FLM on two ranks as then.
resumed() { # RUN RANKS PROGRAM
    run=$1
    cd "$tap_folder" && files_copy "resumed-$run" && cd "resumed-$run" || exit 99
    on_ranks "$2" "$bin/$3" --config "$run/config.ini"
    tap_is $? 0 "$run: the run resumes" || cat err
    first=$(sed -n "s/^loss $run \([0-9]*\) .*/\1/p" "$want" | head -n 1)
    {
        figures_losses "$run" "$run" "$first"
        figures_weights "$run" "$run/checkpoints/latest"
    } >have
    tap_is "$(figures_losses "$run" "$run" 1 | awk '$1 == "loss" { printf "%s ", $3 }')" "$(seq -s ' ' 36) " \
        "$run: its metrics have every step once"
    near "$want" have loss "$run" "$run: losses and gradient norms"
    near "$want" have valid "$run" "$run: validations"
    near "$want" have tensor "$run" "$run: final weights and averages"
    if test -n "${FLM_COMPAT_EXACT-}"; then
        tap_is "$(grep -v ^tensor have)" "$(grep -E "^(loss|valid|sha256) $run " "$want")" "$run: bit for bit"
    fi
}
resumed two 1 flm_distill
resumed one 1 flm_distill
resumed flm 2 flm_train

# Trained again from nothing on the shards.
on_ranks 1 "$bin/flm_train" --config flm/config.ini --out fresh --logit-cap 0
tap_is $? 0 "flm: a new run on the shards" || cat err
{
    figures_losses flm "$files/flm" 1
    grep -E '^(loss|valid|tensor) flm ' "$want"
} >both
{
    figures_losses flm fresh 1
    figures_weights flm fresh/checkpoints/latest
} >have
near both have loss flm "its losses and gradient norms are those of the old run"
near both have tensor flm "and so are its weights"
tap_end
