"""A served detector under load: python benchmarks/serve.py IMAGES [--folder FOLDER] [--runtime torch] [--check]

IMAGES are photographs. Without a folder, an untrained network (`--network`) is exported as in benchmarks/deploy.py. A
server of its own process answers CLIENTS clients of this one on loopback, each with one connection and one image at a
time, decoded and judged like any other.

- `errors`: answers other than 200 with a verdict. Bar: 0.
- `p99`: of the requests, over a bare pass of 8 images by the same runtime in this process (median, the server idle).
  Bar: 3.
- `throughput`: images a second over those of `synthood score` (benchmarks/deploy.py). Bar: 0.8.
- `memory`: resident bytes of the server at the end over those after the first tenth. Bar: 1.05.
- `start`: seconds from the start of the process until /readyz answers 200. Bar: 6.

With --check, exit code 1 where a bar is not met.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import torch

from deploy import decoded, score, seconds, untrained
from synthood.deploy import onnx, onnx_detector
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import load
from synthood.deploy.runtime import Runtime

BARS = {"errors": 0.0, "p99": 3.0, "throughput": 0.8, "memory": 1.05, "start": 6.0}
FIRST = 0.1
"""Share of the requests after which memory is measured first."""
PASSES = 50
BATCH = 8


@dataclass
class Served:
    """A server's process, its port, and the seconds that its start took."""

    process: "subprocess.Popen[str]"
    port: int
    seconds: float

    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def batches(self) -> str:
        """Mean size of the forward passes."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        total, passes = (float(lines[f"synthood_batch_images_{name}"]) for name in ("sum", "count"))
        return f"{total / max(passes, 1):.1f} images a pass"


@contextmanager
def served(folder: Path, options: Sequence[str]) -> Iterator[Served]:
    """A server until the end of the block; raises where SIGTERM does not end it with code 0."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "synthood.cli", "serve", str(folder), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        found = json.loads(line)
        if found["event"] == "listening":
            port = int(found["address"].rpartition(":")[2])
            break
    # Nobody reads the other lines, which would fill the pipe
    threading.Thread(target=lambda stream: [None for _ in stream], args=[process.stderr], daemon=True).start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
            yield Served(process, port, time.perf_counter() - began)
    finally:
        process.terminate()
        if process.wait(60):
            raise RuntimeError(f"the server ended with code {process.returncode}")


@dataclass
class Load:
    """What clients of their own threads saw: seconds of each request, and those without a verdict."""

    port: int
    requests: Sequence[bytes]
    total: int
    taken: list[float] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)

    def run(self, clients: int) -> float:
        """Seconds of all requests together."""
        numbers = count()

        def client() -> None:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                while (number := next(numbers)) < self.total:
                    began = time.perf_counter()
                    connection.sendall(self.requests[number % len(self.requests)])
                    head, body = answered(connection)
                    self.taken.append(time.perf_counter() - began)
                    if not head.startswith(b"HTTP/1.1 200") or b'"decision"' not in body:
                        self.errors.append(body)

        threads = [threading.Thread(target=client) for _ in range(clients)]

        def together() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return seconds(together)


def answered(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of the next answer."""
    found = b""
    while b"\r\n\r\n" not in found:
        if not (piece := connection.recv(1 << 16)):
            raise ConnectionError("the server closed the connection")
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
    while len(body) < length:
        body += connection.recv(1 << 16)
    return head, body


def request(content: bytes) -> bytes:
    """For the verdict on an image."""
    head = f"POST /v1/image HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def bare(runtime: Runtime, pixels: np.ndarray) -> float:
    """Seconds of a pass of `BATCH` images."""
    some = pixels[:BATCH]
    return median(seconds(lambda: runtime.judge(some)) for _ in range(PASSES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--folder", type=Path, help="an exported detector")
    parser.add_argument("--network", default="timm/tf_efficientnet_lite0", help="without a folder")
    parser.add_argument("--size", type=int, default=96, help="pixels a side, without a folder")
    parser.add_argument("--runtime", choices=("onnx", "torch"), default="onnx", help="of the server")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--most", type=int, default=1000, help="images that are sent in turn, and scored")
    parser.add_argument("--turns", type=int, default=3, help="of `score`")
    parser.add_argument("--threads", type=int, default=2, help="of the forward passes here")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of synthood serve, the last")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as temporary:
        place = given.folder or Path(temporary) / "detector"
        if given.folder is None:
            untrained(place, given.network, decoded(given.images, Preprocessing(given.size, given.size), 500)[1])
            if given.runtime == "onnx":
                onnx.add_to(place)
        predictor = load(place)
        runtime: Runtime = onnx_detector.load(place) if given.runtime == "onnx" else predictor
        files, pixels = decoded(given.images, predictor.preprocessing, given.most)
        scored = len(files) / min(seconds(partial(score, predictor, files)) for _ in range(given.turns))
        bodies = [request(file.read_bytes()) for file in files]
        with served(place, ["--runtime", given.runtime, *given.options]) as server:
            one_pass = bare(runtime, pixels)
            first = Load(server.port, bodies, max(1, round(FIRST * given.requests)))
            first.run(given.clients)
            before = server.memory()
            rest = Load(server.port, bodies, given.requests - first.total)
            speed = rest.total / rest.run(given.clients)
            growth, batches = server.memory() / before, server.batches()
            one_pass = min(one_pass, bare(runtime, pixels))
    errors = first.errors + rest.errors
    for body in errors[:3]:
        print(f"error: {body[:200]!r}")
    p50, p99 = np.percentile(rest.taken, (50, 99))
    print(f"{given.runtime}: {given.requests} requests of {given.clients} clients, {batches}")
    print(f"{speed:.0f} images/s; score {scored:.0f}")
    print(f"p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms; a pass of {BATCH} images {1000 * one_pass:.1f} ms")
    print(f"resident {before / 2**20:.0f} MiB after {first.total} requests; start {server.seconds:.1f} s")
    found = {
        "errors": float(len(errors)),
        "p99": float(p99) / one_pass,
        "throughput": speed / scored,
        "memory": growth,
        "start": server.seconds,
    }
    met = {name: found[name] >= bar if name == "throughput" else found[name] <= bar for name, bar in BARS.items()}
    for name, good in met.items():
        print(f"{name}: {found[name]:.3f} (bar {BARS[name]:g}): {'met' if good else 'NOT MET'}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return int(given.check and not all(met.values()))


if __name__ == "__main__":
    sys.exit(main())
