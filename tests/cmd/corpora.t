#!/bin/sh
# corpora.t - flm_shard on archives and corpora: the layouts of LM1B and OpenWebText give the rows computed from the
# rules (corpora_rows.awk), on any number of ranks and after kills; every container. corpora_bad.t has invalid input.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
shard=$abs_top_builddir/flm_shard
rows=$abs_top_builddir/tests/cmd/shard_rows

run() {
    timeout -k 5 120 "$shard" "$@" >out 2>err </dev/null
}

# same DIR DIR NAME - the shards and the indexes have the same bytes.
same() {
    (cd "$1" && cat -- *.h5) >one.bytes
    (cd "$2" && cat -- *.h5) >two.bytes
    test -s one.bytes && cmp one.bytes two.bytes >cmp.out 2>&1 && test "$(cd "$1" && ls)" = "$(cd "$2" && ls)"
    tap_ok $? "$3"
}

# documents FILE..., lines FILE... - input for corpora_rows.awk, with a document for each file or for each line.
documents() {
    for file in "$@"; do
        od -An -v -tu1 "$file"
        echo end
    done
}
lines() {
    cat "$@" | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) if ($i == 10) print "end"; else print $i }'
}
by_hand() {
    awk -f "$abs_top_srcdir/tests/cmd/corpora_rows.awk" "$@"
}

# have PROGRAM - whether it is installed; tests that need it are skipped otherwise.
have() {
    command -v "$1" >have.out 2>&1
}

if ! have tar || ! have gzip; then
    echo "1..0 # SKIP tar and gzip are needed to make archives"
    exit 0
fi

# ---- LM1B: one archive, training and held-out files, a sentence a line ----
top=1-billion-word-language-modeling-benchmark-r13output
train=$top/training-monolingual.tokenized.shuffled
held=$top/heldout-monolingual.tokenized.shuffled
mkdir -p "$train" "$held"
echo 'Not a sentence .' >$top/README
sentences() { # SEED COUNT
    awk -v seed="$1" -v count="$2" 'BEGIN { srand(seed); for (i = 0; i < count; i++) { n = 2 + int(rand() * 30)
        s = "w" i; for (j = 0; j < n; j++) s = s (rand() < 0.1 ? " , and" : "") " word" int(rand() * 1000); print s " ." } }'
}
for i in 1 2 3; do sentences $i 700 >"$train/news.en-0000$i-of-00100"; done
for i in 0 1; do sentences "2$i" 90 >"$held/news.en.heldout-0000$i-of-00050"; done
printf 'He said : " I '"'"'m not sure ; maybe . " \n \nThe price rose $ 5 ( or less ) , officials said .\n' \
    >>"$train/news.en-00002-of-00100"
tar cf lm1b.tar $top/README "$held/news.en.heldout-00001-of-00050" "$train/news.en-00002-of-00100" \
    "$train/news.en-00001-of-00100" "$held/news.en.heldout-00000-of-00050" "$train/news.en-00003-of-00100"
gzip lm1b.tar

# shellcheck disable=SC2016 # dollars are dollars
# The rules that matter for these sentences, " , " and " ." at the end, and the two sentences above by hand.
plain() {
    sed -e '/^ *$/d' -e 's/^He said.*/He said: "I'"'"'m not sure; maybe." /' -e 's/^The price.*/The price rose $5 (or less), officials said./' \
        -e 's/ , /, /g' -e 's/ \.$/./' "$@"
}
plain "$train/news.en-00002-of-00100" "$train/news.en-00001-of-00100" "$train/news.en-00003-of-00100" >train.txt
plain "$held/news.en.heldout-00001-of-00050" "$held/news.en.heldout-00000-of-00050" >held.txt
set -- --corpus lm1b --tokenizer bytes --length 40 --group-docs 100 --shard-bytes 60000
tap_mpi 1 "$shard" "$@" --out lm1b.1 lm1b.tar.gz
tap_is $? 0 "lm1b: one rank"
tap_has out "inputs      1, " "the archive is one input"
tap_has out "documents   2282" "a document for each line that is not white space"
"$rows" lm1b.1 train >have.rows
lines train.txt | by_hand -v L=40 -v group=100 >want.rows
cmp have.rows want.rows >cmp.out 2>&1 && test -s want.rows
tap_ok $? "lm1b: training rows follow the rules"
"$rows" lm1b.1 valid >have.rows
lines held.txt | by_hand -v L=40 -v group=100 >want.rows
cmp have.rows want.rows >cmp.out 2>&1 && test -s want.rows
tap_ok $? "lm1b: validation rows are those of the held-out files"
for ranks in 2 3 4; do
    tap_mpi $ranks "$shard" "$@" --out "lm1b.$ranks" lm1b.tar.gz
    tap_is $? 0 "lm1b: $ranks ranks"
    same lm1b.1 "lm1b.$ranks" "lm1b: $ranks ranks make the same files"
done
run "$@" --out lm1b.loose "$train/news.en-00002-of-00100" "$train/news.en-00001-of-00100" \
    "$held/news.en.heldout-00001-of-00050" "$train/news.en-00003-of-00100" "$held/news.en.heldout-00000-of-00050"
"$rows" lm1b.loose train >have.rows
lines train.txt | by_hand -v L=40 -v group=100 | cmp - have.rows >cmp.out 2>&1
tap_ok $? "lm1b unpacked: the same rows"
run "$@" --valid-last 300 --out lm1b.last lm1b.tar.gz
"$rows" lm1b.last valid >have.rows
plain "$held/news.en.heldout-00001-of-00050" "$train/news.en-00002-of-00100" "$train/news.en-00001-of-00100" \
    "$held/news.en.heldout-00000-of-00050" "$train/news.en-00003-of-00100" | tail -n 300 >last.txt
lines last.txt | by_hand -v L=40 -v group=100 | cmp - have.rows >cmp.out 2>&1
tap_ok $? "lm1b with --valid-last: the last documents in archive order"
run --corpus lm1b --out lm1b.default lm1b.tar.gz
tap_is $? 0 "lm1b with its defaults"
tap_is "$("$rows" lm1b.default train | awk 'NF != 128 || $1 != 101 || $128 != 102' | wc -l)" 0 "rows of 128 with the ids of BERT"
timeout 60 "$abs_top_builddir/flm_inspect" --rows 1 lm1b.default >out 2>err
tap_has out "row 0: [CLS] w0 word" "flm_inspect shows them as text"

# ---- OpenWebText: tars, some compressed, in a tar ----
mkdir owt openwebtext
awk 'BEGIN { srand(9); for (i = 0; i < 260; i++) { f = sprintf("owt/%07d-%08x.txt", i, int(rand() * 1e8)); n = 1 + int(rand() * 60)
    s = i % 3 ? "" : "\n \n\t"
    for (j = 0; j < n; j++) { s = s "word" int(rand() * 500); k = int(rand() * 9); s = s (k > 5 ? " " : substr("\n\n\n\n\n\n", 1, k + 1)) }
    printf "%s", s (i % 4 ? "" : "\n\n\n  ") >f; close(f) } }'
printf ' \n\n ' >owt/0000100-white.txt
(cd owt && ls) >names
pack() { # FIRST LAST NAME
    sed -n "$1,$2p" names >part
    (cd owt && tar cf "../openwebtext/$3" -T ../part)
}
pack 1 90 urlsf_subset00-1_data
pack 91 180 urlsf_subset01-1_data.tar
pack 181 261 urlsf_subset02-1_data
gzip openwebtext/urlsf_subset02-1_data
if have xz; then xz openwebtext/urlsf_subset00-1_data; else gzip openwebtext/urlsf_subset00-1_data; fi
tar cf openwebtext.tar openwebtext/urlsf_subset00* openwebtext/urlsf_subset01* openwebtext/urlsf_subset02*
set -- --corpus owt --tokenizer bytes --length 50 --group-docs 20 --shard-bytes 20000 --valid-last 45
tap_mpi 1 "$shard" "$@" --out owt.1 openwebtext.tar
tap_is $? 0 "owt: one rank"
tap_has out "documents   260" "a document for each file that is not white space"
(cd owt && sed -n '/white/!p' ../names | sed -n '1,215p' | while read -r name; do documents "$name"; done) >train.od
(cd owt && sed -n '/white/!p' ../names | sed -n '216,$p' | while read -r name; do documents "$name"; done) >valid.od
"$rows" owt.1 train >have.rows
by_hand -v L=50 -v group=20 -v owt=1 train.od >want.rows
cmp have.rows want.rows >cmp.out 2>&1 && test -s want.rows
tap_ok $? "owt: training rows follow the rules"
"$rows" owt.1 valid >have.rows
by_hand -v L=50 -v group=20 -v owt=1 valid.od >want.rows
cmp have.rows want.rows >cmp.out 2>&1 && test -s want.rows
tap_ok $? "owt: validation rows are those of the last documents"
for ranks in 2 3 4; do
    tap_mpi $ranks "$shard" "$@" --out "owt.$ranks" openwebtext.tar
    tap_is $? 0 "owt: $ranks ranks"
    same owt.1 "owt.$ranks" "owt: $ranks ranks make the same files"
done
if have xz; then
    xz -k openwebtext.tar
    run "$@" --out owt.xz openwebtext.tar.xz
    tap_is "$?" 0 "owt: as .tar.xz"
    (for split in train valid; do "$rows" owt.xz $split; done) >have.rows
    (for split in train valid; do "$rows" owt.1 $split; done) | cmp - have.rows >cmp.out 2>&1
    tap_ok $? "owt: the same rows"
else
    tap_skip "owt: .tar.xz" "xz is not installed"
fi
run --corpus owt --valid-last 45 --group-docs 0 --out owt.default openwebtext.tar
tap_is $? 0 "owt with its defaults"
tap_is "$("$rows" owt.default train | awk 'NF != 1024 || $1 != 50256 || $1024 != 50256' | wc -l)" 0 "rows of 1024 with the ids of GPT-2"
timeout 60 "$abs_top_builddir/flm_inspect" --rows 1 owt.default >out 2>err
tap_has out "row 0: <|endoftext|>word" "flm_inspect shows them as text"

# ---- killed, then resumed ----
for i in 4 5 6 7; do sentences $i 20000 >"$train/news.en-0000$i-of-00100"; done
tar cf - $top | gzip -1 >large.tar.gz
set -- --corpus lm1b --tokenizer bytes --length 40 --group-docs 100 --shard-bytes 3000000
run "$@" --out whole large.tar.gz
tap_is $? 0 "a larger archive"
kills=0
for delay in 0.4 0.7 1.0; do
    "$shard" "$@" --out cut large.tar.gz >out 2>err </dev/null &
    pid=$!
    sleep $delay
    if kill -KILL $pid 2>kill.err; then kills=$((kills + 1)); fi
    wait $pid
    test -e cut/index.h5 && break
done
test $kills -gt 0
tap_ok $? "some runs were killed: $kills"
tap_mpi 2 "$shard" "$@" --out cut large.tar.gz
tap_is $? 0 "resumed after kills, on two ranks"
same whole cut "the files are those of a run that was not killed"
run "$@" --out cut large.tar.gz
tap_has out "is complete already" "a further run has nothing to do"

# ---- the same texts in every container ----
printf 'ab\n\ncdef\n' >1.txt
printf 'xyz\n' >2.txt
printf '{"text":"q\\u00e9","n":123456789012345678901234567890}\n\n{"n":1,"text":"r\\n"}\n{"text":" "}\n' >3.jsonl
want="256 97 98 256 256/256 99 100 101 256/256 102 256 120 256/256 121 122 256 256/256 113 195 169 256/256 256 114 10 256/"
packed() { # FILE OPTIONS...
    file=$1
    shift
    rm -rf packed
    run --length 5 "$@" --out packed "$file"
    tap_is "$? $("$rows" packed train | tr '\n' '/')" "0 $want" "$file${*:+ $*}"
}
tar cf t.tar 1.txt 2.txt 3.jsonl
packed t.tar
gzip -c t.tar >t.tgz
packed t.tgz
(gzip -c 1.txt && gzip -c 2.txt) >parts.gz
want="256 97 98 256 256/256 99 100 101 256/256 102 256 120 256/256 121 122 256 256/" packed parts.gz
for tool in xz:xz zstd:zst bzip2:bz2; do
    program=${tool%%:*}
    ending=${tool#*:}
    if have "$program"; then
        "$program" -q -c t.tar >"t.tar.$ending"
        packed "t.tar.$ending"
        "$program" -q -c 3.jsonl >"3.jsonl.$ending"
    else
        cp t.tar "t.tar.$ending.none" # for the tar of all
        tap_skip "t.tar.$ending" "$program is not installed"
    fi
done
if have zip; then
    zip -q z.zip 1.txt 2.txt 3.jsonl
    packed z.zip
    zip -q -0 zz.zip z.zip
    packed zz.zip
    tar cf deep.tar zz.zip && gzip deep.tar
    packed deep.tar.gz
    refusal=$(run --length 5 --nesting 3 --out shallow deep.tar.gz; echo $?)
    tap_is "$refusal" 65 "more layers than --nesting"
    tap_has err "deep.tar.gz: zz.zip: z.zip: more than 3 layers of compression or archives (--nesting)" "are refused by name"
else
    tap_skip "zip" "zip is not installed"
fi
mkdir sub && cp 1.txt sub/a.md && cp 2.txt sub/b.md && cp 3.jsonl sub/c.md.jsonl && echo no >sub/z.bin
tar cf md.tar sub/a.md sub/b.md sub/c.md.jsonl sub/z.bin
packed md.tar --members 'sub/*.md*'
tap_has out "skipped     1 members" "skipped members are counted"
ln 1.txt again.txt && ln -s 2.txt soft.txt
tar cf linked.tar 1.txt again.txt 2.txt soft.txt 3.jsonl
packed linked.tar
gzip -c 3.jsonl >3.jsonl.gz
want="256 113 195 169 256/256 256 114 10 256/" packed 3.jsonl.gz
sed 's/"text"/"body"/' 3.jsonl >body.dat
want="256 113 195 169 256/256 256 114 10 256/" packed body.dat --format jsonl --field body
printf '{"text":"a\377b"}\n' >invalid.jsonl
want="256 97 239 191 256/256 189 98 256 256/" packed invalid.jsonl
tap_has out "replaced    1 " "invalid UTF-8 is replaced in JSON too"

# A large file of JSON lines is divided by offset, and read from the middle.
awk 'BEGIN { srand(2); for (i = 0; i < 9000; i++) { s = ""; for (j = rand() * 280; j > 0; j--) s = s " w" int(rand() * 1000)
    printf "{\"id\": %d, \"text\": \"%d%s\\n\"}\n", i, i, s } }' >many.jsonl
set -- --length 40 --valid-last 70 --shard-bytes 1000000
run "$@" --out many.1 many.jsonl
tap_is $? 0 "many lines of JSON"
tap_mpi 3 "$shard" "$@" --out many.3 many.jsonl
same many.1 many.3 "three ranks make the same files"
gzip -c -1 many.jsonl >many.jsonl.gz
run "$@" --out many.gz many.jsonl.gz
("$rows" many.1 train && "$rows" many.1 valid) >want.rows
("$rows" many.gz train && "$rows" many.gz valid) | cmp - want.rows >cmp.out 2>&1
tap_ok $? "and so does the compressed file"
tap_end
