"""Small exported detectors, and servers of them on loopback."""

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import Predictor, features_of
from synthood.evaluation.detectors.distances import Mds
from synthood.evaluation.features import Features, Reference
from synthood.serve.options import ServeOptions
from synthood.serve.server import Server, configured, listening
from toy_models import classifier, pictures

HERE = "127.0.0.1"
FORM = "multipart/form-data; boundary=limit"


def noise(count: int, size: int = 16) -> np.ndarray:
    """Images uint8 [N,size,size,3] that are unknown to the detector."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def exported(folder: Path) -> Predictor:
    """A detector of three classes at 16 px with its test histograms."""
    model, calibration, test = classifier(), pictures(150, 3), pictures(90, 5)
    device, head = next(model.network.parameters()).device, model.network.head

    def labelled(images: Any) -> Features:
        found = features_of(model, images.images, device)
        return Features(found.logits, found.features, torch.from_numpy(images.labels))

    known = labelled(calibration)
    reference = Reference(known, known, head.weight.detach(), head.bias.detach())
    calibrated = split_calibrated(Mds().fit(reference), known)
    ood = {"noise": features_of(model, noise(60), device)}
    size = Preprocessing(16, 16)
    return export(folder, model, calibrated, size, (0.05, 0.1), test=labelled(test), ood=ood)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def form(*contents: bytes, name: str = "a.png") -> bytes:
    """A body of type `FORM`."""
    head = f'--limit\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'.encode()
    return b"".join(head + content + b"\r\n" for content in contents) + b"--limit--\r\n"


@dataclass
class Answered:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A server on loopback."""

    port: int
    server: Server

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str | None = "image/png", **headers: str
    ) -> Answered:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(HERE, self.port, timeout=120)
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and kind is not None:
            own["Content-Type"] = kind
        try:
            connection.request(method, path, body, own)
            response = connection.getresponse()
            return Answered(response.status, response.headers, response.read())
        finally:
            connection.close()

    def raw(self, content: bytes, seconds: float = 120) -> bytes:
        """What the server sends to a client of these bytes until it closes the connection."""
        with socket.create_connection((HERE, self.port), timeout=seconds) as client:
            client.sendall(content)
            found = b""
            while piece := client.recv(1 << 16):
                found += piece
        return found

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


@contextmanager
def running(predictor: Predictor, **options: Any) -> Iterator[Running]:
    """A server in a thread, ended as by SIGTERM."""
    chosen = ServeOptions(port=0, **options)
    with listening(chosen) as listener:
        server = Server(configured(predictor, chosen))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield Running(listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            thread.join()
