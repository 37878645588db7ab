"""What `synthood serve` can be asked for, and the limits of requests."""

import re
from dataclasses import dataclass, field
from typing import Any

from synthood.errors import SynthoodError, printable

RUNTIMES = ("auto", "torch", "onnx")


def option(default: Any, unit: str, text: str) -> Any:
    """A field with its default, and its unit and text for the help."""
    return field(default=default, metadata={"unit": unit, "help": text})


@dataclass(frozen=True)
class ServeOptions:
    """Options of the command line by name; raises SynthoodError where one of them makes no sense."""

    host: str = option("127.0.0.1", "ADDRESS", "address to listen at")
    port: int = option(8000, "PORT", "0 takes a free one, which the log names")
    device: str = option("cpu", "NAME", "such as cuda")
    runtime: str = option("auto", "NAME", "torch or onnx; auto takes detector.onnx where the folder has one")
    threads: int = option(0, "N", "forward passes at a time on a CPU, each on one core; 0: one for each core")
    decoders: int = option(0, "N", "threads that decode images; 0: one for two cores, at most 8")
    batch: int = option(32, "N", "images of one forward pass at most")
    max_bytes: int = option(20_000_000, "BYTES", "of a request's body")
    max_pixels: int = option(50_000_000, "N", "of an image, from its header, before it is decoded")
    max_images: int = option(32, "N", "of a request, as parts of its form")
    max_held_bytes: int = option(256_000_000, "BYTES", "of the bodies of all requests that are under way")
    max_connections: int = option(256, "N", "at a time")
    queue: int = option(256, "N", "images that are accepted and have no answer yet")
    read_timeout: float = option(10.0, "SECONDS", "seconds for the head of a request, and again for its body")
    timeout: float = option(30.0, "SECONDS", "seconds from the whole request to its answer")
    drain: float = option(30.0, "SECONDS", "seconds for accepted requests after SIGTERM")
    allow_origin: tuple[str, ...] = option((), "ORIGIN", "origins of other pages that may call this server (CORS)")

    def __post_init__(self) -> None:
        least = {"port": 0, "threads": 0, "decoders": 0}
        if self.runtime not in RUNTIMES:
            known = ", ".join(RUNTIMES)
            raise SynthoodError(f"serve: --runtime {printable(self.runtime, 80)}: expected one of {known}")
        if self.runtime == "onnx" and self.device != "cpu":
            raise SynthoodError(f"serve: --device {self.device}: detector.onnx runs on the CPU; take --runtime torch")
        for name, value in vars(self).items():
            if isinstance(value, int) and value < least.get(name, 1):
                raise SynthoodError(f"serve: {flag(name)} {value}: expected at least {least.get(name, 1)}")
            if isinstance(value, float) and not 0 < value < float("inf"):
                raise SynthoodError(f"serve: {flag(name)} {value:g}: expected seconds above 0")
        if self.port > 65535:
            raise SynthoodError(f"serve: --port {self.port}: expected at most 65535")
        if self.max_images > self.queue:
            raise SynthoodError(f"serve: --max-images {self.max_images} do not fit into --queue {self.queue}")
        if self.max_bytes > self.max_held_bytes:
            raise SynthoodError(
                f"serve: --max-bytes {self.max_bytes} do not fit into --max-held-bytes {self.max_held_bytes}"
            )
        for origin in self.allow_origin:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                shown = printable(origin, 200)
                raise SynthoodError(f"serve: --allow-origin {shown}: expected one such as https://example.org")

    @property
    def is_local(self) -> bool:
        """Whether the address is of this machine alone."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def flag(name: str) -> str:
    """The option's name on the command line."""
    return f"--{name.replace('_', '-')}"
