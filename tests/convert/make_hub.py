#!/usr/bin/env python3
"""make_hub.py FOLDER [--shape small|lm1b|owt] - released FLM and FMLM networks as the hub stores them, with random weights.

FOLDER/flm and FOLDER/fmlm have config.json with the training configuration as the hub's model mixin writes it (nested in the
one, joined by dots under "config" in the other) and model.safetensors: names without prefix, with the buffer
rotary_emb.inv_freq. FOLDER/fmlm.ckpt is the small flow map as PyTorch Lightning saves it, with averages in a list and the
configuration. FOLDER/flm.h5 and FOLDER/fmlm.h5 are for tests/convert/logits: /flm_loss has embedded states, times, and the
capped logits of the network of python/flm_io; /sample has noise and the tokens that a sampler with states of V numbers
a token makes of it (docs/model.md sections 8 and 9.3). The noise is stored as xi = x0 E R^-T (section 4), and tokens have the
margin of their score, so that one that rounding decides is not compared. Everything is computed in fp64.

The golden files have the shape small. The others are those of the released networks, for a comparison by hand:
    make_hub.py big --shape lm1b; flm_convert --tokenizer none big/fmlm fmlm.h5; tests/convert/logits fmlm.h5 ema big/fmlm.h5
Needs torch, safetensors and h5py (used with torch 2.15.0); not run by the build or by make check.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import math
import os
import sys

import h5py
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../python"))
from flm_io.network import Network  # noqa: E402
from flm_io.objective import Gamma  # noqa: E402

SHAPES = {"small": (61, 8, 16, 2, 8, 2, 3, 0.1), "lm1b": (30522, 128, 768, 12, 128, 12, 2, 0.03),
          "owt": (50258, 1024, 768, 12, 128, 12, 1, 0.03)}  # V, L, d, H, c, N, batch, size of the random changes
CAP = 30.0
SETTINGS = {"flm": ((1, 0), (4, 0), (16, 0)), "fmlm": ((1, 0), (2, 0), (4, 0), (2, 0.8), (4, 0.8), (4, 1))}  # steps, G
FRESH = 3  # fresh noises: one less than the steps of settings with G


def capped_logits(network, x, t, t_end):
    """x [B, L, d], t and t_end [B]; t_end None for one time"""
    return network.cap(network(x, t, t_end))


def sample(network, kind, gamma, state, fresh, steps, level):
    """state [B, L, V]; the capped logits of the last step"""
    all_of = torch.ones(len(state))
    for i in range(steps):
        now, then = gamma(i / steps), gamma((i + 1) / steps)
        sigma = 1 - then
        rest = sigma * math.sqrt(1 - level**2)
        to = 1 - rest
        tau = (i + 1) / steps if level == 0 else gamma.alpha(to)
        t_end = all_of * tau if kind == "fmlm" else None
        z = capped_logits(network, state @ network.E, all_of * (i / steps), t_end)
        if i == steps - 1:
            return z
        p = torch.softmax(z, -1)
        if kind == "flm":
            state = state + (then - now) * (p - state) / (1 - now + 1e-5)
        else:
            state = (1 - to) / (1 - now) * state + ((to - now) / (1 - now) + rest - sigma) * p
            state += level * sigma * fresh[i]


def make_network(kind, shape, seed):
    V, L, d, H, c, N, B, size = shape
    torch.manual_seed(seed)
    network = Network(V, L, d, H, c, N, two_times=kind == "fmlm", logit_cap=CAP).eval()
    for p in network.parameters():
        p.add_(size * torch.randn_like(p))
    network.output_layer.linear.weight.mul_(80 / math.sqrt(d))  # logits beyond the cap
    for p in network.parameters():
        p.copy_(p.float())  # exact in fp32
    return network


def write_folder(folder, kind, network, shape):
    V, L, d, H, c, N, B, _ = shape
    os.makedirs(f"{folder}/{kind}", exist_ok=True)
    weights = {n: p.detach().float().contiguous() for n, p in network.named_parameters()}
    weights["rotary_emb.inv_freq"] = (1.0 / 10000 ** (torch.arange(0, d // H, 2) / (d // H))).float()
    save_file(weights, f"{folder}/{kind}/model.safetensors", metadata={"format": "pt"})
    os.chmod(f"{folder}/{kind}/model.safetensors", 0o644)
    model = {"name": "small", "type": "ddit", "hidden_size": d, "cond_dim": c, "length": L, "n_blocks": N, "n_heads": H,
             "dropout": 0.1}
    nested = {"config": {"algo": {"name": kind, "double_temb": kind == "fmlm"}, "model": model}, "vocab_size": V}
    dotted = {"algo.name": kind, "algo.double_temb": False, "vocab_size": V, **{f"model.{k}": v for k, v in model.items()}}
    with open(f"{folder}/{kind}/config.json", "w") as f:
        json.dump(nested if kind == "fmlm" else dotted, f, indent=2, sort_keys=True)
        f.write("\n")
    if kind == "fmlm" and V < 1000:
        write_checkpoint(f"{folder}/fmlm.ckpt", network, nested)


def write_checkpoint(path, network, settings):
    """A checkpoint of PyTorch Lightning: other weights in state_dict, those of the network as averages without names."""
    state = {"backbone." + n: torch.randn_like(p).half() for n, p in network.named_parameters()}
    averages = [p.detach().float() for p in network.parameters()]
    torch.save({"global_step": 77, "pytorch-lightning_version": "2.2.1", "state_dict": state, "hyper_parameters": settings,
                "ema": {"decay": 0.9999, "num_updates": 77, "shadow_params": averages}}, path)


def write_logits(f, kind, network, shape):
    V, L, d, H, c, N, B, _ = shape
    t, t_end, x = torch.rand(B).float().double(), torch.rand(B).float().double(), torch.randn(B, L, d).float().double()
    t_end = torch.maximum(t, t_end) if kind == "fmlm" else None
    z = capped_logits(network, x, t, t_end)
    print(kind, "largest capped logit", z.abs().max().item(), "median", z.abs().median().item())
    f["/flm_loss/inputs/t"] = t.numpy().astype("f4")
    if kind == "fmlm":
        f["/flm_loss/inputs/t_end"] = t_end.numpy().astype("f4")
    f["/flm_loss/expected/embedded"] = x.numpy().astype("f4")
    f["/flm_loss/expected/capped_logits"] = z.numpy().astype("f4")


def write_samples(f, kind, network, shape):
    V, L, d, H, c, N, B, _ = shape
    E = network.E
    gram = E.T @ E
    R = torch.linalg.cholesky(gram + 1e-10 * gram.trace() / d * torch.eye(d))
    noise = [torch.randn(B, L, V) for _ in range(1 + FRESH)]
    xi = [torch.linalg.solve_triangular(R, (x @ E).reshape(-1, d).T, upper=False).T.reshape(B, L, d) for x in noise]
    gamma, tokens, margins = Gamma(V), [], []
    for steps, level in SETTINGS[kind]:
        z = sample(network, kind, gamma, noise[0], noise[1:], steps, level)
        best = z.topk(2, -1)
        tokens.append(best.indices[..., 0])
        margins.append(best.values[..., 0] - best.values[..., 1])
        print(kind, steps, "steps, G", level, "smallest margin", margins[-1].min().item(), "tokens", len(tokens[-1].unique()))
    f["/sample/inputs/steps"], f["/sample/inputs/noise_level"] = zip(*SETTINGS[kind])
    f["/sample/inputs/xi"] = torch.stack(xi).numpy().astype("f4")  # initial noise, then that of steps 0, 1, ...
    f["/sample/expected/tokens"] = torch.stack(tokens).numpy().astype("i4")
    f["/sample/expected/margin"] = torch.stack(margins).numpy().astype("f4")


@torch.no_grad()
def make(folder, kind, shape, seed):
    network = make_network(kind, shape, seed)
    write_folder(folder, kind, network, shape)
    with h5py.File(f"{folder}/{kind}.h5", "w", libver="earliest") as f:
        f.attrs["batch"] = shape[6]
        write_logits(f, kind, network, shape)
        write_samples(f, kind, network, shape)


parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--shape", choices=SHAPES, default="small")
options = parser.parse_args()
torch.set_default_dtype(torch.float64)
for number, name in enumerate(("flm", "fmlm")):
    make(options.folder, name, SHAPES[options.shape], number)
