#!/bin/sh
# prompts.t - flm_generate --prompts: known tokens come out unchanged, samples depend on neither batch nor ranks, an interrupted
# job resumes, prompt and completion are shown apart; tokens drawn by temperature; invalid input is refused.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
shards_make shards 20
# shellcheck disable=SC2086
"$bin/flm_train" --data shards --out run $tiny --steps 200 >out 2>err || cat err

# generate RANKS OPTION...
generate() {
    ranks=$1
    shift
    on_ranks "$ranks" "$bin/flm_generate" --checkpoint run --precision fp32 --threads 1 --seed 5 "$@"
}

ids() { # FILE SET
    "$tool" ids "$1" "$2" 2>&1
}

# fits WANT - the rows on stdin against the patterns in WANT, a line each: a number, or - for any.
fits() {
    paste -d ' ' - "$1" | awk '{ n = NF / 2; for (i = 1; i <= n; i++) bad += $(i + n) != "-" && $i != $(i + n) } END { print bad + 0, NR }'
}

cat >prompts.jsonl <<'END'
{"prefix": "the"}
{"text": "a[MASK]b[MASK][MASK]", "id": 7}

{"tokens": [256, null, 104, null, 105]}
{"tokens": [null, 104]}
{"text": "no mask"}
END
row() { # ID... - a row's pattern
    set -- "$@" - - - - - - - - - - - - - - - - - - - -
    echo "$*" | cut -d ' ' -f 1-20
}
{
    row 256 116 104 101
    row 256 97 - 98 - -
    row 256 - 104 - 105
    row 256 104
    row 256 110 111 32 109 97 115 107
} | sed p >want # two samples of each

generate 1 --prompts prompts.jsonl --samples-per-prompt 2 --steps 2,8 --out one.h5
tap_is $? 0 "two samples of each of five prompts" || cat err
cp out table
ids one.h5 8 >eight
ids one.h5 2 >two
tap_is "$(fits want <eight) $(fits want <two)" "0 10 0 10" "their tokens come out unchanged"
test "$(sort -u eight | wc -l)" -ge 7
tap_ok $? "and the samples differ"
tap_is "$(awk '$1 == "==" && $2 == 8 { print $3, $5 }' table)" "10 steps_8" "the table has their number"
generate 1 --samples 10 --steps 8 --out plain.h5
test "$(ids plain.h5 8 | cut -d ' ' -f 9-)" != "$(cut -d ' ' -f 9- eight)"
tap_ok $? "the prompt matters for what follows"
for setting in "1,3" "7,2" "2,4"; do
    generate "${setting#*,}" --prompts prompts.jsonl --samples-per-prompt 2 --steps 2,8 --batch "${setting%,*}" --chunk 50 --out other.h5
    tap_is "$? $(ids other.h5 8)" "0 $(cat eight)" "--batch ${setting%,*}, ${setting#*,} ranks: the same samples"
    cmp -s out table
    tap_ok $? "and the same table"
    rm -f other.h5
done
gzip -k prompts.jsonl && mv prompts.jsonl.gz packed.gz
generate 1 --prompts packed.gz --samples-per-prompt 2 --steps 2,8 --out one.h5
tap_is "$? $(cmp out table)" "0 " "the same command again, the prompts compressed: nothing changes"

# Interrupted by a signal, then resumed.
: >pids
: >err
# shellcheck disable=SC2016,SC2086
timeout -k 5 120 $MPIEXEC -n 2 sh -c 'echo $$ >>pids; exec "$@"' rank "$bin/flm_generate" --checkpoint run --precision fp32 --threads 1 \
    --seed 5 --prompts prompts.jsonl --samples-per-prompt 40 --steps 200,8 --batch 1 --out cut.h5 >out 2>err </dev/null &
launcher=$!
until grep -q thread err || ! kill -0 $launcher 2>/dev/null; do sleep 0.02; done
# shellcheck disable=SC2046
kill -USR1 $(cat pids) 2>/dev/null
wait $launcher
tap_is $? 75 "SIGUSR1: stopped early"
generate 2 --prompts prompts.jsonl --samples-per-prompt 40 --steps 200,8 --batch 16 --out cut.h5
tap_is $? 0 "the same command resumes and completes it"
generate 1 --prompts prompts.jsonl --samples-per-prompt 40 --steps 200,8 --batch 32 --out uncut.h5
for n in 200 8; do tap_is "$(ids cut.h5 $n | cksum)" "$(ids uncut.h5 $n | cksum)" "$n steps: the samples of a job that was never stopped"; done

# Text: prompt and completion apart.
printf '%s\n' '{"prefix": "the"}' '{"text": "a<>b"}' >few.jsonl
generate 1 --prompts few.jsonl --mask '<>' --steps 4 --out few.h5 --text
tap_is "$? $(grep -a -A 2 '^== sample' out | grep -av '^--$' | head -n 6 | tr '\n' '|')" \
    "0 == sample 0, 4 steps, prompt 0|-- prompt|the|== sample 1, 4 steps, prompt 1|-- prompt|a<>b|" "--text shows the prompts"
tap_is "$(grep -ac '^-- completion' out) $(grep -ac '^-- filled in' out)" "1 1" "a completion, and what was filled in"
tap_is "$(grep -a -A 1 '^-- filled in' out | tail -n 1 | cut -c 1)" a "of the row from its beginning"
"$bin/flm_inspect" few.h5 >out 2>err
tap_is "$?" 0 "flm_inspect verifies it" || cat err
tap_has out "2 prompts match their checksums" "prompts included"
"$tool" flip few.h5 /prompts/tokens 5
generate 1 --prompts few.jsonl --mask '<>' --steps 4 --out few.h5
tap_is "$? $(grep -c 'prompts/tokens: row 0: checksum mismatch' err)" "65 1" "a damaged prompt is found"

# Temperature.
generate 1 --samples 9 --steps 4 --out argmax.h5
generate 1 --samples 9 --steps 4 --temperature 0 --out zero.h5
tap_is "$(ids zero.h5 4)" "$(ids argmax.h5 4)" "temperature 0 is the argmax"
generate 1 --samples 9 --steps 4 --temperature 0.8 --top-k 1 --out k.h5
tap_is "$(ids k.h5 steps_4_temperature_0.8_top_k_1)" "$(ids argmax.h5 4)" "and so is the most probable token alone"
generate 1 --samples 9 --steps 4 --temperature 1 --out drawn.h5
ids drawn.h5 steps_4_temperature_1 >drawn
test "$(cat drawn)" != "$(ids argmax.h5 4)"
tap_ok $? "temperature 1 draws others"
tap_is "$(awk '$1 == "==" && $2 == 4 { print $5 }' out)" steps_4_temperature_1 "under a name of their own"
generate 3 --samples 9 --steps 4 --temperature 1 --batch 2 --chunk 11 --out other.h5
tap_is "$(ids other.h5 steps_4_temperature_1)" "$(cat drawn)" "--batch 2, 3 ranks: the same samples"
generate 1 --prompts prompts.jsonl --samples-per-prompt 2 --steps 4 --temperature 1 --top-p 0.9 --out both.h5
tap_is "$? $(ids both.h5 steps_4_temperature_1_top_p_0.9 | fits want | cut -d ' ' -f 1)" "0 0" "with prompts"

# An any-order map: tokens are filled in in turn.
# shellcheck disable=SC2086
"$bin/flm_train" --data shards --out order $tiny --objective any-order --steps 40 >out 2>err || cat err
for sampler in "refine refine_8x1_threshold_0.999" "flow steps_4 --steps 4" "blocks blocks_7x2 --block-length 7 --steps 2" \
    "refine refine_3x2_budget_2_same_noise_temperature_1 --rounds 3 --steps 2 --threshold -1 --budget 2 --fresh-noise=no --temperature 1"; do
    set=$(echo "$sampler" | cut -d ' ' -f 2) name=$(echo "$sampler" | cut -d ' ' -f 1)
    options=$(echo "$sampler" | cut -s -d ' ' -f 3-)
    test -z "$options" || options="--sampler $name $options" # without: the default
    # shellcheck disable=SC2086
    {
        generate 1 --checkpoint order --prompts prompts.jsonl --samples-per-prompt 2 $options --out order1.h5
        tap_is "$? $(ids order1.h5 "$set" | fits want)" "0 0 10" "$set: tokens of prompts come out unchanged" || cat err
        generate 3 --checkpoint order --prompts prompts.jsonl --samples-per-prompt 2 $options --batch 4 --out order3.h5
        tap_is "$? $(ids order3.h5 "$set")" "0 $(ids order1.h5 "$set")" "$set: the same samples on three ranks, in batches of 4"
        rm -f order1.h5 order3.h5
    }
done
generate 1 --checkpoint order --samples 4 --out free.h5 --text
tap_is "$? $(grep -ac '^== sample ., 8 rounds of 1 step, threshold 0.999$' out)" "0 4" "without a prompt"
generate 1 --checkpoint order --prompts prompts.jsonl --rounds 1 --steps 1 --out once.h5
tap_is "$? $(ids once.h5 refine_1x1_threshold_0.999 | cut -d ' ' -f 1-2 | head -n 1)" "0 256 116" "a prompt in one step"

# Invalid input: one message, and no file.
refused() { # STATUS TEXT NAME OPTION...
    status=$1 text=$2 name=$3
    shift 3
    generate 1 --out bad.h5 "$@"
    tap_is "$? $(grep -c '^flm_generate: error:' err)" "$status 1" "$name: status $status, one message"
    tap_has err "$text" "$name: the message"
}
# bad TEXT NAME LINE... - a file of prompts with a bad line
bad() {
    text=$1 name=$2
    shift 2
    printf '%s\n' "$@" >bad.jsonl
    refused 65 "$text" "$name" --steps 4 --prompts bad.jsonl
}
bad 'bad.jsonl: prompt 1 (at byte 16): has 21 tokens, begin id included; the network has L = 20 positions' "a long prompt" \
    '{"prefix": "a"}' '{"prefix": "01234567890123456789"}'
bad 'has nothing to fill in' "no position left" '{"prefix": "0123456789012345678"}'
bad 'has nothing to fill in' "no mask and no position left" '{"text": "0123456789012345678"}'
bad '"tokens": element 1 is 257, expected 0 to V - 1 (V = 257)' "an id outside the vocabulary" '{"tokens": [256, 257]}'
bad '"tokens": element 0 is -1, expected' "a negative id" '{"tokens": [-1]}'
bad '"tokens": element 1 is neither an id nor null' "a token that is text" '{"tokens": [1, "a"]}'
bad 'prompt 0 (at byte 0): not JSON' "a line that is not JSON" 'the'
bad 'expected an object with "prefix", "text" or "tokens"' "no such field" '{"prompt": "a"}'
bad 'expected an object with "prefix", "text" or "tokens"' "a list" '[1, 2]'
bad 'has both "prefix" and "text"' "two fields" '{"text": "a", "prefix": "b"}'
bad '"prefix" is not a string' "a number" '{"prefix": 3}'
bad 'bad.jsonl: contains no prompt' "an empty file" ''
refused 66 'nowhere.jsonl' "no file" --steps 4 --prompts nowhere.jsonl
refused 2 '--prompts with --steps 1: the tokens of kind flm have no times of their own' "one step" --steps 4,1 --prompts prompts.jsonl
refused 2 '--samples cannot be combined with --prompts' "--samples" --steps 4 --prompts prompts.jsonl --samples 3
refused 2 '--samples-per-prompt needs --prompts' "--samples-per-prompt alone" --steps 4 --samples-per-prompt 3
refused 2 '--mask must not be empty' "an empty mask" --steps 4 --prompts prompts.jsonl --mask ''
refused 2 '--top-p and --top-k limit what --temperature draws from' "--top-p without temperature" --steps 4 --top-p 0.5
refused 2 '--temperature 0.0001: must be 0 (argmax) or at least 0.001' "a temperature too small" --steps 4 --temperature 0.0001
refused 2 '--top-p 0: must be above 0' "top-p 0" --steps 4 --temperature 1 --top-p 0
refused 2 '--sampler refine: the tokens of kind flm have no times of their own' "refine for an FLM" --sampler refine
refused 2 '--budget some: expected uniform, or a number' "a budget that is no number" --steps 4 --budget some
refused 2 "of kind fmlm-any-order, whose sampler draws no fresh noise" "fresh noise of an any-order map" --checkpoint order --noise-level 0.5
test ! -e bad.h5
tap_ok $? "no output was created"
generate 1 --prompts prompts.jsonl --steps 8 --out plain.h5
tap_is "$? $(grep -c '"samples" differs\|"prompts" differs' err)" "65 1" "the samples file of a job without prompts is refused"
printf '%s\n' '{"tokens": []}' '{"text": "[MASK][MASK]"}' >open.jsonl
generate 1 --prompts open.jsonl --steps 4 --out open.h5
tap_is "$? $(ids open.h5 4 | cut -d ' ' -f 1 | tr '\n' ' ')" "0 256 256 " "nothing but masks: all but the begin id is filled in"
tap_end
