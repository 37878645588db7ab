"""Tensors in safetensors files, as numpy arrays, with one JSON header."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from synthood.common.artefact import verify, verify_head
from synthood.common.identity import FORMAT, KEY, SPACE, UNSEALED, text_of
from synthood.common.lazy import Tensor, np
from synthood.errors import SynthoodError

Arrays = dict[str, "np.ndarray"]
KINDS = {f"{name}int{bits}": f"{name or 'i'}{bits}".upper() for name in ("", "u") for bits in (8, 16, 32, 64)}
KINDS |= {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"}
"""The format's names of types."""


def write_tensors(path: Path, arrays: Arrays, header: dict[str, Any]) -> None:
    """Writes arrays and a header; the bytes are the same on every run."""
    # Wider types first, so that all are aligned
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    contiguous = {name: np.ascontiguousarray(arrays[name]) for name in names}
    with path.open("wb") as stream:
        stream.write(head_of_file({name: (array.dtype, array.shape) for name, array in contiguous.items()}, header))
        for array in contiguous.values():
            stream.write(array.data if array.size else b"")


def head_of_file(arrays: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], header: dict[str, Any]) -> bytes:
    """The head of a safetensors file of arrays with these types and shapes, whose bytes follow in this order.

    It has no identity yet, and space for one.
    """
    metadata = {"synthood": json.dumps(header, sort_keys=True)}
    metadata[KEY] = text_of({"format": FORMAT, "sha256": UNSEALED})
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in arrays.items():
        begin, end = end, end + dtype.itemsize * math.prod(shape)
        entries[name] = {"dtype": KINDS[str(dtype)], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, sort_keys=True).encode()
    text += b" " * (SPACE - len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_rows(path: Path, count: int, pieces: Iterable[Arrays], header: dict[str, Any]) -> None:
    """Writes arrays of `count` rows that come some rows at a time, of which no more than one piece is in memory.

    The bytes do not depend on how many rows a piece has. Raises ValueError where the pieces do not add up to `count`.
    """
    done, places = 0, dict[str, int]()
    with path.open("wb") as stream:
        for piece in pieces:
            if not places:
                # Wider types first, so that all are aligned
                names = sorted(piece, key=lambda name: (-piece[name].itemsize, name))
                shapes = {name: (piece[name].dtype, (count, *piece[name].shape[1:])) for name in names}
                stream.write(head_of_file(shapes, header))
                place = stream.tell()
                for name, (dtype, shape) in shapes.items():
                    places[name] = place
                    place += dtype.itemsize * math.prod(shape)
            rows = {len(array) for array in piece.values()}
            if piece.keys() != places.keys() or len(rows) != 1:
                raise ValueError(f"{path}: rows of {sorted(piece)} after those of {sorted(places)}")
            for name, array in piece.items():
                stream.seek(places[name] + done * (array.nbytes // max(len(array), 1)))
                stream.write(np.ascontiguousarray(array).tobytes())
            done += rows.pop()
    if done != count:
        raise ValueError(f"{path}: {done} rows came, {count} were announced")


def read_tensors(path: Path, *names: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays (all, or those named) and header of a verified file; an error names a file that is not one of ours."""
    return _opened(path, names, "numpy")


def map_tensors(path: Path, *names: str) -> dict[str, Tensor]:
    """The same as torch's tensors that read the file's pages where they are touched, and share them."""
    return _opened(path, names, "pt")[0]


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Header and shapes of the arrays of a file whose data are neither read nor verified."""
    verify_head(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["synthood"])
            return header, {name: tuple(file.get_slice(name).get_shape()) for name in sorted(file.keys())}
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise SynthoodError(f"{path}: not a file of this pipeline ({error}); delete it and run again") from error


def _opened(path: Path, names: tuple[str, ...], framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    verify(path, ours=True)
    try:
        with safe_open(path, framework=framework) as file:
            keys = set(file.keys())
            if not set(names) <= keys:
                raise SynthoodError(f"{path}: not a file that this stage reads (it holds {', '.join(sorted(keys))})")
            header = json.loads((file.metadata() or {})["synthood"])
            return {name: file.get_tensor(name) for name in names or sorted(keys)}, header
    except (SafetensorError, KeyError, json.JSONDecodeError, TypeError, OSError) as error:
        raise SynthoodError(f"{path}: not a readable safetensors file ({error}); delete it and run again") from error


def mapped(path: Path, name: str) -> np.ndarray:
    """A uint8 array of a verified file, read from disk page by page as it is used; writing to it stays in memory."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(size)).get(name, {"dtype": "nothing"})
    if entry["dtype"] != "U8":
        raise SynthoodError(f"{path}: {name} holds {entry['dtype']}, not bytes; delete it and run again")
    return np.memmap(path, np.uint8, "c", 8 + size + entry["data_offsets"][0], tuple(entry["shape"]))
