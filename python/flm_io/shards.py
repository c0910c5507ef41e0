"""Shard directories: token rows to train on. hdf5-schemas/shard.schema, index.schema; docs/files.md section 1.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os

import numpy as np

from . import files
from .files import FormatError

VOCABULARY = ("tokenizer", "tokenizer_sha256", "V", "begin_id", "end_id")
PROGRAM = "0.2.0 (flm_io)"


class Shards:
    """The rows of one split, as an array that is read on demand: len(), [i], [a:b] and [indices] give ids in int64.

    folder: made by flm_shard or write_shards. verify: check the checksum of every row that is read.
    """

    def __init__(self, folder, split="train", verify=True):
        self.folder, self.split, self.verify = str(folder), split, verify
        with files.open_file(os.path.join(self.folder, "index.h5"), "index") as index:
            group = f"/splits/{split}"
            if group not in index:
                raise FormatError(f"{self.folder}: no split {split!r}; it has {', '.join(index['/splits'])}")
            self.attributes = files.attributes(index)
            names = [n.decode() for n in files.dataset(index, f"{group}/file")]
            rows = files.dataset(index, f"{group}/rows")
            self._sums = files.dataset(index, f"{group}/checksum", dtype="<u4")
        self.names, self.length, self.V = names, self.attributes["L"], self.attributes["V"]
        self._first = np.concatenate([[0], np.cumsum(rows)])
        self._open = {}  # file number -> (memory map of the rows, their checksums)

    def __len__(self):
        return int(self._first[-1])

    def __getstate__(self):  # to a worker of a DataLoader: it opens the files itself
        return {**self.__dict__, "_open": {}}

    def _shard(self, number):
        if number not in self._open:
            path, rows = os.path.join(self.folder, self.names[number]), int(self._first[number + 1] - self._first[number])
            with files.open_file(path, "shard") as shard:
                kind = np.dtype("<u2" if self.V <= 65536 else "<u4")
                sums = files.dataset(shard, "/checksums", (rows,), "<u4")
                if files.crc32c(sums) != self._sums[number]:
                    raise FormatError(f"{path}: /checksums: differ from the index (file damaged); rebuild it with flm_shard")
                tokens = shard["/tokens"] if "/tokens" in shard else None
                if tokens is None or tokens.shape != (rows, self.length) or tokens.dtype != kind:
                    raise FormatError(f"{path}: /tokens: expected {kind} [{rows}, {self.length}]")
                place = tokens.id.get_offset()
                if place is None:
                    raise FormatError(f"{path}: /tokens: not contiguous")
            tokens = np.memmap(path, kind, "r", place, (rows, self.length)) if rows else np.empty((0, self.length), kind)
            self._open[number] = tokens, sums
        return self._open[number]

    def __getitem__(self, index):
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        wanted = np.atleast_1d(np.asarray(index, dtype=np.int64))
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"{self.folder}: row {index} of {len(self)}")
        out = np.empty((wanted.size, self.length), dtype=np.int64)
        number = np.searchsorted(self._first, wanted, side="right") - 1
        for shard in np.unique(number):
            tokens, sums = self._shard(int(shard))
            here = number == shard
            rows = wanted[here] - self._first[shard]
            ids = tokens[rows]
            if self.verify:
                bad = rows[files.crc32c_rows(ids) != sums[rows]]
                if bad.size:
                    raise FormatError(f"{os.path.join(self.folder, self.names[shard])}: /tokens: row {bad[0]}: checksum mismatch "
                                      "(file damaged); rebuild it with flm_shard")
            out[here] = ids
        return out if np.ndim(index) else out[0]


def pack(documents, length, begin, end):
    """Rows [n, length] as flm_shard cuts them: the ids of all documents, each followed by `end`, in pieces of length - 2
    between `begin` and `end`; what does not fill a row is dropped. documents: iterable of sequences of ids."""
    stream = np.concatenate([np.append(np.asarray(ids, dtype=np.int64), end) for ids in documents] or [np.empty(0, np.int64)])
    pieces = stream[:stream.size // (length - 2) * (length - 2)].reshape(-1, length - 2)
    rows = np.full((len(pieces), length), end, dtype=np.int64)
    rows[:, 0], rows[:, 1:-1] = begin, pieces
    return rows


def write_shards(folder, splits, tokenizer="bytes", like=None, corpus="text", documents=None, shard_rows=1 << 20):
    """Write rows of token ids as a shard directory, which the programs read like one of flm_shard.

    splits: {"train": [n, L] integers, "valid": ...}, whole rows with begin and end ids. like: a shard directory that has the
    tokeniser of the ids; without it they are those of `tokenizer` "bytes". documents: {"train": number}, for information.
    The folder must be new or empty. index.h5 is written last: without it the directory is not read.
    """
    if like is not None:
        vocabulary = {name: Shards(like).attributes[name] for name in VOCABULARY}
    elif tokenizer == "bytes":
        vocabulary = dict(zip(VOCABULARY, ("bytes", hashlib.sha256(b"bytes").hexdigest(), 257, 256, 256)))
    else:
        raise ValueError(f"tokenizer {tokenizer!r}: name shards that have it: like=FOLDER")
    splits = {name: np.asarray(rows) for name, rows in splits.items()}
    lengths = {rows.shape[1:] for rows in splits.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1 or "train" not in splits:
        raise ValueError("expected a split \"train\", and rows [n, L] of one length")
    for name, rows in splits.items():
        if rows.size == 0 or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= vocabulary["V"]:
            raise ValueError(f"{name}: expected rows of integers in 0..{vocabulary['V'] - 1}")
    os.makedirs(folder, exist_ok=True)
    if os.listdir(folder):
        raise FileExistsError(f"{folder}: exists and is not empty")
    common = {"format_version": 1, "program_version": PROGRAM, **vocabulary, "L": lengths.pop()[0], "corpus": corpus,
              "documents": "line", "group_docs": 0}
    inputs = _manifest(splits)
    columns = {name: _write_split(folder, name, rows, shard_rows, common, inputs) for name, rows in splits.items()}
    temporary = os.path.join(folder, ".index.h5.tmp")
    with files.create_file(temporary) as index:
        files.set_attributes(index, {"format": "flm-index", **common})
        _write_inputs(index, inputs)
        for name, (names, rows, sums) in columns.items():
            group = f"/splits/{name}"
            for leaf, data in (("file", names), ("rows", rows), ("checksum", sums)):
                files.create_dataset(index, f"{group}/{leaf}", data)
            total = files.crc32c(names.tobytes() + rows.tobytes() + sums.tobytes())
            files.set_attributes(index[group], {"crc32c": total, "rows": int(rows.sum()), "shards": len(rows),
                                                "documents": (documents or {}).get(name, 0), "dropped": 0})
    files.commit(temporary, os.path.join(folder, "index.h5"))


def _manifest(splits):
    """What stands for the input files: the arrays."""
    names = np.array([f"array {name}".encode() for name in splits], dtype="S256")
    sizes = np.array([rows.nbytes for rows in splits.values()], dtype="<i8")
    digests = [hashlib.sha256(np.ascontiguousarray(rows)).hexdigest().encode() for rows in splits.values()]
    return names, sizes, np.array(digests, dtype="S65")


def _write_inputs(file, inputs):
    for leaf, data in zip(("name", "bytes", "sha256"), inputs):
        files.create_dataset(file, f"/inputs/{leaf}", data)
    files.set_attributes(file["/inputs"], {"crc32c": files.crc32c(b"".join(data.tobytes() for data in inputs))})


def _write_split(folder, split, rows, shard_rows, common, inputs):
    """All shards of a split; the columns of the index."""
    kind, of = "<u2" if common["V"] <= 65536 else "<u4", -(-len(rows) // shard_rows)
    names, counts, sums = [], [], []
    for number in range(of):
        part = rows[number * shard_rows:(number + 1) * shard_rows].astype(kind)
        checksums = files.crc32c_rows(part)
        name = f"{split}-{number:05d}-of-{of:05d}.h5"
        temporary = os.path.join(folder, f".{name}.tmp")
        with files.create_file(temporary) as shard:
            files.set_attributes(shard, {"format": "flm-shard", **common, "split": split, "number": number, "of": of})
            _write_inputs(shard, inputs)
            files.create_dataset(shard, "/tokens", part)
            files.create_dataset(shard, "/checksums", checksums)
        files.commit(temporary, os.path.join(folder, name))
        names.append(name.encode())
        counts.append(len(part))
        sums.append(files.crc32c(checksums))
    return np.array(names, dtype="S64"), np.array(counts, dtype="<i8"), np.array(sums, dtype="<u4")
