#!/bin/sh
# two_jobs.t - a second job that writes to the same output is refused with 73, naming host, batch job and process of the
# first; a lock ends with the process that has it, however that ends, and does not hinder a requeued job.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
unset SLURM_JOB_ID PBS_JOBID LSB_JOBID

# first COMMAND... - in the background, until it has a lock file below the current folder, and $output, if that is set;
# then it is halted. A command that was done before that is run again.
output=
state_of_first() { sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$(cat pid)/status" 2>/dev/null; }
# shellcheck disable=SC2317 # called by tap_wait
is_halted() { test "$(state_of_first)" = T; }
first() {
    attempt=0
    until attempt=$((attempt + 1)) && first_halted "$@"; do
        wait "$first"
        test $attempt -lt 20 || break
    done
    tap_wait 60 is_halted # all its threads have to stop
    tap_is "$(state_of_first)" T "$(basename "$1"): a job that writes is halted" || cat first.err
}
first_halted() {
    rm -f pid
    # shellcheck disable=SC2016 # expanded by the child
    timeout -k 5 300 sh -c 'echo $$ >pid; exec "$@"' child "$@" >first.out 2>first.err </dev/null &
    first=$!
    until { test -n "$(find . -name '.*lock' -size +0)" && test -e "${output:-.}"; } || ! kill -0 $first 2>/dev/null; do :; done
    kill -STOP "$(cat pid)" 2>/dev/null && test -n "$(find . -name '.*lock' -size +0)"
}

# second NAME COMMAND... - refused, and the message names the first.
second() {
    name=$1
    shift
    begun=$(date +%s)
    timeout -k 5 120 "$@" >out 2>err </dev/null
    tap_is $? 73 "$name: the second job is refused" || cat err
    tap_has err "another job writes there (host $(hostname), job ${SLURM_JOB_ID:-none}, pid $(cat pid))" "$name: by whom"
    test $(($(date +%s) - begun)) -le 60
    tap_ok $? "$name: soon"
}

# killed NAME COMMAND... - after the first is killed, the same command has the output for itself.
killed() {
    name=$1
    shift
    kill -KILL "$(cat pid)"
    wait "$first"
    timeout -k 5 300 "$@" >out 2>err </dev/null
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
wait "$first"
tap_is $status 0 "the same batch job waits for its former processes" || cat err
tap_has err "run: waiting for the end of host" "and says so"
unset SLURM_JOB_ID

yes "a line of text that becomes a document of some length, again and again" | head -n 400000 >text
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
output=

# A run that is distilled; a file that is converted; stored scores of texts; a table.
set -- "$bin/flm_distill" --data shards --teacher run --out map --batch 16 --warmup 0 --precision fp32 --threads 1 --log-every 1
first "$@" --steps 100000
second flm_distill "$@" --steps 100000
second "flm_train in the same place" "$bin/flm_train" --data shards --out map --steps 1
killed flm_distill "$@" --steps 2

# shellcheck disable=SC2086 # several options
on_ranks 1 "$bin/flm_train" --data shards --out large $tiny --hidden-size 256 --blocks 8 --batch 1 --steps 1
set -- "$bin/flm_convert" large/checkpoints/latest out.safetensors
first "$@"
second flm_convert "$@"
ln -s out.safetensors out.link
killed flm_convert "$@"
first "$@"
second "flm_convert, by a link" "$bin/flm_convert" large/checkpoints/latest out.link
killed "flm_convert, by a link" "$bin/flm_convert" large/checkpoints/latest out.link
rm -r large

mkdir scores
set -- "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 1 --length 16 --scores-dir scores text
first "$@"
second "flm_score --scores-dir" "$@"
head -n 40 text >few && mv few text # the rest of the first one is not needed
killed "flm_score --scores-dir" "$@"

yes "a line of text to score" | head -n 4000 >many
set -- "$bin/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --batch 1 --json table.json
first "$@" many
second "flm_score --json" "$@" text
second "flm_generate --json" "$bin/flm_generate" --checkpoint run --samples 1 --steps 1 --precision fp32 --threads 1 --out t.h5 --json table.json
tap_is "$(ls t.h5 table.json.tmp 2>/dev/null)" "" "and has written nothing"
killed "flm_score --json" "$@" text
tap_end
