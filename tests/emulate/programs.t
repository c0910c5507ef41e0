#!/bin/sh
# programs.t - the programs on a device whose memory the host cannot read, with the CUDA backend's own kernels: results as on
# the CPU, on one rank and on two, after a resume, and for the golden files. The device is the emulated one, or in make
# check-gpu the GPU.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
. "$abs_top_srcdir/tests/cmd/train.sh"
device=${FLM_GPU_PROGRAMS:-$abs_top_builddir/tests/emulate}
parity=$device/parity
test -x "$parity" || parity=$device/tests/parity/parity
steps=8
shards_make shards 32
# The same options for CPU and device.
small="--preset tiny --hidden-size 32 --heads 2 --cond-size 16 --blocks 2 --batch 8 --lr 1e-3 --warmup 0 --threads 1 \
--log-every 1 --eval-rows 8"
distil="--batch 8 --lr 1e-3 --warmup 0 --threads 1 --log-every 1 --precision fp32"

# run NAME RANKS COMMAND... - runs COMMAND into the run NAME.
run() {
    name=$1 ranks=$2
    shift 2
    on_ranks "$ranks" "$@" --data shards --out "$name"
    status=$?
    tap_is $status 0 "$name: on $ranks ranks"
    test $status = 0 || cat err
}

# shellcheck disable=SC2086 # several options
{
    run host 1 "$bin/flm_train" $small --precision fp32 --steps $steps --device cpu
    run one 1 "$device/flm_train" $small --precision fp32 --steps $steps --device cuda
    run two 2 "$device/flm_train" $small --precision fp32 --steps $steps --device cuda --micro-batch 2 --share-gpus
    run half 1 "$device/flm_train" $small --precision fp32 --steps 5 --device cuda
    run half 1 "$device/flm_train" $small --precision fp32 --steps $steps --device cuda
}
tap_has one/metrics.jsonl '"device":"cuda' "metrics.jsonl names the device"
curves_near "the losses are those of the CPU" host one $steps
weights_near "the weights are those of the CPU" host/checkpoints/latest one/checkpoints/latest
curves_near "two ranks through host memory: the losses of one" one two $steps
weights_near "two ranks: the weights of one" one/checkpoints/latest two/checkpoints/latest
tap_is "$(curve half | grep -v valid)" "$(curve one | grep -v valid)" "resumed: the same losses, bit for bit"

# More ranks than GPUs.
# shellcheck disable=SC2086
FLM_EMULATE_GPUS=1 on_ranks 2 "$device/flm_train" $small --steps 1 --device cuda --data shards --out shared
tap_is "$? $(grep -c 'error: ranks 0 and 1 use the same GPU (.*) of node .*--share-gpus' err)" "2 1" "two ranks on one GPU: $(grep 'error: ' err)"

# shellcheck disable=SC2086
{
    run host1 1 "$bin/flm_distill" --teacher host --method two-model $distil --steps 4 --device cpu
    run one1 1 "$device/flm_distill" --teacher host --method two-model $distil --steps 4 --device cuda
    run host2 1 "$bin/flm_distill" --teacher host --method two-stage --flow-map host1 $distil --steps 4 --device cpu
    run one2 1 "$device/flm_distill" --teacher host --method two-stage --flow-map host1 $distil --steps 4 --device cuda
    run host3 1 "$bin/flm_distill" --teacher host $distil --steps 4 --device cpu
    run one3 1 "$device/flm_distill" --teacher host $distil --steps 4 --device cuda
    run host4 1 "$bin/flm_train" --objective any-order $small --precision fp32 --steps 4 --device cpu
    run one4 1 "$device/flm_train" --objective any-order $small --precision fp32 --steps 4 --device cuda
    run low 1 "$device/flm_train" $small --precision bf16 --steps $steps --device cuda
    run low-host 1 "$bin/flm_train" $small --precision bf16 --steps $steps --device cpu
}
curves_near "stage 2" host2 one2 4
# At first student and teacher are the same network: gradients of 1e-4, differences of which fp32 gives three digits.
curves_near "the one-network map" host3 one3 4 1e-3
curves_near "the any-order map" host4 one4 4
# In stage one the errors are compared: its losses pass zero, and the size of its first updates is the learning rate, whatever
# the gradient. The errors are a few millionths here, differences of numbers near one, of which fp32 gives three digits.
sed -n 's/.*"error":\([^,}]*\).*/\1/p' host1/metrics.jsonl >error.a
sed -n 's/.*"error":\([^,}]*\).*/\1/p' one1/metrics.jsonl >error.b
paste error.a error.b | awk '{ d = $1 > $2 ? $1 / $2 : $2 / $1; if (!(d <= 1 + 2e-3)) bad = 1 } END { exit bad || NR < 4 }'
tap_ok $? "stage 1: the same errors, $(tail -n 1 error.a) and $(tail -n 1 error.b)"
weights_near "stage 2" host2/checkpoints/latest one2/checkpoints/latest
weights_near "the one-network map" host3/checkpoints/latest one3/checkpoints/latest
weights_near "the any-order map" host4/checkpoints/latest one4/checkpoints/latest
curve low | grep -v valid >curve.a
curve low-host | grep -v valid >curve.b
paste -d ' ' curve.a curve.b | awk -v steps=$steps '{ d = $2 > $5 ? $2 / $5 - 1 : $5 / $2 - 1; if (!(d <= 2e-2)) bad = 1 } END { exit bad || NR != steps }'
tap_ok $? "bf16: losses within 2 % of the CPU's"

for kind in host one1 one2 one3 one4; do
    noise=0
    test $kind = one3 && noise=0.8
    for where in cpu cuda; do
        timeout -k 5 100 "$device/flm_generate" --checkpoint $kind --samples 3 --steps 1,3 --batch 2 --precision fp32 --threads 1 \
            --noise-level $noise --device $where --out "$kind-$where.h5" --text >"$kind-$where.txt" 2>err
        tap_ok $? "$kind: samples on $where"
    done
    cmp "$kind-cpu.txt" "$kind-cuda.txt"
    tap_ok $? "$kind: the same samples"
done

cp -r host nan && "$tool" poison host/checkpoints/latest nan/checkpoints weights/blocks.1.attn_out.weight
timeout -k 5 100 "$device/flm_generate" --checkpoint nan --weights raw --samples 3 --steps 2 --threads 1 --device cuda --out nan.h5 >out 2>err
tap_is $? 76 "sampling from weights that are not finite fails on the device"
tap_has err "raw weights:" "the error names the weights"

"$abs_top_builddir/tests/score/score_files" gpt2 gpt2.h5 2>err
head -n 60 "$abs_top_srcdir/LICENSE" >text.txt
sed -n 61,85p "$abs_top_srcdir/LICENSE" >reference.txt
for where in cpu cuda; do
    timeout -k 5 100 "$device/flm_score" --gpt2 gpt2.h5 --precision fp32 --threads 1 --device $where --json $where.json \
        --reference reference.txt text.txt >out 2>err
    tap_ok $? "a text scored on $where"
    sed -n 's/.*"gen_ppl": \([0-9.]*\).*/\1/p' $where.json >$where.ppl
    sed -n 's/.*"mauve": \([0-9.]*\).*/\1/p' $where.json >$where.mauve
done
paste cpu.ppl cuda.ppl | awk '{ exit !($1 > 0 && ($1 > $2 ? $1 / $2 : $2 / $1) <= 1 + 1e-4) }'
tap_ok $? "Gen-PPL is the same: $(cat cpu.ppl cuda.ppl | tr '\n' ' ')"
# A feature that differs in the last bits can move a text to another cluster.
paste cpu.mauve cuda.mauve | awk '{ exit !($1 > 0 && $2 > 0 && $1 - $2 <= 0.05 && $2 - $1 <= 0.05) }'
tap_ok $? "MAUVE is the same: $(cat cpu.mauve cuda.mauve | tr '\n' ' ')"

# golden PRECISION FILE... - the golden files on the device. The emulated one is slow: it takes half of them.
golden() {
    precision=$1
    shift
    test -z "${FLM_GPU_PROGRAMS-}" || set -- "$abs_top_srcdir"/tests/parity/golden/*.h5
    timeout -k 5 300 "$parity" --device cuda --precision "$precision" "$@" >out 2>err
    tap_ok $? "golden files, $precision: $(tail -n 1 out)"
    grep FAIL out err | sed 's/^/# /'
}
files=$abs_top_srcdir/tests/parity/golden
golden fp32 "$files/small_capped.h5" "$files/head64_capped.h5" "$files/small_any_order.h5"
golden bf16 "$files/tinyvocab.h5" "$files/tinyvocab_any_order.h5"
tap_end
