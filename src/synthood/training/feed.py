"""The images of each batch: all on the device, or decoded ahead of the step that needs them."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from synthood.common.encoded import EncodedImages
from synthood.common.images import MOST_DECODED
from synthood.common.ranks import SINGLE_PROCESS, Ranks, all_gather_rows
from synthood.errors import SynthoodError

Chosen = Callable[[int], Tensor]
"""Rows int64 [N] of a step's batch."""
CHUNK = 256
"""Images that are moved to the device at a time."""


class JoinedImages:
    """Images uint8 [N,H,W,3], or features float32 [N,V,D], of several sets in turn, which stay where they are."""

    def __init__(self, sets: Sequence["Images"]) -> None:
        self.parts: list[np.ndarray | EncodedImages] = []
        for each in sets:
            self.parts += each.parts if isinstance(each, JoinedImages) else [each]
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.shape = (int(self.ends[-1]), *self.parts[0].shape[1:])
        self.dtype = torch.float32 if self.parts[0].dtype == np.float32 else torch.uint8
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        part = int(np.searchsorted(self.ends, index, side="right"))
        return self.parts[part][index - (int(self.ends[part - 1]) if part else 0)]

    def chunks(self) -> Iterator[np.ndarray]:
        """All of them, some at a time."""
        for part in self.parts:
            for first in range(0, len(part), CHUNK):
                yield part[first : first + CHUNK]


Images = np.ndarray | EncodedImages | JoinedImages


class Labelled(Protocol):
    """Sets in memory or on disk: images uint8 [N,H,W,3] or features float32 [N,V,D], labels int64 [N], class names."""

    @property
    def images(self) -> np.ndarray | EncodedImages: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def classes(self) -> list[str]: ...

    def __len__(self) -> int: ...


class Feed(Protocol):
    def __call__(self, step: int, chosen: Tensor) -> Tensor:
        """Images uint8 [N,H,W,3], or features float32 [N,V,D], on the device."""
        ...


class Resident:
    """All images in one tensor on the device."""

    def __init__(self, images: JoinedImages, device: torch.device) -> None:
        self.images = torch.empty(images.shape, dtype=images.dtype, device=device)
        place = 0
        for some in images.chunks():
            self.images[place : place + len(some)] = torch.from_numpy(some).to(device)
            place += len(some)

    def __call__(self, step: int, chosen: Tensor) -> Tensor:
        return self.images[chosen]


class Streamed:
    """Batches decoded by threads ahead of their step, each batch by one thread and a few batches at a time.

    With several processes each decodes its share of a batch, and they exchange pixels.
    """

    def __init__(
        self,
        images: JoinedImages,
        chosen: Chosen,
        steps: int,
        device: torch.device,
        threads: int,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        self.images, self.chosen, self.steps, self.device, self.ranks = images, chosen, steps, device, ranks
        self.ahead = threads + 1
        self.pool = ThreadPoolExecutor(threads, "decode")
        self.waiting: deque[tuple[int, Future[Tensor]]] = deque()

    def __call__(self, step: int, chosen: Tensor) -> Tensor:
        if not self.waiting or self.waiting[0][0] != step:
            self._start_at(step)
        decoded = self.waiting.popleft()[1].result()
        self._ask(step + len(self.waiting) + 1)
        rows = decoded.to(self.device, non_blocking=True)
        if self.ranks.count == 1:
            return rows
        return all_gather_rows(rows, self.ranks.shard_rows(torch.arange(len(chosen), device=self.device)), len(chosen))

    def _start_at(self, step: int) -> None:
        for _, future in self.waiting:
            future.cancel()
        self.waiting.clear()
        self._ask(step)

    def _ask(self, step: int) -> None:
        """Fills the queue with the steps from `step` on."""
        for later in range(step, min(step + self.ahead - len(self.waiting), self.steps)):
            rows = self.ranks.shard_rows(self.chosen(later))
            self.waiting.append((later, self.pool.submit(self._decoded, rows.tolist())))

    def _decoded(self, rows: list[int]) -> Tensor:
        shape = (len(rows), *self.images.shape[1:])
        batch = torch.empty(shape, dtype=self.images.dtype, pin_memory=self.device.type == "cuda")
        pixels = batch.numpy()
        for place, row in enumerate(rows):
            pixels[place] = self.images[row]
        return batch


def feed(
    sets: Sequence[Images],
    chosen: Chosen,
    steps: int,
    device: torch.device,
    threads: int,
    memory: int | None = None,
    ranks: Ranks = SINGLE_PROCESS,
) -> Feed:
    """Images of several sets, one after the other: on the device where it has the room, else decoded ahead."""
    images = JoinedImages(sets)
    if images.nbytes <= room(device, memory):
        return Resident(images, device)
    if ranks.is_main:
        print(f"training: {images.nbytes / 2**30:.2f} GiB of images are decoded as they are needed", flush=True)
    return Streamed(images, chosen, steps, device, threads, ranks)


def room(device: torch.device, memory: int | None = None) -> int:
    """Bytes of pixels that may stay on a device: half of a GPU's free memory, or half of the job's `memory`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return MOST_DECODED if memory is None else min(MOST_DECODED, memory // 2)


@dataclass(frozen=True)
class JoinedSet:
    """Several image sets as one."""

    images: JoinedImages
    labels: np.ndarray
    classes: list[str]

    def __len__(self) -> int:
        return len(self.images)


def joined_sets(sets: Sequence[Labelled]) -> JoinedSet:
    """One set after the other; all must share their classes and sizes."""
    kinds = {(tuple(each.classes), each.images.shape[1:]) for each in sets}
    if len(kinds) > 1:
        raise SynthoodError(f"image sets of different classes or sizes cannot be joined: {sorted(kinds)}")
    labels = np.concatenate([each.labels for each in sets])
    return JoinedSet(JoinedImages([each.images for each in sets]), labels, sets[0].classes)
