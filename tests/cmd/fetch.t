#!/bin/sh
# fetch.t - fetch-lm1b, fetch-owt, fetch-gpt2 and fetch-flm from local files: complete and resumed downloads, wrong digests, missing
# files, bad arguments.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
scripts=$abs_top_srcdir/data-prep
lm1b=1-billion-word-language-modeling-benchmark-r13output.tar.gz

if ! command -v curl >have.out 2>&1 || ! command -v sha256sum >have.out 2>&1; then
    echo "1..0 # SKIP curl and sha256sum are needed"
    exit 0
fi

# run SCRIPT OPTIONS...
run() {
    script=$1
    shift
    timeout -k 5 60 "$scripts/$script" "$@" >out 2>err </dev/null
}

awk 'BEGIN { for (i = 0; i < 20000; i++) print i, i * i }' >source.bin
digest=$(sha256sum <source.bin | cut -d ' ' -f 1)
url=file://$PWD/source.bin

run fetch-lm1b --url "$url" --dir new/folder --sha256 "$digest"
tap_is $? 0 "a download"
cmp source.bin new/folder/$lm1b >cmp.out 2>&1
tap_ok $? "has its published name"
tap_is "$(ls new/folder)" $lm1b "and leaves nothing else"
run fetch-lm1b --url=file:///nowhere --dir=new/folder --sha256="$digest"
tap_is $? 0 "a second run downloads nothing"
run fetch-lm1b --url "$url" --dir new/folder
tap_is $? 65 "an existing file that is not the published one"
tap_has err "move the file away" "is kept, and the message says what to do"
run fetch-lm1b --url "$url" --dir wrong
tap_is $? 65 "a download that is not the published file"
tap_has err "expected 01ba60381110baf7f189dfd2b8374de371e8c9a340835793f190bdae9e90a34e; the download was removed" \
    "has another digest"
tap_is "$(ls wrong)" "" "and is removed"

for bytes in 1 100000 "$(wc -c <source.bin)"; do
    mkdir -p "cut$bytes"
    head -c "$bytes" source.bin >"cut$bytes/openwebtext.tar.xz.part"
    run fetch-owt --url "$url" --dir "cut$bytes" --sha256 "$digest"
    tap_is "$? $(ls "cut$bytes")" "0 openwebtext.tar.xz" "resumed at byte $((bytes))"
    cmp source.bin "cut$bytes/openwebtext.tar.xz" >cmp.out 2>&1
    tap_ok $? "the file is complete"
done
mkdir other && head -c 5000 /dev/zero >other/openwebtext.tar.xz.part
run fetch-owt --url "$url" --dir other --sha256 "$digest"
tap_is "$? $(ls other)" "65 " "resumed from a part of another file: refused and removed"

run fetch-owt --url file:///nowhere/at/all --dir nothing
tap_is $? 66 "a missing source"
tap_has err "file:///nowhere/at/all: cannot be read" "the message names it"
run fetch-owt --url http://127.0.0.1:9/x --dir nothing # the discard port: connections are refused
tap_is $? 69 "no network"
tap_has err "no network, or the site is down" "gives the likely cause"
tap_has err "--url file:///PATH" "the message says what to do"

run fetch-gpt2
tap_is $? 2 "weights without --url"
tap_has err "--url is required" "the message asks for it"
mkdir site && cp source.bin site/model.safetensors && echo '{}' >site/config.json
run fetch-gpt2 --size gpt2-medium --url "file://$PWD/site" --dir weights
tap_is "$? $(echo weights/gpt2-medium/*)" "0 weights/gpt2-medium/config.json weights/gpt2-medium/model.safetensors" "weights"
tap_has out "not verified, as no digest was given" "without a digest they are not verified"
run fetch-gpt2 --size gpt2-medium --url "file://$PWD/site" --dir weights2 --sha256 "$(echo "$digest" | tr 0-9 1-90)"
tap_is "$? $(ls weights2/gpt2-medium)" "65 config.json" "weights with another digest"
run fetch-flm
tap_is "$? $(grep -c -- '--network is required: one of FLM-B-LM1B FLM-B-OWT' err)" "2 1" "a released network without its name"
run fetch-flm --network FMLM-B-OWT --url "file://$PWD/site/" --dir weights --sha256 "$digest"
tap_is "$? $(echo weights/FMLM-B-OWT/*)" "0 weights/FMLM-B-OWT/config.json weights/FMLM-B-OWT/model.safetensors" "a released network"
tap_has out "weights/FMLM-B-OWT/model.safetensors.part: SHA-256 verified" "its digest is verified"
mkdir -p part/FLM-B-OWT && head -c 1000 source.bin >part/FLM-B-OWT/model.safetensors.part
run fetch-flm --network=FLM-B-OWT --url "file://$PWD/site" --dir part --sha256 "$digest"
tap_is "$? $(grep -c 'resuming at byte 1000' out)" "0 1" "resumed"
for bad in '--network FLM-B' '--size gpt2' '--network'; do
    # shellcheck disable=SC2086 # words
    run fetch-flm $bad
    tap_is "$? $(grep -c error: err)" "2 1" "misused: $bad"
done
for bad in --what '--size gpt3 --url x' '--sha256 12' --dir; do
    # shellcheck disable=SC2086 # words
    run fetch-gpt2 $bad
    tap_is "$? $(grep -c error: err)" "2 1" "misused: $bad"
done
run fetch-owt --help
tap_is "$?" 0 "--help"
tap_has out "fetch-owt [--dir DIR]" "shows the usage"
tap_has out "(default: the current one)" "and the defaults"
tap_end
