#!/bin/sh
# compare.t - what makes scores comparable: the share of n-grams in the training shards, null baselines,
# MAUVE, sweeps. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
score=$abs_top_builddir/flm_score
files=$abs_top_builddir/tests/score/score_files

# value FILE KEY LINE - the number under KEY in a line of a JSON file.
value() { sed -n "$3{s/.*\"$2\": *\\([^,}]*\\).*/\\1/p;}" "$1"; }
# among LOW VALUE HIGH NAME
among() {
    awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN { exit !(b ~ /^[-0-9.e+]+$/ && a + 0 <= b + 0 && b + 0 <= c + 0) }'
    tap_ok $? "$4: $1 <= $2 <= $3"
}
refused() {
    refused_status=$1 refused_text=$2 refused_name=$3
    shift 3
    tap_refused "$refused_status" "$refused_text" "$refused_name" "$score" "$@"
}

awk 'BEGIN { for (i = 0; i < 300; i++) print "line " i * 7 % 300 " of a text of a few words, the same ones, " i * i % 97 }' >corpus.txt
"$files" gpt2 gpt2.h5 2>err && "$files" samples samples.h5 2>err &&
    "$abs_top_builddir/flm_shard" --tokenizer bytes --documents line --length 90 --valid-last 60 --out shards corpus.txt >out 2>err
tap_ok $? "a GPT-2, samples and shards"
sed -n 1,20p corpus.txt >seen.txt
printf 'Nothing of this is there.\n12345678901234567890\n' >new.txt

# Memorisation.
"$score" --gpt2 gpt2.h5 --precision fp32 --shards shards --json one.json samples.h5 seen.txt new.txt >out 2>err
tap_ok $? "n-grams are looked up in the shards"
among 0.9 "$(value one.json train_overlap_16 4)" 1 "16-grams of lines of the corpus" # rows of the shards cut some
among 0 "$(value one.json train_overlap_8 5)" 0 "8-grams of other text"
among 0.05 "$(value one.json train_overlap_4 2)" 0.9 "4-grams of samples"
tap_has out " train-4 train-8 train-16 " "the table has the shares"
cp samples.h5 two.h5
tap_mpi 2 "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --shards shards --json two.json samples.h5 seen.txt new.txt
cmp one.json two.json
tap_ok $? "two ranks: the same"
"$score" --compare --shards shards --json three.json samples.h5 >out 2>err
tap_is "$(value three.json train_overlap_4 2)" "$(value one.json train_overlap_4 2)" "without GPT-2: the same"

# Null baselines: as many texts as the largest set has, drawn and scored alike on any number of ranks.
"$score" --gpt2 gpt2.h5 --precision fp32 --shards shards --baselines --steps 8 --json null.json samples.h5 >out 2>err
tap_ok $? "null baselines are drawn and scored"
tap_is "$(value null.json kind 3) $(value null.json kind 4) $(value null.json samples 3) $(value null.json samples 4)" \
    '"unigram" "bigram" 23 23' "a row each, with as many texts"
tap_is "$(value null.json truncation 4) $(value null.json protocol 4) $(value null.json scorer 4)" \
    "$(value null.json truncation 2) $(value null.json protocol 2) $(value null.json scorer 2)" "scored as the samples are"
among 0 "$(value null.json train_overlap_4 3)" "$(value null.json train_overlap_4 4)" "bigrams copy more than unigrams"
among 0.1 "$(value null.json train_overlap_4 4)" 0.99 "but not all"
tap_mpi 2 "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --shards shards --baselines --steps 8 --json two.json samples.h5
cmp null.json two.json
tap_ok $? "two ranks: the same"
refused 2 "--baselines needs --shards and --gpt2" "baselines of nothing" --gpt2 gpt2.h5 --baselines samples.h5

# MAUVE: against lines of the corpus, against themselves, in another order and on other ranks.
sed -n 1,80p corpus.txt >a.txt
sort -r a.txt >b.txt
awk '{ for (i = NF; i > 0; i--) printf("%s%s", $i, (i > 1 ? "?" : "\n")) }' a.txt >c.txt
sed -n 1,30p c.txt >d.txt
"$score" --gpt2 gpt2.h5 --precision fp32 --reference a.txt --json mauve.json a.txt b.txt c.txt samples.h5 >out 2>err
tap_ok $? "MAUVE against a file of texts"
among 0.9999 "$(value mauve.json mauve 2)" 1 "of the reference itself"
tap_is "$(value mauve.json mauve 3)" "$(value mauve.json mauve 2)" "in another order: the same"
among 0 "$(value mauve.json mauve 4)" 0.9 "of other texts"
tap_is "$(value mauve.json reference 4) $(value mauve.json reference_texts 4) $(value mauve.json mauve_clusters 4)" '"a.txt" 80 8' \
    "the JSON has the reference"
tap_has out "== reference of MAUVE: a.txt, 80 texts, cut at 64 tokens" "so has the table"
tap_mpi 2 "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 3 --reference a.txt --json two.json a.txt b.txt c.txt samples.h5
tap_is "$(grep -o '"mauve": [^,]*' two.json | tr '\n' ' ')" "$(grep -o '"mauve": [^,]*' mauve.json | tr '\n' ' ')" "two ranks: the same"
"$score" --gpt2 gpt2.h5 --precision fp32 --reference shards --shards shards --json mauve.json d.txt >out 2>err
tap_is "$? $(value mauve.json reference_texts 2)" "0 30" "against shards: as many rows as there are texts"
: >empty.txt
awk 'BEGIN { for (i = 0; i < 30; i++) print "{\"text\":\"\"}" }' >none.jsonl
refused 65 "--reference: empty.txt: contains no text" "an empty reference" --gpt2 gpt2.h5 --reference empty.txt a.txt
refused 65 "--reference: new.txt: has 2 texts; MAUVE needs at least 20" "a short reference" --gpt2 gpt2.h5 --reference new.txt a.txt
refused 65 "new.txt: has 2 texts; MAUVE against --reference needs at least 20" "few texts" --gpt2 gpt2.h5 --reference a.txt new.txt
refused 65 "a.txt: only 0 texts have a token; MAUVE needs at least 20" "a reference of empty texts" --gpt2 gpt2.h5 --reference none.jsonl a.txt
refused 65 "--reference: samples.h5: has 2 sets of samples; a reference has one" "a reference of two sets" --gpt2 gpt2.h5 --reference samples.h5 a.txt
refused 2 "--reference needs --gpt2" "a reference without GPT-2" --compare --reference a.txt samples.h5

# A sweep: a checkpoint sampled with every setting; the frontier, counted again from the JSON; the figure.
"$abs_top_builddir/flm_train" --data shards --out map --objective fmlm --preset tiny --hidden-size 16 --heads 2 --cond-size 8 \
    --blocks 1 --batch 4 --steps 2 --precision fp32 --eval-every 0 --eval-rows 4 >out 2>err && mkdir sampled
tap_ok $? "a flow map"
"$score" --sweep --gpt2 gpt2.h5 --precision fp32 --samples 3 --steps 1,2 --noise-level 0,0.8 --temperature 0,1 --samples-dir sampled \
    --shards shards --baselines --json sweep.json map >out 2>err
tap_is "$? $(grep -c '"steps": [12], "noise_level": 0.[08], "temperature": [01].0,' sweep.json)" "0 8" "a sweep has every setting"
sed -n 's/.*"steps": [12],.*"gen_ppl": \([^,]*\),.*"entropy": \([^,]*\),.*"frontier": \([a-z]*\),.*/\1 \2 \3/p' sweep.json |
    awk '{ p[NR] = $1; e[NR] = $2; f[NR] = $3; marked += $3 == "true" }
        END {
            for (i = 1; i <= NR; i++) {
                want = "true"
                for (k = 1; k <= NR; k++) if (p[k] <= p[i] && e[k] >= e[i] && (p[k] < p[i] || e[k] > e[i])) want = "false"
                if (f[i] != want) exit 1
            }
            exit !(NR == 8 && marked > 0)
        }'
tap_ok $? "the frontier"
tap_is "$(grep -c '^== [* ] .*: [12] step' out) $(value sweep.json frontier 10)" "8 null" "the table of it has the samples alone"
"$score" --compare --gpt2 gpt2.h5 --precision fp32 --shards shards --baselines sampled/map.samples.h5 >out 2>err
tap_is "$? $(grep -c '^== file ' out) $(grep -c '  shards$' out) $(tail -n 1 out | tr -cd '|')" "0 1 2 |" \
    "side by side there are samples alone, and null baselines in the table"
refused 66 "nowhere/index.h5: cannot be opened" "wrong shards are refused before checkpoints are sampled" --sweep --gpt2 gpt2.h5 \
    --steps 1 --samples-dir nowhere --shards nowhere map
"$abs_top_builddir/flm_generate" --checkpoint map --samples 3 --precision fp32 --steps 2 --noise-level 0,0.8 --temperature 0,1 --top-p 0.9 --out g.h5 >out 2>err
tap_is "$? $(awk '/steps_/ { print $NF }' out | sort | tr '\n' ' ')" \
    "0 steps_2 steps_2_noise_0.8 steps_2_noise_0.8_temperature_1_top_p_0.9 steps_2_temperature_1_top_p_0.9 " "flm_generate takes the same lists"
if command -v gnuplot >which.out 2>&1; then
    "$abs_top_srcdir/scripts/plot-scores" sweep.json - >out 2>err
    tap_is "$? $(grep -c 'noise 0.8 temperature 1, protocol clean' out) $(grep -c frontier out) $(grep -c 'bigram, shards' out)" "0 1 1 1" \
        "the figure: a curve a setting, the frontier, the baselines"
fi
refused 2 "--noise-level: '2' in '0,2' is not valid" "a noise level out of range" --sweep --gpt2 gpt2.h5 --steps 1 --noise-level 0,2 \
    --samples-dir sampled map
refused 2 "--temperature 0,1,0: 0 is given twice" "a temperature twice" --sweep --gpt2 gpt2.h5 --steps 1 --temperature 0,1,0 \
    --samples-dir sampled map

printf 'x y z\n' >x.txt
"$abs_top_builddir/flm_shard" --tokenizer gpt2 --documents line --length 3 --out other x.txt >out 2>err
refused 65 "--shards other: has tokens of gpt2 (sha256 1ce16647...), but samples.h5 has tokens of bytes" "shards of another tokeniser" \
    --gpt2 gpt2.h5 --shards other samples.h5
refused 66 "--shards: nowhere/index.h5: cannot be opened" "shards that do not exist" --gpt2 gpt2.h5 --shards nowhere samples.h5
tap_end
