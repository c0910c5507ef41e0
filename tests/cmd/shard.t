#!/bin/sh
# shard.t - flm_shard: rows computed by hand, the same files on any number of ranks and after kills, invalid input.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
shard=$abs_top_builddir/flm_shard
rows=$abs_top_builddir/tests/cmd/shard_rows

# run OPTIONS... - on one rank, without a launcher.
run() {
    timeout -k 5 120 "$shard" "$@" >out 2>err </dev/null
}

# refused STATUS TEXT NAME OPTIONS... - flm_shard fails with the exit status and one message that has the text.
refused() {
    want=$1 text=$2 name=$3
    shift 3
    run "$@"
    tap_is "$? $(grep -c 'flm_shard: error:' err)" "$want 1" "$name: $want, one message"
    tap_has err "$text" "$name: the message"
}

# same DIR DIR NAME - the shards and the indexes have the same bytes.
same() {
    (cd "$1" && cat -- *.h5) >one.bytes
    (cd "$2" && cat -- *.h5) >two.bytes
    test -s one.bytes && cmp one.bytes two.bytes >cmp.out 2>&1 && test "$(cd "$1" && ls)" = "$(cd "$2" && ls)"
    tap_ok $? "$3"
}

# Rows computed by hand: L = 5, so three ids between begin and end (256).
printf 'ab\r\n\n \t\ncdef\n\nghi' >tiny.txt
run --documents line --length 5 --out line tiny.txt
tap_is $? 0 "one document per line"
# ab| cdef| ghi| = 97 98 256 / 99 100 101 / 102 256 103 / 104 105 256
tap_is "$("$rows" line train | tr '\n' '/')" \
    "256 97 98 256 256/256 99 100 101 256/256 102 256 103 256/256 104 105 256 256/" "its rows"
tap_has out "documents   3" "three documents"
tap_has out "tokens      12, 4.0 per document" "twelve tokens"

printf 'ab\ncd\n\n\n \nefgh\r\nij\n' >blocks.txt
run --documents blank --length 5 --out blank blocks.txt
# ab\ncd| efgh\r\nij| = 97 98 10 / 99 100 256 / 101 102 103 / 104 13 10 / 105 106 256
tap_is "$("$rows" blank train | tr '\n' '/')" \
    "256 97 98 10 256/256 99 100 256 256/256 101 102 103 256/256 104 13 10 256/256 105 106 256 256/" \
    "documents between blank lines"

printf 'xyz\n\nw\n\n' >second.txt
run --documents file --length 5 --out file tiny.txt second.txt
# ab\r\n\n \t\ncdef\n\nghi| xyz\n\nw| = 97 98 13/10 10 32/9 10 99/100 101 102/10 10 103/104 105 256/120 121 122/10 10 119
tap_is "$("$rows" file train | tr '\n' '/')" "256 97 98 13 256/256 10 10 32 256/256 9 10 99 256/256 100 101 102 256/\
256 10 10 103 256/256 104 105 256 256/256 120 121 122 256/256 10 10 119 256/" "documents that are files"
tap_has out "1 tokens dropped" "the remainder is dropped and counted"

run --documents line --length 5 --group-docs 1 --out ones tiny.txt
tap_is "$("$rows" ones train | tr '\n' '/')" "256 97 98 256 256/256 99 100 101 256/256 103 104 105 256/" \
    "groups of one document: each is cut separately"
run --documents line --length 5 --valid-last 1 --group-docs 0 --out last tiny.txt
tap_is "$("$rows" last valid | tr '\n' '/')" "256 103 104 105 256/" "the last document is for validation"
tap_is "$("$rows" last train | tr '\n' '/')" "256 97 98 256 256/256 99 100 101 256/" "the others are not"
run --documents line --length 5 --valid second.txt --out other tiny.txt
tap_is "$("$rows" other valid | tr '\n' '/')" "256 120 121 122 256/256 256 119 256 256/" "--valid: the rows of another file"
tap_is "$("$rows" other train | wc -l)" 4 "and all of the input is for training"
printf 'a\377b\n' >invalid.txt
run --length 5 --out invalid invalid.txt
tap_is "$("$rows" invalid train | tr '\n' '/')" "256 97 239 191 256/256 189 98 256 256/" "invalid UTF-8 becomes U+FFFD"
tap_has out "replaced    1 " "and is counted"

# The same files on any number of ranks: several inputs, groups across them, several shards, documents of all sizes.
awk 'BEGIN { srand(5); for (i = 0; i < 30000; i++) { n = int(rand() * 40); s = "line " i
    for (j = 0; j < n; j++) s = s " word" int(rand() * 1000); print s; if (i % 11 == 0) print "" } }' >many.txt
head -n 777 many.txt >some.txt
: >empty.txt
set -- --length 33 --group-docs 100 --shard-bytes 300000 --valid-last 500
for kind in line blank; do
    tap_mpi 1 "$shard" "$@" --documents $kind --out "$kind.1" some.txt many.txt empty.txt tiny.txt
    tap_is $? 0 "$kind: one rank"
    case $kind in line) counts='2 3 4' ;; *) counts=3 ;; esac
    for ranks in $counts; do
        tap_mpi "$ranks" "$shard" "$@" --documents $kind --out "$kind.$ranks" some.txt many.txt empty.txt tiny.txt
        tap_is $? 0 "$kind: $ranks ranks"
        same "$kind.1" "$kind.$ranks" "$kind: $ranks ranks make the same files"
    done
done
tap_is "$(find line.1 -type f ! -name 'train-*' ! -name 'valid-*' | sort | tr '\n' ' ')" \
    "line.1/.flm-shard line.1/index.h5 " "no other files are left"
tap_mpi 2 "$shard" --verify line.1
tap_is $? 0 "the shards are valid"
tap_has out "valid: " "both splits"

# A complete directory, with the same command and with another one.
cp -R line.1 kept
run "$@" --documents line --out line.1 some.txt many.txt empty.txt tiny.txt
tap_is $? 0 "a second run on a complete directory"
tap_has out "is complete already" "is reported"
same line.1 kept "and changes nothing"
refused 65 'with "length = 33" instead of "length = 34"' "other options" --length 34 --group-docs 100 \
    --shard-bytes 300000 --valid-last 500 --documents line --out line.1 some.txt many.txt empty.txt tiny.txt
sed 's/word1/word2/' tiny.txt >tiny.new && printf 'more\n' >>tiny.new && mv tiny.new tiny.txt
refused 65 'was created by another command' "other inputs" "$@" --documents line --out line.1 some.txt many.txt empty.txt tiny.txt
same line.1 kept "neither changes the directory"
mkdir other.files && : >other.files/thesis.txt
refused 65 "contains other files (thesis.txt)" "a directory with other files" "$@" --out other.files many.txt
tap_is "$(ls -A other.files)" thesis.txt "which are kept"

# Killed at any moment, then resumed. Delays grow until a run completes.
run "$@" --documents line --out whole many.txt
kills=0
for delay in 0.1 0.2 0.3 0.4 0.5 0.6 0.8; do
    "$shard" "$@" --documents line --out cut many.txt >out 2>err </dev/null &
    pid=$!
    sleep $delay
    if kill -KILL $pid 2>kill.err; then kills=$((kills + 1)); fi
    wait $pid
    test -e cut/index.h5 && break
done
echo "# $kills kills; then: $(find cut -type f | wc -l) files"
test $kills -gt 0
tap_ok $? "some runs were killed"
run "$@" --documents line --out cut many.txt
tap_is $? 0 "resumed after kills"
same whole cut "the files are those of a run that was not killed"

# Every state that a kill can leave: half the rows of a shard, final names given only to some, a shard created in part.
cp -R whole states
cd states || exit 99
rm index.h5
mv train-00001-of-*.h5 ".$(ls train-00001-of-*.h5).tmp"
first=.$(ls train-00000-of-*.h5).tmp
mv train-00000-of-*.h5 "$first"
size=$(wc -c <"$first")
dd if=/dev/zero of="$first" bs=1 seek=$((size / 2)) count=50000 conv=notrunc 2>../dd.err
for name in train-00003-of-*.h5; do
    rm "$name"
    : >".$name.tmp.new"
done
cd ..
tap_mpi 2 "$shard" "$@" --documents line --out states many.txt
tap_is $? 0 "resumed from a directory with damaged rows, missing and renamed shards"
same whole states "the same files"

# Stopped by a signal.
cat many.txt many.txt many.txt many.txt many.txt many.txt many.txt many.txt >large.txt
"$shard" "$@" --documents line --out stopped large.txt >out 2>err </dev/null &
pid=$!
tap_wait 60 test -e stopped
kill -TERM $pid
wait $pid
tap_is $? 75 "SIGTERM: exit status 75"
tap_has err "run the same command again to resume" "the message says what to do"
run "$@" --documents line --out stopped large.txt
tap_is $? 0 "the same command resumes"
run "$@" --documents line --out unstopped large.txt
same unstopped stopped "and makes the same files"

# An input that grows after the survey, which is detected when it is opened again or at its end.
cp large.txt growing.txt
"$shard" "$@" --documents line --out grown growing.txt >out 2>err </dev/null &
pid=$!
tap_wait 60 test -e grown/.flm-shard
echo more >>growing.txt
wait $pid
tap_is "$? $(grep -c 'flm_shard: error:' err)" "65 1" "an input that changes while it is read: one message"
tap_has err "growing.txt: the file changed" "the message names it"
test ! -e grown/index.h5
tap_ok $? "and no index"

# Each error gives one message, and none leaves an index.
printf ' \n\n\t\n' >white.txt
mkdir folder
refused 65 "no documents" "only white space" --out bad white.txt
refused 65 "no documents" "an empty file" --out bad2 empty.txt
refused 66 "none.txt: cannot be read: No such file" "a missing file" --out bad3 none.txt
refused 65 "folder: is a directory; list the files in it" "a folder" --out bad4 folder
printf "no gzip\n" >fake.txt.gz
refused 65 "fake.txt.gz: is named as gzip, but its content is not" "text named as gzip" --out bad5 fake.txt.gz
refused 65 "are too short to fill a row" "too few ids for a row" --length 500 --out bad6 tiny.txt
refused 65 "more than 10 bytes (--document-bytes)" "a document that is too large" --document-bytes 10 --out bad7 many.txt
refused 2 "--length" "rows without space for text" --length 2 --out bad8 tiny.txt
refused 2 'unknown tokeniser "elvish"; known: bytes' "an unknown tokeniser" --tokenizer elvish --out bad9 tiny.txt
refused 2 "--documents" "an unknown kind of document" --documents lines --out bad10 tiny.txt
refused 2 "leaves nothing for training" "all documents for validation" --valid-last 4 --out bad11 tiny.txt
refused 2 "--valid cannot be combined with --valid-last" "two sources of validation" --valid-last 1 --valid second.txt --out bad12 tiny.txt
refused 2 "--out DIR is required" "no --out" tiny.txt
refused 2 "no input files" "no input" --out bad13
refused 2 "more than 99999; increase it" "too many shards" --length 3 --shard-bytes 1 --out bad14 many.txt
refused 66 "cannot be created" "--out below a file" --out tiny.txt/shards tiny.txt
tap_is "$(find . -path './bad*' -name index.h5 | wc -l)" 0 "none of them left an index"

# A full disk, simulated by a limit on the size of files, which the files of the MPI library also need.
(
    ulimit -f 16384 # blocks of 512 or 1024 bytes
    timeout -k 5 120 "$shard" --documents line --length 33 --shard-bytes 1000000000 --out full large.txt >out 2>err </dev/null
)
tap_is "$? $(grep -c 'flm_shard: error:' err)" "74 1" "a shard larger than the limit: one message"
tap_has err "File too large" "the message gives the cause"
test ! -e full/index.h5
tap_ok $? "no index"
run --documents line --length 33 --shard-bytes 1000000000 --out full large.txt
tap_is $? 0 "without the limit the same command resumes"

# Damage is detected.
cp -R whole damaged
shard0=$(ls damaged/train-00000-of-*.h5)
printf '\377' | dd of="$shard0" bs=1 seek=20000 conv=notrunc 2>dd.err
tap_mpi 2 "$shard" --verify damaged
tap_is "$? $(grep -c 'flm_shard: error:' err)" "65 1" "a damaged row: one message"
tap_has err "$shard0: /tokens: row " "the message names file and row"
refused 66 "index.h5: is missing" "verifying an incomplete directory" --verify bad
tap_end
