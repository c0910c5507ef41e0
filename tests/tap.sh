# shellcheck shell=sh
# tap.sh - Test Anything Protocol for shell tests; sourced: . "$abs_top_srcdir/tests/tap.sh"
# The environment of make check gives abs_top_srcdir, abs_top_builddir and MPIEXEC (a command with its flags).
# A private folder is made in FLM_TEST_FOLDER (default: in the build) and entered, and Open MPI gets one for its session
# files; both are removed when the test ends.
# SPDX-License-Identifier: Apache-2.0
: "${abs_top_srcdir:?run me with make check}" "${abs_top_builddir:?}" "${MPIEXEC:?}"
# Programs are tested on the CPU, even in a build with CUDA on a machine with GPUs, except by make check-gpu.
if test -z "${FLM_GPU_PROGRAMS-}"; then CUDA_VISIBLE_DEVICES= && export CUDA_VISIBLE_DEVICES; fi
tap_count=0
tap_failed=0
tap_folder=$(mktemp -d "${FLM_TEST_FOLDER:-$abs_top_builddir/tests}/tap.XXXXXX") || exit 99
# Open MPI's default, one folder for all programs of a user, is removed by one test while another creates files in it.
# Its sockets need a short path.
OMPI_MCA_orte_tmpdir_base=$(mktemp -d "${TMPDIR:-/tmp}/flm.XXXXXX") || exit 99
export OMPI_MCA_orte_tmpdir_base
tap_remove() {
    cd / && rm -rf "$tap_folder" "$OMPI_MCA_orte_tmpdir_base"
}
trap tap_remove EXIT
trap 'exit 143' TERM INT HUP
cd "$tap_folder" || exit 99

# tap_ok STATUS NAME - passed when STATUS is 0.
tap_ok() {
    tap_count=$((tap_count + 1))
    if test "$1" = 0; then
        echo "ok $tap_count - $2"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_count - $2"
    fi
}

# tap_is HAVE WANT NAME - passed when both texts are equal.
tap_is() {
    test "$1" = "$2"
    tap_ok $? "$3"
    test "$1" = "$2" || printf '#   have: %s\n#   want: %s\n' "$1" "$2"
}

# tap_has FILE TEXT NAME - passed when a line of FILE contains TEXT; otherwise FILE's end is shown.
tap_has() {
    if grep -qF -e "$2" "$1"; then
        tap_ok 0 "$3"
    else
        tap_ok 1 "$3"
        echo "#   no '$2' in:"
        tail -n 20 "$1" | sed 's/^/#   /'
    fi
}

# tap_lines FILE TEXT COUNT NAME - passed when exactly COUNT lines of FILE contain TEXT.
tap_lines() {
    tap_is "$(grep -cF -e "$2" "$1")" "$3" "$4"
}

# tap_refused STATUS TEXT NAME COMMAND... - passed when the command ends with STATUS and one error message, which contains
# TEXT; output in out and err.
tap_refused() {
    tap_status=$1 tap_text=$2 tap_name=$3
    shift 3
    timeout -k 5 120 "$@" >out 2>err </dev/null
    tap_is "$? $(grep -c 'error: ' err)" "$tap_status 1" "$tap_name: refused with one message"
    tap_has err "$tap_text" "$tap_name: the message"
}

# tap_wait SECONDS COMMAND... - runs the command again and again until it succeeds; 1 when it has not after that time.
tap_wait() {
    tap_until=$(($(date +%s) + $1))
    shift
    until "$@" 2>/dev/null; do
        test "$(date +%s)" -lt $tap_until || return 1
        sleep 0.05
    done
}

tap_skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

# tap_mpi N COMMAND... - run it on N ranks for at most two minutes (124: timeout); output in out and err.
tap_mpi() {
    tap_ranks=$1
    shift
    # shellcheck disable=SC2086 # a command with its flags
    timeout -k 5 120 $MPIEXEC -n "$tap_ranks" "$@" >out 2>err </dev/null
}

# tap_end - the plan, and the test's exit status; the last line of a test.
tap_end() {
    echo "1..$tap_count"
    test "$tap_failed" = 0
    exit
}
