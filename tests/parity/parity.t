#!/bin/sh
# parity.t - golden files in both precisions, in micro-batches and chunks of several sizes; damaged and missing files. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
parity=$abs_top_builddir/tests/parity/parity
golden=$abs_top_srcdir/tests/parity/golden
sanitized=$(grep -c '^#define FLM_SANITIZE 1' "$abs_top_builddir/config.h")

# compare ARGUMENT...: every quantity of every file; bf16 may be skipped, with the reason.
compare() {
    timeout -k 5 300 "$parity" "$@" "$golden"/*.h5 >out 2>err
    status=$?
    if test $status = 0 && ! grep -q '^small.h5 flm_loss .* ok$' out; then
        tap_skip "parity $*" "$(sed -n 's/^small.h5 flm_loss skipped: //p' out)"
        return
    fi
    tap_ok $status "parity $*: $(tail -n 1 out)"
    test $status = 0 || grep FAIL out err | sed 's/^/# /'
}

for precision in fp32 bf16; do
    compare --precision $precision --micro-batch 2 --chunk 7
    test "$sanitized" = 0 || continue # several times slower
    compare --precision $precision --micro-batch 1 --chunk 1
    compare --precision $precision --micro-batch 1 --chunk 1000
    compare --precision $precision --micro-batch 0 --chunk 1
    compare --precision $precision --micro-batch 0 --chunk 1000
done

# fp32 is never skipped, and every case is in the report.
"$parity" "$golden"/*.h5 >out 2>err
tap_lines out "head64.h5 flm_loss grad/" 20 "head64.h5: all gradients of one block"
tap_lines out "head64.h5 distill_loss grad/" 32 "head64.h5: with emb_u and the loss weighting"
tap_lines out "head64.h5 second_loss grad/" 24 "head64.h5: with emb_u"
for file in small head64 tinyvocab; do
    test $file = head64 || tap_lines out "$file.h5 flm_loss grad/" 30 "$file.h5: all gradients of two blocks"
    test $file = head64 || tap_lines out "$file.h5 distill_loss grad/" 42 "$file.h5: all gradients of the two-model map"
    test $file = head64 || tap_lines out "$file.h5 second_loss grad/" 34 "$file.h5: all gradients of the two-stage map"
    for network in flm distill second; do
        tap_lines out "$file.h5 sample_$network steps_" 6 "$file.h5: all samples of $network"
    done
    tap_lines out "$file.h5 distill_loss l" 1 "$file.h5: loss of the two-model map"
    tap_lines out "$file.h5 second_loss l" 1 "$file.h5: loss of the two-stage map"
    tap_lines out "$file.h5 flm_loss l" 2 "$file.h5: loss and logits"
done
tap_lines out "gamma.h5 K" 5 "all vocabularies of gamma.h5"

# The older cases with a cap of the logits: losses, all gradients, samples (those of the two-stage map are below).
for file in small_capped head64_capped tinyvocab_capped; do
    flm=30 distill=42 second=34
    test $file = head64_capped && flm=20 distill=32 second=24
    tap_lines out "$file.h5 flm_loss grad/" $flm "$file.h5: all gradients of the FLM"
    tap_lines out "$file.h5 distill_loss grad/" $distill "$file.h5: all gradients of the two-model map"
    tap_lines out "$file.h5 second_loss grad/" $second "$file.h5: all gradients of the two-stage map"
    tap_lines out "$file.h5 flm_loss l" 2 "$file.h5: loss and logits"
    tap_lines out "$file.h5 distill_loss l" 1 "$file.h5: loss of the two-model map"
    tap_lines out "$file.h5 second_loss l" 1 "$file.h5: loss of the two-stage map"
    tap_lines out "$file.h5 sample_flm steps_" 6 "$file.h5: all samples of flm"
    tap_lines out "$file.h5 sample_distill steps_" 6 "$file.h5: all samples of distill"
done

# The one-network map, with a cap of the logits: both losses with all gradients, and samples with and without fresh noise.
for file in small head64 tinyvocab; do
    count=34
    test $file = head64 && count=24
    for case in fmlm_loss fmlm_loss_from_data; do
        tap_lines out "${file}_capped.h5 $case grad/" $count "${file}_capped.h5: all gradients of $case"
        tap_lines out "${file}_capped.h5 $case l" 1 "${file}_capped.h5: loss of $case"
    done
    tap_lines out "${file}_capped.h5 sample_fmlm steps_" 14 "${file}_capped.h5: all samples of the one-network map"
    tap_lines out "${file}_capped.h5 sample_second steps_" 8 "${file}_capped.h5: all samples of the two-stage map"
done

# The any-order map: its loss, with all gradients.
for file in small tinyvocab; do
    tap_lines out "${file}_any_order.h5 any_order_loss grad/" 34 "${file}_any_order.h5: all gradients"
    tap_lines out "${file}_any_order.h5 any_order_loss l" 1 "${file}_any_order.h5: loss"
    tap_lines out "${file}_any_order.h5 sample_blocks length_" 3 "${file}_any_order.h5: all samples in blocks"
    tap_lines out "${file}_any_order.h5 sample_refine rounds_" 12 "${file}_any_order.h5: all samples by refinement"
done

# A file that cannot be compared fails with the reason, and the others are compared.
head -c 100000 "$golden/small.h5" >cut.h5
echo "no HDF5" >text.h5
"$parity" text.h5 cut.h5 absent.h5 "$golden/gamma.h5" >out 2>err
tap_is $? 1 "damaged and missing files: exit status 1"
for file in text cut absent; do
    tap_lines out "$file.h5 file FAIL: $file.h5: " 1 "$file.h5 is named, with the reason"
done
tap_is "$(tail -n 1 out)" "5 passed, 3 failed, 0 skipped" "the other file is compared"
"$parity" >out 2>err
tap_is $? 2 "no file: usage error"
tap_end
