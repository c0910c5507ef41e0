#!/bin/sh
# check-faults.sh BUILD - the campaign of faults: tests/faults/ and the fuzz programs in BUILD, larger than in make check,
# and a table of what was tried and survived. `make check-faults` calls it.
#
# The parts kill, full and random work in rounds over all programs until their share of the eight minutes is over, and say
# what they tried. `make check-faults FULL=1` is the long form, without such an end: a kill and a full disk at each call, 40
# random kills a program, 200 signals a program (an hour or two). Each of these parts is then divided by program: kill-train.
#   PARTS="kill-train two_jobs"   these parts alone
#   RESUME=1                      parts whose record is complete are not repeated
# The records are kept in BUILD/check-faults. Exit status: 0 nothing was lost; 1 something was, or a part did not end.
# SPDX-License-Identifier: Apache-2.0
set -u
build=${1:?usage: check-faults.sh BUILD}
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
: "${abs_top_srcdir:?run me with make check-faults}" "${MPIEXEC:?}"
records=$build/check-faults
all="kill full random signals two_jobs two_slurms checkpoints shards safetensors pickles"
FAULTS=1 changes=500
if test "${FULL:-}" = 1; then
    FAULTS=2 changes=5000
    all=
    for part in kill full random; do
        for program in shard train distill generate score score-old export import; do all="$all $part-$program"; done
    done
    all="$all signals two_jobs two_slurms checkpoints shards safetensors pickles"
fi
export FAULTS
test "${RESUME:-}" = 1 || test -n "${PARTS:-}" || rm -rf "$records"
mkdir -p "$records" || exit 1
cd "$build" || exit 1
# In memory, where that is large enough: programs sync every file that they write.
if test "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 1000000 2>/dev/null; then
    FLM_TEST_FOLDER=/dev/shm
    export FLM_TEST_FOLDER
fi

# is_complete PART - whether its record has all tests of its plan, and none that failed.
is_complete() {
    awk '/^1\.\./ { planned = substr($0, 4); seen = 1 } /^ok / { ok++ } /^not ok/ { bad = 1 }
        END { exit bad || !seen || ok + 0 != planned }' "$records/$1.log" 2>/dev/null
}

# in_folder PROGRAM ARGUMENT... - a fuzz program in a folder of its own.
in_folder() {
    folder=$(mktemp -d "${FLM_TEST_FOLDER:-$build/tests}/fuzz.XXXXXX") || return 99
    (cd "$folder" && "$build/tests/fuzz/$1.t" "$2")
    folder_code=$?
    rm -rf "$folder"
    return $folder_code
}

# run PART - its output in its record. What takes hours hangs, and fails: no part is cut off.
run() {
    case $1 in
    kill | full) FAULTS_SECONDS=100 "$top/tests/faults/$1.t" ;;
    random) FAULTS_SECONDS=110 "$top/tests/faults/$1.t" ;;
    kill-* | full-* | random-*) FAULTS_PROGRAMS=${1#*-} "$top/tests/faults/${1%%-*}.t" ;;
    signals) "$top/tests/cmd/signals.t" ;;
    two_jobs) "$top/tests/faults/two_jobs.t" ;;
    two_slurms) "$top/tests/slurm/two_slurms.t" ;;
    checkpoints) in_folder checkpoint_fuzz $changes ;;
    shards) in_folder shard_fuzz $((2 * changes)) ;;
    safetensors) in_folder safetensors_fuzz $((4 * changes)) ;;
    pickles) in_folder pickle_fuzz $((4 * changes)) ;;
    *)
        echo "not ok 1 - there is no part $1; the parts are: $all"
        return 1
        ;;
    esac
}

failed=0
for part in ${PARTS:-$all}; do
    if test "${RESUME:-}" = 1 && is_complete "$part"; then continue; fi
    printf '%s %s ...\n' "$(date +%H:%M:%S)" "$part"
    run "$part" >"$records/$part.log" 2>&1
    if is_complete "$part"; then continue; fi
    failed=1
    echo "$part FAILED:"
    grep -E '^not ok|^# ' "$records/$part.log" | head -n 20
done
for part in $all; do
    test -e "$records/$part.log" || echo "$part was not run"
done

echo
printf '%-10s %-22s %6s %8s %5s %10s %7s %7s %5s\n' program fault tried survived lost incomplete differs crashed hung
sed -n 's/^#TABLE //p' "$records"/*.log |
    awk '{ print; tried += $(NF - 6); survived += $(NF - 5) } END { print tried + 0, "faults,", survived + 0, "survived" }'
grep -hE '^(not )?ok .* (files|directories|pickles)' "$records"/*.log | grep -v 'hits\|named' | sed 's/^ok [0-9]* - /damaged: /'
grep -h '^# .* signals' "$records"/*.log | sed 's/^# //'
for part in two_jobs two_slurms; do
    test -e "$records/$part.log" && echo "$part: $(grep -c '^ok' "$records/$part.log") checks passed, $(grep -c '^not ok' "$records/$part.log") failed"
done
grep -h '# SKIP' "$records"/*.log | sed 's/^ok [0-9]* - /not run: /; s/^1\.\.0 # SKIP /not run: /'
if test $failed = 0; then echo "check-faults: nothing was lost"; else echo "check-faults: FAILED, see $records"; fi
exit $failed
