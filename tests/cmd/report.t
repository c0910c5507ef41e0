#!/bin/sh
# report.t - flm_report: a well-formed page that needs nothing else, with the values of runs, samples and scores; text of others
# is escaped; runs that go on, were killed or have damaged checkpoints; input that is none. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# report ARGUMENT... - its page in page.html.
report() {
    timeout -k 5 60 "$bin/flm_report" --out page.html "$@" >out 2>err </dev/null
}

# well_formed NAME - page.html is, and refers to nothing outside.
well_formed() {
    awk -f "$abs_top_srcdir/tests/cmd/report_tags.awk" page.html >tags
    tap_ok $? "$1: well-formed, $(cat tags) elements"
    tap_is "$(grep -ciE '<(script|link|img|iframe|object|embed)|https?:|src=|@import|url\(|href="[^#]' page.html)" 0 "$1: refers to nothing outside"
}

# refused STATUS TEXT NAME ARGUMENT...
refused() {
    refused_status=$1 refused_text=$2 refused_name=$3
    shift 3
    tap_refused "$refused_status" "$refused_text" "$refused_name" "$bin/flm_report" --out page.html "$@"
    tap_is "$(wc -l <err)" 1 "$refused_name: one line"
}

hostile='<b>&"x'
shards_make shards 20
# shellcheck disable=SC2086
{
    "$bin/flm_train" --data shards --out flm $tiny --steps 12 --checkpoint-every 5 --eval-every 6 --eval-samples 4 \
        --eval-steps 1,2 >out 2>err || cat err
    "$bin/flm_train" --data shards --out "$hostile" $tiny --steps 6 --lr 2e-3 --objective any-order >out 2>err || cat err
}
cat >prompts.jsonl <<'END'
{"prefix": "</script><b>&\"'"}
{"tokens": [256, 200, 65, 1, 127, 10, 66, null]}
END
"$bin/flm_generate" --checkpoint flm --samples 4 --steps 1,8 --threads 1 --out flm/samples.h5 >out 2>err || cat err
"$bin/flm_generate" --checkpoint "$hostile" --prompts prompts.jsonl --threads 1 --out prompted.h5 >out 2>err || cat err

# ---- one run, without scores ----
report flm
tap_is "$? $(cat out)" "0 page.html: 1 run, 2 sets of samples" "one run, and the samples in its directory" || cat err
well_formed "one run"
for section in Runs Training "Quality against steps" Samples Settings Checkpoints Machine; do
    tap_lines page.html "<h2>$section</h2>" 1 "section $section"
done
tap_has page.html "step 12 of 12" "progress"
loss=$(curve flm | awk '$1 == 12 && $2 != "valid" { printf "%.4g", $2 }')
tap_has page.html "<dd>$loss nats a token</dd>" "the last loss"
tap_lines page.html "step-000000" 2 "checkpoints"
tap_has page.html "step-00000012.h5 <em>latest</em>" "the newest one"
tap_has page.html '<th scope="row">lr</th><td>0.001</td>' "a setting"
tap_has page.html "$(sed -n 's/.*"device":"\([^"]*\)".*/\1/p' flm/metrics.jsonl)" "the machine"
tap_has page.html "2 sampling steps" "entropies of samples drawn in validation"
tap_has page.html "No generative perplexity: " "what a scorer would add"
tap_has page.html "Not shaded by likelihood: " "what --token-nll would add"
cp page.html first.html
report flm
cmp -s first.html page.html
tap_ok $? "the same files give the same page"
grep -v '"step"' flm/metrics.jsonl >started && mkdir begun && mv started begun/metrics.jsonl
report begun
tap_is $? 0 "a run that has only begun"
well_formed "a run that has only begun"
tap_lines page.html 'class="lacks"' 4 "each section without data says what would fill it"

# ---- several runs, scores, text of others ----
"$bin/tests/score/score_files" gpt2 gpt2.h5
cp flm/samples.h5 scored.h5
"$bin/flm_score" --gpt2 gpt2.h5 --threads 1 --token-nll --json scores.json scored.h5 prompted.h5 >out 2>err || cat err
report flm "$hostile" scored.h5 scores.json --title "$hostile"
tap_is "$? $(cat out)" "0 page.html: 2 runs, 5 sets of samples" "two runs, samples, scores" || cat err
well_formed "several runs"
tap_has page.html "<h1>&lt;b&gt;&amp;&quot;x</h1>" "a title is escaped"
tap_has page.html "Options that differ" "options are compared"
tap_has page.html '<th scope="row">objective</th><td>flm</td><td>any-order</td>' "an option that differs"
tap_has page.html "Loss, kind fmlm-any-order" "losses by kind"
ppl=$(sed -n 's/.*"setting": "steps_8".*"gen_ppl": \([0-9.]*\).*/\1/p' scores.json | awk '{ printf "%.0f", $1 }' |
    sed -e ':a' -e 's/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/' -e 'ta')
tap_has page.html ">$ppl <small>" "generative perplexity"
tap_has page.html "Generative perplexity against entropy" "against entropy"
tap_has page.html 'nats, p = ' "tokens are shaded by their likelihood"
report prompted.h5
well_formed "prompts"
tap_has page.html '&lt;/script&gt;&lt;b&gt;&amp;&quot;&#39;' "a prompt is escaped"
printf '\357\277\275A\342\220\201\342\220\241\342\206\265' >shown
tap_has page.html "$(cat shown)" "bytes that are no text, and control characters, are shown as such"
tap_has page.html "No run: " "without a run"
report scores.json
tap_is "$? $(cat out)" "0 page.html: 0 runs, 3 sets of samples" "scores alone"
well_formed "scores alone"
echo '[{"file": "a<b.h5", "steps": 4, "setting": "steps_4", "cross_entropy": 2.53, "word_share": 44.5, "train_overlap_8": 0.125}]' >more.json
report more.json
well_formed "figures of others"
tap_has page.html '<figcaption>Words of the corpus</figcaption>' "they are drawn"
tap_has page.html '<th scope="row">a&lt;b.h5</th><td>–</td><td class="n">4</td><td class="n">–</td><td class="n">2.53</td><td class="n">44.5</td><td class="n">0.125</td>' "and in the table"

# ---- runs that go on or were killed ----
cp -r flm killed
printf '{"step":13,"loss"' >>killed/metrics.jsonl
truncate -s 5000 killed/checkpoints/step-00000012.h5
sed -i '1s/"steps":"12"/"steps":"40"/' killed/metrics.jsonl
report flm killed
tap_is "$? $(grep -c 'warning: ' err)" "0 1" "a killed run, with a damaged checkpoint, gives a warning" || cat err
well_formed "a killed run"
tap_has page.html "not finished" "it is not finished"
tap_has page.html "is incomplete and left out" "its last line is incomplete"
tap_has page.html "cannot be read:</strong> killed/checkpoints/step-00000012.h5: is truncated" "the damaged checkpoint is named"

# ---- input that is none ----
cp page.html before
refused 66 "nowhere: No such file" "no such path" flm nowhere
refused 65 "shards: is not a run directory" "shards" shards
refused 65 "LICENSE: is neither a run directory nor" "a text" "$abs_top_srcdir/LICENSE"
refused 65 "is a file of kind checkpoint" "a checkpoint" flm/checkpoints/latest
cp -r flm torn
sed -i '5s/,/;/' torn/metrics.jsonl
refused 65 "torn/metrics.jsonl: line 5: " "a damaged line" torn
printf '[{"file": "x"},\n' >bad.json
refused 65 "bad.json: line " "damaged JSON" bad.json
refused 2 "no run directory given" "no path"
cmp -s page.html before
tap_ok $? "a failure leaves the page that is there"
tap_refused 2 "is not an HTML page" "another file is not replaced" "$bin/flm_report" --out prompts.jsonl flm
tap_end
