"""gamma(t) and the loss of a flow language model (docs/model.md sections 3 and 5), in PyTorch.

SPDX-License-Identifier: Apache-2.0
"""
import functools
import math

import torch
import torch.nn.functional as F


class Gamma:
    """gamma and its inverse alpha for a vocabulary of V: the integral by the trapezoidal rule, its inverse by bisection."""

    def __init__(self, V):
        self.V, self.w = V, torch.linspace(-14, 14, 40001, dtype=torch.float64)
        self.phi = torch.exp(-self.w**2 / 2) / math.sqrt(2 * math.pi)

    def alpha(self, g):
        if g >= 1:
            return 1.0
        P = torch.exp((self.V - 1) * torch.special.log_ndtr(self.w + g / (1 - g)))
        return (self.V * torch.trapezoid(self.phi * P, self.w).item() - 1) / (self.V - 1)

    def __call__(self, t):
        if t <= 0 or t >= 1:
            return float(t > 0)
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.alpha(middle) < t else (low, middle)
        return (low + high) / 2


@functools.lru_cache(maxsize=None)
def gamma_of(V):
    return Gamma(V)


def gamma(t, V):
    """gamma of times [B], in fp64."""
    return torch.tensor([gamma_of(V)(value) for value in t.tolist()], dtype=torch.float64)


def flm_loss(network, tokens, t, noise):
    """The training loss of an FLM: mean over B L of -log softmax(cap(logits)) of the token.

    tokens [B, L] int64; t [B] fp64 in (0, 1); noise x0 [B, L, V], or x0 E [B, L, d] where the suite draws it (section 4).
    """
    E = network.E
    g = gamma(t, E.shape[0]).to(E.device, E.dtype)[:, None, None]
    embedded = noise @ E if noise.shape[-1] == E.shape[0] else noise
    logits = network((1 - g) * embedded + g * E[tokens], t.to(E.device, E.dtype))
    return F.cross_entropy(network.cap(logits).flatten(0, 1), tokens.flatten())
