"""The suite's files in Python: shards, samples, checkpoints. docs/files.md describes them, python/README.md this package.

PyTorch is imported only by what needs it: ShardDataset, Network, Checkpoint.network, flm_loss, gamma. SPDX-License-Identifier: Apache-2.0
"""
import importlib

from .checkpoint import Checkpoint
from .files import FormatError, crc32c
from .samples import Samples
from .shards import Shards, pack, write_shards

__version__ = "0.2.0"
__all__ = ["Checkpoint", "FormatError", "Network", "Samples", "ShardDataset", "Shards", "crc32c", "flm_loss", "gamma", "pack",
           "write_shards"]
_WITH_TORCH = {"Network": "network", "ShardDataset": "data", "flm_loss": "objective", "gamma": "objective"}


def __getattr__(name):
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("." + _WITH_TORCH[name], __name__), name)
