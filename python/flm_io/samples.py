"""Samples files of flm_generate. hdf5-schemas/samples.schema; docs/files.md section 4. SPDX-License-Identifier: Apache-2.0"""
import numpy as np

from . import files
from .files import FormatError


class Samples:
    """Sets of samples by their setting ("steps_8", "steps_8_noise_0.8"): in, iter(), len() and [name] as a dict of ids [N, L].

    A set that is not complete, as flm_generate was interrupted, is refused unless `partial`: then missing rows are left out.
    """

    def __init__(self, path, partial=False):
        self.path, self.partial = str(path), partial
        with files.open_file(path, "samples") as file:
            self.file_attributes = files.attributes(file)
            self.names = [name for name in file if f"{name}/tokens" in file and name != "prompts"]

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)

    def __contains__(self, name):
        return name in self.names

    def _check(self, name):
        if name not in self.names:
            raise KeyError(f"{self.path}: no set {name!r}; it has {', '.join(self.names)}")

    def attributes(self, name):
        """The settings of a set, and its results: "gen_ppl", "entropy", ... where it was scored."""
        self._check(name)
        with files.open_file(self.path, "samples") as file:
            return files.attributes(file[name])

    def _rows(self, file, group, count):
        tokens = files.dataset(file, f"/{group}/tokens", (count, self.file_attributes["L"]), "<i4")
        return tokens, files.crc32c_rows(tokens) == files.dataset(file, f"/{group}/checksums", (count,), "<u4")

    def __getitem__(self, name):
        self._check(name)
        with files.open_file(self.path, "samples") as file:
            tokens, present = self._rows(file, name, self.file_attributes["samples"])
        if not present.all() and not self.partial:
            raise FormatError(f"{self.path}: /{name}/tokens: row {np.argmin(present)} is missing or damaged; "
                              "the same flm_generate command again writes missing rows")
        return tokens[present]

    def nll(self, name):
        """Of a scored set: sum of GPT-2's negative log-likelihoods of each text in nats, and the number of its positions."""
        self._check(name)
        with files.open_file(self.path, "samples") as file:
            shape = (self.file_attributes["samples"],)
            return files.dataset(file, f"/{name}/nll", shape, "<f8"), files.dataset(file, f"/{name}/positions", shape, "<i8")

    def prompts(self):
        """The prompts [P, L], -1 where the sampler filled in a token; None without prompts."""
        with files.open_file(self.path, "samples") as file:
            if "/prompts/tokens" not in file:
                return None
            tokens, present = self._rows(file, "prompts", file["/prompts/tokens"].shape[0])
        if not present.all():
            raise FormatError(f"{self.path}: /prompts/tokens: row {np.argmin(present)}: checksum mismatch (file damaged)")
        return tokens
