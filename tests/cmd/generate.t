#!/bin/sh
# generate.t - flm_generate: a sample depends on the seed and its number only, an interrupted job resumes, text and entropy
# are computed from the ids, invalid input is refused. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
shards_make shards 20
# shellcheck disable=SC2086
"$bin/flm_train" --data shards --out run $tiny --steps 200 >out 2>err || cat err
samples=33 # neither 7 nor 4 divides it

# generate RANKS OPTION...
generate() {
    ranks=$1
    shift
    on_ranks "$ranks" "$bin/flm_generate" --checkpoint run --precision fp32 --threads 1 --seed 5 "$@"
}

ids() { # FILE - of all numbers of steps
    for n in 1 4 16; do "$tool" ids "$1" $n; done 2>&1
}

generate 1 --samples $samples --steps 1,4,16 --batch 64 --out one.h5
tap_is $? 0 "33 samples of 1, 4 and 16 steps" || cat err
cp out table
ids one.h5 >want
tap_is "$(wc -l <want)" 99 "99 rows"
test "$(sort -u want | wc -l)" -ge 50 # the three of a sample begin with the same noise
tap_ok $? "the rows differ"

# Rounding can change a token where the two largest scores are nearly equal; at this size none are.
settings="1,1 7,1 64,2 7,2 1,4 7,4"
test "$sanitized" = 0 || settings="1,1 7,4"
for setting in $settings; do
    batch=${setting%,*} ranks=${setting#*,} name="--batch ${setting%,*}, ${setting#*,} ranks"
    generate "$ranks" --samples $samples --steps 1,4,16 --batch "$batch" --chunk 50 --out other.h5
    tap_is $? 0 "$name" || cat err
    ids other.h5 >have
    tap_is "$(cmp -s have want || paste -d ' ' have want | awk '{ n = NF / 2; for (i = 1; i <= n; i++) bad += $i != $(i + n) }
        END { print bad + 0, "tokens differ" }')" "" "$name: the same samples"
    cmp -s out table
    tap_ok $? "$name: the same table"
    rm other.h5
done
generate 1 --samples 9 --steps 4 --out few.h5
tap_is "$("$tool" ids few.h5 4)" "$("$tool" ids one.h5 4 | head -n 9)" "fewer samples with fewer steps are the first ones of the larger run"
generate 1 --samples 9 --steps 4 --seed 6 --out seed.h5
test "$("$tool" ids seed.h5 4)" != "$("$tool" ids few.h5 4)"
tap_ok $? "another seed gives other samples"
generate 1 --samples 9 --steps 4 --weights raw --out raw.h5
test "$("$tool" ids raw.h5 4)" != "$("$tool" ids few.h5 4)"
tap_ok $? "other weights give other samples"

# The table: the mean over samples of the entropy of their histograms, in nats.
for n in 1 4 16; do
    entropy=$("$tool" ids one.h5 $n | awk '
        { split("", c); for (i = 1; i <= NF; i++) c[$i]++; for (id in c) sum -= c[id] / NF * log(c[id] / NF) }
        END { printf "%.4f", sum / NR }')
    awk -v n=$n -v want="$entropy" '$1 == "==" && $2 == n { seen = $3 == 33 && $4 - want < 2e-4 && want - $4 < 2e-4 }
        END { exit !seen }' table
    tap_ok $? "$n steps: the printed entropy is that of the ids, $entropy"
done

# The text is that of the ids: bytes, and names for the two special ids.
generate 2 --samples 9 --steps 4 --out few.h5 --text
tap_is $? 0 "--text"
"$tool" ids few.h5 4 | awk '{
    printf "== sample %d, 4 steps\n", NR - 1
    for (i = 1; i <= NF; i++) if ($i < 256) printf "%c", $i + 0; else printf "<|%d|>", $i
    printf "\n" }' | LC_ALL=C sed 's/<|256|>/<|end|>/g' >text.want
LC_ALL=C grep -av '^==  ' out >text.have
tap_is "$(LC_ALL=C tr -d '\000\200-\377' <text.have)" "$(LC_ALL=C tr -d '\000\200-\377' <text.want)" "the text is that of the ids"

# A finished file: the same command prints the table again and changes nothing.
cp one.h5 before.h5
generate 2 --samples $samples --steps 1,4,16 --out one.h5
tap_is $? 0 "the same command again"
cmp -s out table
tap_ok $? "prints the same table"
ids one.h5 >have
cmp -s have want
tap_ok $? "and keeps the samples"

# Killed, or stopped by a signal, then resumed.
begin() { # until it has logged its device: signals are handled from then on
    : >pids
    : >err
    # shellcheck disable=SC2016,SC2086 # expanded by the ranks; several options
    timeout -k 5 120 $MPIEXEC -n 2 sh -c 'echo $$ >>pids; exec "$@"' rank "$bin/flm_generate" --checkpoint run \
        --precision fp32 --threads 1 --seed 5 --samples $samples --steps 300,4,1 --batch 2 --out cut.h5 \
        >out 2>err </dev/null &
    launcher=$!
    until grep -q thread err || ! kill -0 $launcher 2>/dev/null; do sleep 0.02; done
}
for signal in KILL TERM USR1; do
    begin
    # shellcheck disable=SC2046
    kill -$signal $(cat pids) 2>/dev/null
    wait $launcher
    status=$?
    case $signal in
        KILL) test $status != 0 && test $status != 124 ;;
        *) test $status = 75 ;;
    esac
    tap_ok $? "SIG$signal: status $status"
    test $signal = KILL || tap_lines err "stopped early; the samples generated so far are in cut.h5" 1 "SIG$signal: one message"
done
generate 2 --samples $samples --steps 300,4,1 --batch 2 --out cut.h5
tap_is $? 0 "the same command resumes and completes it"
generate 1 --samples $samples --steps 300,4,1 --out uncut.h5
for n in 300 4 1; do
    tap_is "$("$tool" ids cut.h5 $n)" "$("$tool" ids uncut.h5 $n)" "$n steps: the samples of a job that was never stopped"
done

# Invalid input: one message, and no file changes.
refused() { # STATUS TEXT NAME OPTION...
    want=$1 text=$2 name=$3
    shift 3
    generate "${by:-1}" --samples $samples "$@"
    tap_is "$? $(grep -c '^flm_generate: error:' err)" "$want 1" "$name: status $want, one message"
    tap_has err "$text" "$name: the message"
}
cp one.h5 before.h5
by=2 refused 65 'one.h5: was created with other settings: "seed" differs' "other seed" --steps 1,4,16 --seed 6 --out one.h5
by=1
refused 65 '"samples" differs' "other number" --steps 1,4,16 --samples 7 --out one.h5
refused 65 '"weights" differs' "other weights" --steps 1,4,16 --weights raw --out one.h5
refused 65 'one.h5: ' "other steps" --steps 1,5 --out one.h5
cmp -s one.h5 before.h5
tap_ok $? "the samples file is unchanged"
cp one.h5 cut2.h5 && truncate -s -10 cut2.h5 && cp cut2.h5 before.h5
refused 65 "cut2.h5: is truncated" "truncated samples file" --steps 1,4,16 --out cut2.h5
cmp -s cut2.h5 before.h5
tap_ok $? "it is not overwritten"
cp "$abs_top_srcdir/LICENSE" text
refused 65 "text: is not an HDF5 file" "a text file as the samples file" --steps 4 --out text
cmp -s text "$abs_top_srcdir/LICENSE"
tap_ok $? "it is not overwritten"
"$tool" flip one.h5 /steps_4/tokens 300
generate 1 --samples $samples --steps 1,4,16 --out one.h5
tap_is $? 0 "a damaged row"
ids one.h5 >have
cmp -s have want
tap_ok $? "is generated again"
refused 65 "shards/index.h5: is a file of kind index, expected checkpoint" "shards as checkpoint" --steps 4 --out x.h5 \
    --checkpoint shards/index.h5
refused 65 "shards: the directory has no checkpoint" "a directory without checkpoints" --steps 4 --out x.h5 \
    --checkpoint shards
refused 66 "nowhere: cannot be opened: No such file" "no checkpoint" --steps 4 --out x.h5 --checkpoint nowhere
refused 2 "--steps 4,4: 4 is given twice" "steps twice" --steps 4,4 --out x.h5
refused 2 "--steps: '0' in '4,0' is not valid" "no steps" --steps 4,0 --out x.h5
refused 2 "unknown option --step" "unknown option" --step 4 --out x.h5
refused 66 "nodir/" "no such directory" --steps 4 --out nodir/x.h5
test ! -e x.h5
tap_ok $? "no output was created"
cp -r run turned && "$tool" flip turned/checkpoints/latest /ema/vocab_embed.embedding 77
refused 65 "ema/vocab_embed.embedding: block 0: checksum mismatch" "damaged checkpoint" --steps 4 --out x.h5 --checkpoint turned
cp -r run nan && "$tool" poison run/checkpoints/latest nan/checkpoints weights/blocks.1.attn_out.weight
refused 76 "nan/checkpoints/step-00000201.h5, raw weights:" "weights that are not finite" --steps 4 --out nan.h5 --weights raw \
    --checkpoint nan
if test -c /dev/full; then
    generate 1 --samples 3 --steps 1 --out full.h5
    timeout 60 "$bin/flm_generate" --checkpoint run --precision fp32 --threads 1 --seed 5 --samples 3 --steps 1 \
        --out full.h5 --text >/dev/full 2>err
    tap_is $? 74 "results that cannot be written are an error"
else
    tap_skip "results that cannot be written" "no /dev/full"
fi
tap_end
