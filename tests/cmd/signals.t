#!/bin/sh
# signals.t - programs that receive SIGUSR1 and SIGTERM every few milliseconds: they end with 75, or 0 if they were done,
# never by a crash, and the same command completes the work. A signal handler would run on the stack that oneDNN's
# kernels place in heap memory, and corrupt it: the signals must stay blocked and be polled (src/process/process.c).
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
rounds="1 2 3"
test "$sanitized" = 0 || rounds="1"

# bombard NAME COMMAND... - in the background, SIGUSR1 and SIGTERM in turn every few milliseconds from its start to its
# end. Sets status.
bombard() {
    name=$1
    shift
    rm -f pid
    # shellcheck disable=SC2016 # expanded by the child
    timeout -k 5 120 sh -c 'echo $$ >pid; exec "$@"' child "$@" >out 2>err </dev/null &
    child=$!
    sent=0
    # From the moment when the program blocks the signals: earlier, while MPI starts, they end it as they end any program.
    tries=0
    until grep -q '^SigBlk:.*42..$' "/proc/$(cat pid 2>/dev/null)/status" 2>/dev/null || test $tries -ge 200; do
        tries=$((tries + 1))
    done
    pid=$(cat pid)
    while test -n "$pid" && kill -USR1 "$pid" 2>/dev/null; do
        kill -TERM "$pid" 2>/dev/null
        sent=$((sent + 2))
        sleep 0.003
    done
    wait $child
    status=$?
    case $status in
    0 | 75) tap_ok 0 "$name: status $status after $sent signals" ;;
    *)
        tap_ok 1 "$name: status $status after $sent signals"
        cat err
        ;;
    esac
}

shards_make shards 32
big="--hidden-size 64 --batch 128 --steps 12 --checkpoint-every 100"
# shellcheck disable=SC2086 # several options
for round in $rounds; do
    rm -rf run
    bombard "flm_train, round $round" "$bin/flm_train" --data shards --out run $tiny $big
    on_ranks 1 "$bin/flm_train" --data shards --out run $tiny $big
    tap_is "$? $(curve run | grep -c '^12 [0-9]')" "0 1" "the same command completes the run"
done
# shellcheck disable=SC2086
on_ranks 1 "$bin/flm_train" --data shards --out flm $tiny --steps 2
for round in $rounds; do
    rm -f s.h5
    bombard "flm_generate, round $round" "$bin/flm_generate" --checkpoint flm --out s.h5 --samples 400 --batch 20 --steps 8 \
        --threads 1 --precision fp32
    on_ranks 1 "$bin/flm_generate" --checkpoint flm --out s.h5 --samples 400 --batch 20 --steps 8 --threads 1 --precision fp32
    tap_is $? 0 "the same command completes the samples"
    "$bin/flm_inspect" s.h5 >out 2>err
    tap_is $? 0 "and the file is valid"
done
i=0
while test $i -lt 60; do
    cat "$abs_top_srcdir/LICENSE"
    i=$((i + 1))
done >text.txt
for round in $rounds; do
    rm -rf more
    bombard "flm_shard, round $round" "$bin/flm_shard" --out more --length 32 text.txt
    on_ranks 1 "$bin/flm_shard" --out more --length 32 text.txt
    tap_is $? 0 "the same command completes the shards"
done
newest=flm/checkpoints/latest
for round in $rounds; do
    bombard "flm_convert, round $round" "$bin/flm_convert" $newest "w$round.safetensors"
    on_ranks 1 "$bin/flm_convert" $newest "w$round.safetensors"
    tap_is "$? $(find . -maxdepth 1 -name '.*.tmp' -o -maxdepth 1 -name '*.tmp' | wc -l)" "0 0" \
        "the same command completes the file, and leaves none behind"
    bombard "flm_inspect, round $round" "$bin/flm_inspect" flm shards s.h5
done
tap_end
