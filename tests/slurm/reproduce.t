#!/bin/sh
# reproduce.t - jobs/reproduce without Slurm and network, on networks made here; the published figures; jobs/evaluate --best.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/cmd/train.sh
. "$abs_top_srcdir/tests/cmd/train.sh"
jobs=$abs_top_srcdir/jobs
if ! command -v curl >have.out 2>&1; then
    echo "1..0 # SKIP curl is needed"
    exit 0
fi
unset FLM_NAME
DEMO=1 FLM_SITE=$PWD/site.conf
export DEMO FLM_SITE

# The figures of README.md are those of published.txt.
awk '!/^#/ { printf "%s %s %s %s\n", $1, $2, $3, $4 }' "$jobs/published.txt" >want
# shellcheck disable=SC2016 # the table's code marks
awk -F '|' '/^\| `jobs\/reproduce F/ { gsub(/`/, "", $2); split($2, word, " "); count = split($3, figure, ";")
    for (i = 1; i <= count; i++) { split(figure[i], part, /[:\/ ]+/); print word[2], part[2], part[3], part[4] } }' \
    "$abs_top_srcdir/README.md" >have
cmp want have >out 2>&1
tap_ok $? "README.md has the $(wc -l <want) published figures"

# conf LINE... - a site.conf for this machine.
conf() {
    printf '%s\n' "gpus_per_node = 0" "cpus_per_node = 2" "device = cpu" "precision = fp32" "bind = none" "launcher = mpirun" \
        "programs = $bin" "data = $PWD/data" "runs = $PWD/runs" "logs = $PWD/logs" "$@" >site.conf
}

# A mirror: folders with the names and files of the released networks, from small ones.
shards_make shards 16
# shellcheck disable=SC2086 # several options
{
    on_ranks 1 "$bin/flm_train" --data shards --out flm $tiny --steps 2 --eval-every 0
    on_ranks 1 "$bin/flm_train" --data shards --out fmlm $tiny --steps 2 --eval-every 0 --objective fmlm
}
for kind in flm fmlm; do
    folder=site/$(echo $kind | tr fml FML)-B-LM1B
    mkdir -p "$folder"
    "$bin/flm_convert" --weights ema $kind/checkpoints/latest "$folder/model.safetensors" >out 2>err
    tap_ok $? "$kind: a network for the mirror"
    printf '{"algo.name": "dos", "model.length": 16, "model.hidden_size": 32, "vocab_size": 257}\n' >"$folder/config.json"
done
"$bin/tests/score/score_files" gpt2 gpt2.h5 2>err
conf "flm_url = file://$PWD/site" "gpt2 = $PWD/gpt2.h5"

"$jobs/reproduce" --table >out 2>err
tap_is "$? $(grep -c '^FM*LM-B-[LO].* - *-$' out)" "0 16" "the table without figures of ours"
"$jobs/reproduce" FLM-B-LM1B FMLM-B-LM1B >out 2>err
tap_is "$? $(grep -c ': done$' out)" "0 2" "two networks: fetched, converted, sampled, scored"
test "$(grep -c ': done$' out)" = 2 || sed 's/^/# /' out err
for line in 'FLM-B-LM1B +8 +243.36 +2.41 +[0-9]+\.[0-9][0-9] +[0-9]+\.[0-9][0-9]' 'FLM-B-LM1B +32 +152.01 +4.40 +- +-' \
    'FMLM-B-LM1B +1 +119.34 +4.16 +[0-9]+\.[0-9][0-9] +[0-9]+\.[0-9][0-9]' 'FMLM-B-LM1B +2 +110.19 +4.21 +- +-'; do
    grep -qE "^$line\$" out
    tap_ok $? "the table has a line like $line"
done
grep -E '^FM*LM' out >table
"$jobs/reproduce" FLM-B-LM1B FMLM-B-LM1B >out 2>err
tap_is "$? $(grep -c ': done$' out) $(grep -E '^FM*LM' out)" "0 0 $(cat table)" "the same command again: the same table, and no job"
"$bin/flm_inspect" runs/demo/reproduce_FMLM-B-LM1B/FMLM-B-LM1B.h5 >out 2>err
tap_has out "noise_level" "samples of the flow map: fresh noise"
grep 'noise_level' out | grep -q '0\.8'
tap_ok $? "of the published level"

conf "flm_url = file:///nowhere" "gpt2 = $PWD/gpt2.h5"
"$jobs/reproduce" FLM-B-OWT >out 2>err
tap_is $? 66 "a mirror that is not there"
tap_has err "file:///nowhere/FLM-B-OWT/config.json: cannot be read" "the message names the file"
tap_has err "on a machine with network access: " "and what to do"
"$jobs/reproduce" FLM-C >out 2>err
tap_is $? 2 "an unknown network"
tap_has err "they are: FLM-B-LM1B FLM-B-OWT FMLM-B-LM1B FMLM-B-OWT" "the message lists them"

# The best checkpoint of evaluations: steps of sampling, Gen-PPL, entropy.
# evaluated STEP GEN_PPL ENTROPY GEN_PPL ENTROPY - with 8 and with 128 sampling steps.
mkdir -p runs/demo/eval_r
evaluated() {
    printf '{\n  "steps_8": {\n    "generative_ppl": %s,\n    "entropy": %s,\n    "generated_seqs": [\n      "\\"entropy\\": 9"\n    ]\n  },
  "steps_128": {\n    "generative_ppl": %s,\n    "entropy": %s\n  }\n}\n' "$2" "$3" "$4" "$5" >"runs/demo/eval_r/step-$1.json"
}
evaluated 00000100 30.5 4.9 90 5.5
evaluated 00000200 50.25 5.2 70 5.4
evaluated 00000300 60 5.3 null 5.6
"$jobs/evaluate" --best r >out 2>err
tap_is "$? $(cut -d ';' -f 1 out)" "0 8 sampling steps: $PWD/runs/demo/r/checkpoints/step-00000100.h5, Gen-PPL 30.50, entropy 4.90
128 sampling steps: $PWD/runs/demo/r/checkpoints/step-00000200.h5, Gen-PPL 70.00, entropy 5.40" "--best: the lowest Gen-PPL"
"$jobs/evaluate" --best --min-entropy 5 r >out 2>err
tap_has out "8 sampling steps: $PWD/runs/demo/r/checkpoints/step-00000200.h5, Gen-PPL 50.25, entropy 5.20; lowest of 3 checkpoints, of 2 with an entropy of at least 5" \
    "--min-entropy: among those with that entropy"
"$jobs/evaluate" --best --min-entropy 5.45 r >out 2>err
tap_has out "8 sampling steps: none of 3 checkpoints has a Gen-PPL, and an entropy of at least 5.45" "none has it"
tap_has out "128 sampling steps: $PWD/runs/demo/r/checkpoints/step-00000100.h5, Gen-PPL 90.00" "with more steps one has"
"$jobs/evaluate" --best nothing >out 2>err
tap_is $? 66 "a run that was not evaluated"
tap_has err "jobs/evaluate nothing first" "what to do"
"$jobs/evaluate" --best --min-entropy much r >out 2>err
tap_is "$? $(cat err)" "2 evaluate: error: --min-entropy needs a number" "an entropy of text"
tap_end
