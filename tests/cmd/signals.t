#!/bin/sh
# signals.t - programs that receive SIGUSR1 and SIGTERM every few milliseconds: they end with 75, or 0 if they were done,
# never by a crash, and the same command completes the work. A signal handler would run on the stack that oneDNN's
# kernels place in heap memory, and corrupt it: the signals must stay blocked and be polled (src/process/process.c).
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
runs=3 signals=0 # at least so many, of each program
test "$sanitized" = 0 || runs=1
test -z "${FAULTS-}" || signals=200 # in make check-faults

# more NAME - whether that program is to be run once more; the last time, the line of the table for make check-faults.
round=0 total=0 survived=0
more() {
    if test $round -lt $runs || test $total -lt $signals; then
        round=$((round + 1))
        return 0
    fi
    echo "# $1: $total signals in $round runs, in full work"
    printf '#TABLE %-10s %-22s %6d %8d %5d %10d %7d %7d %5d\n' "${1#flm_}" "signals in full work" $round $survived 0 $((round - survived)) 0 0 0
    round=0 total=0 survived=0
    return 1
}

# completed STATUS NAME - after the same command again.
completed() {
    tap_is "$1" 0 "$2"
    test "$1" != 0 || survived=$((survived + sound))
}

# blocks_or_ended - whether the program whose number is in pid has blocked SIGUSR1 and SIGTERM, or has ended.
# shellcheck disable=SC2317 # called by tap_wait
blocks_or_ended() {
    pid=$(cat pid) && test -n "$pid" && { ! test -e "/proc/$pid" || grep -q '^SigBlk:.*42..$' "/proc/$pid/status"; }
}

# bombard NAME COMMAND... - in the background, SIGUSR1 and SIGTERM in turn every few milliseconds from its start to its
# end. Sets status.
bombard() {
    name=$1
    shift
    rm -f pid
    # shellcheck disable=SC2016 # expanded by the child
    timeout -k 5 300 sh -c 'echo $$ >pid; exec "$@"' child "$@" >out 2>err </dev/null &
    child=$!
    sent=0
    # From the moment when the program blocks the signals: earlier, while MPI starts, they end it as they end any program.
    tap_wait 60 blocks_or_ended
    while test -n "$pid" && kill -USR1 "$pid" 2>/dev/null; do
        kill -TERM "$pid" 2>/dev/null
        sent=$((sent + 2))
        sleep 0.003
    done
    wait $child
    status=$?
    total=$((total + sent))
    sound=0
    case $status in
    0 | 75) sound=1 && tap_ok 0 "$name: status $status after $sent signals" ;;
    *)
        tap_ok 1 "$name: status $status after $sent signals"
        cat err
        ;;
    esac
}

shards_make shards 32
big="--hidden-size 64 --batch 128 --checkpoint-every 100"
# shellcheck disable=SC2086 # several options
{
    while more flm_train; do
        rm -rf run
        bombard "flm_train, run $round" "$bin/flm_train" --data shards --out run $tiny $big --steps 12
        on_ranks 1 "$bin/flm_train" --data shards --out run $tiny $big --steps 12
        completed $? "the same command completes the run"
        tap_is "$(curve run | grep -c '^12 [0-9]')" 1 "to its last step"
    done
    on_ranks 1 "$bin/flm_train" --data shards --out flm $tiny --steps 2
    set -- "$bin/flm_distill" --data shards --teacher flm --out map --batch 128 --warmup 0 --precision fp32 --threads 1 --log-every 1 --steps 8
    while more flm_distill; do
        rm -rf map
        bombard "flm_distill, run $round" "$@"
        on_ranks 1 "$@"
        completed $? "the same command completes the run"
    done
}
set -- "$bin/flm_generate" --checkpoint flm --out s.h5 --samples 400 --batch 20 --steps 8 --threads 1 --precision fp32
while more flm_generate; do
    rm -f s.h5
    bombard "flm_generate, run $round" "$@"
    on_ranks 1 "$@"
    completed $? "the same command completes the samples"
    "$bin/flm_inspect" s.h5 >out 2>err
    tap_is $? 0 "and the file is valid"
done
i=0
while test $i -lt 60; do
    cat "$abs_top_srcdir/LICENSE"
    i=$((i + 1))
done >text.txt
while more flm_shard; do
    rm -rf more
    bombard "flm_shard, run $round" "$bin/flm_shard" --out more --length 32 text.txt
    on_ranks 1 "$bin/flm_shard" --out more --length 32 text.txt
    completed $? "the same command completes the shards"
done
"$bin/tests/score/score_files" gpt2 gpt2.h5 2>err
cp s.h5 unscored.h5
set -- "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 20 s.h5
while more flm_score; do
    cp unscored.h5 s.h5
    bombard "flm_score, run $round" "$@"
    on_ranks 1 "$@"
    completed $? "the same command completes the scores"
done
while more flm_convert; do
    rm -f w.safetensors
    bombard "flm_convert, run $round" "$bin/flm_convert" gpt2.h5 w.safetensors
    on_ranks 1 "$bin/flm_convert" gpt2.h5 w.safetensors
    completed $? "the same command completes the file"
    tap_is "$(find . -maxdepth 1 -name '*.tmp' | wc -l)" 0 "and leaves none behind"
done
while more flm_inspect; do
    bombard "flm_inspect, run $round" "$bin/flm_inspect" flm shards s.h5
    on_ranks 1 "$bin/flm_inspect" flm shards s.h5
    completed $? "it verifies the files afterwards"
done
while more flm_report; do
    bombard "flm_report, run $round" "$bin/flm_report" flm s.h5
    on_ranks 1 "$bin/flm_report" flm s.h5
    completed $? "it writes the page afterwards"
done
tap_end
