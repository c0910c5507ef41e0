#!/bin/sh
# gpt2.t - the NLL of every token and the last hidden states by a small random GPT-2 against those of transformers, in both precisions, for several
# sizes of batches and chunks. SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
golden=$abs_top_srcdir/tests/score/golden
"$abs_top_builddir/flm_convert" "$golden" gpt2.h5 >out 2>err
tap_ok $? "the golden GPT-2 converts"
for precision in fp32 bf16; do
    for chunk in 1 7 64 1000; do
        timeout -k 5 120 "$abs_top_builddir/tests/score/nll" --precision $precision --chunk $chunk gpt2.h5 \
            "$golden/expected.json" >out 2>err
        tap_ok $? "$precision, chunk $chunk: $(tail -n 1 out)"
        grep FAIL out | sed 's/^/# /'
    done
done
"$abs_top_builddir/tests/score/nll" --tolerance 1e-12 gpt2.h5 "$golden/expected.json" >out 2>err
tap_is $? 1 "a tolerance below rounding errors is not met"
tap_end
