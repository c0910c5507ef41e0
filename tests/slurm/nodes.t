#!/bin/sh
# nodes.t - a training job on two nodes (virtual ones of this machine) over TCP, through srun and through mpirun: the losses
# are bit for bit those of the same number of ranks on one node. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
submit=$abs_top_srcdir/jobs/submit
cluster_need
cluster_up 2
DEMO=1
export DEMO
site "nodes = 2"
runs=$cluster/runs/demo
few="--steps 40 --log-every 1 --eval-every 20 --eval-rows 20"

# shellcheck disable=SC2086 # options
one=$("$submit" --parsable --nodes 1 --name one owt_flm $few)
tap_is "$(job_ended "$one")" COMPLETED "two ranks on one node"
tap_has "$cluster/logs/one-$one.out" "on n1, start 1" "runs on one node"
# shellcheck disable=SC2086
two=$("$submit" --parsable --nodes 2 --ntasks-per-node=1 --name two owt_flm $few)
tap_is "$(job_ended "$two")" COMPLETED "a rank on each of two nodes"
tap_has "$cluster/logs/two-$two.out" "on n[1-2], start 1" "runs on two nodes"
tap_has "$cluster/logs/two-$two.out" "2 ranks, batch 32" "as one run"
# shellcheck disable=SC2086
four=$("$submit" --parsable --nodes 2 --name four owt_flm $few)
tap_is "$(job_ended "$four")" COMPLETED "two ranks on each"
tap_has "$cluster/logs/four-$four.out" "4 ranks, batch 32" "are four ranks"
for run in one two four; do curve "$runs/$run" >$run; done
tap_is "$(wc -l <one)" 42 "a loss of every step, and two validations"
cmp one two >differ 2>&1
tap_ok $? "two nodes have the losses of one, bit for bit"
sed 's/^/# /' differ
paste -d ' ' one four | awk '{ d = $3 - $6; if (d < 0) d = -d; if (!(d <= 1e-4 * $3)) bad = 1 } END { exit bad || NR != 42 }'
tap_ok $? "four ranks have them within rounding (1e-4)"

# A site without PMIx has to use mpirun.
site "nodes = 2" "launcher = mpirun"
# shellcheck disable=SC2086
three=$("$submit" --parsable --nodes 2 --ntasks-per-node=1 --name three owt_flm $few)
tap_is "$(job_ended "$three")" COMPLETED "the same by mpirun"
curve "$runs/three" >three
cmp one three >differ 2>&1
tap_ok $? "has the same losses, bit for bit"
tail -n 5 "$cluster/logs/three-$three.out" | sed 's/^/# /'

# The signal ahead of the time limit reaches the ranks.
# shellcheck disable=SC2086
id=$("$submit" --parsable --nodes 2 --ntasks-per-node=1 --name asked owt_flm --steps 1000000 --log-every 1)
log=$cluster/logs/asked-$id.out
until_so step_reached "$runs/asked" 10
scancel --signal=USR1 --batch "$id"
until_so log_has 1 "requeued as job $id"
tap_ok $? "on the signal the ranks of mpirun save, and the job requeues itself"
tap_has "$log" "the state is saved and the same command resumes from it" "with a checkpoint"
scancel "$id"
cluster_down
tap_end
