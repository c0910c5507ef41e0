#!/bin/sh
# bench.t - where the time of a training step goes: bench_train --profile with the sizes of a published run on one GPU, its
# output as it is. Timings are not judged. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check-gpu}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
. "$abs_top_srcdir/tests/gpu/gpu.sh"
# shellcheck disable=SC2086 # several options
within 600 "$bench" $bench_sizes --profile --cube "$bench_cube" --runs 5 --json bench.json --device cuda >out 2>err </dev/null
status=$?
tap_is $status 0 "bench_train --profile"
sed 's/^/# /' out
test ! -s bench.json || sed 's/^/# /' bench.json
test $status = 0 || tail -n 20 err | sed 's/^/#   /'
tap_has bench.json '"record": "train"' "the time of a step"
tap_has bench.json '"record": "part"' "and of its parts"
test ! -s bench.json || cp bench.json "${FLM_GPU_OUT:?}/"
tap_end
