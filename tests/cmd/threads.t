#!/bin/sh
# threads.t - the number of threads of each rank: its share of the cores of its node, unless it is given.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
if ! command -v taskset >/dev/null; then echo "1..0 # SKIP no taskset" && exit 0; fi
OMPI_MCA_hwloc_base_binding_policy=none # every rank may run on all cores that the test may use
export OMPI_MCA_hwloc_base_binding_policy
unset OMP_NUM_THREADS
shards_make shards 32
run=0

# train RANKS CORES OPTION... - one step on these cores; its log in err.
train() {
    ranks=$1 on=$2 run=$((run + 1))
    shift 2
    # shellcheck disable=SC2086 # a command with its flags
    timeout -k 5 120 taskset -c "$on" $MPIEXEC -n "$ranks" "$bin/flm_train" --data shards --out "run$run" $tiny "$@" \
        --steps 1 >out 2>err </dev/null || cat err
}

tiny=$(echo "$tiny" | sed 's/--threads 1//')
first=$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')
all=$(taskset -pc $$ | sed 's/.*: //')
train 1 "$first"
tap_has err "1 rank x 1 thread;" "one core: one thread"
train 2 "$first"
tap_has err "2 ranks x 1 thread;" "two ranks on one core: one thread each"
tap_has err "warning: 2 threads share 1 core" "and a warning"
train 1 "$first" --threads 3
tap_has err "1 rank x 3 threads;" "--threads counts"
tap_has err "warning: 3 threads share 1 core" "and a warning"
OMP_NUM_THREADS=2 train 1 "$first"
tap_has err "1 rank x 2 threads;" "so does OMP_NUM_THREADS"
cores=$(nproc)
if test "$cores" -ge 2; then
    train 2 "$all"
    tap_has err "2 ranks x $((cores / 2)) thread" "two ranks on all cores: half of them each"
    tap_lines err "threads share" 0 "without a warning"
else
    tap_skip "two ranks on all cores" "there is one core"
fi
tap_end
