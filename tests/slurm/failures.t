#!/bin/sh
# failures.t - jobs that fail, and the remedy in the last lines of their logs: a site.conf with an unknown key, a missing
# corpus, a full file system, a killed step, damaged shards.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317 # what until_so runs
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
submit=$abs_top_srcdir/jobs/submit
cluster_need
cluster_up 1
unset DEMO

# last COUNT TEXT NAME - one of the last COUNT lines of $log contains TEXT.
last() {
    tail -n "$1" "$log" >last.lines
    tap_has last.lines "$2" "$3"
}
# small OPTION... - a small training job, in the background; $id, $log.
small() {
    id=$(DEMO=1 "$submit" --parsable "$@")
    until_so log_there
}
log_there() {
    log=$(echo "$cluster"/logs/*-"$id".out)
    test -e "$log"
}

# The job itself finds the error where site.conf was changed after it was submitted, or it was submitted by hand.
site "acount = physics"
cd "$abs_top_srcdir" || exit 99
log=$cluster/bad.out
id=$(sbatch --parsable --gres=none --ntasks-per-node=1 --cpus-per-task=1 --mem=500M --output="$log" jobs/owt_flm.slurm)
cd "$tap_folder" || exit 99
tap_is "$(job_ended "$id")" FAILED "site.conf with an unknown key"
last 3 'line 17: unknown key "acount"; the keys are: partition account' "names the key and lists the valid ones"
last 1 "owt_flm: what to do: fix that line, then jobs/submit owt_flm" "and what to do"

site "owt_url = file:///nowhere/openwebtext.tar.xz"
small owt_flm
tap_is "$(job_ended "$id")" COMPLETED "a small run, for its shards"
id=$("$submit" --parsable owt_flm)
log=$cluster/logs/owt_flm-$id.out
tap_is "$(job_ended "$id")" FAILED "neither shards nor a corpus"
last 3 "file:///nowhere/openwebtext.tar.xz: cannot be read" "says what is missing"
last 1 "data-prep/fetch-owt --dir $cluster/data; or set a mirror, owt_url = in site.conf; then jobs/submit" "and what to do"
id=$("$submit" --parsable owt_flm_distill)
tap_is "$(mkdir -p "$cluster/data/owt" && : >"$cluster/data/owt/index.h5" && job_ended "$id")" FAILED "a run without its teacher"
log=$cluster/logs/owt_flm_distill-$id.out
last 1 "what to do: jobs/submit owt_flm first, or the whole chain: jobs/pipeline owt" "says what to do"

# A file system of two mebibytes, where checkpoints take three.
full() { # NAME
    tap_is "$(job_ended "$id")" FAILED "$1"
    last 2 "FAILED: disk full or I/O error: see the first error above (in $log); $cluster/full/demo has " "names the cause"
    last 1 "free space or check the quota (keep = in site.conf limits the checkpoints), then DEMO=1 jobs/submit owt_flm, which resumes from" "and what to do"
    tap_lines "$log" "requeued" 0 "the job is not requeued"
}
mkdir "$cluster/full"
if mount -t tmpfs -o size=2m tmpfs "$cluster/full" 2>mount.err; then
    trap 'umount "$cluster/full" 2>/dev/null; cluster_down; tap_remove' EXIT
    mkdir -p "$cluster/full/demo"
    site "runs = $cluster/full"
    small owt_flm
    full "a full file system"
    umount "$cluster/full"
else
    tap_skip "a full file system: the message" "$(cat mount.err)"
fi

# The step with the ranks is killed: the job is requeued.
site
small --name=killed owt_flm --batch 128 --steps 1000000 --checkpoint-every 20
until_so step_reached "$cluster/runs/demo/killed" 30
scancel --signal=KILL "$id.0"
until_so log_has 1 "start 2, from step"
tap_ok $? "a killed step: the job is requeued"
tap_has "$log" "times without a new checkpoint; requeued as job $id" "with the reason"
scancel "$id"
job_ended "$id" >state

# Damage: rows that do not match their checksums.
for shard in "$cluster"/data/demo/text/*.h5; do
    case $shard in
    */index.h5) ;;
    *) dd if=/dev/zero of="$shard" bs=1 seek=$(($(wc -c <"$shard") / 2)) count=2000 conv=notrunc 2>/dev/null ;;
    esac
done
small --name=damaged owt_flm
tap_is "$(job_ended "$id")" FAILED "damaged shards"
tap_lines "$log" "requeued as job" 0 "are not requeued"
last 2 "FAILED: bad input: see the first error above (in $log)" "the message matches the exit code"
last 1 "what to do: replace the file that it names, then DEMO=1 jobs/submit --name=damaged owt_flm, which resumes from the beginning" "and what to do"

# Its processes hang, as they do when the network fails.
rm -r "$cluster/data/demo/text"
site "hang_timeout = 8"
small --name=hung owt_flm --batch 128 --steps 1000000 --checkpoint-every 20
until_so step_reached "$cluster/runs/demo/hung" 30
for process in $(cluster_left); do
    case $({ tr '\0' ' ' <"/proc/$process/cmdline"; } 2>/dev/null) in "$abs_top_builddir/flm_train"*) kill -STOP "$process" ;; esac
done
until_so log_has 1 "no report for 8 seconds (hang_timeout = in site.conf): the program hangs and is killed"
tap_ok $? "a hung step is killed"
until_so log_has 1 "start 2, from step"
tap_ok $? "and the job is requeued"
cluster_down
tap_end
