#!/bin/sh
# two_jobs.t - a second job that writes to the same output is refused with 73, naming host, batch job and process of the
# first; a lock ends with the process that has it, however that ends, and does not hinder a requeued job.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
unset SLURM_JOB_ID PBS_JOBID LSB_JOBID

# first COMMAND... - in the background, until it has a lock file below the current folder, and $output, if that is set;
# then it is halted.
output=
first() {
    # shellcheck disable=SC2016 # expanded by the child
    timeout -k 5 120 sh -c 'echo $$ >pid; exec "$@"' child "$@" >first.out 2>first.err </dev/null &
    first=$!
    tries=0
    until { test -n "$(find . -name '.*lock' -size +0)" && test -e "${output:-.}"; } || test $tries -ge 5000; do
        tries=$((tries + 1))
    done
    kill -STOP "$(cat pid)"
}

# second NAME COMMAND... - refused, and the message names the first.
second() {
    name=$1
    shift
    begun=$(date +%s)
    timeout -k 5 60 "$@" >out 2>err </dev/null
    tap_is $? 73 "$name: the second job is refused" || cat err
    tap_has err "another job writes there (host $(hostname), job ${SLURM_JOB_ID:-none}, pid $(cat pid))" "$name: by whom"
    test $(($(date +%s) - begun)) -le 20
    tap_ok $? "$name: soon"
}

# killed NAME COMMAND... - after the first is killed, the same command has the output for itself.
killed() {
    name=$1
    shift
    kill -KILL "$(cat pid)"
    wait $first
    timeout -k 5 60 "$@" >out 2>err </dev/null
    tap_is $? 0 "$name: a killed job leaves no lock" || cat err
    tap_is "$(find . -name '.*lock')" "" "$name: and no lock file remains when a job is done"
}

shards_make shards 32
# shellcheck disable=SC2086 # several options
train() { set -- "$bin/flm_train" --data shards --out run $tiny --checkpoint-every 5 "$@" && command="$*"; }
train --steps 100000
# shellcheck disable=SC2086 # a command
{
    first $command
    second flm_train $command
    timeout 60 "$bin/flm_train" --data shards --out run $tiny --eval-only --eval-rows 4 >out 2>err
    status=$?
    test $status = 0 || test $status = 2 # 2: there is no checkpoint yet
    tap_ok $? "--eval-only, which writes nothing, is not"
    train --steps 40
    killed flm_train $command
    tap_is "$(curve run | grep -v valid | awk '{ print $1 }' | sort -n | uniq -d)" "" "flm_train: no step is reported twice"
}

# The same batch job again, as after a requeue: it waits for the end of its former processes.
SLURM_JOB_ID=4711
export SLURM_JOB_ID
train --steps 100000
# shellcheck disable=SC2086
first $command
(sleep 4 && kill -KILL "$(cat pid)") & # longer than another job would wait
train --steps 300
# shellcheck disable=SC2086
timeout -k 5 100 $command >out 2>err </dev/null
status=$?
wait $first
tap_is $status 0 "the same batch job waits for its former processes" || cat err
tap_has err "run: waiting for the end of host" "and says so"
unset SLURM_JOB_ID

yes "a line of text that becomes a document of some length, again and again" | head -n 4000 >text
set -- "$bin/flm_shard" --out sh --length 32 --tokenizer bytes text
first "$@"
second flm_shard "$@"
killed flm_shard "$@"

rm -rf run
# shellcheck disable=SC2086
on_ranks 1 "$bin/flm_train" --data shards --out run $tiny --steps 2
generate="$bin/flm_generate --checkpoint run --samples 400 --steps 32 --batch 10 --precision fp32 --threads 1"
ln -s s.h5 link.h5
# shellcheck disable=SC2086
timeout 60 $generate --out link.h5 >out 2>err </dev/null
tap_is $? 66 "flm_generate: a link to nothing is refused"
output=s.h5
# shellcheck disable=SC2086
first $generate --out s.h5
# shellcheck disable=SC2086
{
    second flm_generate $generate --out s.h5
    second "flm_generate, by a link" $generate --out link.h5
    timeout 60 "$bin/flm_inspect" s.h5 >out 2>err
    tap_is $? 0 "flm_inspect reads the samples meanwhile" || cat err
    killed flm_generate $generate --out s.h5
}

"$bin/tests/score/score_files" gpt2 gpt2.h5 2>err
set -- "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 1 s.h5
first "$@"
second flm_score "$@"
second "flm_generate on a file that is scored" "$bin/flm_generate" --checkpoint run --samples 400 --steps 32 --batch 10 \
    --precision fp32 --threads 1 --out s.h5
killed flm_score "$@"
tap_end
