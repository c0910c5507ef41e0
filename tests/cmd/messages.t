#!/bin/sh
# messages.t - every --help and the error messages of all programs are those of messages.txt, where they can be read in one
# place. After a change: make messages, then review the diff of tests/cmd/messages.txt.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
kept=$abs_top_srcdir/tests/cmd/messages.txt
files=$bin/tests/score/score_files
unset FLM_TRACE FLM_DATA_DIR
LC_ALL=C
OMP_NUM_THREADS=1
# Open MPI, for one rank: it starts in a quarter of the time.
OMPI_MCA_btl=self
export LC_ALL OMP_NUM_THREADS OMPI_MCA_btl

# heading TEXT - a heading of the collection.
heading() { printf '\n==== %s ====\n' "$1" >>collected; }

# show PROGRAM ARGUMENT... - collect a command, its help, or its warnings and errors, and its exit code. Checksums and sizes of
# files depend on the machine that trained and on the version of HDF5.
show() {
    show_program=$1
    shift
    {
        printf '\n$ %s' "$show_program"
        for show_word in "$@"; do
            case $show_word in '' | *[!A-Za-z0-9_./=,:+-]*) printf " '%s'" "$show_word" ;; *) printf ' %s' "$show_word" ;; esac
        done
        echo
        timeout -k 5 60 "$bin/$show_program" "$@" >out 2>err </dev/null
        show_code=$?
        case " $* " in *" --help "*) cat out ;; esac
        sed -n -e 's/^[^ ]* [0-9]* [a-z0-9_]*\.c:[0-9]*: \(warning: \)/\1/p' -e '/^flm_[a-z]*: error:/p' -e '/^  at /p' err
        test $show_code != 1 || cat err
        echo "exit code $show_code"
    } | sed -e "s|$PWD/||g" -e 's/\(truncated: it has [0-9]* bytes, expected\) [0-9]*/\1 SIZE/' \
        -e 's/\(found\|expected\) [0-9a-f]\{8\}\>/\1 XXXXXXXX/g' -e 's/-[0-9a-f]\{8\}\.scores/-XXXXXXXX.scores/' \
        -e 's/[0-9a-f]\{64\}/XXXXXXXX/g' -e 's/\(sha256 \|has \)[0-9a-f]\{12\}\.\.\./\1XXXXXXXX.../g' >>collected
}

# quietly COMMAND... - a step of the preparation.
quietly() { "$@" >made 2>&1 || cat made; }
# shellcheck disable=SC2086 # several options
{
    for length in 32 24; do
        quietly "$bin/flm_shard" --out shards-$length --length $length --valid-last 20 "$abs_top_srcdir/LICENSE"
    done
    mv shards-32 shards
    fast="--batch 8 --lr 1e-3 --warmup 0 --precision fp32 --threads 1 --steps 2"
    net="--preset tiny --hidden-size 32 --heads 2 --cond-size 16 --blocks 2"
    quietly "$bin/flm_train" --data shards --out run $net $fast --checkpoint-every 1
    quietly "$bin/flm_train" --data shards --out wide $net --hidden-size 48 $fast
    quietly "$bin/flm_distill" --data shards --out map $fast --teacher run --method two-model
    quietly "$bin/flm_generate" --checkpoint run --samples 3 --steps 1 --threads 1 --precision fp32 --out samples.h5
    quietly "$files" gpt2 gpt2.h5
    quietly "$files" gpt2 small-gpt2.h5 1000
}
newest=run/checkpoints/step-00000002.h5
cp "$abs_top_srcdir/LICENSE" text
cp "$abs_top_srcdir/tests/convert/golden/plain.ckpt" .
: >empty
mkdir folder
printf 'one two three\nfour five six\n' >plain.txt
shard=train-00000-of-00001.h5
: >collected

heading "--help"
for program in flm_shard flm_train flm_distill flm_generate flm_score flm_convert flm_inspect flm_report; do show $program --help; done

heading "Command line and configuration file"
show flm_train
show flm_train --data shards
show flm_train --data shards --out x --no-such 3
show flm_train --data shards --out x --step 5
show flm_train --data shards --out x -s 5
show flm_train --data shards --out x extra
show flm_train --data shards --out x --steps
show flm_train --data shards --out x --help=now
show flm_train --data= --out x
# Every kind of value.
for option in hidden-size steps lr dropout eps recompute device threads seed; do show flm_train --$option=x; done
show flm_distill --method=x
show flm_distill --stage=x
show flm_distill --diagonal-fraction=x
show flm_distill --target-weights=x
show flm_distill --teacher-weights=x
show flm_score --documents=x
show flm_score --length=x
show flm_inspect --verify=x
show flm_inspect --rows=x
show flm_shard --clean=x
show flm_shard --shard-bytes=x
show flm_train --data shards --out x --batch 0
show flm_train --data shards --out x --batch 99999999
show flm_train --data shards --out x --lr nan
show flm_train --data shards --out x --dropout 0.95
show flm_train --data shards --out x --seed -1
show flm_train --data shards --out x --seed 99999999999999999999
show flm_train --data shards --out "$(printf 'a\001b')"
show flm_score --keep scores plain.txt
show flm_train --config missing.ini
show flm_train --config folder
# config NAME LINE... - a configuration file.
config() {
    config_name=$1
    shift
    printf '%s\n' "$@" >"$config_name.ini"
    show flm_train --config "$config_name.ini"
}
config unknown 'data = shards' 'stesp = 5'
config twice 'data = shards' 'data = others'
config section 'data = shards' '[run]'
config unclosed 'data = "shards'
config behind 'data = "shards" x'
config value 'data = shards' 'steps = 5 6'
config control 'data = shards' "out = $(printf 'a\001b')"

# Options of the runs above, in a file.
cat >net.ini <<END
data = shards
preset = tiny
hidden-size = 32
heads = 2
cond-size = 16
blocks = 2
batch = 8
steps = 4
lr = 1e-3
warmup = 0
precision = fp32
threads = 1
END
grep -v '^\(preset\|hidden-size\|heads\|cond-size\|blocks\)' net.ini >distill.ini
train() { show flm_train --config net.ini "$@"; }
heading "flm_train"
train --out x --preset huge
train --out x --heads 5
train --out x --hidden-size 36 --heads 12
train --out x --eval-steps 1,0
train --out x --plan --eval-only
train --out x --plan --device cpu
train --out x --eval-only
train --out x --data nowhere
train --out x --data text
train --out x --data folder
train --out x --data run/checkpoints
train --out text
train --out text/run
cp -r shards cut && truncate -s 3000 cut/$shard
train --out x --data cut
cp -r shards gone && rm gone/$shard
train --out x --data gone
cp -r shards unfinished && rm unfinished/index.h5
train --out x --data unfinished
cp -r shards damaged && "$tool" flip damaged/$shard /tokens $((5 * 64 + 3))
train --out x --data damaged --steps 200
train --out run --resume no
train --out x --resume nowhere
train --out x --resume text
train --out x --resume shards/index.h5
train --out x --resume gpt2.h5
train --out x --resume map/checkpoints/latest
train --out run --steps 1
train --out run --batch 16
train --out run --seed 5
train --out run --hidden-size 48
train --out run --data shards-24
cp -r run bad && truncate -s 5000 bad/checkpoints/step-00000002.h5 && truncate -s 100 bad/checkpoints/step-00000001.h5
train --out bad
cp -r run turned && "$tool" flip turned/checkpoints/step-00000002.h5 /optimizer/m/blocks.1.attn_out.weight 77
train --out x --resume turned/checkpoints/step-00000002.h5
cp -r run nan && "$tool" poison $newest nan/checkpoints weights/blocks.0.attn_qkv.weight
train --out nan
mkdir -p blocked/metrics.jsonl unset/config.ini
train --out blocked
train --out unset

heading "flm_distill"
distill() { show flm_distill --config distill.ini --out y "$@"; }
distill
distill --teacher nowhere
distill --teacher folder
distill --teacher gpt2.h5
distill --teacher map
distill --teacher run --stage 1
distill --teacher run --method two-stage
distill --teacher run --flow-map map
distill --teacher run --method two-stage --flow-map run
distill --teacher wide --method two-stage --flow-map map
distill --teacher run --method two-model --boundary 8
distill --teacher run --init-from map
distill --teacher run --init-from wide
distill --teacher run --data shards-24

heading "flm_generate"
generate() { show flm_generate "$@"; }
generate
generate --checkpoint run
generate --checkpoint nowhere --out z.h5
generate --checkpoint folder --out z.h5
generate --checkpoint text --out z.h5
generate --checkpoint shards/index.h5 --out z.h5
generate --checkpoint gpt2.h5 --out z.h5
generate --checkpoint bad/checkpoints/step-00000002.h5 --out z.h5
generate --checkpoint run --out z.h5 --steps 4,0
generate --checkpoint run --out z.h5 --steps 4,4
generate --checkpoint run --out z.h5 --steps four
generate --checkpoint run --out z.h5 --teacher run
generate --checkpoint run --out nodir/z.h5
generate --checkpoint run --out folder
generate --checkpoint run --out text
generate --checkpoint run --out samples.h5 --samples 3 --steps 1 --seed 2
generate --checkpoint run --out samples.h5 --samples 4 --steps 1
generate --checkpoint run --out samples.h5 --samples 3 --steps 1,2
generate --checkpoint run --out samples.h5 --samples 3 --steps 1 --weights raw
generate --checkpoint run --out samples.h5 --samples 3 --steps 1 --score samples.h5
generate --checkpoint run --out z.h5 --samples 1 --steps 1 --score nowhere
cp samples.h5 half.h5 && truncate -s 1500 half.h5
generate --checkpoint run --out half.h5 --samples 3 --steps 1
generate --checkpoint map --out z.h5 --teacher wide
mv run moved
generate --checkpoint map --out z.h5
mv moved run
generate --checkpoint nan/checkpoints/step-00000003.h5 --weights raw --out z2.h5 --samples 1 --steps 1

heading "flm_score"
score() { show flm_score "$@"; }
printf '{"text": "a b c"}\n{"text": ""}\n' >empty.jsonl
printf '{"text": "a b c"}\n{"other": "x"}\n' >other.jsonl
printf '{"text": "a b\n' >broken.jsonl
printf '{"text": 5}\n' >number.jsonl
printf 'x\n' >short.txt
score
score plain.txt
score --gpt2 gpt2.h5
score --gpt2 nowhere plain.txt
score --gpt2 text plain.txt
score --gpt2 samples.h5 plain.txt
score --gpt2 run plain.txt
score --gpt2 gpt2.h5 nowhere.txt
score --gpt2 gpt2.h5 folder
score --gpt2 gpt2.h5 empty
score --gpt2 gpt2.h5 empty.jsonl
score --gpt2 gpt2.h5 other.jsonl
score --gpt2 gpt2.h5 broken.jsonl
score --gpt2 gpt2.h5 number.jsonl
score --gpt2 gpt2.h5 short.txt
score --gpt2 gpt2.h5 gpt2.h5
score --gpt2 gpt2.h5 "$newest"
score --gpt2 gpt2.h5 half.h5
score --gpt2 small-gpt2.h5 plain.txt
score --gpt2 gpt2.h5 --length 65 plain.txt
score --gpt2 gpt2.h5 --steps 7 samples.h5
score --gpt2 gpt2.h5 --steps 0 samples.h5
score --gpt2 gpt2.h5 --scores-dir nowhere/here plain.txt
score --gpt2 gpt2.h5 --json nowhere/x.json plain.txt
score --compare plain.txt
score --compare samples.h5
score --compare "$newest"

heading "flm_convert"
convert() { show flm_convert "$@"; }
mkdir gpt2
convert
convert a
convert a b c
convert nowhere b.h5
convert empty b.h5
convert text b.h5
convert folder b.h5
convert gpt2.h5 nodir/b.safetensors
convert --weights ema gpt2.h5 b.safetensors
convert --kind flow-map-1 plain.ckpt b.h5
convert --kind other plain.ckpt b.h5
convert plain.ckpt b.h5
convert --length 12 plain.ckpt b.h5
convert --length 12 --tokenizer other plain.ckpt b.h5
convert --length 12 --tokenizer bytes plain.ckpt b.h5
convert --length 12 --tokenizer none --heads 3 plain.ckpt b.h5
convert --length 12 --tokenizer none --kind fmlm-two-model plain.ckpt b.h5
convert --length 12 --tokenizer none plain.ckpt nodir/b.h5
head -c 3000 plain.ckpt >cut.ckpt
convert --length 12 --tokenizer none cut.ckpt b.h5
printf '\200\002}q\001.' >old.ckpt
convert old.ckpt b.h5
echo '{"model_type": "bert"}' >gpt2/config.json
convert gpt2 b.h5
echo '{' >gpt2/config.json
convert gpt2 b.h5
echo '{"algo": {"name": "flm"}, "model": {"length": "x"}}' >gpt2/config.json
convert gpt2 b.h5
echo '{"algo": {"name": "flm"}}' >gpt2/config.json
convert gpt2 b.h5

heading "flm_inspect"
show flm_inspect
show flm_inspect nowhere
show flm_inspect text
show flm_inspect empty
show flm_inspect folder
show flm_inspect --rows 1 "$newest"
show flm_inspect half.h5
show flm_inspect gone
show flm_inspect damaged/$shard
cp -r run lost && rm lost/checkpoints/step-00000002.h5
show flm_inspect --verify no lost
show flm_inspect turned

heading "flm_report"
report() { show flm_report --out page.html "$@"; }
report
report nowhere
report run nowhere
report text
report empty
report folder
report shards
report "$newest"
report half.h5
cp -r run torn && sed -i '2s/,/;/' torn/metrics.jsonl
report torn
cp -r run listed && sed -i '2s/.*/[1, 2]/' listed/metrics.jsonl
report listed
printf '[{"file": "a.h5"\n' >broken.json
report broken.json
printf '[1]\n' >numbers.json
report numbers.json
printf '{"a": 1}\n' >object.json
report object.json
show flm_report --out text run
show flm_report --out folder run
show flm_report --out nodir/page.html run
show flm_report --samples -1 run

heading "flm_shard"
shard() { rm -rf s && show flm_shard "$@"; }
printf '   \n\t\n' >white.txt
echo "plain" >fake.txt.gz
printf '{"text": "a"}\n{"text": \n' >bad.jsonl
printf '{"text": "a"}\n{"other": "b"}\n' >lacks.jsonl
shard
shard --out s
shard plain.txt
shard --out s nowhere.txt
shard --out s folder
shard --out s empty
shard --out s white.txt
shard --out s --length 2 plain.txt
shard --out s --length 500 plain.txt
shard --out s --tokenizer elvish plain.txt
shard --out s --tokenizer gpt2 --vocab nowhere.json plain.txt
shard --out s --tokenizer gpt2 --vocab text --merges text plain.txt
shard --out s --tokenizer bytes --vocab text plain.txt
shard --out s --tokenizer gpt2 --merges text plain.txt
shard --out s --document-bytes 5 plain.txt
shard --out s --valid-last 2 plain.txt
shard --out s --valid-last 1 --valid plain.txt plain.txt
shard --out s --valid nowhere.txt plain.txt
shard --out text/s plain.txt
shard --out folder/s/t plain.txt
shard --out run plain.txt
shard --out shards plain.txt
shard --out s --corpus owt plain.txt
shard --out s --corpus lm1b plain.txt
shard --out s fake.txt.gz
shard --out s bad.jsonl
shard --out s lacks.jsonl
shard --out s --format jsonl plain.txt
shard --verify nowhere
shard --verify folder
shard --verify damaged
shard --verify shards plain.txt

tap_is "$(grep -c '^exit code 1$' collected)" 0 "no message is of an internal error"
tap_is "$(grep -c '^exit code \(124\|13[0-9]\)$' collected)" 0 "no command crashes or hangs"
tap_is "$(($(grep -c 'error: ' collected) >= 80))" 1 "$(grep -c 'error: ' collected) error messages"
if test "${UPDATE:-}" = 1; then
    sed '1{/^$/d;}' collected >"$kept"
    tap_ok $? "messages.txt is updated: review its diff"
else
    sed '1{/^$/d;}' collected >found
    diff -u "$kept" found >difference
    tap_ok $? "the messages are those of tests/cmd/messages.txt (after a change: make messages)"
    sed 's/^/# /' difference
fi
tap_end
