#!/bin/sh
# train_kill.t - a training run that is killed or stopped by a signal at any moment, and resumed: on the same number of ranks
# losses and weights are bit for bit those of a run that was never stopped, on another number within bounds.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
steps=90
rounds="1 2 3 4 5 6"
test "$sanitized" = 0 || steps=45 rounds="1 2"
shards_make shards 32
often="--checkpoint-every 3 --eval-every 7 --eval-rows 30"

# begin DIR RANKS OPTION... - the run in the background. Every rank writes its process id to pids, so that only these
# processes are signalled, with any launcher.
begin() {
    run=$1 ranks=$2
    shift 2
    : >pids
    # shellcheck disable=SC2016,SC2086 # expanded by the ranks; several options
    timeout -k 5 120 $MPIEXEC -n "$ranks" sh -c 'echo $$ >>pids; exec "$@"' rank "$bin/flm_train" --data shards \
        --out "$run" $tiny --steps $steps $often "$@" >out 2>err </dev/null &
    launcher=$!
}

# end - waits for it; status.
end() {
    wait $launcher
    status=$?
}

# reached STEP - waits until the run has reported that step, or has ended.
reached() {
    until grep -q "^{\"step\":$1," "$run/metrics.jsonl" 2>/dev/null || ! kill -0 $launcher 2>/dev/null; do
        sleep 0.02
    done
}

# writing - polls, without sleeping, for a checkpoint under its temporary name, or for the end of the run.
writing() {
    tries=0
    until test -e "$(echo "$run"/checkpoints/.step-*)" || test $tries -ge 20000; do tries=$((tries + 1)); done
}

last_step() {
    sed -n 's/^{"step":\([0-9]*\),.*/\1/p' "$run/metrics.jsonl" 2>/dev/null | tail -n 1
}

# strike SIGNAL RANKS - signal that many ranks.
strike() {
    # shellcheck disable=SC2046 # several processes
    kill -"$1" $(head -n "$2" pids) 2>/dev/null
}

moment() {
    awk -v seed="$(od -An -N3 -tu4 /dev/urandom)" -v most="$1" 'BEGIN { srand(seed); print rand() * most }'
}

finish() { # DIR RANKS NAME - the same command until it completes
    begin "$1" "$2"
    end
    tap_is $status 0 "$3: the same command completes the run"
    test $status = 0 || cat err
}

begin whole 2
end
tap_is $status 0 "never stopped"
tap_is "$(curve whole | wc -l)" $((steps + steps / 7 + 1)) "a line for every step and validation"
curve whole >want

# All ranks at once, at random moments and while a checkpoint is being written.
struck=0
for round in $rounds; do
    begin killed 2
    step=$(last_step)
    reached $((${step:-0} + 5))
    if test $((round % 2)) = 0; then writing; else sleep "$(moment 0.3)"; fi
    strike KILL 2
    end
    if test $status != 0; then struck=$((struck + 1)); fi
    test -e killed/checkpoints/latest || test "$round" = 1 || tap_ok 1 "round $round: a checkpoint exists"
done
test $struck -ge 1
tap_ok $? "killed $struck times on the way, the last time at step $(last_step)"
finish killed 2 "killed"
tap_is "$(curve killed)" "$(cat want)" "killed: the losses are those of a run that was never stopped"
weights_same "killed: and the weights" whole/checkpoints/latest killed/checkpoints/latest
tap_is "$(find killed/checkpoints -name '.*' -type f | wc -l)" 0 "killed: no incomplete file is left"

# On other numbers of ranks.
begin moved 2
reached 20
strike KILL 2
end
begin moved 1
reached 35
strike KILL 1
end
finish moved 3 "2 ranks, 1, 3"
curves_near "2 ranks, 1, 3" whole moved $steps
weights_near "2 ranks, 1, 3" whole/checkpoints/latest moved/checkpoints/latest

# Stopped by a signal to any one rank.
for signal in TERM USR1; do
    begin asked-$signal 2
    reached 7
    strike $signal 1
    end
    tap_is $status 75 "SIG$signal: 75"
    tap_lines err "the state is saved and the same command resumes from it" 1 "SIG$signal: one message"
    tap_lines err "error:" 0 "SIG$signal: no error"
    tap_is "$(readlink asked-$signal/checkpoints/latest)" "step-$(printf %08d "$(last_step)").h5" \
        "SIG$signal: a checkpoint of the last step exists"
    finish asked-$signal 2 "SIG$signal"
    tap_is "$(curve asked-$signal)" "$(cat want)" "SIG$signal: the losses of a run that was never stopped"
    weights_same "SIG$signal: and its weights" whole/checkpoints/latest asked-$signal/checkpoints/latest
done

# One rank is killed.
begin widowed 2
reached 10
strike KILL 1
begun=$(date +%s)
end
test $status != 0 && test $status != 124 && test $(($(date +%s) - begun)) -le 20
tap_ok $? "one rank killed: the job ends, status $status"
finish widowed 2 "one rank killed"
tap_is "$(curve widowed)" "$(cat want)" "one rank killed: the losses of a run that was never stopped"

# A finished run again: nothing changes.
cp whole/metrics.jsonl before
finish whole 2 "a finished run"
tap_has err "has already reached step" "a finished run is reported"
tap_is "$(curve whole)" "$(cat want)" "a finished run keeps its metrics"
tap_end
