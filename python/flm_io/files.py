"""What all files have in common: CRC-32C, checked opening, attributes and datasets as the C programs write them.

SPDX-License-Identifier: Apache-2.0
"""
import os

import h5py
import numpy as np

PIECE = 256  # bytes of which a CRC is computed in one vector of numpy


class FormatError(Exception):
    """A file that is damaged, of another kind, or does not fit its schema; names file and dataset."""


def _table():
    """Of CRC-32C: polynomial 0x1EDC6F41, reflected (RFC 3720, appendix B.4)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


_TABLE = _table()


def _raw(columns):
    """The remainder of each row of bytes [n, k], without the inversions at begin and end."""
    crc = np.zeros(len(columns), dtype=np.uint32)
    for k in range(columns.shape[1]):
        crc = _TABLE[(crc ^ columns[:, k]) & 0xFF] ^ (crc >> 8)
    return crc


def _apply(matrix, crc):
    """The product of a matrix over GF(2), 32 columns, with each remainder."""
    out = np.zeros_like(crc)
    for bit in range(32):
        out ^= np.where((crc >> np.uint32(bit)) & 1, matrix[bit], np.uint32(0))
    return out


def _shift(length):
    """The matrix that appends `length` zero bytes, a power of two, to a remainder."""
    units = np.uint32(1) << np.arange(32, dtype=np.uint32)
    matrix = _raw_from(units)
    for _ in range(int(length).bit_length() - 1):
        matrix = _apply(matrix, matrix)
    return matrix


def _raw_from(crc):
    return _TABLE[crc & 0xFF] ^ (crc >> 8)


def crc32c(data):
    """CRC-32C of bytes or of the memory of an array. Leading zeros do not change a remainder, and the inversion at the begin
    is that of the first four bytes: so pieces of one size are computed side by side, and joined in pairs."""
    data = np.frombuffer(data, dtype=np.uint8) if not isinstance(data, np.ndarray) else \
        np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    if data.size < 4:
        crc = np.uint32(0xFFFFFFFF)
        for byte in data:
            crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> np.uint32(8))
        return int(crc ^ np.uint32(0xFFFFFFFF))
    pieces = 1 << max(0, (-(-data.size // PIECE) - 1).bit_length())
    padded = np.zeros(pieces * PIECE, dtype=np.uint8)
    padded[padded.size - data.size:] = data
    padded[padded.size - data.size:][:4] ^= 0xFF
    crc = _raw(padded.reshape(pieces, PIECE))
    matrix = _shift(PIECE)
    while crc.size > 1:
        crc = _apply(matrix, crc[0::2]) ^ crc[1::2]
        matrix = _apply(matrix, matrix)
    return int(crc[0] ^ np.uint32(0xFFFFFFFF))


def crc32c_rows(rows):
    """CRC-32C of each row [n, k] of an array, as uint32 [n]."""
    rows = np.ascontiguousarray(rows)
    columns = rows.reshape(len(rows), -1).view(np.uint8)
    crc = np.full(len(columns), 0xFFFFFFFF, dtype=np.uint32)
    for k in range(columns.shape[1]):
        crc = _TABLE[(crc ^ columns[:, k]) & 0xFF] ^ (crc >> 8)
    return crc ^ np.uint32(0xFFFFFFFF)


def open_file(path, kind):
    """An h5py.File of the suite, whose attribute "format" must be flm-KIND."""
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FormatError(f"{path}: {error}") from None
    found = attribute(file, "format")
    if found != f"flm-{kind}":
        file.close()
        raise FormatError(f"{path}: expected a file of format flm-{kind}, found {found!r}")
    return file


def attribute(item, name, default=None):
    """An attribute as str, int or float."""
    value = item.attrs.get(name, default)
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def attributes(item):
    return {name: attribute(item, name) for name in item.attrs}


def dataset(file, path, shape=None, dtype=None):
    """A whole dataset, whose shape and type must be these."""
    name = f"{file.filename}: {path}"
    if path not in file or not isinstance(file[path], h5py.Dataset):
        raise FormatError(f"{name}: no such dataset")
    found = file[path]
    if shape is not None and found.shape != tuple(shape):
        raise FormatError(f"{name}: expected shape {list(shape)}, found {list(found.shape)}")
    if dtype is not None and found.dtype != np.dtype(dtype):
        raise FormatError(f"{name}: expected type {np.dtype(dtype)}, found {found.dtype}")
    try:
        return found[()]
    except OSError as error:
        raise FormatError(f"{name}: {error}") from None


# ---- writing: fixed-length strings that end with NUL, contiguous datasets allocated at once (hdf5-schemas/shard.schema)


def create_file(path):
    return h5py.File(path, "w", libver=("v108", "v110"), locking=False)


def _string_type(size):
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(size)
    kind.set_strpad(h5py.h5t.STR_NULLTERM)
    return kind


def set_attributes(item, values):
    for name, value in values.items():
        if isinstance(value, str):
            data = np.array(value.encode(), dtype=f"S{len(value.encode()) + 1}")
            kind = _string_type(data.dtype.itemsize)
        else:
            data = np.array(value, dtype="<f8" if isinstance(value, float) else "<i8")
            kind = h5py.h5t.py_create(data.dtype)
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(item.id, name.encode(), kind, space).write(data, mtype=kind)


def create_dataset(file, path, data):
    data = np.ascontiguousarray(data)
    kind = _string_type(data.dtype.itemsize) if data.dtype.kind == "S" else h5py.h5t.py_create(data.dtype)
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_layout(h5py.h5d.CONTIGUOUS)
    made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    made.set_obj_track_times(False)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    item = h5py.h5d.create(file.id, path.encode(), kind, h5py.h5s.create_simple(data.shape), dcpl=made, lcpl=links)
    if data.size:
        item.write(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=kind)


def commit(temporary, path):
    """Sync a file and give it its name."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
