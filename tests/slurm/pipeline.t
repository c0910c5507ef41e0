#!/bin/sh
# pipeline.t - the whole chain through sbatch and dependencies, small, on two CPUs: its status, a stage that fails and is
# submitted again, an array of evaluations, the curves, jobs/watch; and once without Slurm.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2094,SC2317 # status is also a file; what until_so runs
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
jobs=$abs_top_srcdir/jobs
cluster_need
cluster_up 1
DEMO=1
export DEMO
runs=$cluster/runs/demo

# A Hugging Face folder of a small GPT-2 with the published vocabulary; the weights come from a formula.
mkdir gpt2
"$abs_top_builddir/tests/score/score_files" gpt2 gpt2.h5 2>err && "$abs_top_builddir/flm_convert" gpt2.h5 gpt2/model.safetensors >out 2>>err
cat >gpt2/config.json <<END
{"model_type": "gpt2", "activation_function": "gelu_new", "n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 64,
 "vocab_size": 50257, "bos_token_id": 50256, "eos_token_id": 50256, "layer_norm_epsilon": 1e-05}
END
site "gpt2 = $PWD/gpt2" "keep = 0"

# stage NAME STATE - of the pipeline's state.
stage() { tap_is "$(awk -v stage="$1" '$1 == stage { print $3 }' status)" "$2" "$1: $2"; }
chain_ended() { ! "$jobs/pipeline" --two-stage status | grep -qE ' (running|queued|waits|completing) '; }

"$jobs/pipeline" --two-stage status >status 2>err
stage flm not
mkdir -p "$runs" && : >"$runs/owt_flm_distill" # a file instead of a folder: this stage must fail
"$jobs/pipeline" --two-stage >out 2>err
tap_is "$? $(grep -c ': job [0-9]' out)" "0 6" "six stages are submitted"
cat err
tap_has out "flm_distill_second: job 4 after flm_distill" "each depends on the previous stage"
last_waits() { # Slurm gives no reason before its scheduler has considered the job
    "$jobs/pipeline" --two-stage status >status 2>err
    grep -q '^gen_ppl_fmlm_two_stage .* waits ' status
}
until_so last_waits
stage gen_ppl_fmlm_two_stage waits
"$jobs/pipeline" --two-stage >again 2>err
tap_is "$(grep -c ': job [0-9]' again)" 0 "the same command again submits no stage twice"
until_so chain_ended
"$jobs/pipeline" --two-stage status >status 2>err
sed 's/^/# /' status
stage flm "done"
stage flm_distill failed
stage flm_distill_second failed
stage gen_ppl_flm "done"
tap_has status "see the last lines of $cluster/logs/owt_flm_distill-3.out; then DEMO=1 jobs/pipeline owt --two-stage" "the failed stage: what to do"
tap_lines status "not started, as a stage that it needs failed" 2 "the stages after it: the reason"

rm "$runs/owt_flm_distill"
"$jobs/pipeline" --two-stage >out 2>err
tap_is "$(grep -c ': job [0-9]' out) $(grep -c ': done' out)" "3 3" "run again: three stages are done, three submitted"
until_so step_reached "$runs/owt_flm_distill" 10
"$jobs/watch" --once >screen 2>err
cat err
tap_has screen " owt_flm_distill " "watch: the job"
grep -qE '^owt_flm_distill  +[0-9]+/60 +-?[0-9.]+ +[0-9]+ +[0-9]+ s$' screen
tap_ok $? "watch: step, loss, tokens/s and time to go of the run"
sed 's/^/# /' screen
until_so chain_ended
"$jobs/pipeline" --two-stage status >status 2>err
tap_is "$(awk '$3 == "done"' status | wc -l)" 6 "all six stages are done"
tap_has status "step 300 of 300" "with their steps"
tap_is "$(grep -c '"generative_ppl": [0-9]' "$runs"/owt_gen_ppl_flm/step-00000300.json "$runs"/owt_gen_ppl_fmlm_two_stage/step-00000060.json |
    sed 's/.*://' | tr '\n' ' ')" "2 2 " "Gen-PPL of both, for two numbers of steps each"
tap_is "$(grep -c '"protocol": "published"' "$runs"/owt_gen_ppl_flm/step-00000300.json)" 2 "of the published protocol"
cat "$cluster"/logs/*gen_ppl*.out | grep -iE 'error|failed' | sed 's/^/# /'

"$jobs/pipeline" --two-stage --from gen_ppl_fmlm_two_stage >out 2>err
tap_is "$(grep -c ': job [0-9]' out) $(grep -c ': done' out)" "1 5" "--from: one stage again"
until_so chain_ended

# An array: each of the three checkpoints that keep = 0 left.
id=$("$jobs/evaluate" --parsable --at-once 2 owt_flm --samples 8 --steps 1,4 2>err)
cat err
tap_is "$(job_ended "$id")" COMPLETED "an array of evaluations"
tap_is "$(grep -l '"generative_ppl": [0-9]' "$runs"/eval_owt_flm/*.json | sed 's/.*-0*//' | tr '\n' ' ')" "100.json 200.json 300.json " \
    "Gen-PPL of every checkpoint"
for picture in curves.png curves.svg; do
    "$jobs/plot" $picture owt_flm owt_flm_distill eval_owt_flm owt_gen_ppl_fmlm_two_stage >out 2>err
    status=$?
    if command -v gnuplot >gnuplot.path 2>&1; then
        tap_is "$status $(cat err) $(head -c 400 $picture | tr '\0' '.' | grep -acE 'PNG|<svg')" "0  1" "plot: $picture"
    else
        tap_has err "what to do: install it" "plot: a message without gnuplot"
    fi
done
if test -s curves.svg; then
    for curve in 'owt_flm' 'owt_flm, validation' 'eval_owt_flm, 4 sampling steps, published protocol' \
        'owt_gen_ppl_fmlm_two_stage, 8 sampling steps, published protocol'; do
        tap_has curves.svg ">$curve<" "plot: $curve"
    done
fi
pids=$(cluster_pids)
tap_is "$(echo "$pids" | wc -l)" 3 "munged, slurmctld and slurmd run"
cluster_kept=$FLM_SITE
cp "$cluster_kept" site.conf
sed -i "s|^data = .*|data = $PWD/data|;s|^runs = .*|runs = $PWD/runs|;s|^logs = .*|logs = $PWD/logs|" site.conf
cluster_down
left=$(for pid in $pids; do readlink "/proc/$pid/exe"; done 2>/dev/null | grep -E '/(munged|slurmctld|slurmd)$')
tap_is "$left" "" "and are stopped"

# Where there is no Slurm, one stage after the other: the one-network map.
mkdir path
for program in sh awk sed basename dirname cat date cp find grep head id ls mkdir mktemp mv mpirun readlink rm sort tail tr wc uname df env orted ssh; do
    if command -v "$program" >/dev/null 2>&1; then ln -s "$(command -v "$program")" "path/$program"; fi
done
timeout -k 5 600 env "FLM_SITE=$PWD/site.conf" "PATH=$PWD/path" "$jobs/pipeline" >out 2>err
tap_is "$? $(grep -c ': done$' out)" "0 5" "without Slurm the demo runs here"
test "$(grep -c ': done$' out)" = 5 || tail -n 5 out err | sed 's/^/# /'
tap_end
