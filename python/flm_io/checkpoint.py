"""Checkpoints. hdf5-schemas/checkpoint.schema; docs/files.md section 3. SPDX-License-Identifier: Apache-2.0"""
import os

import numpy as np

from . import files
from .files import FormatError

BLOCK = 4 << 20  # bytes of which a checksum is kept
RENAMED = {"flow-map-1": "fmlm-two-model", "flow-map-2": "fmlm-two-stage"}  # names of version 0.1
SETS = {"ema": "/ema", "raw": "/weights", "m": "/optimizer/m", "v": "/optimizer/v"}


class Checkpoint:
    """A checkpoint of any kind: a file, or of a run directory the newest one.

    attributes: those of the file (kind, V, L, d, H, c, N, ...); progress: step, seed, ...; config: the options, as text.
    """

    def __init__(self, path):
        path = str(path)
        if os.path.isdir(path):
            latest = os.path.join(path, "checkpoints", "latest")
            path = latest if os.path.exists(latest) else os.path.join(path, "latest")
        self.path = os.path.realpath(path)
        with files.open_file(self.path, "checkpoint") as file:
            self.attributes = files.attributes(file)
            self.progress = files.attributes(file["/progress"])
            self.config = files.attributes(file["/config"])
        self.kind = RENAMED.get(self.attributes["kind"], self.attributes["kind"])
        self.logit_cap = self.attributes.get("logit_cap", 0.0)

    def weights(self, which="ema"):
        """{name: float32 array} of the set "ema", "raw", or "m", "v" of the optimiser; checksums are verified."""
        group = SETS[which]
        with files.open_file(self.path, "checkpoint") as file:
            if group not in file:
                raise FormatError(f"{self.path}: {group}: no such group")
            return {name: self._verified(file, f"{group}/{name}") for name in file[group]}

    def _verified(self, file, path):
        data = files.dataset(file, path, dtype="<f4")
        sums = np.atleast_1d(files.attribute(file[path], "crc32c", np.empty(0)))
        parts = data.reshape(-1).view(np.uint8)
        found = [files.crc32c(parts[k:k + BLOCK]) for k in range(0, parts.size, BLOCK)]
        if list(sums) != found:
            raise FormatError(f"{self.path}: {path}: checksum mismatch (file damaged)")
        return data

    def network(self, which="ema"):
        """The network as a torch.nn.Module in evaluation mode (flm_io.Network)."""
        import torch

        from .network import Network
        if self.kind == "gpt2":
            raise FormatError(f"{self.path}: is a GPT-2, whose weights are those of transformers' GPT2LMHeadModel: "
                              "use weights()")
        a = self.attributes
        network = Network(a["V"], a["L"], a["d"], a["H"], a["c"], a["N"], two_times=self.kind != "flm",
                          weighting=self.kind == "fmlm-two-model", logit_cap=self.logit_cap)
        state = {name: torch.from_numpy(data) for name, data in self.weights(which).items()}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise FormatError(f"{self.path}: {error}") from None
        return network.eval()
