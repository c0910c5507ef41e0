#!/bin/sh
# damage.t - a changed byte is noticed wherever it is: manifests and lists of shards, scores, samples that are compared;
# and too little address space is an error, not a program that never ends.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# changed FILE TEXT NEW - a copy, changed.h5, where the first TEXT is NEW, of the same length.
changed() {
    at=$(grep -abo -e "$2" "$1" | head -n 1 | cut -d : -f 1)
    cp "$1" changed.h5
    printf '%s' "$3" | dd of=changed.h5 bs=1 seek="$at" conv=notrunc 2>dd.err
}

# noticed NAME TEXT COMMAND...
noticed() {
    name=$1 text=$2
    shift 2
    timeout -k 5 60 "$@" >out 2>err </dev/null
    tap_is $? 65 "$name: refused" || cat err
    tap_has err "$text" "$name: the message"
}

shards_make shards 32
first=shards/train-00000-of-00001.h5
cp -r shards sh
for file in index.h5 train-00000-of-00001.h5; do
    changed "shards/$file" CONTRIBUTING.md CONTRIBUTING.MD
    mv changed.h5 "sh/$file"
    noticed "a name in the manifest of $file" "/inputs: checksum mismatch" "$bin/flm_inspect" sh
    noticed "the same" "/inputs: checksum mismatch" "$bin/flm_shard" --verify sh
    cp "shards/$file" "sh/$file"
done
changed $first CONTRIBUTING.md CONTRIBUTING.MD
noticed "a name in the manifest of a shard alone" "/inputs: checksum mismatch" "$bin/flm_inspect" changed.h5
# Behind the end of a name in the index, where nothing reads it.
at=$(grep -abo -e "valid-00000-of-00001.h5" shards/index.h5 | head -n 1 | cut -d : -f 1)
cp shards/index.h5 sh/index.h5
printf x | dd of=sh/index.h5 bs=1 seek=$((at + 40)) conv=notrunc 2>dd.err
noticed "a byte in the list of shards" "/splits/valid: checksum mismatch" "$bin/flm_inspect" sh

# Scores. The tool prints where they are.
"$bin/tests/score/score_files" gpt2 gpt2.h5 2>err && "$bin/tests/score/score_files" samples s.h5 2>err
timeout 60 "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 s.h5 >out 2>err
tap_is $? 0 "samples are scored" || cat err
timeout 60 "$bin/flm_inspect" s.h5 >out 2>err
tap_lines out "23 scores match their checksums" 2 "flm_inspect verifies scores" || cat out
timeout 60 "$bin/flm_score" --compare s.h5 >whole 2>err
tap_is $? 0 "flm_score --compare takes whole files" || cat err
for part in nll positions scored score_checksums tokens; do
    cp s.h5 changed.h5
    "$tool" flip changed.h5 "/steps_8/$part" 2 2>err
    tap_is $? 0 "$part: a byte is changed" || cat err
    text="the score of row 0 is damaged"
    test $part != tokens || text="row 0"
    noticed "$part in flm_inspect" "$text" "$bin/flm_inspect" changed.h5
    noticed "$part in --compare" "$text" "$bin/flm_score" --compare changed.h5
    test $part != tokens || continue
    timeout 60 "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 changed.h5 >out 2>err
    tap_lines err " 1 of 23 texts to score" 1 "$part: flm_score computes that score again"
    timeout 60 "$bin/flm_score" --compare changed.h5 >out 2>err
    tap_is "$(sed 's/changed.h5/s.h5/' out)" "$(cat whole)" "$part: and the figures are the same again"
done

# Address space. OpenBLAS maps 128 MiB at its first call, and tries forever.
if test "$sanitized" = 0; then
    # shellcheck disable=SC2086,SC2016 # several options; expanded by the child
    on_ranks 1 "$bin/flm_train" --data shards --out run $tiny --steps 1
    for limit in 300000 450000 600000 750000 900000; do
        # shellcheck disable=SC2016
        timeout -k 5 60 sh -c 'ulimit -v "$1" && shift && exec "$@"' child $limit "$bin/flm_generate" --checkpoint run \
            --samples 1 --steps 1 --precision fp32 --threads 1 --out "limit-$limit.h5" >out 2>err </dev/null
        status=$?
        test $status != 124 && test $status != 137
        tap_ok $? "$((limit / 1000)) MB of address space: it ends, with $status"
    done
fi
tap_end
