#!/bin/sh
# check-faults.sh BUILD - the campaign of faults: tests/faults/ and the fuzz programs in BUILD, larger than in make check,
# and a table of what was tried and survived. `make check-faults` calls it; FULL=1 is its long form (an hour or more).
# The records are kept in BUILD/check-faults. Exit status: 0 nothing was lost, 1 something was, 77 nothing could be run.
# SPDX-License-Identifier: Apache-2.0
set -u
build=${1:?usage: check-faults.sh BUILD}
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
: "${abs_top_srcdir:?run me with make check-faults}" "${MPIEXEC:?}"
FAULTS=1 changes=2000 seconds=115
if test "${FULL:-}" = 1; then FAULTS=2 changes=20000 seconds=7200; fi
export FAULTS
records=$build/check-faults
rm -rf "$records"
mkdir -p "$records" || exit 1
cd "$build" || exit 1
failed=0

# record NAME SECONDS COMMAND... - its output in a record; a failure or a time limit is remembered.
record() {
    name=$1 limit=$2
    shift 2
    printf '%s ...\n' "$name"
    timeout -k 10 "$limit" "$@" >"$records/$name.log" 2>&1
    code=$?
    case $code in
    0) ;;
    124) echo "#UNFINISHED $name: stopped after $limit s" >>"$records/$name.log" ;;
    esac
    if grep -q '^not ok' "$records/$name.log" || { test $code != 0 && test $code != 124; }; then
        failed=1
        grep -E '^not ok|^# ' "$records/$name.log" | head -n 20
    fi
}

record kill $seconds "$top/tests/faults/kill.t"
record full $seconds "$top/tests/faults/full.t"
record random $seconds "$top/tests/faults/random.t"
record two_jobs 120 "$top/tests/faults/two_jobs.t"
record damage_files $seconds tests/fuzz/checkpoint_fuzz.t "$changes"
record damage_shards $seconds tests/fuzz/shard_fuzz.t "$changes"

echo
printf '%-10s %-22s %6s %8s %5s %10s %7s %7s %5s\n' program fault tried survived lost incomplete differs crashed hung
sed -n 's/^#TABLE //p' "$records"/*.log |
    awk '{ printf "%s\n", $0; n = NF; tried += $(n - 6); survived += $(n - 5) } END { print tried + 0, "faults,", survived + 0, "survived" }'
grep -h 'lock\|refused' "$records/two_jobs.log" | grep -c '^ok' | sed 's/$/ checks of two jobs in one place/'
grep -h '^\(not \)*ok.*files' "$records"/damage_*.log | sed 's/^\(not \)*ok [0-9]* - //'
grep -h '^#UNFINISHED\|# SKIP' "$records"/*.log | sed 's/^#UNFINISHED /stopped: /; s/^ok [0-9]* - /not run: /'
if test $failed = 0; then echo "check-faults: nothing was lost"; else echo "check-faults: FAILED, see $records"; fi
exit $failed
