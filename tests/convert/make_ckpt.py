#!/usr/bin/env python3
"""make_ckpt.py GOLDEN.h5 FOLDER [VOCABULARY] - PyTorch checkpoints with the published names and a golden file's weights.

plain.ckpt: state_dict under "backbone.". ema.ckpt: as a compiled run saves it: names with "_orig_mod.", other values in
state_dict, the golden ones in ema.shadow_params (a list without names), settings as objects of omegaconf. Both have the
buffer rotary_emb.inv_freq. With VOCABULARY, the folder of GPT-2's vocabulary, also tokenizer.ckpt, which holds a
tokeniser as published checkpoints do. wrapped.ckpt: prefixes of several wrappers, other values in
state_dict in fp16, the golden ones as a tuple in ema, in fp64 and with the axes of matrices in the other order. Used with
torch 2.6.0 (wrapped.ckpt: 2.15.0; the shards pytorch_model-*.bin and their index: pytorch_model.bin, the first half of its
tensors and the others, saved by the same); not run by the build or by make check.
SPDX-License-Identifier: Apache-2.0
"""
import collections
import sys

import h5py
import torch

golden = h5py.File(sys.argv[1], "r")
heads, d = int(golden.attrs["n_heads"]), int(golden.attrs["hidden_size"])
weights = {name: torch.tensor(value[()]) for name, value in golden["weights/flm"].items()}
order = ["vocab_embed.embedding"] + [f"sigma_map.mlp.{i}.{p}" for i in (0, 2) for p in ("weight", "bias")]
order += ["rotary_emb.inv_freq"]
for b in range(int(golden.attrs["n_blocks"])):
    order += [f"blocks.{b}.{p}" for p in ("norm1.weight", "attn_qkv.weight", "attn_out.weight", "norm2.weight", "mlp.0.weight",
                                         "mlp.0.bias", "mlp.2.weight", "mlp.2.bias", "adaLN_modulation.weight",
                                         "adaLN_modulation.bias")]
order += [f"output_layer.{p}" for p in ("norm_final.weight", "linear.weight", "linear.bias", "adaLN_modulation.weight",
                                        "adaLN_modulation.bias")]
assert sorted(order) == sorted(list(weights) + ["rotary_emb.inv_freq"]), sorted(set(order) ^ set(weights))
buffer = 1.0 / 10000 ** (torch.arange(0, d // heads, 2).float() / (d // heads))
torch.manual_seed(1)


def state(prefix, value):
    out = collections.OrderedDict((prefix + n, buffer if n == "rotary_emb.inv_freq" else value(n)) for n in order)
    out._metadata = collections.OrderedDict(version=1)
    return out


common = {"epoch": 3, "global_step": 1234, "pytorch-lightning_version": "2.2.1", "loops": {"fit_loop": {"x": [1, 2.5, None]}}}
torch.save({**common, "state_dict": state("backbone.", lambda n: weights[n])}, sys.argv[2] + "/plain.ckpt")
other = {n: torch.nn.Parameter(torch.randn_like(w)) for n, w in weights.items()}
ema = {"decay": 0.9999, "num_updates": 1234, "shadow_params": [weights[n] for n in order if n in weights]}
wrapped = collections.OrderedDict((("module.model." if "blocks" in n else "module._orig_mod.model.") + "backbone._fsdp_wrapped_module." + n,
                                   buffer if n == "rotary_emb.inv_freq" else other[n].detach().half()) for n in order)
turned = [weights[n].double().t().contiguous().t() if weights[n].dim() == 2 else weights[n].double() for n in order if n in weights]
torch.save({**common, "model_state_dict": wrapped, "ema": {"decay": 0.9999, "shadow_params": tuple(turned)}},
           sys.argv[2] + "/wrapped.ckpt")
settings = {}
try:
    from omegaconf import OmegaConf
    settings = OmegaConf.create({"algo": {"name": "flm", "double_temb": False}, "data": {"tokenizer_name_or_path": "none-of-ours"},
                                 "model": {"length": int(golden.attrs["length"]), "n_heads": heads}, "list": [1, "a", None],
                                 "seed": "${model.length}"})
except ImportError:
    sys.exit("omegaconf is needed")
optimizer = [{"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.randn(4, 3).t()}}, "param_groups": [{"lr": 3e-4}]}]
saved = {**common, "state_dict": state("backbone._orig_mod.", lambda n: other[n].detach()), "ema": ema,
         "hyper_parameters": {"config": settings}, "optimizer_states": optimizer}
torch.save(saved, sys.argv[2] + "/ema.ckpt")
if len(sys.argv) > 3:
    from transformers import GPT2TokenizerFast
    saved["hyper_parameters"]["tokenizer"] = GPT2TokenizerFast(sys.argv[3] + "/vocab.json", sys.argv[3] + "/merges.txt")
    torch.save(saved, sys.argv[2] + "/tokenizer.ckpt")
