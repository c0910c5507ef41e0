#!/bin/sh
# full.t - no space: at calls that change a program's files (by strace), and by a limit on the size of a file.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317,SC2086 # what faults_rounds runs; numbers
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/faults/faults.sh"
strace=1
faults_have_strace || strace=0
faults_setup
seq 2 6 1000 | faults_spread >limits # in units of 512 bytes
for program in $faults_programs; do
    test $strace = 0 || faults_calls | grep -Ev '^(unlink|unlinkat|ftruncate) ' | faults_spread >"points-$program"
done

# A limit in every second round; from its end on, one of the lists is empty.
step() {
    more=1
    limit=$(sed -n "${round}p" limits)
    if test -n "$limit"; then
        more=0
        faults_begin
        # shellcheck disable=SC2016 # expanded by the child
        faults_run sh -c 'ulimit -f "$1" && shift && exec "$@"' child "$limit"
        faults_judge "limit on file size" "a limit of $((limit / 2)) KiB"
    fi
    test $strace = 1 || return $more
    # shellcheck disable=SC2046 # a call and its number
    set -- $(sed -n "${round}p" "points-$program")
    test $# = 2 || return $more
    faults_begin
    from=+
    test "$1" = write && from= # those of MPI come after it, too
    faults_run strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:error=ENOSPC:when=$2$from"
    faults_judge "disk full at a call" "no space from $1 $2 on"
}
faults_rounds 1 step
faults_report "limit on file size"
if test $strace = 1; then
    faults_report "disk full at a call"
else
    tap_skip "no space at each system call" "strace is not installed, or may not trace"
fi
tap_end
