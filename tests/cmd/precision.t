#!/bin/sh
# precision.t - the compute dtype of a run and the kind of its bf16 matmuls: checkpoints record what `auto` became, a resumed run
# keeps it, and continues bit for bit with every kind. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"

# train DIR OPTION... - flm_train on the shards of ./shards; wide enough for matmuls that have two kinds.
train() {
    run=$1
    shift
    "$bin/flm_train" --data shards --out "$run" --preset tiny --hidden-size 64 --heads 2 --cond-size 16 --blocks 1 \
        --batch 8 --warmup 0 --threads 1 --log-every 1 "$@" >out 2>err </dev/null || cat err
}

# recorded RUN - precision and matmul in its newest checkpoint.
recorded() { "$bin/flm_inspect" "$1/checkpoints/latest" 2>err | awk '$1 == "precision" { p = $NF } $1 == "matmul" { m = $NF } END { print p, m }'; }

shards_make shards 32
train auto --steps 1
case $(recorded auto) in "bf16 amx" | "bf16 native" | "fp32 fp32") chosen=0 ;; *) chosen=1 ;; esac
tap_ok $chosen "auto is recorded as what it became: $(recorded auto)"

kinds=fp32
case $(recorded auto) in "bf16 amx") kinds="fp32 native amx" ;; "bf16 native") kinds="fp32 native" ;; esac
for kind in $kinds; do
    train "whole-$kind" --steps 4 --precision bf16 --matmul "$kind"
    tap_is "$(recorded "whole-$kind")" "bf16 $kind" "$kind: recorded"
    train "resumed-$kind" --steps 2 --precision bf16 --matmul "$kind"
    train "resumed-$kind" --steps 4
    tap_is "$(recorded "resumed-$kind")" "bf16 $kind" "$kind: kept by a resumed run without the options"
    weights_same "$kind: bit for bit" "whole-$kind/checkpoints/step-00000004.h5" "resumed-$kind/checkpoints/step-00000004.h5"
done
train whole-fp32 --steps 5 --precision fp32
tap_has err "precision changes from bf16 to fp32" "another precision on request"
tap_end
