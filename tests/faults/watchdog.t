#!/bin/sh
# watchdog.t - the watchdog of a training job (jobs/common.sh) ends with its program and with its job, at once, and never
# signals another process that has got the number of its program. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
if ! test -r /proc/self/stat; then
    tap_skip "the watchdog" "there is no /proc"
    tap_end
fi
sed -n '/^run_child()/,/^}/p; /^started()/p; /^watchdog()/,/^}/p; /^watched()/p; /^pause()/,/^}/p' \
    "$abs_top_srcdir/jobs/common.sh" >functions
cat >job <<'END'
set -eu
say() { printf '%s\n' "$*"; }
stop_requested='' training=1 SLURM_JOB_ID=1 site_hang_timeout=$1 runs=. name=run
shift
. ./functions
code=0
run_child TERM "$@" || code=$?
exit $code
END
mkdir run

# left - processes of this test that still run, apart from this shell: those with its folder as their own.
left() {
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        test "$pid" != $$ && test "$(readlink "$process/cwd" 2>/dev/null)" = "$PWD" && test -r "$process/cmdline" &&
            echo "$(tr '\0' ' ' <"$process/cmdline")$pid" | grep -E '^(sleep|sh job) '
    done
}

# shellcheck disable=SC2317 # called by tap_wait
none_left() {
    test -z "$(left)"
}

timeout 60 sh job 3600 sleep 1 >out 2>&1
tap_is $? 0 "a program that ends" || cat out
tap_wait 10 none_left
tap_ok $? "its watchdog is gone at once" || left

timeout 60 sh job 2 sleep 3600 >out 2>&1
tap_is $? 143 "a program that hangs is ended"
tap_has out "no report for 2 seconds" "and the job says why"
tap_wait 10 none_left
tap_ok $? "its watchdog is gone, too" || left

sh job 20 sleep 3601 >out 2>&1 &
job=$!
sleep 1
kill -KILL $job
wait $job 2>/dev/null
sleep 4
tap_is "$(left | grep -c -v 'sleep 3601')" 0 "a job that is killed: its watchdog is gone within a period" || left
# shellcheck disable=SC2046 # its program, which nobody ends without Slurm
kill $(left | sed -n 's/^sleep 3601 //p') 2>/dev/null

# Another process with the number of the program.
cat >reused <<'END'
set -eu
say() { :; }
site_hang_timeout=1
. ./functions
sleep 3602 &
child=$!
started() { if test "$1" = $$; then echo 1; else cat ticks; fi; }
echo 7 >ticks
watchdog run/metrics.jsonl &
guard=$!
sleep 0.5
echo 8 >ticks
wait $guard
kill -0 $child
kill $child
END
timeout 60 sh reused >out 2>&1
tap_is $? 0 "a process that has got the number of the program is not signalled" || cat out
tap_end
