#!/bin/sh
# install.t - a staged installation, moved to a folder with a space in its name: programs find their vocabularies, a job its
# programs and scripts; manual pages and completions; make uninstall. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
LC_ALL=C
export LC_ALL
unset FLM_DATA_DIR FLM_SITE FLM_JOBS DEMO_TEXT
stage="$PWD/a stage"
make_installed() { make -s -C "$abs_top_builddir" DESTDIR="$stage" "$@" >made 2>&1 || sed 's/^/# /' made; }

make_installed install
installed=$(dirname "$(dirname "$(find "$stage" -path '*/bin/flm_train' -print)")")
test -x "$installed/bin/flm_train" && test -d "$installed/share/flm"
tap_ok $? "make install with DESTDIR"
for program in "$installed"/bin/flm_*; do
    name=$(basename "$program")
    for file in man/man1/$name.1 bash-completion/completions/$name zsh/site-functions/_$name; do
        if test ! -s "$installed/share/$file"; then echo "$file"; fi
    done
done >missing
tap_is "$(cat missing)" "" "each program has its manual page and its completions"
test -s "$installed/share/man/man7/flm.7" && test -s "$installed/share/doc/flm/docs/files.md" &&
    test -s "$installed/share/flm/hdf5-schemas/checkpoint.schema" && test -x "$installed/share/flm/scripts/plot-metrics"
tap_ok $? "the overview, documents, schemas and scripts are there"

moved="$PWD/moved to"
cp -Rp "$installed" "$moved"
make_installed uninstall
tap_is "$(find "$stage" ! -type d)" "" "make uninstall leaves no file"

# A link as flm(7) has it, in a folder with a space, and settings outside the prefix.
mkdir "my home"
cd "my home" || exit 99
ln -s "$moved/share/flm/jobs" jobs
printf 'data = %s/data\nruns = %s/runs\nlogs = %s/logs\nbind = none\nprecision = fp32\n' "$PWD" "$PWD" "$PWD" >site.conf
: >before
PATH=$(dirname "${MPIEXEC%% *}"):$PATH
FLM_SITE=$PWD/site.conf DEMO=1 timeout 100 jobs/submit lm1b_flm --steps 4 --checkpoint-every 4 --eval-rows 8 --log-every 1 >out 2>err
tap_is "$? $(tail -n 1 out)" "0 lm1b_flm: done" "a job: shards of the installed documents, and training"
test -s runs/demo/lm1b_flm/checkpoints/step-00000004.h5
tap_ok $? "its checkpoint"
if command -v gnuplot >have 2>&1; then
    "$moved/share/flm/scripts/plot-metrics" runs/demo/lm1b_flm/metrics.jsonl loss.svg >out 2>err
    test -s loss.svg
    tap_ok $? "its loss curve by an installed script"
else
    tap_skip "its loss curve by an installed script" "no gnuplot"
fi
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 6))' >have 2>&1; then
    "$moved/share/flm/scripts/metrics-export" --csv loss.csv runs/demo/lm1b_flm >out 2>err
    tap_is "$? $(cut -d, -f1,2 loss.csv | tail -n 1)" "0 lm1b_flm,4" "its metrics as CSV"
else
    tap_skip "its metrics as CSV" "no python3"
fi
tap_is "$(find "$moved" -newer before)" "" "nothing was written below the prefix"

echo "This text has more tokens than a row of eight, so that there is a row to write." >text
"$moved/bin/flm_shard" --tokenizer gpt2 --length 8 --out shards text >out 2>err
tap_is "$?" 0 "flm_shard --tokenizer gpt2"
printf 'x' >>"$moved/share/flm/vocabularies/gpt2/merges.txt"
tap_refused 65 "moved to/bin/../share/flm/vocabularies/gpt2/merges.txt: SHA-256 mismatch" "its vocabulary is the one that was moved" \
    "$moved/bin/flm_shard" --tokenizer gpt2 --length 8 --out again text

# complete PROGRAM WORD... - print what its completion in bash suggests for the last word. Bash divides --name=value.
complete_word() {
    # shellcheck disable=SC2016 # of the inner shell
    bash -c '. "$1/share/bash-completion/completions/$2"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "_$1"
        echo "${COMPREPLY[*]}"' bash "$moved" "$@" 2>&1
}
if command -v bash >have 2>&1 && bash -c 'mapfile x </dev/null' 2>have; then
    tap_is "$(complete_word flm_shard --doc)" "--documents= --document-bytes=" "completion of an option"
    tap_is "$(complete_word flm_shard --documents = "")" "line blank file" "of its values after ="
    tap_is "$(complete_word flm_shard --documents bl)" "blank" "and as the next word"
    tap_is "$(complete_word flm_train --plan = y) $(complete_word flm_train --plan --pla)" "yes --plan" "of a switch"
    tap_is "$(complete_word flm_train --preset = ti)" "tiny" "of values in the text of an option"
    tap_is "$(complete_word flm_train --batch = "") $(complete_word flm_train sit)" " " "nothing for a number, or where no file is taken"
    tap_is "$(complete_word flm_train --resume = s)" "site.conf shards" "files"
    tap_is "$(complete_word flm_train --out da)" "data" "folders"
else
    tap_skip "completion" "no bash 4"
fi

if command -v groff >have 2>&1; then
    for page in "$moved"/share/man/man?/flm*; do
        groff -man -Tascii -ww -rLL=78n -P-cbou "$page" 2>&1 >>rendered | sed "s|^|$(basename "$page"): |"
    done >warnings
    tap_is "$(cat warnings)" "" "manual pages without warnings"
    awk 'length > 80' rendered >long
    tap_is "$(cat long)" "" "that fit 80 columns"
    grep -q -e '--documents=line|blank|file' rendered && grep -q 'default 268435456' rendered
    tap_ok $? "with values and defaults"
else
    tap_skip "manual pages" "no groff"
fi
if command -v zsh >have 2>&1; then
    for file in "$moved"/share/zsh/site-functions/_flm_*; do zsh -n "$file"; done >out 2>&1
    tap_is "$(cat out)" "" "completions that zsh can read"
else
    tap_skip "completions that zsh can read" "no zsh"
fi
tap_end
