#!/bin/sh
# kill.t - every program is killed at system calls that change its files: at some of them in make check, at each in make
# check-faults. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/faults/faults.sh"
if ! faults_have_strace; then
    tap_skip "a kill at each system call" "strace is not installed, or may not trace"
    tap_end
fi
some=2
test "$faults_size" = 0 || some=6
test "$faults_size" = 2 && some=0
faults_setup
for program in $faults_programs; do
    faults_calls >points
    faults_count
    faults_some $some <points >chosen
    while read -r call n <&3; do
        faults_begin
        faults_run strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n"
        faults_judge "killed at $call $n"
    done 3<chosen
    faults_report "kill at a call"
done
tap_end
