#!/usr/bin/env python3
"""make_hub.py FOLDER - released FLM and FMLM networks as the hub stores them, small and with random weights.

FOLDER/flm and FOLDER/fmlm have config.json with the training configuration as the hub's model mixin writes it (nested in the
one, joined by dots under "config" in the other) and model.safetensors: names without prefix, with the buffer
rotary_emb.inv_freq. FOLDER/flm.h5 and FOLDER/fmlm.h5 have embedded states, times, and the capped logits of the network of
bench/peer_torch.py. Needs torch, safetensors and h5py (used with torch 2.15.0); not run by the build or by make check.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import sys

import h5py
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
from peer_torch import Network, TimeEmbedding  # noqa: E402

V, L, D, H, C, N, B, CAP = 61, 8, 16, 2, 8, 2, 3, 30.0
PARTS = {"qkv": "attn_qkv", "out": "attn_out", "up": "mlp.0", "down": "mlp.2", "modulation": "adaLN_modulation"}
OUTER = {"embedding": "vocab_embed.embedding", "norm.weight": "output_layer.norm_final.weight"}


def published(name):
    if name in OUTER:
        return OUTER[name]
    first, rest = name.split(".", 1)
    if first == "blocks":
        block, part, leaf = rest.split(".")
        return f"blocks.{block}.{PARTS.get(part, part)}.{leaf}"
    return {"time": "sigma_map.", "time_end": "sigma_map_prime.", "head": "output_layer.linear.",
            "modulation": "output_layer.adaLN_modulation."}[first] + rest


@torch.no_grad()
def make(folder, kind, seed):
    torch.manual_seed(seed)
    network = Network(V, L, D, H, C, N).eval()
    if kind == "fmlm":
        network.time_end = TimeEmbedding(C)
    for p in network.parameters():
        p.add_(0.1 * torch.randn_like(p))
    network.head.weight.mul_(20)  # logits beyond the cap
    t, t_end, x = torch.rand(B), torch.rand(B), torch.randn(B, L, D)
    if kind == "fmlm":
        t_end = torch.maximum(t, t_end)
    time = network.time(t) + network.time_end(t_end) if kind == "fmlm" else network.time(t)
    cond, y = F.silu(time), x
    for block in network.blocks:
        y = block(y, cond, network.cos, network.sin)
    shift, scale = network.modulation(cond)[:, None].chunk(2, -1)
    z = network.head(network.norm(y) * (1 + scale) + shift)
    print(kind, "largest logit", z.abs().max().item(), "median", z.abs().median().item())
    os.makedirs(f"{folder}/{kind}", exist_ok=True)
    weights = {published(n): p.detach().contiguous() for n, p in network.named_parameters()}
    weights["rotary_emb.inv_freq"] = 1.0 / 10000 ** (torch.arange(0, D // H, 2).float() / (D // H))
    save_file(weights, f"{folder}/{kind}/model.safetensors", metadata={"format": "pt"})
    os.chmod(f"{folder}/{kind}/model.safetensors", 0o644)
    model = {"name": "small", "type": "ddit", "hidden_size": D, "cond_dim": C, "length": L, "n_blocks": N, "n_heads": H,
             "dropout": 0.1}
    nested = {"config": {"algo": {"name": kind, "double_temb": kind == "fmlm"}, "model": model}, "vocab_size": V}
    dotted = {"algo.name": kind, "algo.double_temb": False, "vocab_size": V, **{f"model.{k}": v for k, v in model.items()}}
    with open(f"{folder}/{kind}/config.json", "w") as f:
        json.dump(nested if kind == "fmlm" else dotted, f, indent=2, sort_keys=True)
        f.write("\n")
    with h5py.File(f"{folder}/{kind}.h5", "w", libver="earliest") as f:
        f.attrs["batch"] = B
        f["/flm_loss/inputs/t"] = t.numpy()
        if kind == "fmlm":
            f["/flm_loss/inputs/t_end"] = t_end.numpy()
        f["/flm_loss/expected/embedded"] = x.numpy()
        f["/flm_loss/expected/capped_logits"] = (CAP * torch.tanh(z / CAP)).numpy()


for number, name in enumerate(("flm", "fmlm")):
    make(sys.argv[1], name, number)
