#!/bin/sh
# inspect.t - flm_inspect identifies files, verifies their checksums, and refuses files that are damaged or of another kind.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
files=$abs_top_builddir/tests/cmd/inspect_files

# inspect ARGUMENT... - output in out and err.
inspect() {
    timeout 60 "$abs_top_builddir/flm_inspect" "$@" >out 2>err </dev/null
}

# refused STATUS TEXT NAME - the last call failed with exit status $code, else 65, and one message that has the text.
refused() {
    tap_is "$1 $(wc -l <err)" "${code:-65} 1" "$3: exit status and one line"
    tap_has err "$2" "$3: the reason is given"
}

# damage FILE OFFSET - change the byte at OFFSET; negative: from the end.
damage() {
    size=$(wc -c <"$1")
    offset=$2
    test "$offset" -ge 0 || offset=$((size + offset))
    byte=$(od -An -tu1 -j "$offset" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf '%03o' $(((byte + 1) % 256)))" | dd of="$1" bs=1 seek="$offset" conv=notrunc 2>/dev/null
}

timeout 60 "$files" 2>err
tap_is $? 0 "files to inspect"

checkpoint=run/checkpoints/step-00000020.h5
inspect $checkpoint
tap_is $? 0 "a checkpoint"
tap_has out "$checkpoint: checkpoint, " "what it is"
tap_has out "    kind = flm" "an attribute"
tap_has out "    step = 20" "its step"
tap_has out "    lr = 0.0003" "a setting"
tap_has out "f32 [259, 5]" "a shape"
tap_has out "  verified: 5488 values in 8 datasets" "all data were read"
inspect --verify no $checkpoint
tap_is "$? $(grep -c verified out)" "0 0" "--verify no: data are not read"
inspect run
tap_is $? 0 "a run directory"
tap_has out "run: run directory" "is recognised"
tap_has out "run/checkpoints: 2 checkpoints, latest is step-00000020.h5" "with its checkpoints"
tap_lines out "verified" 2 "each is verified"
inspect run/checkpoints run/checkpoints/latest
tap_lines out "verified" 3 "several names"

inspect samples.h5 --rows 2
tap_is $? 0 "a samples file"
tap_has out "    entropy = 4.25" "a result"
tap_has out "i32 [3, 8]" "its shape"
tap_has out "verified: steps_4: 2 of 3 rows are present" "how many rows are present"
tap_has out 'row 1: <|end|>back\\sl' "a row, escaped"
tap_has out 'row 2: <|end|>new\nlin' "a row of two lines on one"

inspect shards --rows 1
tap_is $? 0 "a shard directory"
tap_has out "    corpus = text" "its corpus"
tap_has out "verified: train: 3 rows" "all rows were read"
tap_has out "row 0: <|end|>one two" "a row"
tap_lines out "  row " 1 "one row"
shard=shards/train-00000-of-00001.h5
inspect $shard --rows 2
tap_is $? 0 "a shard"
tap_has out "u16 [3, 8]" "its shape"
tap_lines out "  row " 2 "two rows"
inspect shards/index.h5
tap_has out "verified: train: 3 rows" "an index is inspected with its directory"

cp $checkpoint whole.h5
damage $checkpoint -1
inspect $checkpoint
refused $? "$checkpoint: optimizer/v/" "a changed value"
inspect --verify no $checkpoint
tap_is $? 0 "is found only by reading the data"
inspect run
refused $? "$checkpoint" "in a run directory"
cp whole.h5 $checkpoint
damage $checkpoint 60
inspect $checkpoint
refused $? "$checkpoint: " "a changed structure"
head -c 9000 whole.h5 >$checkpoint
inspect $checkpoint
refused $? "$checkpoint: is truncated: it has 9000 bytes" "a truncated file"
rm $checkpoint
inspect run
refused $? "run/checkpoints/latest: points to step-00000020.h5, which does not exist" "latest without its file"

damage $shard -1
inspect $shard
refused $? "$shard: " "a changed shard"
inspect shards
refused $? "$shard: " "in its directory"
rm $shard
inspect shards
code=66 refused $? "$shard: " "a missing shard"

echo "no such thing" >text
inspect text
refused $? "text: is not an HDF5 file" "a file of another kind"
inspect none
code=66 refused $? "none: No such file or directory" "no file"
mkdir empty
inspect empty
refused $? "empty: not a directory of this suite" "a directory of another kind"
inspect
tap_is $? 2 "no argument is bad usage"
inspect --rows 1 whole.h5
tap_is $? 2 "rows of a checkpoint are bad usage"
inspect whole.h5 text
tap_is $? 65 "a good file and a bad one"
tap_lines out "verified" 1 "the good file was shown"
tap_mpi 2 "$abs_top_builddir/flm_inspect" whole.h5
tap_is "$? $(grep -c verified out)" "0 1" "on two ranks one of them inspects"
tap_end
