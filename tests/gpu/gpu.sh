# shellcheck shell=sh
# gpu.sh - shared by the tests of a real device, which scripts/check-gpu.sh runs; sourced after tests/tap.sh and
# tests/cmd/train.sh. Variables (by which tests/gpu/rehearse.t runs the same tests on the emulated device):
#   FLM_GPU_PROGRAMS   the folder of the programs whose --device cuda is the device under test
#   FLM_GPU_CONFORM    the conformance programs, by their names in the build
#   FLM_GPU_SANITIZER  compute-sanitizer, or empty
#   FLM_GPU_ALL        CUDA_VISIBLE_DEVICES with all GPUs, "all" if it was not set; the tests themselves see the first one
#   FLM_GPU_SMALL      not empty: seconds instead of minutes
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by the scripts that source it
: "${abs_top_srcdir:?run me with make check-gpu}"
device=${FLM_GPU_PROGRAMS:?run me with make check-gpu}
parity=$device/parity
test -x "$parity" || parity=$device/tests/parity/parity
golden=$abs_top_srcdir/tests/parity/golden

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
