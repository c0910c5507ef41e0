#!/bin/sh
# convert.t - flm_convert: published checkpoints and GPT-2 to checkpoints, checkpoints to safetensors, and inputs that are
# refused.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
convert=$abs_top_builddir/flm_convert
logits=$abs_top_builddir/tests/convert/logits
golden=$abs_top_srcdir/tests/convert/golden
gpt2=$abs_top_srcdir/tests/score/golden

# refused FILE TEXT NAME [ARGUMENT...]: converting FILE fails with exit status $code (default 65) and
# a message that has TEXT, and leaves no file.
refused() {
    refused_file=$1 refused_text=$2 refused_name=$3
    shift 3
    tap_refused "${code:-65}" "$refused_text" "$refused_name" "$convert" "$@" "$refused_file" refused.h5
    if test -e refused.h5 || test -e refused.h5.tmp; then tap_ok 1 "$refused_name: no file is left"; fi
}

# safetensors HEADER BYTES FILE: writes a header followed by BYTES zeros.
safetensors() {
    length=${#1}
    # shellcheck disable=SC2059 # octal digits of the length's two low bytes
    printf "\\$(printf %03o $((length % 256)))\\$(printf %03o $((length / 256)))\\0\\0\\0\\0\\0\\0" >"$3"
    printf '%s' "$1" >>"$3"
    head -c "$2" /dev/zero >>"$3"
}

"$convert" --tokenizer none --length 12 "$golden/plain.ckpt" plain.h5 >out 2>err
tap_ok $? "a .ckpt with the published names converts"
tap_has out "V 131, d 32, H 2, c 16, N 2" "sizes come from the file, heads from its rotary frequencies"
tap_has out "30 tensors of raw weights alone (used with --weights raw)" "weights that are no averages are not taken for such"
"$logits" plain.h5 weights "$abs_top_srcdir/tests/parity/golden/small.h5" >out 2>err
tap_ok $? "$(cat out)"
"$convert" --tokenizer none "$golden/ema.ckpt" ema.h5 >out 2>err
tap_ok $? "a .ckpt of a compiled run with averaged weights converts"
tap_has out "kind flm, step 1234, 60 tensors with EMA weights; L 12," "its length comes from its settings, objects of omegaconf"
"$logits" ema.h5 ema "$abs_top_srcdir/tests/parity/golden/small.h5" >out 2>err
tap_ok $? "averaged weights: $(cat out)"
"$logits" ema.h5 weights "$abs_top_srcdir/tests/parity/golden/small.h5" >out 2>err
tap_is $? 1 "its raw weights differ"
"$abs_top_builddir/flm_inspect" ema.h5 >out 2>err
tap_has out "verified: " "flm_inspect accepts the result"
"$convert" --tokenizer none --length 12 "$golden/wrapped.ckpt" wrapped.h5 >out 2>err
tap_ok $? "names of several wrappers, EMA weights in a tuple, fp64, fp16 and strides convert"
tap_has err "30 tensors of fp64 are rounded to fp32" "fp64 is noted"
tap_has err "30 tensors of fp16 or bf16 are stored as fp32" "fp16 is noted"
tap_has err "tensors are not contiguous: stored in order" "strides are noted"
"$logits" wrapped.h5 ema "$abs_top_srcdir/tests/parity/golden/small.h5" >out 2>err
tap_ok $? "EMA weights: $(cat out)"

"$convert" ema.h5 ema.safetensors >out 2>err && "$convert" ema.safetensors again.h5 >out 2>err &&
    "$convert" again.h5 again.safetensors >out 2>err && cmp ema.safetensors again.safetensors
tap_ok $? "to safetensors and back without options: the same bytes"
"$convert" --weights ema ema.h5 a.safetensors >out 2>err && "$convert" plain.h5 b.safetensors >out 2>err &&
    cmp a.safetensors b.safetensors
tap_ok $? "the averaged weights alone have the plain names"

# with_header EXPRESSION FILE: b.safetensors with a header that sed changes; the data stay.
at=$(($(od -An -tu1 -N2 b.safetensors | awk '{ print $1 + 256 * $2 }') + 8))
with_header() {
    safetensors "$(head -c "$at" b.safetensors | tail -c +9 | LC_ALL=C sed "$1")" 0 "$2"
    tail -c +$((at + 1)) b.safetensors >>"$2"
}
for prefix in module. model. _forward_module. _orig_mod. backbone. network. net. module.model.backbone. \
    _forward_module.module.backbone._orig_mod. backbone._fsdp_wrapped_module. _fsdp_wrapped_module._fsdp_wrapped_module. \
    state_dict.backbone._checkpoint_wrapped_module.; do
    with_header "s/\"\(vocab\|sigma\|blocks\|output\)/\"$prefix\1/g" p.safetensors
    rm -f p.h5
    "$convert" p.safetensors p.h5 >out 2>err && "$convert" p.h5 again.safetensors >out 2>err && cmp -s b.safetensors again.safetensors
    tap_ok $? "prefix $prefix"
done
with_header 's/"blocks\.\([0-9]\)\./"blocks.\1._checkpoint_wrapped_module./g' p.safetensors
rm -f p.h5
"$convert" p.safetensors p.h5 >out 2>err && "$convert" p.h5 again.safetensors >out 2>err && cmp -s b.safetensors again.safetensors
tap_ok $? "a wrapper in the middle of names"
with_header 's/"vocab_embed/"decoder.vocab_embed/' p.safetensors
refused p.safetensors "decoder.vocab_embed.embedding: is not a parameter" "another prefix"
with_header 's/$/                         /' p.safetensors
rm -f p.h5
"$convert" p.safetensors p.h5 >out 2>err && "$convert" p.h5 again.safetensors >out 2>err && cmp -s b.safetensors again.safetensors
tap_ok $? "a header with padding, unaligned data"
with_header 's/"__metadata__":{[^}]*}/"__metadata__":null/' p.safetensors
rm -f p.h5
"$convert" --length 12 --heads 2 --tokenizer none p.safetensors p.h5 >out 2>err
tap_ok $? "a header whose metadata are null"
with_header 's/"__metadata__":{[^}]*},//; s/^{/{"empty":{"dtype":"F8_E8M0","shape":[0,3],"data_offsets":[0,0]},/' p.safetensors
refused p.safetensors "empty: is not a parameter" "an empty tensor is a tensor" --length 12 --heads 2 --tokenizer none
with_header 's/"__metadata__":{[^}]*},//; s/"\(vocab\|sigma\|blocks\|output\)/"backbone.\1/g; s/^{/{"empty":{"dtype":"F8_E8M0","shape":[0,3],"data_offsets":[0,0]},/' p.safetensors
rm -f p.h5
"$convert" --length 12 --heads 2 --tokenizer none p.safetensors p.h5 >out 2>err
tap_ok $? "beside a network with a prefix it is none of the network"

# What the file says, and an option that says something else.
refused b.safetensors "--length 13 contradicts b.safetensors" "another length" --length 13
refused b.safetensors "--heads 4 contradicts b.safetensors, whose metadata say 2" "other heads" --heads 4
refused b.safetensors "--tokenizer gpt2 contradicts b.safetensors" "another tokeniser" --tokenizer gpt2
refused b.safetensors "--kind fmlm-two-model contradicts b.safetensors" "another kind" --kind fmlm-two-model
refused "$golden/ema.ckpt" "--length 13 contradicts $golden/ema.ckpt, whose settings say 12" "a length against the settings" \
    --length 13 --tokenizer none
code=2 refused "$golden/ema.ckpt" "ema.ckpt names the tokeniser none-of-ours, which is not in this suite" "an unknown tokeniser"
refused "$golden/plain.ckpt" "whose rotary frequencies say 2; leave out the option" "heads against the frequencies" \
    --length 12 --tokenizer none --heads 8
"$abs_top_builddir/flm_generate" --checkpoint plain.h5 --out s.h5 --samples 1 --steps 1 >out 2>err
tap_has err "has no EMA weights; use its raw ones with --weights raw" "without EMA weights flm_generate names the option"
"$convert" "$gpt2" gpt2.h5 >out 2>err && "$convert" gpt2.h5 gpt2.safetensors >out 2>err
tap_ok $? "GPT-2 converts in both directions"
mkdir folder && cp "$gpt2/config.json" folder && cp gpt2.safetensors folder/model.safetensors &&
    "$convert" folder gpt2-again.h5 >out 2>err && "$convert" gpt2-again.h5 again.safetensors >out 2>err &&
    cmp gpt2.safetensors again.safetensors
tap_ok $? "and again, to the same bytes"
"$convert" folder/model.safetensors gpt2-again.h5 >out 2>err && "$convert" gpt2-again.h5 again.safetensors >out 2>err &&
    cmp gpt2.safetensors again.safetensors
tap_ok $? "the path of its file works too"
mv folder/model.safetensors folder/model-00001-of-00001.safetensors
names=$(od -An -c -v gpt2.safetensors | tr -d ' \n' | head -c 4000 | grep -o '"[a-z0-9_.]*":{"dtype"' | cut -d: -f1)
for name in $names; do printf '%s:"model-00001-of-00001.safetensors",' "$name"; done >list
printf '{"metadata":{},"weight_map":{%s}}' "$(sed 's/,$//' list)" >folder/model.safetensors.index.json
"$convert" folder shards.h5 >out 2>err && "$convert" shards.h5 again.safetensors >out 2>err &&
    cmp gpt2.safetensors again.safetensors
tap_ok $? "a sharded model with its index too"
printf '{"weight_map":{"wte.weight":"../outside"}}' >folder/model.safetensors.index.json
refused folder "is not the name of a file in the same folder" "an index that names a file in another folder"
printf '{"weight_map":{"wte.weight":"model-00001-of-00001.safetensors"}}' >folder/model.safetensors.index.json
refused folder "lists 1 tensors, its files have 28" "an index that omits tensors"

mkdir bin && cp "$gpt2/config.json" "$golden/pytorch_model.bin" bin
rm -f gpt2-again.h5 && "$convert" bin gpt2-again.h5 >out 2>err && "$convert" gpt2-again.h5 again.safetensors >out 2>err &&
    cmp gpt2.safetensors again.safetensors
tap_ok $? "a folder with pytorch_model.bin"
mkdir bins && cp "$gpt2/config.json" "$golden"/pytorch_model-*.bin "$golden/pytorch_model.bin.index.json" bins
rm -f gpt2-again.h5 && "$convert" bins gpt2-again.h5 >out 2>err && "$convert" gpt2-again.h5 again.safetensors >out 2>err &&
    cmp gpt2.safetensors again.safetensors
tap_ok $? "a folder with the shards of pytorch_model.bin"
"$convert" bins/pytorch_model.bin.index.json gpt2-again.h5 >out 2>err && "$convert" gpt2-again.h5 again.safetensors >out 2>err &&
    cmp gpt2.safetensors again.safetensors
tap_ok $? "the path of their index works too"
mv bins/pytorch_model-00002-of-00002.bin kept.bin
code=66 refused bins "pytorch_model-00002-of-00002.bin: cannot be opened: No such file" "a shard that is missing"
cp bins/pytorch_model-00001-of-00002.bin bins/pytorch_model-00002-of-00002.bin
refused bins "is in more than one file" "a shard twice"
head -c 40000 kept.bin >bins/pytorch_model-00002-of-00002.bin
refused bins "pytorch_model-00002-of-00002.bin: is not a complete zip file" "a shard that is truncated"
for id in null '[96, 95]' '[]'; do
    sed "s/\"eos_token_id\": 96/\"eos_token_id\": $id/" "$gpt2/config.json" >bin/config.json
    rm -f gpt2-again.h5
    "$convert" bin gpt2-again.h5 >out 2>err
    tap_ok $? "eos_token_id $id"
done
sed 's/"eos_token_id": 96/"eos_token_id": ["x"]/' "$gpt2/config.json" >bin/config.json
refused bin "eos_token_id is neither an integer nor a list of integers" "eos_token_id of text"

# Options that are needed since the file does not hold the value.
for missing in "--length" "--tokenizer"; do
    given="--tokenizer none"
    test "$missing" = --length || given="--length 12"
    # shellcheck disable=SC2086 # several arguments
    "$convert" $given "$golden/plain.ckpt" x.h5 >out 2>err
    tap_is $? 2 "without $missing: bad usage"
    tap_has err "$missing is needed" "the message names it"
done
refused "$golden/plain.ckpt" "has no second time embedding" "an FLM given as a flow map" --kind fmlm-two-model --length 12 --tokenizer none
"$convert" --kind flow-map-1 --length 12 --tokenizer none "$golden/plain.ckpt" x.h5 >out 2>err
tap_is $? 2 "the old name of a kind: bad usage"
tap_has err "--kind flow-map-1 was renamed: use fmlm-two-model" "the message gives the new name"
"$convert" --kind fmlm-three --length 12 --tokenizer none "$golden/plain.ckpt" x.h5 >out 2>err
tap_is $? 2 "an unknown kind: bad usage"
tap_has err "--kind: unknown kind 'fmlm-three'" "the message names it"
refused "$golden/plain.ckpt" "V is 131, but tokeniser bytes has 257 tokens" "a tokeniser with more tokens" --length 12 --tokenizer bytes

# Parameters in another shape, and missing ones: the same file with its header changed.
LC_ALL=C sed 's/"shape":\[96,32\]/"shape":[32,96]/' b.safetensors >shape.safetensors
refused shape.safetensors "attn_qkv.weight: expected shape [96, 32], found [32, 96]" "a matrix transposed"
LC_ALL=C sed 's/"blocks.1.norm1.weight"/"blocks.2.norm1.weight"/' b.safetensors >gap.safetensors
refused gap.safetensors "gap.safetensors: blocks.1.norm1.weight, blocks.2.attn_qkv.weight, " "parameters that are missing"

printf '\200\004\225\r\0\0\0\0\0\0\0\212\012' >old4.ckpt
refused old4.ckpt "is a bare pickle" "a file of PyTorch before 1.6 in protocol 4"

# Damaged files, and files of another kind.
head -c 150000 "$golden/plain.ckpt" >cut.ckpt
refused cut.ckpt "cut.ckpt: is not a complete zip file" "a truncated zip"
size=$(wc -c <"$golden/plain.ckpt")
{ head -c 60000 "$golden/plain.ckpt"; printf XYZ; tail -c $((size - 60003)) "$golden/plain.ckpt"; } >changed.ckpt
refused changed.ckpt "changed.ckpt: " "a changed member" --length 12 --tokenizer none
tap_has err "CRC error" "found by its checksum"
sed 's/collections/builtinsXX/' "$golden/plain.ckpt" >renamed.ckpt
refused renamed.ckpt "renamed.ckpt: " "another constructor in a changed zip" --length 12 --tokenizer none
printf '\200\002}q\000.' >old.ckpt
refused old.ckpt "is a bare pickle" "a file of PyTorch before 1.6"
: >empty
refused empty "is not a safetensors file: it has only 0 bytes" "an empty file"
code=66 refused absent "absent: No such file" "no file"
safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}' 12 o.safetensors
refused o.safetensors "the data of a and b overlap" "data that overlap"
safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}' 12 o.safetensors
refused o.safetensors "bytes 0 to 4 of the data belong to no tensor" "a hole"
safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' 12 o.safetensors
refused o.safetensors "the last 4 bytes of the data belong to no tensor" "bytes left over"
safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}}' 8 o.safetensors
refused o.safetensors "its data (bytes 0 to 16) are not inside the 8 bytes of data in the file" "data beyond the end"
safetensors '{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}' 8 o.safetensors
refused o.safetensors "axis 0 has 4611686018427387904 elements" "a shape that overflows"
safetensors '{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}' 8 o.safetensors
refused o.safetensors "axis 0 has -2 elements" "a shape below zero"
safetensors '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}' 8 o.safetensors
refused o.safetensors "has 8 bytes of data, its shape needs 12" "data that do not fit the shape"
safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}' 16 o.safetensors
refused o.safetensors "is not valid JSON: duplicate" "a repeated name"
safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' 8 o.safetensors
refused o.safetensors "a: is not a parameter of an FLM or a flow map" "another model's tensors"
printf '\377\377\377\377\377\377\377\177{' >o.safetensors
refused o.safetensors "the header should have 9223372036854775807 bytes" "a header length near 2^63"

mkdir run
code=66 refused run "run: is a folder without config.json" "a folder that is no model"

# Models that are not a plain GPT-2.
sed 's/"n_embd": 24/"n_embd": 30/' "$gpt2/config.json" >folder/config.json
cp "$gpt2/model.safetensors" folder
refused folder "wte.weight: expected shape [97, 30], found [97, 24]" "a GPT-2 of other sizes"
sed 's/gelu_new/relu/' "$gpt2/config.json" >folder/config.json
refused folder "activation_function is not gelu_new" "another activation"
sed 's/"n_layer": 2/"n_layer": 3/' "$gpt2/config.json" >folder/config.json
refused folder "h.2.ln_1.weight: is missing" "a missing block"
sed 's/"n_head": 3/"n_head": 0/' "$gpt2/config.json" >folder/config.json
refused folder "config.json: gpt2: heads is 0, must be 1..4096" "no heads"
tap_end
