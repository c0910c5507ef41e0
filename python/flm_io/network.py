"""The network of docs/model.md section 2 in PyTorch. The names of its weights are the published ones, as in checkpoints.

SPDX-License-Identifier: Apache-2.0
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

SOFTCAP = 50.0  # of attention scores


class TimeEmbedding(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, c), nn.SiLU(), nn.Linear(c, c))

    def forward(self, t):
        angle = t[..., None] * torch.exp(-math.log(10000) * torch.arange(128, dtype=t.dtype, device=t.device) / 128)
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1))


class Embedding(nn.Module):
    def __init__(self, V, d):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(V, d).uniform_(-1 / math.sqrt(d), 1 / math.sqrt(d)))


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Block(nn.Module):
    def __init__(self, d, heads, c, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1 = nn.LayerNorm(d, bias=False)
        self.attn_qkv = nn.Linear(d, 3 * d, bias=False)
        self.attn_out = nn.Linear(d, d, bias=False)
        self.norm2 = nn.LayerNorm(d, bias=False)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"), nn.Linear(4 * d, d))
        self.adaLN_modulation = nn.Linear(c, 6 * d)

    def attention(self, y, cos, sin):
        B, L, d = y.shape
        q, k, v = self.attn_qkv(y).view(B, L, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        scores = q @ k.transpose(-1, -2) / math.sqrt(d // self.heads)
        p = F.softmax(SOFTCAP * torch.tanh(scores / SOFTCAP), -1).to(v.dtype)
        return self.attn_out((p @ v).transpose(1, 2).reshape(B, L, d))

    def forward(self, x, cond, cos, sin):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(cond).chunk(6, -1)
        y = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * F.dropout(self.attention(y, cos, sin), self.dropout, self.training)
        y = self.norm2(x) * (1 + scale2) + shift2
        return x + gate2 * F.dropout(self.mlp(y), self.dropout, self.training)


class Head(nn.Module):
    def __init__(self, V, d, c):
        super().__init__()
        self.norm_final = nn.LayerNorm(d, bias=False)
        self.linear = nn.Linear(d, V)
        self.adaLN_modulation = nn.Linear(c, 2 * d)

    def forward(self, x, cond):
        shift, scale = self.adaLN_modulation(cond).chunk(2, -1)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class Weighting(nn.Module):
    """The network of the loss weights of kind fmlm-two-model (docs/model.md section 6)."""

    def __init__(self, c):
        super().__init__()
        self.s_embed = TimeEmbedding(c)
        self.mlp = nn.Sequential(nn.Linear(c, 128), nn.GELU(), nn.Linear(128, 1))

    def forward(self, s):
        return self.mlp(self.s_embed(s)).squeeze(-1)


class Network(nn.Module):
    """network(x, s): logits [B, L, V] of the embedded state x = state E [B, L, d] at times s [B]; of a two-time kind
    network(x, s, t). Logits are those before the cap: softmax is of cap(logits). For an any-order map `context` [B, L], true
    for known tokens, gives these the times (1, 1).
    """

    def __init__(self, V, L, d, heads, c, blocks, two_times=False, weighting=False, logit_cap=0.0, dropout=0.1):
        super().__init__()
        self.logit_cap = logit_cap
        self.vocab_embed = Embedding(V, d)
        self.sigma_map = TimeEmbedding(c)
        if two_times:
            self.sigma_map_prime = TimeEmbedding(c)
        self.blocks = nn.ModuleList(Block(d, heads, c, dropout) for _ in range(blocks))
        self.output_layer = Head(V, d, c)
        if weighting:
            self.learnable_loss_weighting = Weighting(c)
        h = d // heads
        angle = torch.arange(L)[:, None] / 10000 ** (torch.arange(0, h, 2) / h)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    @property
    def E(self):
        return self.vocab_embed.embedding

    def cap(self, logits):
        return self.logit_cap * torch.tanh(logits / self.logit_cap) if self.logit_cap > 0 else logits

    def condition(self, s, t=None):
        return F.silu(self.sigma_map(s) if t is None else self.sigma_map(s) + self.sigma_map_prime(t))

    def forward(self, x, s, t=None, context=None):
        if (t is None) == hasattr(self, "sigma_map_prime"):
            raise ValueError("expected network(x, s) of a one-time network, network(x, s, t) of a two-time one")
        cond = self.condition(s, t)[:, None]
        if context is not None:
            one = torch.ones_like(s)
            cond = torch.where(context[..., None], self.condition(one, one)[:, None], cond)
        length = x.shape[1]
        for block in self.blocks:
            x = block(x, cond, self.cos[:length], self.sin[:length])
        return self.output_layer(x, cond)
