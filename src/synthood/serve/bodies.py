"""Bodies of requests in memory, within limits; no name that a client gives is ever used."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from synthood.serve.metrics import Metrics
from synthood.serve.options import ServeOptions
from synthood.serve.refusals import RefusalError, busy

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM = "multipart/form-data"
RAW = "application/octet-stream"


class Bodies:
    """Reads bodies, and knows how many bytes all of them hold until they are released."""

    def __init__(self, options: ServeOptions, metrics: Metrics) -> None:
        self.options, self.metrics, self.held = options, metrics, 0

    def release(self, request: Request) -> None:
        """The request has its answer."""
        self.held -= getattr(request.state, "held", 0)
        self.metrics.held.set(self.held)

    async def feed(self, request: Request, take: Callable[[bytes], object]) -> None:
        """Hands a body over piece by piece."""
        limits = self.options
        request.state.held = 0
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusalError(415, "Content-Encoding: bodies are taken as they are; send it without")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limits.max_bytes:
            raise self.too_long()
        try:
            async with asyncio.timeout(limits.read_timeout):
                async for chunk in request.stream():
                    request.state.held += len(chunk)
                    self.held += len(chunk)
                    self.metrics.held.set(self.held)
                    if request.state.held > limits.max_bytes:
                        raise self.too_long()
                    if self.held > limits.max_held_bytes:
                        raise busy("too many bytes of other requests are held")
                    take(chunk)
        except TimeoutError:
            raise RefusalError(408, f"the body took more than {limits.read_timeout:g} s") from None

    def too_long(self) -> RefusalError:
        return RefusalError(413, f"a body of more than {self.options.max_bytes} bytes; send smaller or fewer images")

    async def one(self, request: Request) -> bytes:
        """The image of a request: its body, or the only part of its form."""
        kind, boundary = content_type(request)
        if kind == FORM:
            parts = await self.parts(request, boundary, 1)
            return parts[0]
        if kind != RAW and not kind.startswith("image/"):
            raise RefusalError(415, f"Content-Type: expected image/..., {RAW} or {FORM}")
        content = bytearray()
        await self.feed(request, content.extend)
        if not content:
            raise RefusalError(400, "an empty body; send the bytes of an image")
        return bytes(content)

    async def several(self, request: Request) -> list[bytes]:
        """The parts of a form, each of them an image."""
        kind, boundary = content_type(request)
        if kind != FORM:
            raise RefusalError(415, f"Content-Type: expected {FORM}")
        return await self.parts(request, boundary, self.options.max_images)

    async def parts(self, request: Request, boundary: bytes, most: int) -> list[bytes]:
        """The parts' contents in order, at least one and at most `most`."""
        form = Form(most)
        try:
            parser = MultipartParser(boundary, form.callbacks())
            await self.feed(request, parser.write)
            parser.finalize()
        except FormParserError:
            raise RefusalError(400, f"the body is no {FORM} with the boundary of its Content-Type") from None
        if not form.ended:
            raise RefusalError(400, "the form ends before its last boundary")
        if not form.contents:
            raise RefusalError(400, "a form without parts; send one for each image")
        return [bytes(one) for one in form.contents]


class Form:
    """Collects the parts of a form while it is parsed; raises RefusalError at one too many."""

    def __init__(self, most: int) -> None:
        self.most, self.contents, self.ended = most, list[bytearray](), False

    def callbacks(self) -> "MultipartCallbacks":
        """For the parser."""
        return {"on_part_begin": self.begin, "on_part_data": self.data, "on_end": self.end}

    def begin(self) -> None:
        if len(self.contents) == self.most:
            raise RefusalError(413, f"more than {self.most} parts; send fewer images at a time")
        self.contents.append(bytearray())

    def data(self, data: bytes, start: int, end: int) -> None:
        self.contents[-1] += data[start:end]

    def end(self) -> None:
        self.ended = True


def content_type(request: Request) -> tuple[str, bytes]:
    """In lower case, without parameters; and the boundary of a form."""
    kind, parameters = parse_options_header(request.headers.get("content-type"))
    found = kind.decode("latin-1").lower()
    boundary = parameters.get(b"boundary", b"")
    if found == FORM and not boundary:
        raise RefusalError(400, f"Content-Type: {FORM} without a boundary")
    return found, boundary
