#!/usr/bin/env python3
"""peer_torch.py - the training step and the sampler of docs/model.md in plain PyTorch, for comparison with bench_train.

The network, the loss, AdamW with clipping, and the average of the weights are those of an FLM (sections 2 to 5 and 8) or, with
--objective fmlm-any-order, of an any-order map trained from data (section 10), both without a cap of logits, computed as
PyTorch users would: noise, states and logits of V numbers per token, bf16 autocast, scores of attention in memory (PyTorch's
fused attention has no capped scores). The network is that of python/flm_io. --compile adds torch.compile.
Prints one JSON object; `make bench-peer` runs it in turn with bench_train. SPDX-License-Identifier: Apache-2.0
"""
import argparse
import copy
import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../python"))
from flm_io.network import Network  # noqa: E402

PRESETS = {"small": (768, 12, 128, 12), "tiny": (128, 4, 64, 4)}  # d, H, c, N


class Peer(nn.Module):
    def __init__(self, *shape, two_times=False):
        super().__init__()
        self.network = Network(*shape, two_times=two_times)

    def forward(self, state, *times, context=None):
        """state [B, L, V], or embedded [B, L, d] -> logits [B, L, V]"""
        E = self.network.E
        return self.network(state @ E if state.shape[-1] == E.shape[0] else state, *times, context=context)


def states(tokens, g, V):
    """(1-g) x0 + g onehot [B, L, V], g [B, L, 1]"""
    state = (1 - g) * torch.randn(*tokens.shape, V)
    return state.scatter_add_(2, tokens[..., None], g.expand(*tokens.shape, 1).contiguous())


def stratified(B):
    return (torch.rand(B) + torch.randperm(B)) / B


def flm_loss(forward, E, tokens, V):
    t = stratified(tokens.shape[0])
    state = states(tokens, t[:, None, None], V)  # t stands for gamma(t), whose cost is nothing beside the rest
    with torch.autocast("cpu", torch.bfloat16):
        logits = forward(state, t)
    return F.cross_entropy(logits.reshape(-1, V).float(), tokens.reshape(-1))


def any_order_loss(forward, E, tokens, V):
    """Every second sequence is on the diagonal; the others' targets are their own jumps over the middle."""
    B = tokens.shape[0]
    context = torch.rand(tokens.shape) < stratified(B)[:, None]
    d = stratified(B)
    s, jump = stratified(B) * (1 - d), torch.arange(B) % 2 == 1
    s, t = torch.where(jump, s, stratified(B)), torch.where(jump, s + d, 0)
    t = torch.where(jump, t, s)
    with torch.autocast("cpu", torch.bfloat16):
        x = states(tokens, torch.where(context, 1.0, s[:, None])[..., None], V) @ E
        with torch.no_grad():
            known, sj, tj = context[jump], s[jump], t[jump]
            u = (sj + tj) / 2
            first = F.softmax(forward(x[jump], sj, u, context=known).float(), -1)
            k = ((u - sj) / (1 - sj))[:, None, None]
            middle = torch.where(known[..., None], x[jump], (1 - k) * x[jump] + k * (first @ E))
            second = F.softmax(forward(middle, u, tj, context=known).float(), -1)
            share = ((1 - tj) / (2 - sj - tj))[:, None, None]
            target = first.mul_(share).add_(second.mul_(1 - share))
        logits = forward(x, s, t, context=context)
    active, of_data = ~context, ~jump
    loss = F.cross_entropy(logits[of_data][active[of_data]].float(), tokens[of_data][active[of_data]], reduction="sum")
    loss += F.cross_entropy(logits[jump][active[jump]].float(), target[active[jump]], reduction="sum")
    return loss / active.sum().clamp(min=1)


class Trainer:
    def __init__(self, network, compiled, loss):
        self.loss = loss
        self.network, self.average = network, copy.deepcopy(network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, betas=(0.9, 0.999), weight_decay=0.0, fused=True)
        self.forward = torch.compile(network) if compiled else network

    def step(self, tokens, V):
        loss = self.loss(self.forward, self.network.network.E, tokens, V)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1e-4)
        return loss.item()


@torch.no_grad()
def sample(forward, B, L, V, steps, two_times):
    state = torch.randn(B, L, V)
    for i in range(steps):
        now, then = i / steps, (i + 1) / steps
        with torch.autocast("cpu", torch.bfloat16):
            logits = forward(state, *(torch.full((B,), time) for time in ((now, then) if two_times else (now,))))
        p = F.softmax(logits.float(), -1)
        if i < steps - 1:
            state.add_(p.sub_(state), alpha=(then - now) / (1 - now + 1e-5))
    return p.argmax(-1)


def median(values):
    return sorted(values)[len(values) // 2]


def timed(runs, f):
    f()  # also compiles
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        f()
        seconds.append(time.perf_counter() - begin)
    return seconds


def main():
    p = argparse.ArgumentParser(description="a training step and sampling in plain PyTorch on the CPU")
    p.add_argument("--objective", choices=("flm", "fmlm-any-order"), default="flm")
    p.add_argument("--preset", choices=PRESETS, default="small")
    p.add_argument("--vocabulary", type=int, default=30522)
    p.add_argument("--length", type=int, default=128)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--sample-steps", type=int, default=4)
    p.add_argument("--compile", action="store_true")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    any_order = o.objective == "fmlm-any-order"
    network = Peer(o.vocabulary, o.length, *PRESETS[o.preset], two_times=any_order)
    trainer = Trainer(network, o.compile, any_order_loss if any_order else flm_loss)
    tokens = torch.randint(o.vocabulary, (o.batch, o.length))
    train = timed(o.runs, lambda: trainer.step(tokens, o.vocabulary))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network.eval()
    draw = timed(o.runs, lambda: sample(trainer.forward, o.batch, o.length, o.vocabulary, o.sample_steps, any_order))
    count = o.batch * o.length
    print(json.dumps({"record": "peer", "torch": torch.__version__, "objective": o.objective, "compiled": o.compile, "threads": o.threads,
                      "step_seconds": train, "tokens_per_second": count / median(train), "memory_gib": memory / 2**20,
                      "sample_seconds": draw, "samples_tokens_per_second": count / median(draw)}))


if __name__ == "__main__":
    main()
