#!/bin/sh
# run.t - how a program ends, tested with run_probe: exit status, one message, no rank left hanging (process.h).
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
probe=$abs_top_builddir/tests/cmd/run_probe

tap_mpi 2 "$probe"
tap_is $? 0 "success is 0"
tap_lines out "ended well" 2 "every rank ended"
tap_lines err "run_probe" 0 "no message on stderr"

tap_mpi 2 "$probe" --no-such
tap_is $? 2 "bad usage is 2"
tap_lines err "error: unknown option --no-such" 1 "one message"

tap_mpi 2 "$probe" --mode fail-all
tap_is $? 74 "failure on every rank: the code of the cause"
tap_lines err "run_probe: error: the disk is full (rank 0)" 1 "rank 0 reports it"
tap_lines err "run_probe: error:" 1 "rank 0 only"
tap_lines err "  at " 0 "without frames"

tap_mpi 2 "$probe" --mode raise --signal 15
tap_is $? 75 "SIGTERM is 75"
tap_mpi 2 "$probe" --mode raise --signal 10
tap_is $? 75 "SIGUSR1 is 75"

tap_mpi 2 "$probe" --version
tap_is "$? $(grep -c '^run_probe .*(git ' out)" "0 1" "the version, once"

for rank in 0 1; do
    tap_mpi 2 "$probe" --mode fail-one --rank $rank
    tap_is $? 74 "rank $rank fails while the other waits in a barrier: the code of the cause"
    tap_lines err "run_probe: error: the disk is full (rank $rank)" 1 "rank $rank reports it"
    tap_lines err "run_probe: error:" 1 "rank $rank only"

    tap_mpi 2 "$probe" --mode fail-agreed --rank $rank
    tap_is $? 65 "an agreed failure of rank $rank: the code of the cause"
    tap_lines err "run_probe: error: only this rank knows (rank $rank)" 1 "rank $rank reports it"
    tap_lines err "run_probe: error:" 1 "rank $rank only"

    tap_mpi 2 "$probe" --mode usage-one --rank $rank
    tap_is $? 2 "agreed bad usage of rank $rank: 2"
    tap_lines err "run_probe: error: only this rank knows" 1 "one message"
done

tap_mpi 1 "$probe" --mode frames
tap_has err "run_probe.c:" "an internal error shows its location"
FLM_TRACE=1
export FLM_TRACE
tap_mpi 1 "$probe" --mode fail-all
tap_has err "FLM_E_IO" "FLM_TRACE=1 shows the frames of any error"
unset FLM_TRACE

# Each status, by number: a failure without a message gives the name of its status, and the documented exit code. An
# interrupted program prints nothing.
status=1 wrong=''
while timeout 60 "$probe" --mode status --status $status >out 2>err; code=$?; ! grep -q "unknown status" err; do
    name=$(sed -n 's/.*error: \(FLM_E_[A-Z]*\).*/\1/p' err)
    wanted=$(sed -n "/\`${name:-FLM_E_INTERRUPTED}\`/s/^| *\([0-9]*\) .*/\1/p" "$abs_top_srcdir/docs/exit-codes.md")
    test "$code" = "$wanted" || wrong="$wrong $status:$code:${wanted:-none}"
    status=$((status + 1))
done
tap_is "$wrong" "" "statuses 1 to $((status - 1)) have the exit codes of docs/exit-codes.md"
tap_is $((status > 15)) 1 "all of them"

# A rank that does not come: the others end the job and name it.
for where in barrier sum gather; do
    tap_mpi 3 "$probe" --mode late --rank 1 --wait $where
    tap_is $? 69 "a rank is late for a $where: 69"
    tap_is "$(grep -c 'run_probe: error: .*waited 0.5 s for other ranks (--comm-timeout); no answer from rank 1 on node [^ ,]*: stopped' err)" 1 \
        "the rank and its node are named: $(grep 'error: ' err)"
done
tap_mpi 2 "$probe" --mode probe
tap_ok $(($? == 0)) "MPI that crashes on GPU memory ends the job"
tap_has err "set --cuda-aware-mpi off" "and says what to set"

# A step with a deadline.
tap_mpi 2 "$probe" --mode step --rank 1
tap_is $? 69 "a rank that hangs in a step ends the job: 69"
tap_is "$(grep -c 'error: step 7 is not finished after 0.5 s (--step-timeout) on rank 1, node [^ ]*; last operation: none$' err)" 1 \
    "it names itself: $(grep 'error: ' err)"

# Binding to the cores of a GPU.
here=$(taskset -pc $$ 2>/dev/null | sed 's/.*: //; s/[-,].*//')
mkdir -p sys/bus/pci/devices/0000:1b:00.0
file=sys/bus/pci/devices/0000:1b:00.0/local_cpulist
echo "${here:=0}-$here,1000" >$file
timeout 60 "$probe" --mode bind --root sys >out 2>err
tap_is "$? $(cat out)" "0 bound to the cores near GPU 0000:1B:00.0: $here" "bound to the cores that are local and allowed"
echo 1000-1007 >$file
timeout 60 "$probe" --mode bind --root sys >out 2>err
tap_has out "none of the cores near GPU 0000:1B:00.0 (1000-1007): not bound" "none of them is allowed"
echo 0-x >$file
timeout 60 "$probe" --mode bind --root sys >out 2>err
tap_is "$? $(grep -c 'is not a list of cores' err)" "65 1" "not a list"
timeout 60 "$probe" --mode bind --root nowhere >out 2>err
tap_has out "are not known (nowhere/bus" "no such file"

# Without a launcher; and a signal from another process.
timeout 60 "$probe" --mode fail-all >out 2>err
tap_is "$? $(wc -l <err)" "74 1" "without a launcher: the code of the cause, and one line in all"
timeout 60 "$probe" --steps 3 >out 2>err
tap_is "$? $(wc -l <err)" "2 1" "without a launcher: bad usage is 2, and one line in all"
timeout 60 "$probe" >/dev/full 2>err
tap_is $? 74 "results that cannot be written are an error"
tap_has err "cannot write to standard output" "with a message"

: >out
"$probe" --mode interrupted >out 2>err &
pid=$!
tap_wait 60 grep -q waiting out
kill -TERM $pid
wait $pid
tap_is $? 75 "without a launcher: SIGTERM from another process is 75"
tap_end
