# shellcheck shell=sh disable=SC2034,SC2154 # what sources it uses the rest; site.awk assigns site_*
# common.sh - shared by all jobs: site settings, launching, resuming, requeueing, failures. Sourced by *.slurm and by the
# tools beside it, which set FLM_JOBS to this folder (sbatch runs a copy of the job script from elsewhere).
#
# A job can be run again at any time. It ends with 0; or it receives USR1 (ahead of the time limit) or TERM (preemption),
# saves its state and requeues itself; or it fails. The exit code of the program (docs/exit-codes.md) decides whether a
# failed job is requeued, at most until it has failed three times without a new checkpoint. The last lines of its log say
# what to do. Without Slurm the same files run under mpirun on two ranks, and do not requeue.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
FLM_JOBS=$(cd "${FLM_JOBS:-${SLURM_SUBMIT_DIR:-.}/jobs}" && pwd -P)
export FLM_JOBS

name=${FLM_NAME:-${SLURM_JOB_NAME:-$(basename "$0")}}
name=${name%.slurm}
command=${FLM_JOB_COMMAND:-jobs/submit $name} # the command that starts this job again: submit and pipeline set it
say() { printf '%s: %s\n' "$name" "$*"; }
# stop CODE WHAT REMEDY - the last lines of a job that failed, and its exit code.
stop() {
    say "FAILED: $2" >&2
    say "what to do: $3" >&2
    exit "$1"
}

if ! site=$(awk -f "$FLM_JOBS/site.awk" "$FLM_JOBS/site.conf" ${FLM_SITE:+"$FLM_SITE"}); then
    stop 2 "invalid ${FLM_SITE:-$FLM_JOBS/site.conf}: see the error above" \
        "fix that line, then $command; $FLM_JOBS/site.conf explains each key"
fi
eval "$site"
data=$site_data
runs=$site_runs
logs=$site_logs

# DEMO=1: options that make everything small, behind the published ones (the last value counts), in folders of their own.
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
state=$runs/.jobs # KEY.tries: attempts without a new checkpoint; KEY.done: time of completion
child='' stop_requested='' training='' log='' first_step=''
job_key=$name${SLURM_ARRAY_TASK_ID:+.$SLURM_ARRAY_TASK_ID}

# program NAME - print its path.
program() {
    for program_folder in ${site_programs:+"$site_programs"} "$FLM_JOBS/../build" "$FLM_JOBS/.." "$FLM_JOBS/../../../bin"; do
        if test -x "$program_folder/$1"; then
            printf '%s\n' "$program_folder/$1"
            return
        fi
        if test "$program_folder" = "$site_programs"; then break; fi # site.conf names one: no other is tried
    done
    if test -z "$site_programs" && command -v "$1"; then return; fi
    stop 66 "program $1 not found${site_programs:+ in $site_programs}" "./quickstart build, or set programs = in site.conf"
}

# step_of RUN - print the step of its newest checkpoint; nothing when there is none.
step_of() {
    readlink "$runs/$1/checkpoints/latest" 2>/dev/null | sed -n 's/^step-0*\([0-9][0-9]*\)\.h5$/\1/p'
}

# slurm_here - whether there is a cluster to submit to. A demo runs locally where sbatch is installed without a cluster.
slurm_here() { command -v sbatch >/dev/null 2>&1 && { test "$demo" != 1 || sinfo -h >/dev/null 2>&1; }; }

# job_begin - first call of every job: environment, signals, current step.
job_begin() {
    if test -n "$site_modules"; then
        command -v module >/dev/null 2>&1 || # a function that batch shells do not always have
            for init in /etc/profile.d/modules.sh /etc/profile.d/lmod.sh; do
                # shellcheck disable=SC1090 # depends on the site
                if test -r $init; then . $init; fi
            done
        # shellcheck disable=SC2086 # words
        module load $site_modules || stop 2 "module load $site_modules failed" "fix modules = in site.conf (module avail lists them)"
    fi
    for variable in $site_export; do export "${variable?}"; done
    export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
    mkdir -p "$data" "$runs" "$state" 2>/dev/null ||
        stop 66 "$data or $runs cannot be created" "check data = and runs = in site.conf, and whether the file system is mounted and has space"
    launcher=$site_launcher
    if test "$launcher" = auto; then
        launcher=mpirun
        if test -n "${SLURM_JOB_ID:-}" && srun --mpi=list 2>&1 | grep -qw pmix; then launcher=srun; fi
    fi
    first_step=$(step_of "$name")
    if test -n "${SLURM_JOB_ID:-}"; then log=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *StdErr=//p'); fi
    rm -f "$state/$job_key.done"
    trap 'signalled=1 stop_requested=1; if test -n "$child"; then kill -s "$child_signal" "$child" 2>/dev/null || :; fi' USR1 TERM
    say "job ${SLURM_JOB_ID:-(none)} on ${SLURM_JOB_NODELIST:-$(uname -n)}, start $((${SLURM_RESTART_COUNT:-0} + 1))${first_step:+, from step $first_step}"
}

# run_child SIGNAL COMMAND... - run it and return its exit code. USR1 and TERM of the job are passed on to it as SIGNAL.
# The shell has to be in `wait` for that: no trap runs while a command is in the foreground.
run_child() {
    child_signal=$1
    shift
    if test -n "$stop_requested"; then return 75; fi
    "$@" &
    child=$!
    if test -n "$stop_requested"; then kill -s "$child_signal" $child 2>/dev/null || :; fi
    guard=''
    if test -n "$training" && test -n "${SLURM_JOB_ID:-}" && test "$site_hang_timeout" -gt 0; then
        watchdog "$runs/$name/metrics.jsonl" &
        guard=$!
    fi
    child_code=127
    while :; do
        signalled='' status=0
        wait $child || status=$?
        if test $status != 127; then child_code=$status; fi # 127: the exit code was returned by an earlier wait
        if test -z "$signalled"; then break; fi
    done
    child=''
    if test -n "$guard"; then
        kill $guard 2>/dev/null || :
        wait $guard 2>/dev/null || :
    fi
    return $child_code
}

# started PID - print when that process started, in the system's ticks: a process that has got the number of another one
# has another time. Nothing when there is none.
started() { sed -n 's/.*) \([^ ]* \)\{19\}\([0-9]*\) .*/\2/p' "/proc/$1/stat" 2>/dev/null; }

# watchdog FILE - while the child runs: end it when FILE has not been written for hang_timeout = seconds. (srun, for example,
# waits forever when the daemon of its step is gone.) It ends with the child, with this job's shell, and on TERM at once.
watchdog() {
    nap=''
    trap - USR1
    trap 'if test -n "$nap"; then kill $nap 2>/dev/null; fi; exit 0' TERM
    watchdog_start=$(date +%s) watchdog_child=$(started "$child") watchdog_job=$(started $$)
    watchdog_every=$((site_hang_timeout / 10 + 1))
    if test $watchdog_every -gt 10; then watchdog_every=10; fi
    while :; do
        pause $watchdog_every
        if test "$(started $$)" != "$watchdog_job" || ! watched; then return; fi
        watchdog_last=$(date -r "$1" +%s 2>/dev/null || echo 0)
        if test "$watchdog_last" -lt "$watchdog_start"; then watchdog_last=$watchdog_start; fi
        if test $(($(date +%s) - watchdog_last)) -gt "$site_hang_timeout"; then
            say "no report for $site_hang_timeout seconds (hang_timeout = in site.conf): the program hangs and is killed" >&2
            if watched; then kill "$child" 2>/dev/null; fi
            pause 10
            if watched; then kill -KILL "$child" 2>/dev/null; fi
            return
        fi
    done
}

# watched - whether the child of the watchdog still runs. pause SECONDS - a sleep that its TERM ends.
watched() { test -n "$watchdog_child" && test "$(started "$child")" = "$watchdog_child"; }
pause() {
    sleep "$1" &
    nap=$!
    wait $nap || :
    nap=''
}

# launch PROGRAM OPTIONS... - run it on all ranks of the job.
launch() {
    launched=$(program "$1") || exit
    shift
    set -- "$launched" "$@"
    ranks=${SLURM_NTASKS:-2} threads=${SLURM_CPUS_PER_TASK:-1}
    if test "$launcher" = srun; then
        # One rank per GPU. Each sees all GPUs of its node and uses the one of its local rank: with --gpus-per-task it would
        # see its own only, and NCCL could not use NVLink. --cpus-per-task: srun does not inherit it from sbatch.
        # -K: when a rank dies, the others are ended at once.
        set -- --mpi=pmix --ntasks="$ranks" --cpus-per-task="$threads" -K1 "$@"
        if test "$site_bind" = cores; then set -- --cpu-bind=cores "$@"; fi
        set -- srun "$@"
    else
        if test "$site_bind" = cores && test -n "${SLURM_JOB_ID:-}"; then
            set -- --map-by "ppr:${SLURM_NTASKS_PER_NODE:-$ranks}:node:PE=$threads" --bind-to core "$@"
        fi
        set -- mpirun -np "$ranks" "$@"
    fi
    run_child USR1 "$@"
}

# compute PROGRAM OPTIONS... - launch it with the site's device and precision, then end the job.
compute() {
    compute_code=0
    launch "$@" --device "$site_device" --precision "$site_precision" || compute_code=$?
    job_end $compute_code
}

# train PROGRAM OPTIONS... - in $runs/$name; the program resumes from its newest checkpoint.
train() {
    training=1 trainer=$1
    shift
    compute "$trainer" --out "$runs/$name" --keep "$site_keep" "$@"
}

# generate CHECKPOINT OPTIONS... - samples, Gen-PPL and entropy, in $runs/$name/step-N.h5 and .json. The protocol of Gen-PPL
# is the published one unless OPTIONS say otherwise.
generate() {
    mkdir -p "$runs/$name"
    samples=$runs/$name/$(basename "$1" .h5)
    checkpoint=$1
    shift
    set -- flm_generate --checkpoint "$checkpoint" --protocol published "$@" --out "$samples.h5" --json "$samples.json"
    if test -n "$gpt2"; then set -- "$@" --score "$gpt2"; fi
    compute "$@"
}

# cancelled - whether the job ends by scancel rather than by its time limit. (Slurm only shows COMPLETING by now. A
# preempted job is RUNNING until it ends; otherwise Slurm itself requeues it.)
cancelled() {
    scontrol show job "$SLURM_JOB_ID" | awk '
        function seconds(text,    part, n, days) {
            if (match(text, /^[0-9]+-/)) { days = text + 0; text = substr(text, RLENGTH + 1) } # D-HH:MM:SS
            n = split(text, part, ":")
            return n == 3 ? ((days * 24 + part[1]) * 60 + part[2]) * 60 + part[3] : -1 # UNLIMITED
        }
        { for (i = 1; i <= NF; i++) { eq = index($i, "="); value[substr($i, 1, eq - 1)] = substr($i, eq + 1) } }
        END {
            limit = seconds(value["TimeLimit"])
            exit !(value["JobState"] ~ /^(COMPLETING|CANCELLED)$/ && (limit < 0 || seconds(value["RunTime"]) < limit))
        }'
}

# requeue WHY - requeue this job, unless it was cancelled.
requeue() {
    if test -z "${SLURM_JOB_ID:-}"; then
        say "$1; the same command resumes from there"
        exit 75
    fi
    if cancelled; then
        say "$1; cancelled: $command resumes from there"
        exit 75
    fi
    say "$1; requeued as job $SLURM_JOB_ID"
    scontrol requeue "$SLURM_JOB_ID" || stop 75 "this cluster does not requeue the job" "$command resumes from step ${step:-0}"
    exit 75
}

# count_attempt - count an attempt without a new checkpoint; true at the third in a row.
count_attempt() {
    tries=0
    if test "$step" = "$first_step"; then
        if test -s "$state/$job_key.tries"; then read -r tries <"$state/$job_key.tries"; fi
        tries=$((tries + 1))
    fi
    echo $tries 2>/dev/null >"$state/$job_key.tries" || stop 74 "$state cannot be written" "free space there, then $resume"
    test $tries -ge 3 || return 1
    rm -f "$state/$job_key.tries"
}

# job_failed CODE - stop where another attempt would fail in the same way; requeue otherwise (docs/exit-codes.md).
job_failed() {
    see="see the first error above${log:+ (in $log)}"
    case $1 in
    2) stop 2 "wrong option or value: $see" "fix it, then $resume" ;;
    65) stop 65 "bad input: $see" "replace the file that it names, then $resume" ;;
    66) stop 66 "missing file or no permission: $see" "fix the path or its permissions, then $resume" ;;
    71) stop 71 "out of memory: $see" "use less (micro_batch = in site.conf), or request more memory (--mem); then $resume" ;;
    73) stop 73 "another job writes to the same output: $see" "wait until it has ended, or cancel it; then $resume" ;;
    74)
        stop 74 "disk full or I/O error: $see; $runs has $(df -Pm "$runs" | awk 'NR == 2 { print $4 }') MiB free" \
            "free space or check the quota (keep = in site.conf limits the checkpoints), then $resume"
        ;;
    76)
        stop 76 "a loss or gradient is not finite, and would not be the next time: $see" \
            "a lower rate, $command --lr 1e-4, or an earlier checkpoint: remove the newest in $runs/$name/checkpoints"
        ;;
    esac
    count_attempt || requeue "failed with exit code $1 at step ${step:-0}, $tries of 3 times without a new checkpoint"
    case $1 in
    137) remedy="$see; if the out-of-memory killer ended it, use less (micro_batch = in site.conf) or request more memory (--mem)" ;;
    *) remedy=$see ;;
    esac
    stop "$1" "three times without a new checkpoint, the last time with exit code $1" "$remedy; then $resume"
}

# job_end CODE - last call of every job, with the exit code of its program.
job_end() {
    step=$(step_of "$name")
    resume="$command, which resumes from ${step:+step }${step:-the beginning}"
    if test "$1" = 0; then
        rm -f "$state/$job_key.tries"
        date '+%Y-%m-%d %H:%M:%S' >"$state/$job_key.done"
        say "done"
        exit 0
    fi
    if test "$1" != 75 && test -z "$stop_requested"; then job_failed "$1"; fi
    if test -n "$training" && count_attempt; then
        stop 75 "stopped three times before a new checkpoint" "use a longer time limit: time = in site.conf, or --time; then $resume"
    fi
    requeue "stopped${step:+ at step }$step"
}

# shards_need CORPUS - make its shards unless they exist: download the corpus (or resume that), then run flm_shard.
shards_need() {
    shards=$data/$1
    if test "$demo" = 1; then shards=$data/text; fi
    if test -f "$shards/index.h5"; then return; fi
    say "no shards in $shards: making them"
    if test "$demo" = 1; then
        demo_text=${DEMO_TEXT:-}
        if test -z "$demo_text"; then # some English text: the documentation of the suite, or a license of the system
            demo_text=$data/text.txt
            cat "$FLM_JOBS"/../README.md "$FLM_JOBS"/../CONTRIBUTING.md "$FLM_JOBS"/../docs/*.md >"$demo_text" 2>/dev/null ||
                cat "$FLM_JOBS"/../../doc/flm/*.md "$FLM_JOBS"/../../doc/flm/docs/*.md >"$demo_text" 2>/dev/null || # installed
                cat /usr/share/common-licenses/*GPL-3 >"$demo_text" ||
                stop 66 "no text for the demo" "set DEMO_TEXT=FILE"
        fi
        set -- --tokenizer bytes --length 32 --valid-last 60 "$demo_text"
    else
        corpus=$1 url=$site_lm1b_url archive=1-billion-word-language-modeling-benchmark-r13output.tar.gz
        if test "$corpus" = owt; then url=$site_owt_url archive=openwebtext.tar.xz; fi
        fetch=$(dirname "$FLM_JOBS")/data-prep/fetch-$corpus
        if test ! -x "$fetch"; then fetch=$(dirname "$FLM_JOBS")/fetch-$corpus; fi # installed
        status=0
        run_child TERM "$fetch" --dir "$data" ${url:+--url "$url"} || status=$?
        if test -n "$stop_requested"; then requeue "stopped during the download"; fi
        test $status = 0 || stop $status "$corpus cannot be downloaded: see the error above" \
            "on a machine with network access: $fetch --dir $data; or set a mirror, ${corpus}_url = in site.conf; then $command"
        set -- --corpus "$corpus" "$data/$archive"
    fi
    status=0
    launch flm_shard --out "$shards" "$@" || status=$?
    test "$status" = 0 || job_end "$status"
}

# run_need RUN - print the newest checkpoint of a run that this job needs.
run_need() {
    if test -z "$(step_of "$1")"; then
        stop 66 "$runs/$1 has no checkpoint, which this job needs" "jobs/submit $1 first, or the whole chain: jobs/pipeline ${1%%_*}"
    fi
    readlink -f "$runs/$1/checkpoints/latest"
}

# gpt2_need - set gpt2 to a GPT-2 in the suite's format, converted if needed; a demo may have none.
gpt2_need() {
    gpt2=$site_gpt2
    if test -z "$gpt2" && test "$demo" = 1; then
        say "gpt2 = is not set in site.conf: entropy only, no Gen-PPL"
        return
    fi
    if test -f "$gpt2"; then return; fi
    test -f "$gpt2/config.json" || stop 66 "GPT-2 not found: gpt2 = ${gpt2:-(not set)} in site.conf" \
        "data-prep/fetch-gpt2 --url URL --dir $data, then gpt2 = $data/gpt2-large in site.conf, and $command"
    gpt2=$data/$(basename "$site_gpt2").h5
    if test -f "$gpt2"; then return; fi
    # The tasks of an array come here at the same time: each writes its own file, and the last rename wins. One process,
    # without a launcher.
    converted=$gpt2.$$.${SLURM_JOB_ID:-0} status=0
    launched=$(program flm_convert)
    run_child TERM env OMPI_MCA_ess_singleton_isolated=1 "$launched" "$site_gpt2" "$converted" || status=$?
    test "$status" = 0 || job_end "$status"
    mv "$converted" "$gpt2"
}
