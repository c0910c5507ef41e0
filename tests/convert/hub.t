#!/bin/sh
# hub.t - flm_convert: released FLM and FMLM networks as downloaded from the model hub, and folders that are refused.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
convert=$abs_top_builddir/flm_convert
logits=$abs_top_builddir/tests/convert/logits
hub=$abs_top_srcdir/tests/convert/golden/hub

# refused FOLDER STATUS TEXT NAME [ARGUMENT...]: converting FOLDER fails with a message that has TEXT.
refused() {
    folder=$1 status=$2 text=$3 name=$4
    shift 4
    tap_refused "$status" "$text" "$name" "$convert" "$@" "$folder" refused.h5
    if test -e refused.h5 || test -e refused.h5.tmp; then tap_ok 1 "$name: no file is left"; fi
}

# with_header EXPRESSION FILE: model.safetensors of the flow map with a header that sed changes; the data stay.
weights=$hub/fmlm/model.safetensors
at=$(($(od -An -tu1 -N2 "$weights" | awk '{ print $1 + 256 * $2 }') + 8))
with_header() {
    header=$(head -c "$at" "$weights" | tail -c +9 | LC_ALL=C sed "$1")
    # shellcheck disable=SC2059 # octal digits of the length's two low bytes
    printf "\\$(printf %03o $((${#header} % 256)))\\$(printf %03o $((${#header} / 256)))\\0\\0\\0\\0\\0\\0" >"$2"
    printf '%s' "$header" >>"$2"
    tail -c +$((at + 1)) "$weights" >>"$2"
}

# changed EXPRESSION: the folder "changed" with a config.json that sed changes.
changed() {
    rm -rf changed
    mkdir changed && cp "$weights" changed && sed "$1" "$hub/fmlm/config.json" >changed/config.json
}

for kind in flm fmlm; do
    "$convert" --tokenizer none "$hub/$kind" $kind.h5 >out 2>err
    tap_ok $? "$kind: the folder converts"
    tap_has out "kind $kind, " "$kind: the kind is detected"
    tap_has out "L 8, V 61, d 16, H 2, c 8, N 2" "$kind: sizes come from config.json and the tensors"
    for set in ema weights; do
        "$logits" $kind.h5 $set "$hub/$kind.h5" >out 2>err
        tap_ok $? "$kind, $set: $(head -n 1 out)"
        tap_has out ", 0 differ; " "$kind, $set: $(tail -n 1 out)"
    done
    "$abs_top_builddir/flm_inspect" $kind.h5 >out 2>err
    tap_has out "verified: " "$kind: flm_inspect accepts the result"
    "$abs_top_builddir/flm_generate" --checkpoint $kind.h5 --out $kind-samples.h5 --samples 2 --steps 2 >out 2>err
    tap_ok $? "$kind: flm_generate samples it"
done
"$convert" --tokenizer none --logit-cap 20 "$hub/flm" cap.h5 >out 2>err
tap_ok $? "--logit-cap"
"$logits" cap.h5 ema "$hub/flm.h5" >out 2>err
tap_is $? 1 "another cap gives other logits"
"$convert" cap.h5 cap.safetensors >out 2>err && "$convert" cap.safetensors again.h5 >out 2>err
tap_ok $? "to safetensors and back"
refused cap.safetensors 65 "--logit-cap 30 contradicts cap.safetensors, whose metadata say 20" "another cap than the file's" \
    --logit-cap 30
"$convert" --tokenizer none "$hub/flm/model.safetensors" path.h5 >out 2>err
tap_ok $? "the path of the weights works too"
mkdir plain && cp "$hub/flm/model.safetensors" plain && echo '{}' >plain/config.json
"$convert" --tokenizer none --length 8 plain plain.h5 >out 2>err && "$logits" plain.h5 ema "$hub/flm.h5" >out 2>err
tap_ok $? "an empty config.json, with options instead"
refused plain 2 "--length is needed" "an empty config.json without options" --tokenizer none

# A checkpoint of PyTorch Lightning: kind and length from its settings, averages from a list without names.
"$convert" --tokenizer none "$hub/fmlm.ckpt" ckpt.h5 >out 2>err
tap_ok $? "a .ckpt with the configuration of the training"
tap_has out "kind fmlm, step 77, 68 tensors with EMA weights; L 8, V 61, d 16, H 2, c 8, N 2" "has a kind and a length"
"$logits" ckpt.h5 ema "$hub/fmlm.h5" >out 2>err
tap_ok $? "its averages: $(head -n 1 out)"
"$logits" ckpt.h5 weights "$hub/fmlm.h5" >out 2>err
tap_is $? 1 "its raw weights are others"
refused "$hub/fmlm.ckpt" 65 "--length 9 contradicts" "another length than its settings" --tokenizer none --length 9
cp "$weights" alone.safetensors
refused alone.safetensors 2 "--kind is needed: alone.safetensors has a two-time network, which can be fmlm," "no settings" \
    --tokenizer none --length 8

# The any-order map has the same names.
changed 's/"name": "fmlm"/"name": "fmlm_plus"/'
"$convert" --tokenizer none changed any.h5 >out 2>err
tap_ok $? "settings of an any-order map"
tap_has out "kind fmlm-any-order, " "its kind is detected"
"$abs_top_builddir/flm_generate" --checkpoint any.h5 --out any-samples.h5 --samples 2 --steps 2 >out 2>err
tap_ok $? "flm_generate samples it"
"$convert" --tokenizer none --length 8 --kind fmlm-any-order alone.safetensors alone.h5 >out 2>err
tap_ok $? "without settings its kind is given"
mkdir segments && cp "$hub/fmlm/config.json" segments
with_header 's/^{/{"cond_seg_embed.weight":{"dtype":"F32","shape":[0,16],"data_offsets":[0,0]},/' segments/model.safetensors
refused segments 65 "cond_seg_embed.weight: an any-order flow map with a segment embedding is not supported" \
    "an embedding that is not part of the method" --tokenizer none

# Back to the layout of the hub: the weights of the released file bit for bit, and the same logits.
for kind in flm fmlm; do
    "$convert" --format hub $kind.h5 back-$kind >out 2>err
    tap_is "$? $(cat err) $(cd "back-$kind" && echo *)" "0  config.json model.safetensors" "$kind: to a folder of the hub"
    "$convert" back-$kind again-$kind.h5 >out 2>err
    tap_has out "kind $kind, step 0" "$kind: and back"
    "$logits" again-$kind.h5 ema "$hub/$kind.h5" >out 2>err
    tap_ok $? "$kind: the same logits"
    for folder in "$hub/$kind" back-$kind; do
        "$convert" --tokenizer none "$folder" whole.h5 >out 2>err && "$convert" --weights ema whole.h5 whole.safetensors >out 2>err
        od -An -tx4 -v -j 4096 whole.safetensors >"bytes-$(basename "$folder")"
    done
    cmp "bytes-$kind" "bytes-back-$kind"
    tap_ok $? "$kind: the same weights"
done
grep -q '"double_temb": true' back-fmlm/config.json && grep -q '"vocab_size": 61' back-fmlm/config.json
tap_ok $? "config.json has the settings"
"$convert" --format hub cap.h5 back-cap >out 2>err
tap_has err "the cap of the logits is 20, but the published code has the constant 30" "another cap: a warning"
tap_refused 2 "back-flm: exists and is not an empty folder" "a folder that is not empty" "$convert" --format hub flm.h5 back-flm
tap_refused 2 "--format hub: expected a checkpoint of the suite as INPUT" "a folder as input" "$convert" --format hub "$hub/flm" x
cp "$hub/flm/model.safetensors" solo.safetensors
"$convert" --tokenizer none --length 8 solo.safetensors raw.h5 >out 2>err
tap_refused 65 "has no EMA weights" "weights that are not there" "$convert" --format hub raw.h5 x
test ! -e x && test ! -e x.tmp
tap_ok $? "nothing is left"

refused "$hub/flm" 2 "--tokenizer is needed" "no tokeniser"
refused "$hub/flm" 65 "--length 9 contradicts" "another length" --tokenizer none --length 9
refused "$hub/flm" 65 "--heads 4 contradicts" "other heads" --tokenizer none --heads 4
refused "$hub/flm" 65 "has no second time embedding, so it is not of kind fmlm" "an FLM as a flow map" --tokenizer none --kind fmlm
refused "$hub/fmlm" 65 "has a second time embedding, so it is not of kind flm" "a flow map as an FLM" --tokenizer none --kind flm
refused "$hub/fmlm" 65 "V is 61, but tokeniser bytes has 257 tokens" "a tokeniser with more tokens" --tokenizer bytes
changed 's/"vocab_size": 61/"vocab_size": 64/'
refused changed 65 "changed/config.json: the vocabulary is 64, but that of changed/model.safetensors is 61" "another vocabulary" \
    --tokenizer none
changed 's/"vocab_size": 61/"vocab_size": 60/'
"$convert" --tokenizer none changed mask.h5 >out 2>err
tap_ok $? "a vocabulary without its mask token"
changed 's/"vocab_size": 61/"vocab_size": 61, "data": {"tokenizer_name_or_path": "openai-community\/gpt2"}/'
refused changed 65 "V is 61, but tokeniser gpt2 has 50258 tokens" "the tokeniser of config.json"
refused changed 65 "--tokenizer bytes contradicts changed/" "another tokeniser than that of config.json" --tokenizer bytes
"$convert" --tokenizer none changed decode.h5 >out 2>err
tap_ok $? "but the option can do without it"
changed 's/"vocab_size": 61/"vocab_size": 61, "data.tokenizer_name_or_path": "gpt2-large"/'
refused changed 65 "V is 61, but tokeniser gpt2 has 50258 tokens" "another model's name of the same tokeniser"
changed 's/"vocab_size": 61/"vocab_size": 61, "data.tokenizer_name_or_path": "acme\/words"/'
refused changed 2 "--tokenizer is needed: changed/config.json names the tokeniser words, which is not in this suite" "a tokeniser of others"
"$convert" --tokenizer none changed words.h5 >out 2>err
tap_ok $? "the option decides"
changed 's/"hidden_size": 16/"hidden_size": 32/'
refused changed 65 "the hidden size is 32, but" "another hidden size" --tokenizer none
changed 's/"name": "fmlm"/"name": "fmlm_plus"/'
"$convert" --tokenizer none changed plus.h5 >out 2>err
tap_has out "kind fmlm-any-order, " "an any-order map is known by the name of its training"
changed 's/"name": "fmlm"/"name": "dos"/'
"$convert" --tokenizer none changed dos.h5 >out 2>err
tap_has out "kind fmlm, " "another name: the released map"
changed 's/"length": 8/"length": "8"/'
refused changed 2 "--length is needed" "a length of text" --tokenizer none
tap_has err "changed/config.json: model.length is ignored, as it is not a positive integer" "the reason is logged"
"$convert" --tokenizer none --length 8 changed text.h5 >out 2>err
tap_ok $? "the option decides"
changed 's/"double_temb": true/"double_temb": false/'
refused changed 65 "algo.double_temb is false, but" "another number of times" --tokenizer none

changed 's/"n_blocks": 2/"n_blocks": 3/'
refused changed 65 "blocks.2.attn_qkv.weight, blocks.2.attn_out.weight, " "tensors are missing" --tokenizer none
tap_has err "blocks.2.adaLN_modulation.bias: are missing" "all of them are listed"
changed 's/"n_blocks": 2/"n_blocks": 1/'
refused changed 65 "blocks.1.adaLN_modulation.bias, blocks.1.adaLN_modulation.weight, " "surplus tensors" --tokenizer none
tap_has err "blocks.1.norm2.weight: are not parameters of an FLM or a flow map" "all of them are listed"
changed 's/"n_blocks": 2/"n_blocks": 1000000000000/'
refused changed 65 "the number of blocks is 1000000000000, must be at most 4096" "too many blocks" --tokenizer none
changed ''
with_header 's/"blocks.1.norm1.weight"/"blocks.1.norm3.weight"/' changed/model.safetensors
refused changed 65 "blocks.1.norm3.weight: is not a parameter of" "one surplus tensor" --tokenizer none
with_header 's/"blocks.1.norm1.weight"/"learnable_loss_weighting.mlp.0.bias"/' changed/model.safetensors
refused changed 65 "learnable_loss_weighting.mlp.0.bias: is not a parameter of fmlm" "one of another kind" --tokenizer none
with_header 's/"rotary_emb.inv_freq"/"other.rotary_emb.inv_freq"/' changed/model.safetensors
refused changed 65 "other.rotary_emb.inv_freq: is not a parameter of" "another buffer" --tokenizer none
with_header 's/"shape":\[48,16\]/"shape":[16,48]/' changed/model.safetensors
refused changed 65 "attn_qkv.weight: expected shape [48, 16], found [16, 48]" "a matrix transposed" --tokenizer none
rm changed/model.safetensors
refused changed 66 "changed: has config.json, but none of model.safetensors, " "no weights" --tokenizer none
tap_end
