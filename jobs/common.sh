# shellcheck shell=sh disable=SC2034,SC2154 # what sources it uses the rest; site.awk assigns site_*
# common.sh - what all jobs share: the site, launching, resuming, requeueing, and what to do after a failure. Sourced by
# *.slurm and by the tools beside it, which set FLM_JOBS, this folder (sbatch runs a copy of a job from elsewhere).
#
# A job is one command that can be run again. It ends with 0; or is asked to stop (USR1 ahead of the time limit, or
# preemption), saves, and requeues itself; or fails, and is tried again until it has failed three times without a new
# checkpoint. Its last lines say what to do. Without Slurm the same files run under mpirun on two ranks, and do not requeue.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
FLM_JOBS=${FLM_JOBS:-${SLURM_SUBMIT_DIR:-.}/jobs}
export FLM_JOBS

name=${FLM_NAME:-${SLURM_JOB_NAME:-$(basename "$0")}}
name=${name%.slurm}
command=${FLM_AGAIN:-jobs/submit $name} # what to type to have it again: submit and pipeline set it
say() { printf '%s: %s\n' "$name" "$*"; }
# stop WHAT REMEDY [STATUS] - the last words of a job that cannot go on.
stop() {
    say "FAILED: $1" >&2
    say "what to do: $2" >&2
    exit "${3:-1}"
}

if ! site=$(awk -f "$FLM_JOBS/site.awk" "$FLM_JOBS/site.conf" ${FLM_SITE:+"$FLM_SITE"}); then
    stop "${FLM_SITE:-$FLM_JOBS/site.conf} cannot be used: see the line above" \
        "mend that line, then $command; each key is explained in $FLM_JOBS/site.conf"
fi
eval "$site"
data=$site_data
runs=$site_runs
logs=$site_logs

# DEMO=1: options that make everything small, after the published ones (the last of a name counts), in folders of its own.
demo=${DEMO:-}
demo_train='' demo_distill='' demo_generate=''
if test "$demo" = 1; then
    export DEMO
    data=$data/demo runs=$runs/demo site_device=cpu
    small="--batch 32 --micro-batch 0 --lr 1e-3 --warmup 20 --ema-decay 0.99 --dropout 0 --eval-rows 256 --log-every 10"
    demo_train="--preset tiny --hidden-size 64 --heads 2 --blocks 2 $small --steps 300 --checkpoint-every 100 --eval-every 100"
    demo_distill="$small --steps 60 --checkpoint-every 30 --eval-every 30"
    demo_generate="--samples 32 --steps 1,8 --batch 16"
fi
state=$runs/.jobs # NAME.tries: starts that came to no new checkpoint; NAME.done: when it was completed
child='' asked='' training='' log='' log_begun=0 began=''
ticket=$name${SLURM_ARRAY_TASK_ID:+.$SLURM_ARRAY_TASK_ID}

# program NAME - its path.
program() {
    for program_folder in ${site_programs:+"$site_programs"} "$FLM_JOBS/../build" "$FLM_JOBS/.." "$FLM_JOBS/../../../bin"; do
        if test -x "$program_folder/$1"; then
            printf '%s\n' "$program_folder/$1"
            return
        fi
        if test "$program_folder" = "$site_programs"; then break; fi # named: nothing else will do
    done
    if test -z "$site_programs" && command -v "$1"; then return; fi
    stop "no program $1${site_programs:+ in $site_programs}" "./quickstart build, or name the folder: programs = in site.conf"
}

# step_of RUN - the step of its newest checkpoint; nothing where there is none.
step_of() {
    readlink "$runs/$1/checkpoints/latest" 2>/dev/null | sed -n 's/^step-0*\([0-9][0-9]*\)\.h5$/\1/p'
}

# slurm_here - there is a cluster to submit to; programs alone are none, and for a demo not looked at twice.
slurm_here() { command -v sbatch >/dev/null 2>&1 && { test "$demo" != 1 || sinfo -h >/dev/null 2>&1; }; }

# job_begin - of every job: the node's environment, the signals, and where it starts.
job_begin() {
    if test -n "$site_modules"; then
        command -v module >/dev/null 2>&1 || # a function that batch shells do not always have
            for init in /etc/profile.d/modules.sh /etc/profile.d/lmod.sh; do
                # shellcheck disable=SC1090 # the site's
                if test -r $init; then . $init; fi
            done
        # shellcheck disable=SC2086 # words
        module load $site_modules || stop "module load $site_modules" "mend modules = in site.conf (module avail lists them)"
    fi
    for variable in $site_export; do export "${variable?}"; done
    export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
    mkdir -p "$data" "$runs" "$state" 2>/dev/null ||
        stop "$data or $runs cannot be made: is the file system full, or not there?" "see data = and runs = in site.conf"
    launcher=$site_launcher
    if test "$launcher" = auto; then
        launcher=mpirun
        if test -n "${SLURM_JOB_ID:-}" && srun --mpi=list 2>&1 | grep -qw pmix; then launcher=srun; fi
    fi
    began=$(step_of "$name")
    if test -n "${SLURM_JOB_ID:-}"; then
        log=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *StdErr=//p')
        if test -f "$log"; then log_begun=$(($(wc -c <"$log"))); fi
    fi
    rm -f "$state/$ticket.done"
    trap 'signalled=1 asked=1; if test -n "$child"; then kill -s "$child_signal" "$child" 2>/dev/null || :; fi' USR1 TERM
    say "job ${SLURM_JOB_ID:-(none)} on ${SLURM_JOB_NODELIST:-$(uname -n)}, start $((${SLURM_RESTART_COUNT:-0} + 1))${began:+, from step $began}"
}

# attend SIGNAL COMMAND... - runs it to its end and gives its status; the job's USR1 and TERM become SIGNAL to it. The
# shell must wait in `wait`: a trap is not run while a command is in the foreground.
attend() {
    child_signal=$1
    shift
    if test -n "$asked"; then return 75; fi
    "$@" &
    child=$!
    if test -n "$asked"; then kill -s "$child_signal" $child 2>/dev/null || :; fi
    if test -n "$training" && test -n "${SLURM_JOB_ID:-}" && test "$site_silence" -gt 0; then guard "$runs/$name/metrics.jsonl" & fi
    attended=127
    while :; do
        signalled='' status=0
        wait $child || status=$?
        if test $status != 127; then attended=$status; fi # 127: the status was had already
        if test -z "$signalled"; then break; fi
    done
    child=''
    return $attended
}

# guard FILE - beside the child, as long as it runs: when FILE has not been written for silence = seconds, the child is ended.
# srun, for one, waits for ever when the daemon of its step is gone.
guard() {
    trap - USR1 TERM
    guard_from=$(date +%s)
    while sleep $((site_silence / 10 + 1)) && kill -0 "$child" 2>/dev/null; do
        guard_last=$(date -r "$1" +%s 2>/dev/null || echo 0)
        if test "$guard_last" -lt "$guard_from"; then guard_last=$guard_from; fi
        if test $(($(date +%s) - guard_last)) -gt "$site_silence"; then
            say "no report for $site_silence seconds (silence = in site.conf): taken for hung, and ended" >&2
            kill "$child" 2>/dev/null
            sleep 10
            kill -KILL "$child" 2>/dev/null
            return
        fi
    done
}

# launch PROGRAM OPTIONS... - on all ranks of the job, with the site's device and precision.
launch() {
    launched=$(program "$1") || exit 1
    shift
    set -- "$launched" "$@"
    ranks=${SLURM_NTASKS:-2} threads=${SLURM_CPUS_PER_TASK:-1}
    if test "$launcher" = srun; then
        # One rank a GPU, each of which sees all GPUs of its node and takes the one of its number: with --gpus-per-task it
        # would see its own alone, and NCCL could not go through NVLink. --cpus-per-task: srun no longer inherits it.
        # -K: a rank that dies takes the job with it at once.
        set -- --mpi=pmix --ntasks="$ranks" --cpus-per-task="$threads" -K1 "$@"
        if test "$site_bind" = cores; then set -- --cpu-bind=cores "$@"; fi
        set -- srun "$@"
    else
        if test "$site_bind" = cores && test -n "${SLURM_JOB_ID:-}"; then
            set -- --map-by "ppr:${SLURM_NTASKS_PER_NODE:-$ranks}:node:PE=$threads" --bind-to core "$@"
        fi
        set -- mpirun -np "$ranks" "$@"
    fi
    attend USR1 "$@"
}

# compute PROGRAM OPTIONS... - the work of a job: launched, and then the end of the job.
compute() {
    computed=0
    launch "$@" --device "$site_device" --precision "$site_precision" || computed=$?
    job_end $computed
}

# train PROGRAM OPTIONS... - into $runs/$name; the same command goes on from its newest checkpoint.
train() {
    training=1 trainer=$1
    shift
    compute "$trainer" --out "$runs/$name" --keep "$site_keep" "$@"
}

# generate CHECKPOINT OPTIONS... - samples, their Gen-PPL and entropy, in $runs/$name/step-N.h5 and .json.
generate() {
    mkdir -p "$runs/$name"
    samples=$runs/$name/$(basename "$1" .h5)
    set -- flm_generate --checkpoint "$@" --out "$samples.h5" --json "$samples.json"
    if test -n "$gpt2"; then set -- "$@" --score "$gpt2"; fi
    compute "$@"
}

# ended_from_outside - the job is at its end, and not by its time limit: scancel, mostly. (Slurm shows no more than
# COMPLETING by now. A preempted job is RUNNING until it has made room, and comes back by Slurm's own hand otherwise.)
ended_from_outside() {
    scontrol show job "$SLURM_JOB_ID" | awk '
        function seconds(text,    part, n, days) {
            if (match(text, /^[0-9]+-/)) { days = text + 0; text = substr(text, RLENGTH + 1) } # D-HH:MM:SS
            n = split(text, part, ":")
            return n == 3 ? ((days * 24 + part[1]) * 60 + part[2]) * 60 + part[3] : -1 # UNLIMITED
        }
        { for (i = 1; i <= NF; i++) { at = index($i, "="); value[substr($i, 1, at - 1)] = substr($i, at + 1) } }
        END {
            limit = seconds(value["TimeLimit"])
            exit !(value["JobState"] ~ /^(COMPLETING|CANCELLED)$/ && (limit < 0 || seconds(value["RunTime"]) < limit))
        }'
}

# again WHY - requeue this job, unless somebody has ended it.
again() {
    if test -z "${SLURM_JOB_ID:-}"; then
        say "$1; the same command goes on from there"
        exit 75
    fi
    if ended_from_outside; then
        say "$1; cancelled: $command goes on from there"
        exit 75
    fi
    say "$1; requeued as job $SLURM_JOB_ID"
    scontrol requeue "$SLURM_JOB_ID" || stop "it cannot be requeued here" "$command goes on from where it is" 75
    exit 75
}

# tried - counts a start that came to no new checkpoint; true at the third one running.
tried() {
    tries=0
    if test "$at" = "$began"; then
        if test -s "$state/$ticket.tries"; then read -r tries <"$state/$ticket.tries"; fi
        tries=$((tries + 1))
    fi
    echo $tries 2>/dev/null >"$state/$ticket.tries" || stop "$state cannot be written in" "make room there, then $go_on"
    test $tries -ge 3 || return 1
    rm -f "$state/$ticket.tries"
}

# failed STATUS - tried again, but not where the same would happen again.
failed() {
    said=''
    if test -f "$log"; then said=$(tail -c +$((log_begun + 1)) "$log" | tail -n 60); fi
    case $said in
    *"No space left on device"* | *"File too large"* | *"Disk quota exceeded"*)
        stop "no room in $runs or $data ($(df -Pm "$runs" | awk 'NR == 2 { print $4 }') MiB free in the former; or a quota)" \
            "make room (keep = in site.conf says how many checkpoints stay), then $go_on" "$1"
        ;;
    *" is not finite"*)
        stop "the numbers are not finite any more, and would not be the next time" \
            "a lower rate, $command --lr 1e-4, or an earlier checkpoint: remove the newest in $runs/$name/checkpoints" "$1"
        ;;
    esac
    if test "$1" = 2; then stop "an option is wrong: see the line above" "mend it, then $go_on" 2; fi
    tried || again "failed with status $1 at step ${at:-0}, $tries of 3 times without a new checkpoint"
    case $said in
    *"out of memory"* | *"no memory for"* | *"oom_kill"* | *"oom-kill"* | *"OUT_OF_MEMORY"*)
        remedy="less at once, micro_batch = in site.conf, or more memory, --mem; then $go_on"
        ;;
    *) remedy="see the first error above${log:+ (in $log)}; then $go_on" ;;
    esac
    stop "three times without a new checkpoint, the last time with status $1" "$remedy" "$1"
}

# job_end STATUS - of every job.
job_end() {
    at=$(step_of "$name")
    go_on="$command, which goes on from ${at:+step }${at:-the beginning}"
    if test "$1" = 0; then
        rm -f "$state/$ticket.tries"
        date '+%Y-%m-%d %H:%M:%S' >"$state/$ticket.done"
        say "done"
        exit 0
    fi
    if test "$1" != 75 && test -z "$asked"; then failed "$1"; fi
    if test -n "$training" && tried; then
        stop "stopped three times before it came to a checkpoint" "a longer time: time = in site.conf, or --time; then $go_on" 75
    fi
    again "stopped${at:+ at step }$at"
}

# shards_need CORPUS - its shards are there, or are made: fetched (taken up where that was cut off), then flm_shard.
shards_need() {
    shards=$data/$1
    if test "$demo" = 1; then shards=$data/text; fi
    if test -f "$shards/index.h5"; then return; fi
    say "no shards in $shards: making them"
    if test "$demo" = 1; then
        demo_text=${DEMO_TEXT:-}
        if test -z "$demo_text"; then # some English: the suite's own, or the system's
            demo_text=$data/text.txt
            cat "$FLM_JOBS"/../README.md "$FLM_JOBS"/../CONTRIBUTING.md "$FLM_JOBS"/../docs/*.md >"$demo_text" 2>/dev/null ||
                cat /usr/share/common-licenses/*GPL-3 >"$demo_text" ||
                stop "no text for the demo" "DEMO_TEXT=FILE names one"
        fi
        set -- --tokenizer bytes --length 32 --valid-last 60 "$demo_text"
    else
        corpus=$1 url=$site_lm1b_url archive=1-billion-word-language-modeling-benchmark-r13output.tar.gz
        if test "$corpus" = owt; then url=$site_owt_url archive=openwebtext.tar.xz; fi
        fetch=$(dirname "$FLM_JOBS")/data-prep/fetch-$corpus
        if test ! -x "$fetch"; then fetch=$(dirname "$FLM_JOBS")/fetch-$corpus; fi # installed
        status=0
        attend TERM "$fetch" --dir "$data" ${url:+--url "$url"} || status=$?
        if test -n "$asked"; then again "stopped while fetching"; fi
        test $status = 0 || stop "$corpus cannot be fetched: see the line above" \
            "on a machine with a network: $fetch --dir $data; or name a mirror, ${corpus}_url = in site.conf; then $command" $status
        set -- --corpus "$corpus" "$data/$archive"
    fi
    status=0
    launch flm_shard --out "$shards" "$@" || status=$?
    test "$status" = 0 || job_end "$status"
}

# run_need RUN - a run that this one builds on; gives its newest checkpoint.
run_need() {
    if test -z "$(step_of "$1")"; then
        stop "$runs/$1 has no checkpoint, and this job builds on one" "jobs/submit $1 first, or the whole chain: jobs/pipeline ${1%%_*}"
    fi
    readlink -f "$runs/$1/checkpoints/latest"
}

# gpt2_need - what scores, in the suite's format, as $gpt2; in a demo it may be missing.
gpt2_need() {
    gpt2=$site_gpt2
    if test -z "$gpt2" && test "$demo" = 1; then
        say "gpt2 = is empty in site.conf: entropy alone, no Gen-PPL"
        return
    fi
    if test -f "$gpt2"; then return; fi
    test -f "$gpt2/config.json" || stop "GPT-2 is not there: gpt2 = ${gpt2:-is empty} in site.conf" \
        "data-prep/fetch-gpt2 --url URL --dir $data, then gpt2 = $data/gpt2-large in site.conf, and $command"
    gpt2=$data/$(basename "$site_gpt2").h5
    if test -f "$gpt2"; then return; fi
    # Jobs of an array come here together: each its own file, the last name counts. Alone, without a launcher of its own.
    converted=$gpt2.$$.${SLURM_JOB_ID:-0} status=0
    launched=$(program flm_convert)
    attend TERM env OMPI_MCA_ess_singleton_isolated=1 "$launched" "$site_gpt2" "$converted" || status=$?
    test "$status" = 0 || job_end "$status"
    mv "$converted" "$gpt2"
}
