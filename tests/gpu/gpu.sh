# shellcheck shell=sh
# gpu.sh - shared by the tests of a real device, which scripts/check-gpu.sh runs; sourced after tests/tap.sh and
# tests/cmd/train.sh. Variables (by which tests/gpu/rehearse.t runs the same tests on the emulated device):
#   FLM_GPU_PROGRAMS   the folder of the programs whose --device cuda is the device under test
#   FLM_GPU_CONFORM    the conformance programs, by their names in the build
#   FLM_GPU_SANITIZER  compute-sanitizer, or empty
#   FLM_GPU_ALL        CUDA_VISIBLE_DEVICES with all GPUs, "all" if it was not set; the tests themselves see the first one
#   FLM_GPU_SMALL      not empty: seconds instead of minutes
#   FLM_GPU_QUICK      not empty: the parts of check-gpu --quick, which has few minutes
#   FLM_GPU_DEADLINE   when the part must end, in seconds since 1970; unset: its programs have their own timeouts alone
#   FLM_GPU_NCU        Nsight Compute's ncu, or empty
#   FLM_GPU_OUT        where results are kept
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by the scripts that source it
: "${abs_top_srcdir:?run me with make check-gpu}"
device=${FLM_GPU_PROGRAMS:?run me with make check-gpu}
parity=$device/parity
test -x "$parity" || parity=$device/tests/parity/parity
golden=$abs_top_srcdir/tests/parity/golden
bench=$device/bench_train
test -x "$bench" || bench=$device/bench/bench_train
bench_sizes="--preset small --batch 64 --micro-batch 64 --length 1024 --vocabulary 50258 --chunk 0 --precision bf16" bench_cube=4096
if test -n "${FLM_GPU_SMALL-}"; then
    bench_sizes="--preset tiny --batch 2 --micro-batch 2 --length 16 --vocabulary 258 --chunk 0 --precision bf16" bench_cube=64
fi
OMPI_MCA_ess_singleton_isolated=1
export OMPI_MCA_ess_singleton_isolated

# within SECONDS COMMAND... - ends it after so many seconds, and at the part's deadline.
within() {
    within_seconds=$1
    shift
    if test -n "${FLM_GPU_DEADLINE-}"; then
        within_left=$((FLM_GPU_DEADLINE - $(date +%s)))
        test $within_left -ge "$within_seconds" || within_seconds=$within_left
    fi
    if test "$within_seconds" -le 0; then
        echo "no time is left" >&2
        return 124
    fi
    timeout -k 5 "$within_seconds" "$@"
}

# tap_take FILE STATUS NAME - includes the TAP output of another program, which ended with STATUS, in this test's, each line
# prefixed with NAME. A missing or wrong plan, and a nonzero STATUS, are failures.
tap_take() {
    awk -v n="$tap_count" -v name="$3" '
        /^(not )?ok / { bad = /^not/; sub(/^(not )?ok [0-9]+( - )?/, ""); print (bad ? "not ok " : "ok ") ++n " - " name ": " $0; next }
        /^1\.\.[0-9]+/ { next }
        { print "#   " $0 }' "$1"
    taken=$(grep -cE '^(not )?ok ' "$1")
    tap_count=$((tap_count + taken))
    tap_failed=$((tap_failed + $(grep -c '^not ok ' "$1")))
    tap_is "$2 $(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$1")" "0 $taken" "$3: exit status 0, and all of its tests ran"
}
