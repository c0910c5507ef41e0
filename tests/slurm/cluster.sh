# shellcheck shell=sh
# cluster.sh - a private Slurm cluster on this machine for a test: munged, slurmctld and one slurmd per virtual node, in one
# temporary folder, on the loopback interface only, without systemd, cgroups, accounting or files under /etc. Source it
# after tests/tap.sh. Its processes are ended with the test, by their process ids.
#
#   cluster_need                    skip the whole test, with the reason, if no cluster can be started
#   cluster_up [NODES [GPUS]]       start it: virtual nodes n1 ... with two CPUs and GPUS fake GPUs each
#   cluster_down                    stop it; also called when the test ends
#
# It sets $cluster, the folder. Partitions: main, whose jobs are requeued when one in high needs their CPUs, and high.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2119,SC2120,SC2154 # optional arguments; tap.sh
PATH=$PATH:/usr/sbin:/sbin
cluster=''
cluster_nodes=''

# cluster_lacks - print why no cluster can be started here; nothing if one can.
cluster_lacks() {
    for cluster_program in sbatch srun squeue scontrol slurmctld slurmd munged munge; do
        if ! command -v $cluster_program >/dev/null 2>&1; then
            echo "no $cluster_program: Slurm and MUNGE are needed (Debian's slurmctld slurmd slurm-client munge)"
            return
        fi
    done
}

cluster_need() {
    cluster_reason=$(cluster_lacks)
    if test -n "$cluster_reason"; then
        echo "1..0 # SKIP $cluster_reason"
        exit 0
    fi
}

# alive PIDFILE NAME - whether that process runs and has this name: not a zombie, nor a later process with the same id.
alive() {
    test -s "$1" || return 1
    read -r alive_pid <"$1"
    test "$(sed -n 's/^Name:[[:space:]]*//p' "/proc/$alive_pid/status" 2>/dev/null)" = "$2" || return 1
    case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$alive_pid/status" 2>/dev/null) in '' | Z* | X*) return 1 ;; esac
}

# port_free PORT - whether no TCP socket in the kernel's table uses it.
port_free() {
    ! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$(printf ':%04X' "$1")" '
        substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
}

# A range of free ports, a different one for each cluster that starts at the same time.
ports_choose() {
    cluster_port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 1200 * 10))
    while :; do
        ports_free=1
        for ports_more in 0 1 2 3; do port_free $((cluster_port + ports_more)) || ports_free=0; done
        if test $ports_free = 1; then return; fi
        cluster_port=$((cluster_port + 10))
    done
}

cluster_configure() {
    cluster_user=$(id -un) cluster_host=$(uname -n | cut -d . -f 1)
    cat <<END
ClusterName=flmtest
SlurmctldHost=$cluster_host(127.0.0.1)
SlurmUser=$cluster_user
SlurmdUser=$cluster_user
SlurmctldPort=$cluster_port
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/run/munge.socket,cred_expire=5
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool/%n
TmpFS=$cluster/tmp/%n
SlurmctldPidFile=$cluster/run/slurmctld.pid
SlurmdPidFile=$cluster/run/slurmd.%n.pid
SlurmctldLogFile=$cluster/log/slurmctld
SlurmdLogFile=$cluster/log/slurmd.%n
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
SlurmctldParameters=preempt_send_user_signal
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=300
$(if test "$1" -gt 0; then echo GresTypes=gpu; fi)
END
    cluster_number=0
    for cluster_node in $cluster_nodes; do
        cluster_number=$((cluster_number + 1))
        echo "NodeName=$cluster_node NodeHostname=$cluster_host NodeAddr=127.0.0.1 Port=$((cluster_port + cluster_number))" \
            "Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 $(if test "$1" -gt 0; then echo "Gres=gpu:$1"; fi)" \
            "State=UNKNOWN"
    done
    cluster_list=$(echo "$cluster_nodes" | sed 's/^ *//;s/ /,/g')
    echo "PartitionName=main Nodes=$cluster_list Default=YES MaxTime=INFINITE DefMemPerCPU=500 PriorityTier=1" \
        "PreemptMode=REQUEUE GraceTime=20 State=UP"
    echo "PartitionName=high Nodes=$cluster_list MaxTime=INFINITE DefMemPerCPU=500 PriorityTier=10 PreemptMode=OFF State=UP"
}

cluster_up() {
    # A short path: PMIx appends the name of a socket, and fails from about 60 characters on.
    cluster=$(mktemp -d /tmp/flmXXXXXX) || exit 99
    trap 'cluster_down; tap_remove' EXIT
    mkdir "$cluster/conf" "$cluster/state" "$cluster/spool" "$cluster/log" "$cluster/run" "$cluster/munge" "$cluster/tmp" "$cluster/shm"
    chmod 700 "$cluster/munge"
    chmod 755 "$cluster"
    dd if=/dev/urandom of="$cluster/munge/key" bs=128 count=1 2>/dev/null
    chmod 400 "$cluster/munge/key"
    cluster_nodes='' cluster_number=1
    while test $cluster_number -le "${1:-1}"; do
        cluster_nodes="$cluster_nodes n$cluster_number"
        mkdir "$cluster/spool/n$cluster_number" "$cluster/tmp/n$cluster_number"
        cluster_number=$((cluster_number + 1))
    done
    ports_choose
    cluster_configure "${2:-0}" >"$cluster/conf/slurm.conf"
    { # fake GPUs: files that exist, nothing more
        if test "${2:-0}" -ge 1; then echo "Name=gpu File=/dev/null"; fi
        if test "${2:-0}" -ge 2; then echo "Name=gpu File=/dev/zero"; fi
    } >"$cluster/conf/gres.conf"
    SLURM_CONF=$cluster/conf/slurm.conf
    # Open MPI: as root, on loopback; nodes with the same host name must not use shared memory between them.
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
    OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl=self,vader
    # Open MPI names a shared-memory segment after the job's number, and every cluster's first job is job 1: with the
    # default folder, /dev/shm, jobs of two clusters that run at the same time map each other's segments.
    OMPI_MCA_btl_vader_backing_directory=$cluster/shm
    if test "${1:-1}" -gt 1; then OMPI_MCA_btl=self,tcp; fi
    export SLURM_CONF OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe \
        OMPI_MCA_hwloc_base_binding_policy OMPI_MCA_btl_tcp_if_include OMPI_MCA_oob_tcp_if_include \
        OMPI_MCA_mpi_yield_when_idle OMPI_MCA_btl OMPI_MCA_btl_vader_backing_directory
    munged --key-file="$cluster/munge/key" --socket="$cluster/run/munge.socket" --pid-file="$cluster/run/munged.pid" \
        --log-file="$cluster/log/munged" --seed-file="$cluster/munge/seed" --num-threads=2 || cluster_failed munged
    slurmctld -f "$SLURM_CONF" || cluster_failed slurmctld
    for cluster_node in $cluster_nodes; do slurmd -N "$cluster_node" -f "$SLURM_CONF" || cluster_failed "slurmd $cluster_node"; done
    cluster_tries=0
    until test "$(sinfo -h -N -p main -t idle -o %N 2>/dev/null | wc -l)" = "${1:-1}"; do
        cluster_tries=$((cluster_tries + 1))
        test $cluster_tries -lt 1200 || cluster_failed "its nodes"
        sleep 0.1
    done
}

# cluster_failed WHAT - Slurm is installed but does not start: fail the test, with the logs.
cluster_failed() {
    echo "# $1 did not come up:"
    tail -n 5 "$cluster"/log/* | sed 's/^/#   /'
    echo "1..1"
    echo "not ok 1 - a Slurm of our own"
    exit 1
}

# cluster_pids - print the process ids of the running daemons.
cluster_pids() {
    for cluster_file in "$cluster"/run/*.pid; do
        cluster_name=$(basename "$cluster_file" .pid)
        if alive "$cluster_file" "${cluster_name%%.*}"; then echo "$alive_pid"; fi
    done
}

# cluster_left - print the processes of jobs: those with this cluster's configuration in their environment, or in its folder.
cluster_left() {
    for cluster_process in /proc/[0-9]*; do
        case $(readlink "$cluster_process/cwd" 2>/dev/null) in
        "$cluster"/*) ;;
        *) { tr '\0' '\n' <"$cluster_process/environ" | grep -qxF "SLURM_CONF=$cluster/conf/slurm.conf"; } 2>/dev/null || continue ;;
        esac
        case $(sed -n 's/^State:[[:space:]]*//p' "$cluster_process/status" 2>/dev/null) in
        '' | Z* | X*) ;;
        *) echo "${cluster_process#/proc/}" ;;
        esac
    done
}

cluster_down() {
    test -n "$cluster" || return 0
    if alive "$cluster/run/slurmctld.pid" slurmctld; then
        for cluster_job in $(timeout 5 squeue -h -o %A | sort -u); do scancel "$cluster_job" 2>/dev/null; done
        cluster_tries=0
        while test -n "$(timeout 5 squeue -h -o %A)" && test $cluster_tries -lt 200; do
            cluster_tries=$((cluster_tries + 1))
            sleep 0.1
        done
    fi
    for cluster_file in "$cluster"/run/slurmd.*.pid "$cluster/run/slurmctld.pid" "$cluster/run/munged.pid"; do
        cluster_name=$(basename "$cluster_file" .pid)
        for cluster_signal in TERM KILL; do
            alive "$cluster_file" "${cluster_name%%.*}" || break
            kill -$cluster_signal "$alive_pid"
            cluster_tries=0
            while alive "$cluster_file" "${cluster_name%%.*}" && test $cluster_tries -lt 100; do
                cluster_tries=$((cluster_tries + 1))
                sleep 0.1
            done
        done
    done
    for cluster_pid in $(cluster_left); do kill -KILL "$cluster_pid" 2>/dev/null; done
    rm -rf "$cluster"
    unset OMPI_MCA_btl_vader_backing_directory # a folder of the cluster
    cluster=''
}

# job_state ID - print the state that squeue shows; for an array, that of each task.
job_state() { squeue -h -t all -j "$1" -o %T 2>/dev/null | sort -u | tr '\n' ' ' | sed 's/ $//'; }

# job_ended ID - wait until a job has left the queue, at most a quarter of an hour; print its last state.
job_ended() {
    ended_end=$(($(date +%s) + 900))
    while :; do
        ended_state=$(job_state "$1")
        case " $ended_state " in
        *PENDING* | *RUNNING* | *COMPLETING* | *CONFIGURING* | *REQUEUE* | *SUSPENDED* | *STOPPED*) ;;
        *) break ;;
        esac
        test "$(date +%s)" -lt $ended_end || break
        sleep 0.2
    done
    echo "$ended_state"
}

# until_so COMMAND... - wait until it succeeds; fail after a quarter of an hour, which a busy machine may need, and say
# what the state is.
until_so() {
    tap_wait 900 "$@" && return 0
    echo "# waited in vain: $*"
    squeue -t all 2>&1 | sed 's/^/#   /'
    tail -n 10 "${log:-/dev/null}" 2>&1 | sed 's/^/#   /'
    return 1
}

# log_has COUNT TEXT - whether at least COUNT lines of $log contain TEXT.
log_has() { test "$(grep -cF -e "$2" "$log" 2>/dev/null)" -ge "$1"; }

# step_reached RUN N - whether the run has reported step N or a later one.
step_reached() {
    step=$(tail -n 1 "$1/metrics.jsonl" 2>/dev/null | sed -n 's/^{"step":\([0-9]*\),.*/\1/p')
    test "${step:-0}" -ge "$2"
}

# curve RUN - print step, kind and value of every reported loss.
curve() { sed -n 's/^{"step":\([0-9]*\),.*"\(loss\|valid_loss\)":\([^,]*\),.*/\1 \2 \3/p' "$1/metrics.jsonl"; }

# site LINE... - write the site.conf of this cluster, with further lines, and set FLM_SITE.
site() {
    FLM_SITE=$cluster/site.conf
    export FLM_SITE
    {
        printf '%s\n' "partition = main" "gpus_per_node = 0" "cpus_per_node = 2" "memory_per_node = 3000M" "device = cpu" \
            "precision = fp32" "bind = none" "nodes = 1" "launcher = auto" "programs = $abs_top_builddir" "data = $cluster/data" \
            "runs = $cluster/runs" "logs = $cluster/logs" "modules =" "export =" "gpt2 ="
        if test $# -gt 0; then printf '%s\n' "$@"; fi
    } | awk -F ' *= *' '{ line[$1] = $0; if (!($1 in at)) { at[$1] = ++n; key[n] = $1 } }
        END { for (i = 1; i <= n; i++) print line[key[i]] }' >"$FLM_SITE"
}
