#!/bin/sh
# score.t - flm_score: the published figures, the same scores for any batch and ranks, resumed scoring, and inputs that
# are refused. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
score=$abs_top_builddir/flm_score
files=$abs_top_builddir/tests/score/score_files
golden=$abs_top_srcdir/tests/score/golden

# value FILE KEY LINE - the number under KEY in a line of a JSON file.
value() { sed -n "$3{s/.*\"$2\": *\\([^,}]*\\).*/\\1/p;}" "$1"; }
# near A B TOLERANCE NAME - |A - B| <= TOLERANCE * B; fails if B is not a positive number.
near() {
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { a += 0; b += 0; d = a - b; if (d < 0) d = -d; exit !(b > 0 && d <= t * b) }'
    tap_ok $? "$4: $1, expected $2"
}
# same A B NAME - two lists of scores of rows are equal up to rounding.
same() {
    paste "$1" "$2" | awk '{ d = $1 - $3; if (d < 0) d = -d; if (d > 1e-6 * $3 || $2 != $4) bad = 1 } END { exit bad || NR != 23 }'
    tap_ok $? "$3"
}

"$files" gpt2 gpt2.h5 2>err && "$files" samples samples.h5 2>err
tap_ok $? "a GPT-2 and samples to score"
"$score" --gpt2 gpt2.h5 --precision fp32 --json texts.json "$golden/texts.jsonl" >out 2>err
tap_ok $? "texts are scored"
near "$(value texts.json gen_ppl 2)" "$(value "$golden/texts-expected.json" gen_ppl 1)" 1e-5 "Gen-PPL of the published procedure"
tap_is "$(value texts.json positions 2)" "$(value "$golden/texts-expected.json" positions 1)" "over as many positions"
tap_has out "1 texts are too short to be scored" "a text of one token is reported"
near "$(value texts.json gen_ppl_low 2)" "$(awk -v x="$(value texts.json gen_ppl 2)" 'BEGIN { print x / 2 }')" 1 "the low end of the interval is a number"
"$score" --gpt2 gpt2.h5 --precision bf16 --json bf16.json "$golden/texts.jsonl" >out 2>err
near "$(value bf16.json gen_ppl 2)" "$(value texts.json gen_ppl 2)" 2e-2 "bf16"

"$score" --gpt2 gpt2.h5 --json auto.json "$golden/texts.jsonl" >out 2>err
tap_is "$(value auto.json gen_ppl 2)" "$(value texts.json gen_ppl 2)" "on the CPU --precision auto is fp32"

# The published protocol: batches of texts with and without an end, of equal and other lengths, a remainder that is dropped.
cp samples.h5 padded.h5
for row in 1 2 3 4 5 6; do
    size=$(value "$golden/batches-expected.json" batch $row)
    for batch in 1 4; do
        "$score" --gpt2 gpt2.h5 --precision fp32 --protocol published --score-batch "$size" --batch $batch --json padded.json \
            "$golden/batches.jsonl" >out 2>err
        near "$(value padded.json gen_ppl 2)" "$(value "$golden/batches-expected.json" gen_ppl $row)" 1e-5 "published, batches of $size, $batch at once: Gen-PPL"
        tap_is "$(value padded.json positions 2)" "$(value "$golden/batches-expected.json" positions $row)" "over as many positions"
    done
done
tap_is "$(value padded.json protocol 2)" '"published"' "the JSON names the protocol"
tap_has out " published " "so does the table"
"$score" --gpt2 gpt2.h5 --protocol published --json padded.json "$golden/batches.jsonl" >out 2>err
tap_has out "the last 2 texts fill no batch of 8 and are not scored" "a remainder is reported"
tap_is "$(value padded.json protocol_batch 2) $(value padded.json dropped 2)" "8 2" "the published batch is the default"
"$score" --gpt2 gpt2.h5 --precision fp32 --json clean.json "$golden/batches.jsonl" >out 2>err
tap_is "$(value clean.json protocol 2)" '"clean"' "the default protocol is clean"
tap_is "$(value clean.json positions 2)" "$(($(value "$golden/batches-expected.json" positions 1)))" "without padding, as in batches of one"
"$score" --gpt2 gpt2.h5 --precision fp32 --json clean.json padded.h5 >out 2>err
tap_mpi 2 "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 5 --protocol published --score-batch 10 --json padded.json padded.h5
tap_lines err " 20 of 20 texts to score" 2 "samples: the scores of one protocol are not those of the other"
tap_is "$(value padded.json dropped 2) $(value padded.json dropped 3)" "3 3" "in batches, on two ranks"
"$abs_top_builddir/flm_inspect" padded.h5 >out 2>err
tap_has out "protocol published, batches of 10" "the file names the protocol"
"$abs_top_builddir/tests/cmd/file_tool" attribute padded.h5 /steps_8 protocol >out 2>err
tap_is "$(cat out)" "published, batches of 10" "in an attribute of its own, too"
"$score" --compare padded.h5 >out 2>err
tap_has out "padded.h5, flm (protocol: published, batches of 10)" "so does the comparison of recorded figures"
mkdir batches
"$score" --gpt2 gpt2.h5 --protocol published --score-batch 3 --scores-dir batches "$golden/batches.jsonl" >out 2>err
sed '3s/j k l/j k l m n/' "$golden/batches.jsonl" >batches.jsonl
cp batches/* kept.scores
"$score" --gpt2 gpt2.h5 --protocol published --score-batch 3 --scores-dir batches batches.jsonl >out 2>err
for f in batches/*; do cp kept.scores "$f"; done
"$score" --gpt2 gpt2.h5 --protocol published --score-batch 3 --scores-dir batches batches.jsonl >out 2>err
tap_has err " 3 of 18 texts to score" "stored scores: a change of one text concerns its batch"

# Any batch, any number of ranks.
cp samples.h5 one.h5
"$score" --gpt2 gpt2.h5 --precision fp32 --batch 1 --json one.json one.h5 >out 2>err
tap_ok $? "samples are scored one by one"
tap_has err "23 of 23 texts to score" "all of them"
"$files" scores one.h5 8 >one.scores 2>err
for run in "1 64" "2 5" "4 3" "4 64"; do
    ranks=${run% *}
    batch=${run#* }
    cp samples.h5 other.h5
    tap_mpi "$ranks" "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch "$batch" --json other.json other.h5
    "$files" scores other.h5 8 >other.scores 2>err
    same other.scores one.scores "the same scores on $ranks ranks with batch $batch"
    near "$(value other.json gen_ppl 3)" "$(value one.json gen_ppl 3)" 1e-6 "and Gen-PPL"
done
"$abs_top_builddir/flm_inspect" one.h5 >out 2>err
for row in 'kind "flm"' 'sampler "flow"' 'steps 1' 'noise_level 0.0' 'temperature 0.0' 'precision "fp32"' 'samples 23' 'truncation 64' 'protocol "clean"'; do
    tap_is "$(value one.json "${row%% *}" 2)" "${row#* }" "each row of the JSON has its ${row%% *}"
done
tap_is "$(value one.json scorer 2 | cut -c 1-23)" '"gpt2 d 16 N 2 V 50257 ' "and the scorer"
tap_has out "gen_ppl_high = " "the file holds the figures, and flm_inspect accepts it"

# GPT-2's tokens: kept on request, each with what it adds to the sum.
cp one.h5 tokens.h5
tap_mpi 2 "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --token-nll --json tokens.json tokens.h5
tap_is "$? $(grep -c '23 of 23 texts to score' err)" "0 2" "--token-nll scores rows whose tokens are not there"
"$files" scores tokens.h5 8 >tokens.scores 2>err
"$files" tokens tokens.h5 >tokens.sums 2>err || cat err
same tokens.scores one.scores "the scores stay"
paste -d ' ' tokens.sums one.scores | awk '{ bad += NF != 4 || $1 - $3 > 1e-4 || $3 - $1 > 1e-4 || ($2 > 0 && $2 != $4 + 1) }
    END { exit bad || NR != 23 }'
tap_ok $? "the tokens of each row add up to its score"
"$score" --gpt2 gpt2.h5 --precision fp32 --token-nll tokens.h5 >out 2>err
tap_lines err " 0 of 23 texts to score" 2 "a second run scores nothing"
"$score" --gpt2 gpt2.h5 --precision fp32 --token-nll --length 20 tokens.h5 >out 2>err
tap_is "$? $("$files" tokens tokens.h5 | awk '$2 > max { max = $2 } END { print max }')" "0 20" "another length"
"$abs_top_builddir/flm_inspect" tokens.h5 >out 2>err
tap_ok $? "flm_inspect accepts the file" || cat err

# Again: nothing to do. A changed row and another length are scored.
"$score" --gpt2 gpt2.h5 --precision fp32 --json again.json one.h5 >out 2>err
tap_lines err " 0 of 23 texts to score" 2 "a second run scores nothing"
cmp -s one.json again.json
tap_ok $? "and reports the same"
"$files" damage one.h5 2>err
"$score" --gpt2 gpt2.h5 --precision fp32 --json again.json one.h5 >out 2>err
tap_lines err " 1 of 23 texts to score" 1 "a row that changed is scored again"
"$score" --gpt2 gpt2.h5 --precision fp32 --length 20 --steps 8 --json short.json one.h5 >out 2>err
tap_lines err " 23 of 23 texts to score" 1 "so is everything at another length"
tap_is "$(grep -c steps short.json)" 1 "only for the number of steps of --steps"
"$score" --compare samples.h5 other.h5 >out 2>err
tap_has out " |         -         -         -       -" "samples without scores are shown as such"
awk '/^== *#/ { tables++ } /^== *[0-9]/ && tables == 1 { kind[$2] = $3 " " $4 " " $5 " " $6 " " $7 " " $8 }
    END { exit !(tables == 2 && kind[3] == "flm 1 0 0 fp32 23") }' out
tap_ok $? "each row of the table has kind, steps, noise level, temperature, precision and number of samples"
tap_is "$(awk 'length > 120' out | wc -l)" 0 "in at most 120 columns"
tap_has out "== file 2: other.h5" "files are shown side by side"

printf 'steps = 1\nlength = 30\n' >first.ini
printf 'length = 20\n' >second.ini
cp samples.h5 merged.h5
"$score" --config first.ini --config second.ini --gpt2 gpt2.h5 --precision fp32 --json merged.json merged.h5 >out 2>err
tap_is "$(grep -c '"steps": 1,' merged.json) $(grep -c steps merged.json)" "1 1" "the second --config leaves what the first one sets"
"$abs_top_builddir/flm_inspect" merged.h5 >out 2>err
tap_has out "at most 20 tokens" "and wins where both set an option"

# Plain text.
printf 'One line of text.\n\nAnother line of it.\n' >plain.txt
"$score" --gpt2 gpt2.h5 --json plain.json plain.txt >out 2>err
tap_is "$(value plain.json samples 2)" 2 "one text per line, empty lines are skipped"
"$score" --gpt2 gpt2.h5 --documents file --json plain.json plain.txt >out 2>err
tap_is "$(value plain.json samples 2)" 1 "--documents file: the whole file is one text"

# One reader for all programs (tests/cmd/source.t): the same texts in any format and compression.
# texts WANT NAME ARGUMENT... - the numbers of texts, of texts without a score, and of scored positions
texts() {
    texts_want=$1
    texts_name=$2
    shift 2
    rm -f texts.json
    timeout -k 5 60 "$score" --gpt2 gpt2.h5 --precision fp32 --json texts.json "$@" >out 2>err
    tap_is "$? $(value texts.json samples 2) $(value texts.json unscored 2) $(value texts.json positions 2)" "0 $texts_want" "$texts_name"
}
printf 'the quick brown fox\njumps over the dog\n' >n.txt
printf '{"text":"the quick brown fox"}\n{"text":"jumps over the dog"}\n' >n.jsonl
texts "2 0 7" "two texts, one a line" n.txt
want=$(value texts.json gen_ppl 2)
for name in n.jsonl n.ndjson n.JSONL n.json n.data n.jsonl.gz n.json.gz n.JSON.GZ n.tar; do
    case $name in
    *.gz | *.GZ) gzip -c n.jsonl >"$name" ;;
    *.tar) tar cf n.tar n.jsonl ;;
    n.jsonl) ;;
    *) cp n.jsonl "$name" ;;
    esac
    texts "2 0 7" "$name: as many texts and positions" "$name"
    tap_is "$(value texts.json gen_ppl 2)" "$want" "$name: the same Gen-PPL"
done
(printf '\376\377' && sed 's/./@&/g; s/$/@/' n.txt | tr '@' '\000') >utf16.txt
texts "2 0 7" "UTF-16" utf16.txt
tap_is "$(value texts.json gen_ppl 2)" "$want" "UTF-16: the same Gen-PPL"
tap_has err "utf16.txt: 1 files decoded from UTF-16 or UTF-32" "is reported"
printf '{"id":123456789012345678901234567890,"p":NaN,"text":"big id"}\n{"text":"lone \\ud800 high"}\n{"text":"caf\351 latin"}\n' >python.jsonl
texts "3 0 8" "lines that Python reads" python.jsonl
tap_has err "python.jsonl: 2 invalid sequences replaced by U+FFFD" "with what was replaced"
printf '{"text":""}\n\302\240\n{"text":"x"}\n{"text":"the quick brown fox"}\n' >empty.jsonl
texts "3 2 3" "an empty text and one of one token" empty.jsonl
tap_has out "2 texts are too short to be scored" "are counted and reported"
printf '{"text":"the quick brown fox"}\n{"text":5}\n' >five.jsonl
texts "1 0 3" "--on-bad-line skip" --on-bad-line skip five.jsonl
tap_has err "five.jsonl: 1 bad lines skipped" "counts the line"

printf '{\n    "generative_ppl": NaN,\n    "entropy": 5.0,\n    "generated_seqs": [\n        "the quick brown fox",\n        "jumps over the dog"\n    ]\n}' >seqs.json
texts "2 0 7" "samples of the published evaluation" seqs.json
tap_is "$(value texts.json gen_ppl 2)" "$want" "the same Gen-PPL"
(printf '\357\273\277' && tr -d '\n' <seqs.json | sed 's/"jumps/"", "lone \\ud800", "jumps/') >seqs2.json
texts "4 1 9" "in one line, with a byte order mark, an empty text and half of a surrogate pair" seqs2.json
tap_has err "seqs2.json: 1 invalid sequences replaced by U+FFFD" "which is reported"
for name in seqs.json.gz SEQS.JSON.GZ seqs.json.xz seqs.json.zst; do
    case $name in
    *.xz) command -v xz >which.out 2>&1 && xz -c seqs.json >$name ;;
    *.zst) command -v zstd >which.out 2>&1 && zstd -qc seqs.json >$name ;;
    *) gzip -c seqs.json >$name ;;
    esac || continue
    texts "2 0 7" "$name: the same texts" $name
    tap_is "$(value texts.json gen_ppl 2)" "$want" "$name: the same Gen-PPL"
done
head -c 60 seqs.json.gz >cut.json.gz

# Stopped by SIGTERM and run again: texts with --scores-dir.
awk 'BEGIN { for (i = 0; i < 4000; i++) print "text number " i ", of a few words and some more of them, in order" }' >many.txt
"$score" --gpt2 gpt2.h5 --precision fp32 --json whole.json many.txt >out 2>err
tap_ok $? "many texts, not stopped"
# stopped FILE ARGUMENT... - started, and sent SIGTERM once FILE, where scores are stored, is not empty.
stopped() {
    scores=$1
    shift
    "$score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 1 "$@" >out 2>err &
    pid=$!
    tap_wait 60 test -s "$scores"
    kill -TERM $pid
    wait $pid
    tap_is $? 75 "$scores: SIGTERM: exit status 75"
    tap_has err "are stored, run the same command" "$scores: the message names what to do"
}
mkdir stored
name=$("$score" --gpt2 gpt2.h5 --precision fp32 --scores-dir stored --json first.json plain.txt >out 2>err && ls stored)
tap_is "$(wc -l <"stored/$name")" 2 "stored scores have one line per text"
"$score" --gpt2 gpt2.h5 --precision fp32 --scores-dir stored --length 1 many.txt >out 2>err # creates the file; its lines are of another length
many=$(echo stored/many.txt-*.scores)
: >"$many"
stopped "$many" --scores-dir stored many.txt
"$score" --gpt2 gpt2.h5 --precision fp32 --scores-dir stored --json again.json many.txt >out 2>err
left=$(sed -n 's/.*many.txt: \([0-9]*\) of 4000 texts to score/\1/p' err)
test "${left:-4000}" -lt 4000 && test "$left" -gt 0
tap_ok $? "the same command scores the rest: $left of 4000"
near "$(value again.json gen_ppl 2)" "$(value whole.json gen_ppl 2)" 1e-6 "and Gen-PPL is that of a run that was not stopped"
sed -i '7s/[0-9]/x/; 9s/.$/x/' "$many"
"$score" --gpt2 gpt2.h5 --precision fp32 --scores-dir stored --json again.json many.txt >out 2>err
tap_has err " 2 of 4000 texts to score" "lines that were changed are scored again"
"$score" --gpt2 gpt2.h5 --precision fp32 --scores-dir nowhere/here many.txt >out 2>err
tap_is $? 66 "a --scores-dir that does not exist"
tap_has err "nowhere/here/many.txt" "the path is named"

# refused STATUS TEXT NAME ARGUMENT...
refused() {
    refused_status=$1 refused_text=$2 refused_name=$3
    shift 3
    tap_refused "$refused_status" "$refused_text" "$refused_name" "$score" "$@"
}
: >empty.txt
refused 65 "empty.txt: contains no text" "an empty file" --gpt2 gpt2.h5 empty.txt
printf '{"text": "a b c"}\n{"other": "x"}\n' >other.jsonl
refused 65 'other.jsonl: line at byte 18: no field "text" (see --on-bad-line)' "a line without text" --gpt2 gpt2.h5 other.jsonl
printf '{"text": "a b\n' >broken.jsonl
refused 65 "broken.jsonl: line at byte 0: not JSON: expected the end of a string" "a broken line" --gpt2 gpt2.h5 broken.jsonl
printf '{"text":""}\n' >onlyempty.jsonl
refused 65 "cut.json.gz: the gzip data is truncated" "truncated samples" --gpt2 gpt2.h5 cut.json.gz
refused 65 "no text can be scored" "empty texts alone" --gpt2 gpt2.h5 onlyempty.jsonl
printf 'PAR1\025\004\025\200\201\202\203\204\205\206\207' >texts.jsonl
refused 65 "texts.jsonl: is a Parquet file, not text" "a binary file" --gpt2 gpt2.h5 texts.jsonl
printf '{\n "text": "a b"\n}\n' >pretty.json
refused 65 "pretty.json: is one JSON document, not JSON lines" "a JSON document" --gpt2 gpt2.h5 pretty.json
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n' >lfs.txt
refused 65 "lfs.txt: is a Git LFS pointer; fetch the file with git lfs pull" "a Git LFS pointer" --gpt2 gpt2.h5 lfs.txt
printf '{"generated_seqs": ["a b", 5]}\n' >mixed.json
refused 65 'no field "text"' "generated_seqs with a number" --gpt2 gpt2.h5 mixed.json
printf '{"generated_seqs": []}\n' >none.json
refused 65 "none.json: contains no text" "generated_seqs without texts" --gpt2 gpt2.h5 none.json
mkfifo pipe pipe.json
refused 65 "pipe.json: is a pipe, not a regular file" "a pipe named as JSON" --gpt2 gpt2.h5 pipe.json
refused 65 "pipe: is a pipe, not a regular file" "a pipe" --gpt2 gpt2.h5 pipe
mkdir folder
refused 2 "folder: is a directory; list the text or samples files" "a folder" --gpt2 gpt2.h5 folder
printf 'x\n' >short.txt
refused 65 "no text can be scored" "texts of one token" --gpt2 gpt2.h5 short.txt
"$files" gpt2 small.h5 1000 2>err
refused 65 "is outside the vocabulary (V = 1000)" "a token outside of GPT-2's vocabulary" --gpt2 small.h5 plain.txt
refused 65 "at most 64 tokens" "a length that exceeds GPT-2's" --gpt2 gpt2.h5 --length 65 plain.txt
refused 2 "--gpt2 FILE is required" "no GPT-2" plain.txt
refused 2 "no files to score" "no files" --gpt2 gpt2.h5
refused 65 "is a file of kind samples, expected checkpoint" "samples as GPT-2" --gpt2 samples.h5 plain.txt
refused 2 "gpt2.h5: is neither samples nor text" "GPT-2 as samples" --gpt2 gpt2.h5 gpt2.h5
tap_end
