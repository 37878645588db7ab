"""Around every request: a log line, metrics, and headers of security."""

import asyncio
import logging
import time
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synthood.serve.metrics import Metrics

log = logging.getLogger(__name__)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
GONE = 499
"""Status in logs of a request whose client went away."""
LINGER = 1.0
"""Seconds in which the rest of a refused body is thrown away, so that its sender reads the answer."""


class Requests:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        facts: dict[str, Any] = {}
        scope.setdefault("state", {})["facts"] = facts
        call = Call(scope, receive, send)
        try:
            await self.app(scope, call.receive, call.send)
        except ClientDisconnect:
            call.status = GONE
        except Exception:  # it has been answered with 500
            log.exception("a request failed")
        self.note(scope, call.status, time.perf_counter() - began, facts)

    def note(self, scope: Scope, status: int, seconds: float, facts: dict[str, Any]) -> None:
        """Counts a request and logs it; neither holds anything that a client can make up."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.requests.labels(route, method, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        line = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4), **facts}
        log.info("request", extra={"facts": line})


class Call:
    """One request's channels; a body that was not read ends the connection, after the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.status = 0
        self.inner_receive, self.inner_send = receive, send
        names = {name for name, _ in scope["headers"]}
        self.unread = bool(names & {b"content-length", b"transfer-encoding"})

    async def receive(self) -> Message:
        message = await self.inner_receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message.get("headers", [])}
            more = [(name, value) for name, value in HEADERS if name not in own]
            if self.unread:
                more.append((b"connection", b"close"))
            message = {**message, "headers": [*message.get("headers", []), *more]}
        elif self.unread and not message.get("more_body", False):
            await self.inner_send({**message, "more_body": True})
            await self.discard()
            message = {"type": "http.response.body", "body": b""}
        await self.inner_send(message)

    async def discard(self) -> None:
        try:
            async with asyncio.timeout(LINGER):
                while self.unread:
                    await self.receive()
        except TimeoutError:
            pass
