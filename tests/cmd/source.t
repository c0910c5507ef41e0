#!/bin/sh
# source.t - the reader of texts, through flm_shard: the format of a file by its content and name, lines of JSON as
# Python reads them, what is not text, members that are skipped, encodings, and inputs that are not regular files.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
shard=$abs_top_builddir/flm_shard
rows=$abs_top_builddir/tests/cmd/shard_rows

have() {
    command -v "$1" >have.out 2>&1
}

# run ARGUMENT... - flm_shard; its rows hold one byte each, so that they show every byte of the documents.
run() {
    rm -rf made
    timeout -k 5 60 "$shard" --length 3 --group-docs 0 --out made "$@" >out 2>err </dev/null
}

# shown - the documents in made, each with | behind it; bytes outside of ASCII as numbers.
shown() {
    "$rows" made train | awk '$2 == 256 { printf "|"; next }
        $2 < 32 || $2 > 126 { printf "<%d>", $2; next } { printf "%c", $2 }'
}

# is_read WANT NAME ARGUMENT... - the documents are these.
is_read() {
    want=$1 name=$2
    shift 2
    run "$@"
    tap_is "$? $(shown)" "0 $want" "$name"
}

# refused TEXT NAME ARGUMENT... - status 65, and one message that has the text.
refused() {
    text=$1 name=$2
    shift 2
    run "$@"
    tap_is "$? $(grep -c 'flm_shard: error:' err)" "65 1" "$name: one message"
    tap_has err "$text" "$name: the message"
}

# ---- the format, by content and name ----
printf '{"text":"ab"}\n{"text":"c"}\n' >a.jsonl
for name in a.JSONL a.ndjson a.NdJson a.jl a.jsonlines a.json a.JSON a data.part-00000; do
    test -e "$name" || cp a.jsonl "$name"
    is_read "ab|c|" "$name has lines of JSON" "$name"
done
tap_has err "begins with a JSON object: reading it as JSON lines" "a name without an extension: the content decides, and this is reported"
cp a.jsonl a.txt
is_read '{"text":"ab"}|{"text":"c"}|' "a.txt is text" a.txt
tap_has err "a.txt: begins with a JSON object, but is read as plain text because of its name" "and reported"
is_read "ab|c|" "unless --format is given" --format jsonl a.txt
is_read '{"text":"ab"}|{"text":"c"}|' "and the other way round" --format text a.json
tar cf lines.tar a.jl a.jsonlines
is_read "ab|c|ab|c|" "members of these names" lines.tar
# JSON under a name that says nothing is never text without a word.
sed 's/text/content/' a.jsonl >content
refused 'content: line at byte 0: no field "text"' "lines of JSON without the field" content
is_read "ab|c|" "with --field" --field content content
printf '{\n  "text": "ab"\n}\n' >pretty
printf ' [ {"text":"ab"},\n{"text":"c"}]' >array
printf '[{"text":"ab"}]\n' >line
for file in pretty array line; do
    refused "$file: is one JSON document, not JSON lines" "a JSON document: $file" $file
    gzip -c $file >$file.gz
    refused "$file.gz: is one JSON document, not JSON lines" "compressed" $file.gz
    cp $file $file.txt
    run $file.txt
    tap_has err "$file.txt: begins with a JSON document, but is read as plain text because of its name" "named as text: a warning"
done
printf '[Illustration:\na {brace}]\n{x}\n{"a"\n' >brackets
is_read '[Illustration:|a {brace}]|{x}|{"a"|' "a text that begins with a bracket" brackets
gzip -c a.jsonl >a.JSONL.GZ
is_read "ab|c|" "a.JSONL.GZ" a.JSONL.GZ
gzip -c a.jsonl >c4-train.00000-of-01024.json.gz
is_read "ab|c|" "the names of C4" c4-train.00000-of-01024.json.gz
for pack in "xz xz" "zstd zst" "bzip2 bz2" "lz4 lz4" "lzma lzma"; do
    program=${pack% *} name=a.json.${pack#* }
    if have "$program"; then
        "$program" -q -c a.jsonl >"$name"
        is_read "ab|c|" "$name" "$name"
    else
        tap_skip "$name" "$program is not installed"
    fi
done
# "ab" by compress: codes of 9 bits, the lowest first
printf '\037\235\220a\304\000' >a.txt.Z
is_read "ab|" "a.txt.Z" a.txt.Z
printf '{\n  "text": "ab"\n}\n' >pretty.json
refused "pretty.json: is one JSON document, not JSON lines" "an object of several lines" pretty.json
cp pretty.json pretty.jsonl
refused "pretty.jsonl: is one JSON document" "the same named .jsonl" pretty.jsonl
gzip -c pretty.json >pretty.json.gz
refused "pretty.json.gz: is one JSON document" "the same, compressed" pretty.json.gz
printf '[{"text":"ab"},{"text":"c"}]\n' >array.json
refused "array.json: is one JSON document" "an array" array.json
is_read '[{"text":"ab"},{"text":"c"}]|' "an array with --format text" --format text array.json
printf 'no JSON\n' >no.json
refused "no.json: is named as JSON, but does not begin with a JSON object" "text named .json" no.json
printf '[1] a note\n{ b\n' >notes
is_read '[1] a note|{ b|' "brackets alone are no JSON" notes

# ---- lines of JSON, as Python reads them; tests/unit/source/json.c has more ----
printf '{"text":"x\\ud800"}\n{"text":"\\ud83d\\ude00"}\n{"text":"\\udc00y"}\n' >sur.jsonl
is_read "x<239><191><189>|<240><159><152><128>|<239><191><189>y|" "halves of surrogate pairs" sur.jsonl
tap_has out "replaced    2 " "are counted"
printf '{"text":"a","p":NaN}\n{"p":-Infinity,"text":"b"}\n{"p":1e999,"q":123456789012345678901234567890,"text":"c"}\n' >nan.jsonl
is_read "a|b|c|" "NaN, Infinity, numbers of any size" nan.jsonl
printf '\357\273\277{"text":"a"}\n{"text":"b"}\n' >bom.jsonl
is_read "a|b|" "a byte order mark before JSON" bom.jsonl
tap_has out "marks       1 byte order marks" "is counted"
gzip -c bom.jsonl >bom.jsonl.gz
is_read "a|b|" "the same, compressed" bom.jsonl.gz
printf '\357\273\277a\n\357\273\277b\n' >bom.txt
is_read "a|<239><187><191>b|" "a byte order mark before text; another one is a character" bom.txt
is_read "<239><187><191>a<10><239><187><191>b|" "--corpus owt keeps it" --corpus owt --tokenizer bytes --valid a.jsonl bom.txt
printf '{"text":"a"}\n\302\240\n\342\200\250 \n{"text":"b"}\n' >white.jsonl
is_read "a|b|" "lines of Unicode white space in JSON" white.jsonl
printf ' \na\n\302\240\n\342\200\250\nb\n' >white.txt
is_read "a|b|" "and in text" white.txt
is_read "a|b|" "and between blocks" --documents blank white.txt
printf '{"text":""}\n{"text":" \\u00a0"}\n{"text":"b"}\n' >empty.jsonl
is_read "b|" "texts of white space" empty.jsonl
printf '{"text":"a"}\n{"text":"b" "c"}\n' >bad.jsonl
refused "bad.jsonl: line at byte 13: not JSON: expected ',' or '}' at byte 12 of the line (see --on-bad-line)" \
    "a bad line" bad.jsonl
printf '\357\273\277{"text":"a"}\n{"text":7}\n' >bad2.jsonl
run --on-bad-line skip bad2.jsonl
tap_is "$? $(shown)" "0 a|" "--on-bad-line skip"
tap_has out "bad lines   1 skipped" "is counted"

# ---- what is not text ----
noise() { # BYTES - that are not UTF-8
    awk -v n="$1" 'BEGIN { srand(4); for (i = 0; i < n; i++) printf "%c", 97 + int(rand() * 25) }' | LC_ALL=C tr 'a-y' '\200-\230'
}
noise 300 >noise.bin
while IFS='|' read -r magic file what; do
    # shellcheck disable=SC2059 # a magic number with escapes
    (printf "$magic" && cat noise.bin) >"$file"
    refused "$file: is $what, not text" "$what" "$file"
done <<'END'
PAR1\025\004|train-00000-of-00001.parquet|a Parquet file
PAR1\025\004|train.jsonl|a Parquet file
ARROW1\000\000|data.arrow|an Arrow file
FEA1\000\000|data.feather|a Feather file
\211HDF\r\n\032\n|data.h5|an HDF5 file
\223NUMPY\001\000|data.npy|a NumPy array
\200\004\225|data.pkl|a Python pickle
%%PDF-1.4\n|paper.pdf|a PDF document
%%PDF-1.4\n|paper.txt|a PDF document
\211PNG\r\n\032\n|image.png|a PNG image
\377\330\377\340|image.jpg|a JPEG image
\177ELF\002\001|program|an ELF program
SQLite format 3\000|data.db|an SQLite database
7z\274\257\047\034|data.7z|a 7z archive
Rar!\032\007\000|data.rar|a RAR archive
\320\317\021\340\241\261\032\341|old.doc|a document of Microsoft Office (OLE)
\100\000\000\000\000\000\000\000{"a"|model.safetensors|a safetensors file
\377\006\000\000sNaPpY|data.sz|Snappy data
END
printf 'text of PAR1 and BM\nMZ\n' >words.txt
(printf 'PAR1 is a protein\n' && cat words.txt) >words2.txt
is_read "PAR1 is a protein|text of PAR1 and BM|MZ|" "a text that begins with the letters of a magic number" words2.txt
gzip -c train.jsonl >train.parquet.gz
refused "train.parquet.gz: is a Parquet file" "a compressed binary file" train.parquet.gz
refused "noise.bin: 99 % of the bytes are not UTF-8" "a format without a known magic number" noise.bin
printf 'abc\000def\n' >nul.txt
refused "nul.txt: has NUL bytes" "NUL bytes" nul.txt
is_read "abc<0>def|" "--allow-binary" --allow-binary nul.txt
run --allow-binary data.npy
tap_is $? 0 "--allow-binary with a magic number"
(awk 'BEGIN { for (i = 0; i < 200000; i++) print "a line of text" }' && for _ in 1 2 3 4 5 6 7 8; do cat noise.bin noise.bin; done) >later.txt
noise 3000000 >>later.txt
refused "later.txt: 99 % of the bytes are not UTF-8" "binary data after much text" later.txt
printf 'caf\351 au lait, d\351j\340 vu, ma\356tre\n' >latin.txt
run latin.txt
tap_is $? 0 "Latin-1"
tap_has out "replaced    4 " "is replaced and counted"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n' | tee lfs.jsonl >lfs.txt.gz
refused "lfs.jsonl: is a Git LFS pointer; fetch the file with git lfs pull" "a Git LFS pointer" lfs.jsonl
refused "lfs.txt.gz: is a Git LFS pointer" "instead of a compressed file" lfs.txt.gz
for file in x.txt.Z x.txt.lz4; do
    case $file in *.Z) magic='\037\235\220' ;; *) magic='\004\042\115\030;#' ;; esac
    # shellcheck disable=SC2059 # a magic number with escapes
    (printf "$magic" && cat noise.bin) >$file
    refused "$file: the " "invalid data after the magic number of $file" $file
    tap_has err "damaged" "is damaged"
done

# Behind the beginning, as after a download that failed.
lines=$(seq 10000 19999)
(echo "$lines" && dd if=/dev/zero bs=1000 count=20 2>/dev/null && echo "$lines") >hole.txt
refused "hole.txt: has NUL bytes: it is binary, damaged, or UTF-16" "zeros in the middle of a text" hole.txt
(echo "$lines" && i=0 && while test "$i" -lt 9000; do printf '\377\376\301\300' && i=$((i + 1)); done) >end.txt
refused "end.txt: 99 % of the bytes are not UTF-8" "a text that is binary at its end" end.txt
gzip -c hole.txt >hole.txt.gz
refused "hole.txt.gz: has NUL bytes" "zeros in a compressed text" hole.txt.gz
(echo "$lines" && printf 'a\000b\n') >nul.txt
run --length 100 nul.txt
tap_is $? 0 "a NUL in a long text is none of these"

# ---- encodings ----
printf '\377\376h\000\351\000\n\000=\330\000\336\n\000' >le.txt
is_read "h<195><169>|<240><159><152><128>|" "UTF-16, little-endian" le.txt
tap_has out "decoded     1 files" "is counted"
(cat a.jsonl && printf '\357\273\277{"text":"d"}\n') >joined.jsonl
is_read "ab|c|d|" "files with byte order marks that were concatenated" joined.jsonl
tap_has out "marks       1 byte order marks" "the mark is counted"
printf '\376\377\000h\000\351\000\n\330=\336\000\000\n' >be.txt
is_read "h<195><169>|<240><159><152><128>|" "UTF-16, big-endian" be.txt
printf '\377\376\000\000h\000\000\000\000\366\001\000' >le32.txt
is_read "h<240><159><152><128>|" "UTF-32, little-endian" le32.txt
printf '\000\000\376\377\000\000\000h\000\001\366\000' >be32.txt
is_read "h<240><159><152><128>|" "UTF-32, big-endian" be32.txt
printf '\377\376h\000=\330a\000b' >odd.txt
is_read "h<239><191><189>a<239><191><189>|" "half of a pair and half of a unit" odd.txt
tap_has out "replaced    2 " "are counted"
printf '\377\376{\000"\000t\000e\000x\000t\000"\000:\000"\000a\000"\000}\000\n\000' >le.jsonl
is_read "a|" "JSON in UTF-16" le.jsonl
gzip -c le.jsonl >le.json.gz
is_read "a|" "the same, compressed" le.json.gz
printf 'h\000e\000y\000\n\000' >nomark.txt
refused "nomark.txt: has NUL bytes: it is binary, damaged, or UTF-16 without a byte order mark" "UTF-16 without its mark" nomark.txt

# ---- members that are skipped ----
double='\000\005\026\007\000\002\000\000Mac OS X        \000\002\000\000\000\011\000\000\0002\000\000\016\260'
mkdir -p d __MACOSX/d
printf 'ab\n' >d/a.txt
gzip -c d/a.txt >d/b.txt.gz
# shellcheck disable=SC2059 # bytes with escapes
printf "$double" | tee d/._a.txt d/._b.txt.gz d/.DS_Store __MACOSX/d/._a.txt __MACOSX/d/b.txt.gz >__MACOSX/d/c.xz
tar cf mac.tar d/._a.txt d/a.txt d/._b.txt.gz d/b.txt.gz d/.DS_Store __MACOSX/d/._a.txt __MACOSX/d/b.txt.gz __MACOSX/d/c.xz
is_read "ab|ab|" "an archive made by macOS" mac.tar
tap_has out "macOS       6 members" "what macOS added is counted"
if have zip; then
    zip -q mac.zip d/._a.txt d/a.txt d/._b.txt.gz d/b.txt.gz d/.DS_Store __MACOSX/d/c.xz
    is_read "ab|ab|" "the same, a zip" mac.zip
    tap_has out "macOS       4 members" "counted"
    mkdir word && echo '<x/>' >'[Content_Types].xml' && echo text >word/a.txt
    zip -q a.docx '[Content_Types].xml' word/a.txt
    refused "a.docx: is a document of Microsoft Office, not an archive of texts" "a .docx" a.docx
    is_read "text|" "a .docx with --members" --members '*.txt' a.docx
    tar cf docx.tar a.docx d/a.txt
    is_read "ab|" "a .docx in an archive" docx.tar
    tap_has out "skipped     1 members" "is skipped and counted"
    zip -q -P secret locked.zip d/a.txt && mv d/a.txt d/a.png && zip -q -P secret image.zip d/a.png && mv d/a.png d/a.txt
    refused "locked.zip: d/a.txt: the member is encrypted" "an encrypted text" locked.zip
    zip -q image.zip d/a.txt
    is_read "ab|" "an encrypted member that is not text" image.zip
    tap_has out "skipped     1 members" "is skipped and counted"
else
    tap_skip "zip" "zip is not installed"
fi
echo text >d/image.png.gz
cp d/image.png.gz d/part.gz
tar cf other.tar d/image.png.gz d/a.txt
is_read "ab|" "a misnamed member that would not be text" other.tar
tap_has out "skipped     1 members" "is skipped and counted"
tar cf part.tar d/part.gz d/a.txt
refused "part.tar: d/part.gz: is named as gzip" "one that could be" part.tar
# A zip of a.txt, b.txt and c.txt whose directory does not list b.txt.
printf 'PK\003\004\024\000\000\000\000\000\000\000\041\000\237\250\027\370\004\000\000\000\004\000\000\000\005\000\000\000a.txtone\012PK\003\004\024\000\000\000\000\000\000\000\041\000\260M\210\342\004\000\000\000\004\000\000\000\005\000\000\000b.txtold\012PK\003\004\024\000\000\000\000\000\000\000\041\000t\010\027\226\004\000\000\000\004\000\000\000\005\000\000\000c.txttwo\012PK\001\002\024\003\024\000\000\000\000\000\000\000\041\000\237\250\027\370\004\000\000\000\004\000\000\000\005\000\000\000\000\000\000\000\000\000\000\000\200\001\000\000\000\000a.txtPK\001\002\024\003\024\000\000\000\000\000\000\000\041\000t\010\027\226\004\000\000\000\004\000\000\000\005\000\000\000\000\000\000\000\000\000\000\000\200\001N\000\000\000c.txtPK\005\006\000\000\000\000\002\000\002\000f\000\000\000u\000\000\000\000\000' >deleted.zip
is_read "one|two|" "a zip with a deleted member" deleted.zip
tap_has out "deleted     1 members" "which is counted"
tar cf deleted.tar deleted.zip
refused "deleted.tar: deleted.zip: the zip has 1 deleted members" "inside another archive" deleted.tar

# ---- empty texts, and inputs that are not regular files ----
: >none.gz
: >none.txt.xz
gzip -c none.gz >empty.txt.gz
is_read "ab|" "files of no bytes named as compressed, and a compressed file of none" none.gz none.txt.xz empty.txt.gz d/a.txt
tap_has out "text        4 files, 2 bytes" "are empty texts"
tap_has err "none.txt.xz: is empty (0 bytes), which is not valid xz" "and reported"
for pack in "xz xz" "zstd zst" "bzip2 bz2" "lz4 lz4"; do
    program=${pack% *} name=empty.txt.${pack#* }
    if have "$program"; then
        "$program" -q -c none.gz >"$name"
        is_read "ab|" "$name" "$name" d/a.txt
        tap_has out "text        2 files, 2 bytes" "is an empty text"
        tar cf empty.tar "$name" d/a.txt
        is_read "ab|" "in an archive" empty.tar
        tap_has out "text        2 files, 2 bytes" "it is one too"
    else
        tap_skip "$name" "$program is not installed"
    fi
done
mkfifo pipe
refused "pipe: is a pipe, not a regular file" "a pipe without a writer" pipe
ln -s pipe link.txt
refused "link.txt: is a pipe, not a regular file" "a link to it" link.txt
refused "d: is a directory; list the files in it" "a folder" d
refused "/dev/null: is a device" "a device" /dev/null
echo ab | (timeout 60 "$shard" --length 3 --out piped /dev/stdin >out 2>err)
tap_is $? 65 "standard input from a pipe"
tap_has err "/dev/stdin: is a pipe, not a regular file: texts are read more than once" "is refused"

# The other programs that read files of users.
cp lfs.jsonl lfs.safetensors
for command in "flm_convert pipe x.h5" "flm_inspect pipe" "flm_convert lfs.safetensors x.h5"; do
    # shellcheck disable=SC2086 # a command with its arguments
    timeout -k 5 60 "$abs_top_builddir"/$command >out 2>err </dev/null
    tap_is $? 65 "$command: refused"
    case $command in
    *pipe*) tap_has err "not a regular file" "and why" ;;
    *) tap_has err "lfs.safetensors: is a Git LFS pointer; fetch the file with git lfs pull" "and why" ;;
    esac
done
tap_end
