#!/bin/sh
# preempt.t - a training job that is preempted, reaches its time limit, is cancelled and submitted again: each time it saves
# its state and resumes, and the losses are bit for bit those of a run that was never stopped.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
submit=$abs_top_srcdir/jobs/submit
cluster_need
cluster_up 1
site "nodes = 1"
DEMO=1
export DEMO
run=$cluster/runs/demo/owt_flm
every="--batch 128 --log-every 1 --eval-every 50 --eval-rows 20 --checkpoint-every 1000000"

# shellcheck disable=SC2086 # options
id=$("$submit" --parsable --time=10 --signal=B:USR1@55 owt_flm $every --steps 1000000)
log=$cluster/logs/owt_flm-$id.out
until_so step_reached "$run" 20
tap_ok $? "a training job runs, at step $step"

# A job in the partition of higher priority needs both CPUs.
high=$(sbatch --parsable --partition=high --ntasks=2 --output="$cluster/logs/high" --wrap 'sleep 1')
tap_is "$(job_ended "$high")" COMPLETED "a job of higher priority has run"
until_so log_has 1 "stopped at step"
tap_ok $? "the training job has saved and released its CPUs"
tap_has "$log" "the state is saved and the same command resumes from it" "with a checkpoint"
times=$(grep -cF "requeued as job $id" "$log") # twice if Slurm started it once more before that job
test "$times" -ge 1
tap_ok $? "and has requeued itself"
until_so log_has 1 "start $((times + 1)), from step"
tap_ok $? "it resumes"
scontrol update JobId="$id" TimeLimit=1

# The time limit, whose signal comes 55 seconds or more ahead.
until_so log_has $((times + 1)) "requeued as job $id"
tap_ok $? "before its time limit it has saved and requeued itself again"
tap_lines "$log" "FAILED" 0 "this does not count as a failure"
until_so log_has 1 "start $((times + 2)), from step"
scontrol update JobId="$id" TimeLimit=30
step_reached "$run" 1
last=$((step + 50))
until_so step_reached "$run" $last
tap_ok $? "it resumes from there, beyond step $last"

# When it is cancelled it saves, and is not requeued.
scancel "$id"
tap_is "$(job_ended "$id")" CANCELLED "a cancelled job is not requeued"
until_so log_has 1 "cancelled: DEMO=1 jobs/submit --time=10"
tap_ok $? "but saves"
steps=$(($(readlink "$run/checkpoints/latest" | sed 's/^step-0*//;s/\.h5$//') + 50))
# shellcheck disable=SC2086
id=$("$submit" --parsable owt_flm $every --steps $steps)
log=$cluster/logs/owt_flm-$id.out
tap_is "$(job_ended "$id")" COMPLETED "submitted again it resumes and completes step $steps, the last"
tap_has "$log" "start 1, from step $((steps - 50))" "from the saved step"

# shellcheck disable=SC2086
id=$("$submit" --parsable --name never owt_flm $every --steps $steps)
tap_is "$(job_ended "$id")" COMPLETED "a run that is never stopped"
curve "$run" >stopped
curve "$cluster/runs/demo/never" >never
cmp stopped never >differ 2>&1
tap_ok $? "the $(grep -c ' loss' stopped) losses and $(grep -c valid stopped) validations are the same, bit for bit"
sed 's/^/# /' differ
tap_is "$(wc -l <never)" $((steps + (steps - 1) / 50 + 1)) "of every step"

# Slurm goes by its own process ids.
tap_is "$(cluster_pids | wc -l)" 3 "munged, slurmctld and slurmd run"
pids=$(cluster_pids) gone=$cluster
cluster_down
left=$(for pid in $pids; do readlink "/proc/$pid/exe"; done 2>/dev/null | grep -E '/(munged|slurmctld|slurmd)$')
tap_is "$left$(test -e "$gone" && echo "$gone")" "" "and are stopped, and their folder is removed"
tap_end
