"""Names of the files that images come from: one text after the other in an array of bytes, with where each begins.

A JSON header would have a limit of size, and a million Python strings are made only where somebody reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping, Sequence
from itertools import pairwise

from synthood.common.lazy import np
from synthood.errors import SynthoodError

BYTES, OFFSETS = "path_bytes", "path_offsets"
"""Names of the two arrays in a file."""


class Names:
    """Names of N files, relative to the root of their source; bytes that are not UTF-8 are shown as `\\xff`."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray) -> None:
        """Takes bytes uint8 [B] and offsets int64 [N+1] of the names in them."""
        self.data, self.offsets = data, offsets

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """Those texts, as the file system gives them."""
        encoded = [os.fsencode(text) for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return _text(self.data[self.offsets[index] : self.offsets[index + 1]].tobytes())

    def texts(self) -> list[str]:
        """All of them."""
        data, edges = self.data.tobytes(), self.offsets.tolist()
        return [_text(data[begin:end]) for begin, end in pairwise(edges)]

    def chosen(self, indices: np.ndarray) -> Names:
        """Those names alone, in that order."""
        data, begins, ends = self.data.tobytes(), self.offsets[:-1][indices], self.offsets[1:][indices]
        joined = b"".join([data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)])
        return Names(np.frombuffer(joined, np.uint8), np.concatenate([[0], np.cumsum(ends - begins)]))

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file holds of them."""
        return {OFFSETS: self.offsets, BYTES: self.data}


def joined(parts: Sequence[tuple[Names | None, int]]) -> Names | None:
    """Names of several sets in turn, given with their numbers of images; empty ones for sets without files."""
    if all(names is None for names, _ in parts):
        return None
    each = [Names.of([""] * count) if names is None else names for names, count in parts]
    lengths = np.concatenate([np.diff(names.offsets) for names in each])
    return Names(np.concatenate([names.data for names in each]), np.concatenate([[0], np.cumsum(lengths)]))


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def take_names(arrays: MutableMapping[str, np.ndarray], count: int, where: object) -> Names | None:
    """Takes the names of `count` images out of a file's arrays; None where it holds none."""
    data, offsets = arrays.pop(BYTES, None), arrays.pop(OFFSETS, None)
    if data is None and offsets is None:
        return None
    fits = (
        data is not None
        and offsets is not None
        and (str(data.dtype), data.ndim) == ("uint8", 1)
        and (str(offsets.dtype), offsets.shape) == ("int64", (count + 1,))
        and (offsets[0], offsets[-1]) == (0, len(data))
        and bool((np.diff(offsets) >= 0).all())
    )
    if not fits:
        raise SynthoodError(f"{where}: its file names do not fit its {count} images; delete it and run again")
    assert data is not None
    assert offsets is not None
    return Names(data, offsets)
