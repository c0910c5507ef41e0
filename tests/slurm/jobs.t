#!/bin/sh
# jobs.t - every job: its published size, and whether a cluster of two CPUs and two fake GPUs accepts it at its own size;
# site.conf, in which unknown keys and invalid values are refused. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
jobs=$abs_top_srcdir/jobs
submit=$jobs/submit
unset FLM_SITE DEMO

# The published runs are on 8 GPUs of one node; memory, CPUs and time are this project's choice.
whole="nodes=1 gpus=8 ranks=8 cpus=64 memory=240G"
cat >sizes <<END
evaluate $whole time=06:00:00
lm1b_flm $whole time=24:00:00
lm1b_flm_distill $whole time=24:00:00
lm1b_flm_distill_second $whole time=24:00:00
lm1b_fmlm $whole time=24:00:00
lm1b_gen_ppl_flm $whole time=06:00:00
lm1b_gen_ppl_fmlm $whole time=06:00:00
lm1b_gen_ppl_fmlm_two_stage $whole time=06:00:00
lm1b_shard nodes=1 gpus=0 ranks=16 cpus=16 memory=64G time=12:00:00
owt_any_order $whole time=24:00:00
owt_flm $whole time=24:00:00
owt_flm_distill $whole time=24:00:00
owt_flm_distill_second $whole time=24:00:00
owt_fmlm $whole time=24:00:00
owt_gen_ppl_flm $whole time=06:00:00
owt_gen_ppl_fmlm $whole time=06:00:00
owt_gen_ppl_fmlm_two_stage $whole time=06:00:00
owt_shard nodes=1 gpus=0 ranks=16 cpus=16 memory=64G time=12:00:00
reproduce $whole time=06:00:00
END
for file in "$jobs"/*.slurm; do "$submit" --print "$file" | sed -n 's/ as published:/ /;1s/  / /p'; done >printed 2>err
tap_is "$(cat printed err)" "$(cat sizes)" "every job prints its published size"

# settings JOB WORD... - check for the settings of the publication.
settings() {
    settings_job=$1
    shift
    settings_lacks=
    for settings_word in "$@"; do
        grep -qE -e "$settings_word( |\$)" "$jobs/$settings_job.slurm" || settings_lacks="$settings_lacks $settings_word"
    done
    tap_is "$settings_lacks" "" "$settings_job: $*"
}
for corpus in lm1b owt; do
    batch=512 level=0.8
    test $corpus = lm1b || batch=128 level=1
    settings ${corpus}_flm "--batch 512" "--lr 3e-4" "--steps 1000000" "--checkpoint-every 20000" "--eval-every 5000"
    settings ${corpus}_flm_distill "--batch $batch" "--lr 3e-4" "--eval-every 10000" "--method two-model"
    settings ${corpus}_flm_distill_second "--batch 512" "--lr 3e-4" "--eval-every 5000" "--method two-stage"
    settings ${corpus}_gen_ppl_flm "--samples 1024" "--steps 512,1024"
    settings ${corpus}_fmlm "--batch $batch" "--lr 3e-4" "--beta2 0.999" "--steps 1000000" "--method psd"
    settings ${corpus}_gen_ppl_fmlm "--samples 1024" "--steps 1,2,4,8,16,32" "--noise-level $level"
    settings ${corpus}_gen_ppl_fmlm_two_stage "--samples 1024" "--steps 1,2,4,8,32"
done
settings owt_any_order "--objective any-order" "--batch 512" "--lr 3e-4" "--ema-decay 0.9999" "--steps 1000000"

# conf LINE... - a site.conf; refused TEXT NAME: with it nothing is printed or submitted.
conf() {
    printf '%s\n' "$@" >site.conf
    FLM_SITE=$PWD/site.conf
    export FLM_SITE
}
refused() {
    "$submit" --print owt_flm >out 2>err
    tap_is "$? $(wc -l <out)" "2 0" "site.conf, $2: refused"
    tap_has err "$1" "site.conf, $2: the message"
    tap_has err "owt_flm: what to do: fix that line, then jobs/submit owt_flm" "site.conf, $2: the remedy"
}
conf "# ours" "acount = physics"
refused 'site.conf: line 2: unknown key "acount"; the keys are: partition account qos' "an unknown key"
conf "time = tomorrow"
refused "time = tomorrow: expected minutes, H:MM:SS or D-HH:MM:SS" "an invalid time"
conf "gpus_per_node = four"
refused "gpus_per_node = four: expected a number" "an invalid number"
conf "runs = there"
refused "runs = there: expected an absolute path" "a relative path"
conf "partition"
refused '"partition": expected name = value' "no value"
conf "keep = 1" "keep = 2"
refused "keep is already set on line 1" "a key twice"
conf "silence = 60"
refused '"silence" was renamed: use hang_timeout' "an old key"
# shellcheck disable=SC2016 # as it is in the file
conf 'data = $FLM_NOT_SET/x'
# shellcheck disable=SC2016
refused '$FLM_NOT_SET is not set' "an unknown variable"
# shellcheck disable=SC2016 # no part of a value is executed
conf 'account = $(touch hit)`touch hit`;'"'touch hit'" 'data = ${HOME}/x'
"$submit" --print owt_flm >out 2>err
tap_is "$? $(test -e hit && echo hit)" "0 " "site.conf: no value is executed"
conf "gpus_per_node = 4" "nodes = 3" "gpu_type = h100" "cpus_per_node = 16" "time = 6:00:00" "memory_per_node = 100G" \
    "partition = gpu" "account = physics" "qos = long" "constraint = ib" "sbatch = --exclusive"
"$submit" --print owt_flm >out 2>err
tap_has out "owt_flm here: nodes=2 gpus=8 ranks=8 cpus=32 memory=102400M time=360" "8 GPUs on nodes of 4"
for option in --nodes=2 --ntasks-per-node=4 --cpus-per-task=4 --gres=gpu:h100:4 --mem=102400M --time=360 --partition=gpu \
    --account=physics --qos=long --constraint=ib --exclusive --job-name=owt_flm; do
    tap_has out " $option " "sbatch gets $option"
done
"$submit" --print --nodes 5 --name other --comment=x owt_flm --seed 3 >out 2>err
tap_has out "owt_flm here: nodes=5 gpus=20 ranks=20" "--nodes overrides the number of nodes"
tap_has out " --job-name=other " "--name"
tap_has out " --comment=x " "an option of sbatch"
tap_has out "/owt_flm.slurm --seed 3" "an option of the program"
conf "device = cpu" "cpus_per_node = 4"
"$submit" --print owt_flm >out 2>err
tap_has out "owt_flm here: nodes=1 gpus=0 ranks=4 cpus=4" "without GPUs"
"$submit" owt >out 2>err
tap_is $? 2 "an unknown job"
tap_has err "the jobs are: evaluate lm1b_flm" "lists the jobs"
unset FLM_SITE

if test -n "$(cluster_lacks)"; then
    tap_skip "whether a cluster accepts the jobs" "$(cluster_lacks)"
    tap_end
fi
cluster_up 1 2
site "gpus_per_node = 2" "device = cuda"
for file in "$jobs"/*.slurm; do
    job=$(basename "$file" .slurm)
    "$submit" --test-only "$job" >out 2>&1
    tap_is "$? $(grep -c 'Job [0-9]* to start at .* using 2 processors on nodes n1' out)" "0 1" "the cluster accepts $job"
    test -s out && sed 's/^/# /' out
done
site "gpus_per_node = 3" "device = cuda"
"$submit" --test-only owt_flm >out 2>&1
tap_is $? 1 "but not three GPUs of two"
cluster_down
tap_end
