"""Encoded images in, verdicts out: images of concurrent requests share forward passes."""

import asyncio
import io
import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthood.common.image_formats import readable
from synthood.deploy.inputs import Input, of_content
from synthood.deploy.predictor import Predictor
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


class Engine:
    """Threads that decode, one that runs the network, and the images between them.

    A batch is whatever waits when the network is free, so that a lone request never waits for others.
    """

    def __init__(self, predictor: Predictor, options: ServeOptions, metrics: Metrics) -> None:
        self.predictor, self.options, self.metrics = predictor, options, metrics
        self.decoders = ThreadPoolExecutor(options.decoders or max(1, min(8, (os.cpu_count() or 1) // 2)), "decode")
        self.network = ThreadPoolExecutor(1, "network")
        self.waiting: deque[Waiting] = deque()
        metrics.decoded.set_function(lambda: len(self.waiting))
        self.accepted = 0
        self.running: asyncio.Task[None] | None = None
        self.ready = False

    def warm(self) -> None:
        """A pass of one image and one of the largest batch, so that no request pays for what is set up once."""
        size = self.predictor.preprocessing
        for count in (1, self.options.batch):
            self.network.submit(self.judge, np.zeros((count, size.height, size.width, 3), np.uint8)).result()
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
        image = await loop.run_in_executor(self.decoders, self.decode, content)
        if image.pixels is None:
            return Bad(image.note)
        one = Waiting(image.pixels, image.note, loop.create_future())
        self.waiting.append(one)
        if self.running is None or self.running.done():
            self.running = loop.create_task(self.run())
        return await one.done

    async def run(self) -> None:
        """Batch after batch until nothing waits."""
        loop = asyncio.get_running_loop()
        while self.waiting:
            batch: list[Waiting] = []
            while self.waiting and len(batch) < self.options.batch:
                one = self.waiting.popleft()
                if not one.done.done():  # the client went away, or time ran out
                    batch.append(one)
            if not batch:
                return
            found = await loop.run_in_executor(self.network, self.judged, [one.pixels for one in batch])
            for one, verdict in zip(batch, found, strict=True):
                if one.done.done():
                    continue
                if isinstance(verdict, Exception):
                    one.done.set_exception(verdict)
                else:
                    one.done.set_result(replace(verdict, note=one.note) if isinstance(verdict, Judgement) else verdict)

    def decode(self, content: bytes) -> Input:
        """The image in an upload, or why there is none."""
        if why := refused_unread(content, self.options.max_pixels):
            return Input("", None, why)
        return of_content(content, "image", self.predictor.preprocessing)

    def judged(self, images: Sequence[Pixels]) -> Sequence[Verdict | Exception]:
        """Of one batch; where it fails, of each image alone, so that one image does not spoil the others."""
        began = time.perf_counter()
        try:
            found = self.judge(np.stack(images))
        except Exception as error:
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
        features = self.predictor.features(pixels)
        judged = self.predictor.judged(features)
        probabilities, confidences = features.logits.softmax(1).numpy(), judged.confidences.mean(0)
        return [Judgement(*one) for one in zip(probabilities, confidences, judged.p_values.tolist(), strict=True)]


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
