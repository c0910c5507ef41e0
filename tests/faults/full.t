#!/bin/sh
# full.t - no space: at calls that change a program's files (by strace), and by a limit on the size of a file.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/faults/faults.sh"
some=1 limits="60 400"
test "$faults_size" = 0 || some=4 limits="8 60 250 800"
test "$faults_size" = 2 && some=0 limits="$(seq 2 6 1000)"
faults_setup
for program in $faults_programs; do
    faults_count
    for limit in $limits; do # in units of 512 bytes
        faults_begin
        # shellcheck disable=SC2016 # expanded by the child
        faults_run sh -c 'ulimit -f "$1" && shift && exec "$@"' child "$limit"
        faults_judge "a limit of $((limit / 2)) KiB"
    done
    faults_report "limit on file size"
    faults_have_strace || continue
    faults_calls | grep -Ev '^(unlink|unlinkat|ftruncate) ' >points
    faults_count
    faults_some $some <points >chosen
    while read -r call n <&3; do
        faults_begin
        from=+
        test "$call" = write && from= # those of MPI come after it, too
        faults_run strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:error=ENOSPC:when=$n$from"
        faults_judge "no space from $call $n on"
    done 3<chosen
    faults_report "disk full at a call"
done
tap_end
