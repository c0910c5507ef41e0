#!/bin/sh
# corpora_bad.t - flm_shard on invalid archives and JSON lines: damaged, truncated, decompression bombs, encrypted,
# misnamed. Each is refused with one message that names file and member, and leaves no index.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
shard=$abs_top_builddir/flm_shard
rows=$abs_top_builddir/tests/cmd/shard_rows

run() {
    timeout -k 5 120 "$shard" "$@" >out 2>err </dev/null
}

# refused TEXT NAME OPTIONS... - flm_shard fails with status 1 and one message that has the text, and leaves no index.
refused() {
    text=$1 name=$2
    shift 2
    rm -rf bad
    run --length 16 --out bad "$@"
    tap_is "$? $(grep -c 'flm_shard: error:' err) $(test -e bad/index.h5; echo $?)" "65 1 1" "$name: one message, no index"
    tap_has err "$text" "$name: the message"
}

have() {
    command -v "$1" >have.out 2>&1
}

if ! have tar || ! have gzip; then
    echo "1..0 # SKIP tar and gzip are needed to make archives"
    exit 0
fi

awk 'BEGIN { srand(3); for (i = 0; i < 9000; i++) { s = i; for (j = 0; j < 9; j++) s = s " " int(rand() * 100000); print s } }' >a.txt
sed 's/1/2/' a.txt >b.txt
tar cf t.tar a.txt b.txt
gzip -k t.tar
made='t.tar t.tar.gz'
for tool in xz:xz zstd:zst bzip2:bz2; do
    if have "${tool%%:*}"; then
        "${tool%%:*}" -q -c t.tar >"t.tar.${tool#*:}"
        made="$made t.tar.${tool#*:}"
    else
        tap_skip "damaged ${tool#*:}" "${tool%%:*} is not installed"
    fi
done
if have zip; then
    zip -q t.zip a.txt b.txt
    made="$made t.zip"
else
    tap_skip "damaged zip" "zip is not installed"
fi

# Truncated in the middle of the first member, of the second, and one byte before the end; and inside another archive.
for file in $made; do
    size=$(wc -c <"$file")
    for part in 3 7 10; do
        head -c $((size * part / 10 - (part == 10))) "$file" >"cut-$file"
        case $part in 3) member=': a.txt' ;; 7) member=': b.txt' ;; *) member='' ;; esac
        case $file in t.tar.bz2 | t.tar.xz | t.tar.zst) member='' ;; esac # these report a member late, in blocks
        refused "cut-$file$member" "$file truncated at $part tenths" "cut-$file"
        case $file:$part in
        *:10) tap_is "$(grep -c 'truncated' err)" 1 "and that it is truncated" ;;
        esac
    done
    mkdir -p inside
    cp "cut-$file" inside/
    tar cf outer.tar inside/"cut-$file" a.txt
    refused "outer.tar: inside/cut-$file" "$file truncated inside a tar" outer.tar
    case $file in t.tar) continue ;; esac # has no checksums of its data
    cp "$file" "flip-$file"
    printf '\252\125\252' | dd of="flip-$file" bs=1 seek=$((size * 4 / 5)) conv=notrunc 2>dd.err
    refused "flip-$file" "$file with three bytes changed" "flip-$file"
done

size=$((512 + ($(wc -c <a.txt) + 511) / 512 * 512))
head -c $size t.tar >whole-members.tar
refused "whole-members.tar: the tar data is truncated: it has no end mark" "a tar truncated between two members" whole-members.tar
(gzip -c a.txt && echo garbage) >tail.txt.gz
refused "tail.txt.gz: data that is not gzip follows" "other data after gzip" tail.txt.gz
(cat t.tar && echo garbage) >tail.tar
refused "tail.tar: the tar data is damaged" "other data after tar" tail.tar

# Names that promise another container.
for name in x.gz x.tar x.zip x.xz x.zst x.bz2; do
    echo 'just text' >$name
    refused "$name: is named as " "text named $name" $name
done
: >empty.gz
refused "empty.gz: no documents" "a file of no bytes named as gzip" empty.gz
tar cf misnamed.tar x.tar
refused "misnamed.tar: x.tar: is named as tar" "the same inside a tar" misnamed.tar
tar cf nothing.tar -T /dev/null
refused "nothing.tar: no documents" "an empty tar" nothing.tar
cp a.txt a.bin && tar cf binary.tar a.bin
refused "none of the 1 members is named as text; select members with --members" "a tar without texts" binary.tar

# Decompression bombs of 400 MiB and 160 MiB, which are neither unpacked nor held in memory.
head -c 419430400 /dev/zero | tr '\0' x | gzip -1 >bomb.txt.gz
refused "more than 16777216 bytes (--document-bytes)" "one huge document" --ratio 1000000000 bomb.txt.gz
refused "bomb.txt.gz: expands to more than 100 bytes for each byte of the file (--ratio)" "a bomb" --ratio 100 --document-bytes 1073741824 bomb.txt.gz
mkdir zeros && head -c 167772160 /dev/zero >zeros/zeros.bin
tar cf - zeros/zeros.bin a.txt | gzip -9 >passed.tar.gz
refused "passed.tar.gz: zeros/zeros.bin: expands to more than 1000 bytes" "a bomb in a member that is skipped" passed.tar.gz
gzip -9 -c passed.tar.gz | gzip -9 >twice.tar.gz.gz.gz
refused "expands to more than 1000 bytes" "a bomb in a bomb" twice.tar.gz.gz.gz
cp a.txt layer
for _ in 1 2 3 4 5 6 7 8 9; do gzip -c layer >layer.gz && mv layer.gz layer; done
refused "layer: more than 8 layers of compression or archives (--nesting)" "nine layers" layer
run --length 16 --nesting 9 --out nine layer
tap_is $? 0 "nine layers where nine are allowed"
if have xz && xz --memlimit=4GiB --lzma2=dict=256MiB -c a.txt >hungry.txt.xz 2>xz.err; then
    refused "hungry.txt.xz: needs 256 MiB of memory" "xz with a dictionary that is too large" hungry.txt.xz
fi
if have zip; then
    zip -q -P secret secret.zip a.txt
    refused "secret.zip: a.txt: the member is encrypted" "an encrypted member" secret.zip
fi

# A member whose name escapes the archive is reported, and read like any other: nothing is unpacked.
mkdir -p up/here && cp a.txt up/a.txt
(cd up/here && tar cPf ../../leaving.tar ../a.txt)
run --length 16 --out leaving leaving.tar
tap_is $? 0 "a member named ../a.txt"
tap_has err "leaving.tar: ../a.txt: the name of this member escapes the archive" "is reported"
tap_has out "1 members have names that escape the archive" "and counted"

# Lines that are not JSON.
printf '{"text":"abcdefghijklm"}\nnot json\n{"body":"x"}\n{"text":7}\n["text"]\n{"text":"\\ud800"}\n{"text":"nopqrstuvwxyz"}\n' >bad.jsonl
refused "bad.jsonl: line at byte 25: not JSON" "a line that is not JSON" bad.jsonl
sed 2d bad.jsonl >bad2.jsonl
refused 'bad2.jsonl: line at byte 25: no field "text"' "a line without the field" bad2.jsonl
sed 2,3d bad.jsonl >bad3.jsonl
refused 'bad3.jsonl: line at byte 25: field "text" is not a string' "a field that is not a string" bad3.jsonl
tar cf bad.tar bad.jsonl
refused "bad.tar: bad.jsonl: line at byte 25: not JSON" "in an archive" --on-bad-line fail bad.tar
run --length 15 --on-bad-line skip --out skipped bad.tar
tap_is "$?" 0 "--on-bad-line skip"
tap_has out "bad lines   4 skipped" "the bad lines are counted"
tap_has err "bad.tar: bad.jsonl: line at byte 25: not JSON" "the first one is reported"
tap_has out "replaced    1 " "half of a surrogate pair is replaced, as Python reads such a line"
tap_is "$("$rows" skipped train | wc -l)" 2 "the good lines are kept"
awk 'BEGIN { s = "["; for (i = 0; i < 100000; i++) s = s "["; print "{\"text\":" s }' >depth.jsonl
refused "depth.jsonl: line at byte 0: not JSON" "brackets that never close" depth.jsonl
awk 'BEGIN { s = "x"; for (i = 0; i < 20; i++) s = s s; print "{\"text\":\"" s "\"}" }' >long.jsonl
refused "long.jsonl: the document at byte 0 has more than 100000 bytes (--document-bytes)" "a line that is too long" \
    --document-bytes 100000 long.jsonl
tar cf longdoc.tar a.txt
refused "longdoc.tar: a.txt: the document at byte 0 has more than 1000 bytes (--document-bytes)" "a document that is too large in an archive" \
    --documents file --document-bytes 1000 longdoc.tar

# The output directory; defaults of corpora.
mkdir full && : >full/thesis.txt
run --length 16 --out full t.tar.gz
tap_is "$? $(ls -A full)" "65 thesis.txt" "a directory with other files is left unchanged"
tap_has err "contains other files (thesis.txt)" "and they are named"
run --corpus owt --out few t.tar.gz
tap_is $? 2 "owt with fewer documents than its default for validation"
tap_has err "--valid-last 100000, the default of this corpus, leaves nothing" "the message gives the source of the number"
(
    ulimit -f 16384 # blocks of 512 or 1024 bytes; the MPI library's own files need some
    timeout -k 5 120 "$shard" --length 16 --shard-bytes 1000000000 --out disk t.tar.gz t.tar.gz t.tar.gz t.tar.gz t.tar.gz \
        t.tar.gz t.tar.gz t.tar.gz t.tar.gz t.tar.gz t.tar.gz t.tar.gz >out 2>err </dev/null
)
tap_is "$? $(grep -c 'flm_shard: error:' err) $(test -e disk/index.h5; echo $?)" "74 1 1" "a shard larger than the limit"
tap_mpi 3 "$shard" --length 16 --out ranks cut-t.tar.gz
tap_is "$? $(grep -c 'flm_shard: error:' err)" "65 1" "three ranks: one message"
tap_end
