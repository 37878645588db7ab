"""Tensors that are handed to code that is not ours, and must come back as they were."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from synthood.common.lazy import Tensor
from synthood.errors import SynthoodError
from synthood.evaluation.moments import pieces


class Unchanged:
    """Digests of tensors, taken at first; `check` raises where one has changed since.

    Of the bytes themselves, so that writes through numpy count as well as torch's. Nothing is copied, and a mapped file
    is read piece by piece.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)
        self.digests = {name: digest(values) for name, values in self.tensors.items()}

    def check(self, where: str) -> None:
        """Names `where` as what has changed them."""
        changed = [name for name, values in self.tensors.items() if digest(values) != self.digests[name]]
        if changed:
            what = " and ".join(changed)
            raise SynthoodError(
                f"{where}: changes {what} in place, which all detectors read; work on a copy (.clone())"
            )


def digest(values: Tensor) -> int:
    """CRC-32 of the values' bytes."""
    found = 0
    for _, rows in pieces(values.detach()):
        found = zlib.crc32(rows.cpu().contiguous().numpy().data, found)
    return found
