#!/bin/sh
# installed.t - jobs of a read-only installation run under Slurm for a user who is not root: prefix and home have spaces in
# their paths, and nothing is written below the prefix. As root the user is nobody. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$abs_top_srcdir/tests/slurm/cluster.sh"
cluster_need
user=$(id -un)
if test "$(id -u)" = 0; then
    user=nobody
    if ! setpriv --reuid="$user" --regid="$(id -g $user)" --clear-groups true >have 2>&1; then
        echo "1..0 # SKIP root cannot become $user: $(tail -n 1 have)"
        exit 0
    fi
fi
cluster_up 1
# Without write permission rm -r fails for an owner who is not root.
trap 'chmod -R u+w "$cluster"; cluster_down; tap_remove' EXIT

# as_user COMMAND... - run it as that user, in its home, without what other tests set for root.
as_user() (
    cd "$home" || exit 99
    set -- env -u OMPI_ALLOW_RUN_AS_ROOT -u OMPI_ALLOW_RUN_AS_ROOT_CONFIRM -u OMPI_MCA_orte_tmpdir_base -u FLM_DATA_DIR -u FLM_JOBS \
        -u DEMO_TEXT HOME="$home" FLM_SITE="$home/my site.conf" TMPDIR="$cluster/tmp/user" DEMO=1 "$@"
    if test "$(id -u)" = 0; then set -- setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"; fi
    timeout -k 5 120 "$@"
)

make -s -C "$abs_top_builddir" DESTDIR="$PWD/stage" install >made 2>&1 || sed 's/^/# /' made
prefix="$cluster/installed here"
mv "$(dirname "$(dirname "$(find "$PWD/stage" -path '*/bin/flm_train' -print)")")" "$prefix"
chmod -R a+rX,a-w "$prefix"
home="$cluster/a home"
mkdir "$home" "$cluster/tmp/user"
chmod 1777 "$cluster/shm"
ln -s "$prefix/share/flm/jobs" "$home/jobs"
site "programs =" "data = $home/data" "runs = $home/runs" "logs = $home/logs"
mv "$FLM_SITE" "$home/my site.conf"
if test "$(id -u)" = 0; then chown -Rh "$user" "$home" "$cluster/tmp/user"; fi
: >before

as_user test -w "$prefix" || as_user test -w "$prefix/share/flm/jobs"
tap_is "$? $(as_user id -un)" "1 $user" "$user cannot write to the prefix"
as_user "$prefix/bin/flm_train" --version >out 2>err
tap_is "$? $(grep -c '^flm_train ' out)" "0 1" "a program runs"
tap_lines "$home/my site.conf" "$abs_top_builddir" 0 "the settings do not name the build"

# finish NAME JOB OPTION... - submit a job and wait for it.
finish() {
    name=$1
    shift
    id=$(as_user jobs/submit --parsable "$@" 2>err)
    sed 's/^/# /' err
    tap_is "$(job_ended "$id")" COMPLETED "$name"
    log=$home/logs/$1-$id.out
    tap_is "$(tail -n 1 "$log")" "$1: done" "its log ends well"
    test "$(tail -n 1 "$log")" = "$1: done" || tail -n 20 "$log" | sed 's/^/# /'
}
finish "training, with shards of the installed documents" lm1b_flm --steps 6 --checkpoint-every 6 --eval-every 0 --log-every 2
as_user "$prefix/bin/flm_inspect" "$home/runs/demo/lm1b_flm/checkpoints/step-00000006.h5" >out 2>err
tap_is "$?" 0 "its checkpoint"
finish "sampling from it" lm1b_gen_ppl_flm --samples 4 --steps 2 --batch 4
tap_is "$(find "$home/runs/demo/lm1b_gen_ppl_flm" -name '*.h5' | wc -l)" 1 "its samples"
tap_is "$(find "$home" ! -user "$user")" "" "all files belong to the user"
tap_is "$(find "$prefix" -newer before)" "" "nothing was written below the prefix"
tap_end
