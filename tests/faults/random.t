#!/bin/sh
# random.t - kills at random moments, on one rank and on two, and signals that ask a program to stop, in quick
# succession from its start to its end. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/faults/faults.sh"
kills=1 bombs=1
test "$faults_size" = 0 || kills=4 bombs=2
test "$faults_size" = 2 && kills=40 bombs=10
faults_setup

now() { date +%s%N; }
moment() { awk -v seed="$(od -An -N3 -tu4 /dev/urandom)" -v most="$1" 'BEGIN { srand(seed); print rand() * most / 1e9 }'; }

# start [PREFIX...] - $program in w, in the background; its processes are listed in w/pids.
start() {
    : >w/pids
    # shellcheck disable=SC2086,SC2016 # a command; expanded by the ranks
    (cd w && exec timeout -k 5 60 "$@" sh -c 'echo $$ >>pids; exec "$@"' rank $command >out 2>err </dev/null) &
    launcher=$!
}

finish() {
    wait $launcher
    status=$?
    rm -f w/pids
}

for program in $faults_programs; do
    for ranks in 1 2; do
        prefix=
        test $ranks = 1 || prefix="$MPIEXEC -n 2" # the references are made on as many
        # how long it takes
        faults_begin
        begun=$(now)
        # shellcheck disable=SC2086
        start $prefix
        finish
        span=$(($(now) - begun))
        again=$prefix # training on another number of ranks rounds differently
        test $ranks = 1 && cp "ref-$program.txt" "ref-$program.1"
        faults_digest w >"ref-$program.txt"
        faults_count
        round=0
        while test $round -lt $kills; do
            round=$((round + 1))
            faults_begin
            # shellcheck disable=SC2086
            start $prefix
            after=$(moment $span)
            sleep "$after"
            # shellcheck disable=SC2046 # several processes
            kill -KILL $(cat w/pids) 2>/dev/null
            finish
            faults_judge "killed after $after s on $ranks"
        done
        faults_report "random kill, $ranks rank"
    done
    cp "ref-$program.1" "ref-$program.txt"
    again=
    faults_count
    round=0 signals=0
    while test $round -lt $bombs; do
        round=$((round + 1))
        faults_begin
        start
        # From when the program blocks the signals: before, during the start of MPI, they end it as any program.
        until grep -q '^SigBlk:.*42..$' "/proc/$(cat w/pids)/status" 2>/dev/null || ! kill -0 $launcher 2>/dev/null; do :; done
        while kill -USR1 "$(cat w/pids)" 2>/dev/null; do
            kill -TERM "$(cat w/pids)" 2>/dev/null
            signals=$((signals + 2))
            sleep 0.002
        done
        finish
        case $status in
        0 | 75) ;;
        *)
            echo "# exit code $status after signals"
            status=139
            ;;
        esac
        faults_judge "signals"
    done
    faults_report "$((signals / bombs)) signals a run"
done
tap_end
