#!/bin/sh
# two_slurms.t - two Slurms on one machine, whose jobs have the same numbers and start at the same time: they disturb each
# other neither by shared memory nor by files of Open MPI, and compute the same. SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317 # what until_so runs
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
cluster_need
rounds=3
test "${FAULTS:-0}" != 2 || rounds=12
shards_make shards 32

# both NAME - wait until both clusters have come to this point.
both() {
    : >"$1.$self"
    until_so test -e "$1.a" && until_so test -e "$1.b"
}

# slurm SELF - one of the clusters, in a subshell; a line a job in SELF.codes, its losses in SELF.round.
slurm() {
    self=$1
    tap_remove() { :; } # the folder is of both
    cluster_up 1 >"$self.up" 2>&1
    i=0
    while test $i -lt $rounds; do
        i=$((i + 1))
        both "round$i"
        # shellcheck disable=SC2086 # several options
        timeout -k 5 300 srun --mpi=pmix -n 2 "$bin/flm_train" --data shards --out "run.$self.$i" $tiny --steps 20 >"$self.out" 2>&1 </dev/null
        code=$?
        echo "$code job $(sed -n 's/.*srun: job \([0-9]*\).*/\1/p' "$self.out" | head -n 1)" >>"$self.codes"
        test $code = 0 || cat "$self.out"
        curve "run.$self.$i" >"$self.$i"
    done
    both "end"
    cluster_down
}
slurm a >a.log 2>&1 &
a=$!
slurm b >b.log 2>&1
wait $a
sed 's/^/# /' a.log b.log a.up b.up
for self in a b; do
    tap_is "$(grep -c '^0 ' $self.codes)" $rounds "Slurm $self: all $rounds jobs complete"
done
i=0
while test $i -lt $rounds; do
    i=$((i + 1))
    tap_is "$(wc -l <a.$i) $(cmp a.$i b.$i 2>&1)" "21 " "round $i: both compute the same losses"
done
tap_end
