"""Encoded images in, verdicts out: images of concurrent requests share forward passes."""

import asyncio
import io
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthood.common.cores import cores
from synthood.common.image_formats import readable
from synthood.deploy.inputs import Input, of_content
from synthood.deploy.runtime import Runtime
from synthood.errors import SynthoodError
from synthood.serve.metrics import Metrics
from synthood.serve.options import ServeOptions
from synthood.serve.refusals import RefusalError, busy

Pixels = NDArray[np.uint8]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """Of one image: probabilities [C], confidence and p-value, and what was converted."""

    probabilities: NDArray[np.float32]
    confidence: np.float32
    p_value: float
    note: str = ""


@dataclass(frozen=True)
class Bad:
    """An image without a judgement, and why."""

    reason: str


Verdict = Judgement | Bad


@dataclass(frozen=True)
class Waiting:
    """A decoded image uint8 [H,W,3] whose verdict somebody awaits."""

    pixels: Pixels
    note: str
    done: "asyncio.Future[Verdict]"


GATHER = 0.005
"""Seconds that decoded images wait at most for those that are still being decoded."""


class Engine:
    """Threads that decode, threads that run the network, and the images between them.

    On a CPU each pass takes one core, since passes side by side are faster than torch's own threads. A free thread
    takes its share of all that waits, once nothing more is being decoded.
    """

    def __init__(self, detector: Runtime, options: ServeOptions, metrics: Metrics) -> None:
        self.detector, self.options, self.metrics = detector, options, metrics
        self.passes = passes_at_a_time(detector, options)
        self.decoders = ThreadPoolExecutor(options.decoders or max(1, min(8, cores() // 2)), "decode")
        self.network = ThreadPoolExecutor(self.passes, "network")
        self.waiting: deque[Waiting] = deque()
        metrics.decoded.set_function(lambda: len(self.waiting))
        self.accepted = self.decoding = 0
        self.running = set[asyncio.Task[None]]()
        self.ready = False

    def warm(self) -> None:
        """A pass of the largest batch in each thread, so that no request pays for what is set up once."""
        size = self.detector.preprocessing
        images = np.zeros((self.options.batch, size.height, size.width, 3), np.uint8)
        list(self.network.map(self.judge, [images] * self.passes))
        self.ready = True

    def close(self) -> None:
        self.ready = False
        for pool in (self.decoders, self.network):
            pool.shutdown(wait=False, cancel_futures=True)

    async def verdicts(self, contents: Sequence[bytes]) -> list[Verdict]:
        """Of encoded images, in order; raises RefusalError where too many wait already, or it takes too long."""
        if self.accepted + len(contents) > self.options.queue:
            raise busy(f"{self.accepted} images wait already, of {self.options.queue} at most")
        self.accepted += len(contents)
        self.metrics.waiting.set(self.accepted)
        try:
            async with asyncio.timeout(self.options.timeout):
                return list(await asyncio.gather(*map(self.verdict, contents)))
        except TimeoutError:
            raise busy(f"no answer within {self.options.timeout:g} s") from None
        finally:
            self.accepted -= len(contents)
            self.metrics.waiting.set(self.accepted)

    async def verdict(self, content: bytes) -> Verdict:
        """Of one encoded image."""
        loop = asyncio.get_running_loop()
        self.decoding += 1
        try:
            image = await loop.run_in_executor(self.decoders, self.decode, content)
        finally:
            self.decoding -= 1
        if image.pixels is None:
            self.start()
            return Bad(image.note)
        one = Waiting(image.pixels, image.note, loop.create_future())
        self.waiting.append(one)
        if self.decoding and len(self.waiting) < self.options.batch:
            loop.call_later(GATHER, self.start)
        else:
            self.start()
        return await one.done

    def start(self) -> None:
        """Begins as many passes as there are free threads and images for."""
        while self.waiting and (free := self.passes - len(self.running)):
            batch: list[Waiting] = []
            most = min(self.options.batch, -(-len(self.waiting) // free))
            while self.waiting and len(batch) < most:
                one = self.waiting.popleft()
                if not one.done.done():  # the client went away, or time ran out
                    batch.append(one)
            if batch:
                self.running.add(asyncio.get_running_loop().create_task(self.run(batch)))

    async def run(self, batch: Sequence[Waiting]) -> None:
        """One pass, and the next where images wait and none is being decoded."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self.network, self.judged, [one.pixels for one in batch])
        finally:
            self.running.discard(asyncio.current_task())
        for one, verdict in zip(batch, found, strict=True):
            if one.done.done():
                continue
            if isinstance(verdict, Exception):
                one.done.set_exception(verdict)
            else:
                one.done.set_result(replace(verdict, note=one.note) if isinstance(verdict, Judgement) else verdict)
        if not self.decoding:
            self.start()

    def decode(self, content: bytes) -> Input:
        """The image in an upload, or why there is none."""
        if why := refused_unread(content, self.options.max_pixels):
            return Input("", None, why)
        return of_content(content, "image", self.detector.preprocessing)

    def judged(self, images: Sequence[Pixels]) -> Sequence[Verdict | Exception]:
        """Of one batch; where it fails, of each image alone, so that one image does not spoil the others."""
        began = time.perf_counter()
        try:
            found = self.judge(np.stack(images))
        except Exception as error:  # a network or detector may raise anything; the server goes on
            if len(images) > 1:
                return [one for image in images for one in self.judged([image])]
            if isinstance(error, SynthoodError):
                return [Bad(str(error))]
            log.exception("a forward pass failed")
            return [error]
        self.metrics.batches.observe(len(images))
        self.metrics.passes.observe(time.perf_counter() - began)
        return found

    def judge(self, pixels: Pixels) -> list[Judgement]:
        """Of images uint8 [N,H,W,3] of the model's size."""
        found = self.detector.judge(pixels)
        return [
            Judgement(*one) for one in zip(found.probabilities, found.confidence, found.p_value.tolist(), strict=True)
        ]


def passes_at_a_time(detector: Runtime, options: ServeOptions) -> int:
    """One for each core, where they may run side by side."""
    return (options.threads or cores()) if detector.is_parallel else 1


def refused_unread(content: bytes, most: int) -> str:
    """Why an image is not decoded, from its header; empty where it may be, or decoding says why it cannot.

    Counting the frames of an animation, as decoding does, can take minutes; looking for a second one does not.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=readable()) as image:
            width, height = image.size
            if width * height > most:
                return f"{width}x{height} px, more than {most} pixels; shrink it"
            if image.format != "MPO":
                image.seek(1)
                return "several frames; give one of them as an image"
    except Exception:  # EOFError: one frame; or whatever Pillow's many readers raise at damaged bytes
        return ""
    return ""


def refused(bad: Bad) -> RefusalError:
    """The answer to a request for one image that has no judgement."""
    return RefusalError(422, f"image: {bad.reason}")
