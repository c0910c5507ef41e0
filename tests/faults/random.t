#!/bin/sh
# random.t - kills at random moments, on one rank and on two, and signals that ask a program to stop, in quick
# succession from its start to its end. SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317,SC2086 # what faults_rounds runs; numbers
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/faults/faults.sh"
kills=1 signals=0
test "$faults_size" = 1 && kills=1000000
test "$faults_size" = 2 && kills=40 signals=200
faults_setup

now() { date +%s%N; }
moment() { awk -v seed="$(od -An -N3 -tu4 /dev/urandom)" -v most="$1" 'BEGIN { srand(seed); print rand() * most / 1e9 }'; }

# on N - set the prefix of that many ranks, and the name of the results on them: training rounds differently.
on() {
    prefix='' again='' ranked=''
    test "$1" = 1 || prefix="$MPIEXEC -n 2" again=$prefix ranked=.2
}

# start [PREFIX...] - $program in w, in the background; its processes are listed in w/pids.
start() {
    : >w/pids
    run_begin=$(date +%s)
    # shellcheck disable=SC2086,SC2016 # a command; expanded by the ranks
    (cd w && exec timeout -k 5 $faults_limit "$@" sh -c 'echo $$ >>pids; exec "$@"' rank $command >out 2>err </dev/null) &
    launcher=$!
}

# rank_left - whether a process of w/pids runs.
rank_left() {
    while read -r rank; do
        case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$rank/status" 2>/dev/null) in
        '' | Z* | X*) ;;
        *) return 0 ;;
        esac
    done <w/pids
    return 1
}

# finish - wait for the end. The launcher of Open MPI 4.1 can lock itself in PMIx_server_finalize when a rank is killed
# while it connects: with no rank left for twenty seconds it is ended, and counted, but not as a hang of the program.
finish() {
    alone=0 stuck=
    while test -n "$prefix" && grep -q '^State:[[:space:]]*[^ZX]' "/proc/$launcher/status" 2>/dev/null; do
        alone=$((alone + 1))
        if rank_left; then alone=0; fi
        if test $alone = 100; then
            stuck=1
            echo "$program" >>stuck
            kill $launcher
        fi
        sleep 0.2
    done
    wait $launcher
    status=$?
    faults_hung
    test -z "$stuck" || hung=
    rm -f w/pids
}
: >stuck

# killed - $program at a random moment, on $ranks; a kill that comes too early or too late is none, and tried again.
killed() {
    hit=1 attempt=0
    until test $hit = 0 || test $attempt -ge 50; do
        attempt=$((attempt + 1))
        faults_begin
        # shellcheck disable=SC2086
        start $prefix
        after=$(moment "$(cat "span-$program.$ranks")")
        sleep "$after"
        # shellcheck disable=SC2046 # several processes
        kill -KILL $(cat w/pids) 2>/dev/null
        hit=$?
        finish
        test $status != 0 || hit=1
    done
    faults_judge "random kill, $ranks rank" "killed after $after s on $ranks"
}

# bombed - $program under signals; their number is added to sent-$program.
bombed() {
    faults_begin
    start
    # From when the program blocks the signals: before, during the start of MPI, they end it as any program.
    until grep -q '^SigBlk:.*42..$' "/proc/$(cat w/pids)/status" 2>/dev/null || ! kill -0 $launcher 2>/dev/null; do :; done
    number=0
    while kill -USR1 "$(cat w/pids)" 2>/dev/null; do
        kill -TERM "$(cat w/pids)" 2>/dev/null
        number=$((number + 2))
        sleep 0.002
    done
    finish
    echo $number >>"sent-$program"
    case $status in
    0 | 75) ;;
    *)
        echo "# exit code $status after signals"
        status=139
        ;;
    esac
    faults_judge "signals" "signals"
}
sent() { awk '{ n += $1 } END { print n + 0 }' "sent-$program"; }

for program in $faults_programs; do
    : >"sent-$program"
    for ranks in 1 2; do
        on $ranks
        faults_begin
        begun=$(now)
        # shellcheck disable=SC2086
        start $prefix
        finish
        echo $(($(now) - begun)) >"span-$program.$ranks" # how long it takes
        faults_digest w >"ref-$program$ranked.txt"
    done
done

step() {
    more=1
    if test $round -le $kills; then
        more=0
        for ranks in 1 2; do
            on $ranks
            killed
        done
    fi
    on 1
    if test $faults_size != 2 || test "$(sent)" -lt $signals; then
        more=0
        bombed
    fi
    return $more
}
faults_rounds 1 step
faults_report "random kill, 1 rank"
faults_report "random kill, 2 rank"
faults_report "signals"
for program in $faults_programs; do
    test "$(grep -cx "$program" stuck)" = 0 || echo "# $program: the launcher locked itself $(grep -cx "$program" stuck) times, with no rank left"
    echo "# $program: $(sent) signals in $(grep -c "^$program;signals" judged) runs"
    test "$(sent)" -ge $signals
    tap_ok $? "flm $program: at least $signals signals"
done
tap_end
