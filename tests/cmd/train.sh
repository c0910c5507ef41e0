# shellcheck shell=sh
# train.sh - for tests that train a tiny network on the project's own English; sourced after tests/tap.sh.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # for those that source it
: "${abs_top_srcdir:?run me with make check}" "${abs_top_builddir:?}"
bin=$abs_top_builddir
tool=$bin/tests/cmd/file_tool
tiny="--preset tiny --hidden-size 32 --heads 2 --cond-size 16 --blocks 2 --batch 16 --lr 1e-3 --warmup 0 \
--precision fp32 --threads 1 --log-every 1"
# Open MPI: a program without a launcher starts none of its own, which takes longer than all else that it does here.
OMPI_MCA_ess_singleton_isolated=1
export OMPI_MCA_ess_singleton_isolated
# Sanitizers make everything several times slower: such builds take fewer steps.
sanitized=$(grep -c '^#define FLM_SANITIZE 1' "$abs_top_builddir/config.h")

# on_ranks N COMMAND... - as tap_mpi; one rank without a launcher.
on_ranks() {
    if test "$1" = 1; then
        shift
        timeout -k 5 120 "$@" >out 2>err </dev/null
    else
        tap_mpi "$@"
    fi
}

# shards_make DIR LENGTH - rows of that length, some held out.
shards_make() {
    "$bin/flm_shard" --out "$1" --length "$2" --valid-last 20 "$abs_top_srcdir/docs/model.md" \
        "$abs_top_srcdir/README.md" "$abs_top_srcdir/CONTRIBUTING.md" "$abs_top_srcdir/LICENSE" >/dev/null 2>err ||
        cat err >&2
}

# curve DIR - of a run: step, loss and gradient norm of each report, as text; and validations.
curve() {
    sed -n -e 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),"grad_norm":\([^,]*\),.*/\1 \2 \3/p' \
        -e 's/^{"step":\([0-9]*\),"valid_loss":\([^,]*\),.*/\1 valid \2/p' "$1/metrics.jsonl"
}

# curves_near NAME A B STEPS [NORMS] - two runs of STEPS steps: losses within 1e-4 of each other (relative) at every step,
# gradient norms within NORMS (default 1e-4) at the first ten.
curves_near() {
    curve "$2" | grep -v valid >curve.a
    curve "$3" | grep -v valid >curve.b
    paste -d ' ' curve.a curve.b | awk -v steps="$4" -v norms="${5:-1e-4}" '
        function off(x, y) { return x > y ? (x - y) / x : (y - x) / x }
        $1 != NR || $4 != NR || !($2 > 0) || !($5 > 0) || !($3 > 0) || !($6 > 0) { bad = 1 }
        { l = off($2, $5); n = off($3, $6) }
        l > loss { loss = l }
        NR <= 10 && n > norm { norm = n }
        END {
            printf "losses within %.1e, gradient norms %.1e at the start", loss, norm
            exit bad || NR != steps || !(loss <= 1e-4) || !(norm <= norms)
        }' >near
    tap_ok $? "$1: $(cat near)"
}

# weights_near NAME A.h5 B.h5 - every tensor within 1e-3 (relative norm), weights and averages.
weights_near() {
    "$tool" compare "$2" "$3" >near 2>&1
    awk '$1 == "weights" || $1 == "ema" { seen++; if (!($2 <= 1e-3)) bad = 1 } END { exit bad || seen != 2 }' near
    tap_ok $? "$1: weights within $(awk '$1 == "weights" { print $2 }' near)" || cat near
}

# weights_same NAME A.h5 B.h5 - every bit of weights, averages and optimiser state.
weights_same() {
    tap_is "$("$tool" compare "$2" "$3" 2>&1 | tail -n 1)" "same" "$1"
}
