"""`synthood serve`: one process, one detector, until SIGTERM."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from synthood.data.files.decode import LARGEST, bombs_are_errors
from synthood.deploy import onnx_detector
from synthood.deploy.runtime import Runtime
from synthood.errors import SynthoodError
from synthood.serve import logs
from synthood.serve.app import build
from synthood.serve.engine import passes_at_a_time
from synthood.serve.options import ServeOptions

log = logging.getLogger(__name__)
LARGEST_HEAD = 16 * 1024
"""Bytes of a request's line and headers."""
SLOW = b'{"error": "the head of the request took too long"}'


class Impatient(H11Protocol):
    """Ends a connection whose next request has begun, or whose first has not, and has no whole head in time."""

    deadline: asyncio.TimerHandle | None = None
    seconds = 10.0

    # uvicorn narrows the transport's type in the same way
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self.relax()
        elif self.conn.trailing_data[0] and self.deadline is None:
            self.expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relax()
        super().connection_lost(exc)

    def expect(self) -> None:
        self.deadline = self.loop.call_later(self.seconds, self.end)

    def relax(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def end(self) -> None:
        self.deadline = None
        if self.transport.is_closing():
            return
        head = "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(SLOW)}\r\n\r\n".encode() + SLOW)
        self.transport.close()


class Server(uvicorn.Server):
    """Ends with code 0 after SIGTERM or SIGINT, once accepted requests have their answers; a second SIGINT ends at
    once."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for address, port, *_ in (one.getsockname() for one in sockets or []):
            shown = f"[{address}]" if ":" in address else address
            log.info("listening", extra={"facts": {"address": f"http://{shown}:{port}"}})

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # which alone may listen to signals
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def serve(folder: Path, options: ServeOptions) -> None:
    """Serves an exported detector; raises SynthoodError where it cannot be read or the address is taken."""
    if options.max_pixels > LARGEST:
        raise SynthoodError(f"serve: --max-pixels {options.max_pixels}: expected at most {LARGEST}")
    logs.start()
    with listening(options) as listener:
        detector = loaded(folder, options)
        log.info("loaded", extra={"facts": {"library": detector.library}})
        if passes_at_a_time(detector, options) > 1:
            detector.use_one_core()
        if not options.is_local:
            log.warning("other machines can reach this server, which asks for no password")
        with bombs_are_errors():
            Server(configured(detector, options)).run(sockets=[listener])
        log.info("ended")


def loaded(folder: Path, options: ServeOptions) -> Runtime:
    """The exported detector by the library that the options name."""
    on_cpu = options.device == "cpu"
    if options.runtime == "onnx" or (options.runtime == "auto" and on_cpu and onnx_detector.is_usable(folder)):
        return onnx_detector.load(folder)
    from synthood.deploy.predictor import load  # torch, which takes seconds

    return load(folder, options.device)


def configured(detector: Runtime, options: ServeOptions) -> uvicorn.Config:
    """How uvicorn serves a detector."""
    return uvicorn.Config(
        build(detector, options),
        http=type("OfOptions", (Impatient,), {"seconds": options.read_timeout}),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=options.max_connections,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        timeout_graceful_shutdown=max(1, round(options.drain)),
    )


@contextmanager
def listening(options: ServeOptions) -> Iterator[socket.socket]:
    """A socket with its address, which takes no connection until the server has started."""
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        # Without the protocol asyncio leaves Nagle's algorithm on, which holds each answer back for 40 ms
        with socket.socket(found[0], found[1], found[2]) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(found[4])
            yield listener
    except OSError as error:
        raise SynthoodError(f"serve: {options.host}, port {options.port}: {error.strerror}; name another") from error
