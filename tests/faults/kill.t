#!/bin/sh
# kill.t - every program is killed at system calls that change its files: at two of them in make check, at as many as
# there is time for in make check-faults, at each in its long form. SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317,SC2086 # what faults_rounds runs; numbers
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/faults/faults.sh"
if ! faults_have_strace; then
    tap_skip "a kill at each system call" "strace is not installed, or may not trace"
    tap_end
fi
faults_setup
for program in $faults_programs; do faults_calls | faults_spread >"points-$program"; done

step() {
    # shellcheck disable=SC2046 # a call and its number
    set -- $(sed -n "${round}p" "points-$program")
    test $# = 2 || return 1
    faults_begin
    faults_run strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" 2>/dev/null
    if test $status = 137; then faults_judge "kill at a call" "killed at $1 $2"; else echo "$program;missed" >>judged; fi
}
faults_rounds 2 step
for program in $faults_programs; do
    points=$(wc -l <"points-$program") missed=$(grep -c "^$program;missed" judged)
    echo "# $program: $points calls change a file; $(grep -c "^$program;kill" judged) kills"
    tap_is "$missed" 0 "flm $program: each call is made again in the same order"
    test $faults_size != 2 || tap_is "$(grep -c "^$program;kill" judged)" "$points" "flm $program: a kill at each call"
done
faults_report "kill at a call"
tap_end
