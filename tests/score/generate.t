#!/bin/sh
# generate.t - samples made and scored in one job: flm_generate --score and --json; flm_score --compare. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
generate=$abs_top_builddir/flm_generate
files=$abs_top_builddir/tests/score/score_files

i=0
while test $i -lt 60; do
    echo "some text of a few words, number $i, and then a few more of them"
    i=$((i + 1))
done >text.txt
"$abs_top_builddir/flm_shard" --tokenizer bytes --documents line --length 24 --valid-last 10 --out shards text.txt >out 2>err &&
    "$abs_top_builddir/flm_train" --data shards --out run --preset tiny --hidden-size 16 --heads 2 --cond-size 8 --blocks 1 \
        --batch 4 --steps 2 --precision fp32 --eval-every 0 --eval-rows 4 >out 2>err && "$files" gpt2 gpt2.h5 2>err
tap_ok $? "a checkpoint and a GPT-2"
timeout -k 5 100 "$generate" --checkpoint run --samples 5 --steps 1,2 --batch 2 --precision fp32 --out a.h5 --score gpt2.h5 \
    --json a.json >out 2>err
tap_ok $? "samples of two numbers of steps are made and scored"
tap_has out "Gen-PPL" "a table shows Gen-PPL"
tap_is "$(grep -c '"generative_ppl": [0-9]' a.json)" 2 "the JSON has it for each number of steps"
tap_lines a.json '"steps_2": {' 1 "under the number of steps"
"$abs_top_builddir/flm_score" --gpt2 gpt2.h5 --precision fp32 --json b.json a.h5 >out 2>err
tap_lines err " 0 of 5 texts to score" 2 "flm_score finds nothing left to do"
tap_is "$(sed -n 's/.*"gen_ppl": \([0-9.]*\).*/\1/p' b.json | cut -c 1-8 | tr '\n' ' ')" \
    "$(sed -n 's/.*"generative_ppl": \([0-9.]*\).*/\1/p' a.json | cut -c 1-8 | tr '\n' ' ')" "and reports the same"
tap_mpi 2 "$generate" --checkpoint run --samples 5 --steps 2 --batch 2 --precision fp32 --threads 1 --out c.h5 \
    --score gpt2.h5 --score-batch 1 --json c.json
tap_is "$(sed -n 's/.*"generative_ppl": \([0-9.]*\).*/\1/p' c.json | cut -c 1-8)" \
    "$(sed -n 's/.*"generative_ppl": \([0-9.]*\).*/\1/p' a.json | cut -c 1-8 | sed -n 2p)" "two ranks: the same"
tap_is "$(sed -n 's/^    "\([a-z_]*\)".*/\1/p' c.json | tr '\n' ' ')" "generative_ppl entropy generated_seqs protocol file kind sampler steps noise_level temperature precision setting samples scorer truncation " \
    "one number of steps: the keys of the published evaluation, and how the samples were made and scored"
"$generate" --checkpoint run --samples 5 --steps 2 --batch 2 --precision fp32 --out c.h5 --score gpt2.h5 --protocol published \
    --score-batch 2 --json p.json >out 2>err
tap_has out "the last 1 texts fill no batch of 2" "--protocol published"
tap_is "$(sed -n 's/^    "protocol[a-z_]*": \([^,]*\).*/\1/p' p.json | tr '\n' ' ')" '"published" 2 ' "the JSON names the protocol and the batch"
"$generate" --checkpoint run --samples 5 --steps 2 --batch 2 --precision fp32 --out c.h5 --json d.json >out 2>err
tap_has d.json '"generative_ppl": null' "without a GPT-2 there is no Gen-PPL"
"$generate" --checkpoint run --samples 5 --steps 2 --batch 2 --precision fp32 --out c.h5 --score a.h5 >out 2>err
tap_is $? 65 "a samples file instead of a GPT-2 is refused"
tap_has err "a.h5: is a file of kind samples, expected checkpoint" "the message names the kind"

# Checkpoints compared: they are sampled and scored once.
score=$abs_top_builddir/flm_score
cp -r run other && mkdir samples
timeout -k 5 100 "$score" --compare --gpt2 gpt2.h5 --precision fp32 --samples 5 --sample-batch 2 --steps 1,2 --samples-dir samples \
    --json e.json run other a.h5 >out 2>err
tap_ok $? "two checkpoints and a samples file are compared"
tap_lines out "== " 27 "two tables of samples; two of scores with their scorer; three names, a head line, a line for each number of steps"
tap_is "$(grep -c '"gen_ppl": [0-9]' e.json)" 6 "each file is scored for each number of steps"
tap_is "$(sed -n 's/.*"gen_ppl": \([0-9.]*\).*/\1/p' e.json | cut -c 1-8 | sed -n '1p;2p')" \
    "$(sed -n 's/.*"gen_ppl": \([0-9.]*\).*/\1/p' e.json | cut -c 1-8 | sed -n '3p;4p')" "a copy of a checkpoint has the same scores"
timeout -k 5 100 "$score" --compare --gpt2 gpt2.h5 --precision fp32 --samples 5 --sample-batch 2 --steps 1,2 --samples-dir samples \
    run other >out 2>err
tap_lines err " 0 of 5 texts to score" 4 "the second run has nothing to score"
"$score" --compare --gpt2 gpt2.h5 run >out 2>err
tap_is $? 2 "a checkpoint without --samples-dir is refused"
tap_has err "to compare a checkpoint, set --gpt2, --steps and --samples-dir" "the message names what is missing"
"$score" --gpt2 gpt2.h5 run >out 2>err
tap_has err "run: is a directory; list the text or samples files in it instead (--compare scores a run directory)" "without --compare the message gives the remedy"
tap_end
