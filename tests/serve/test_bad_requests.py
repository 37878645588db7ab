"""Whatever a client sends, it has a reason with status 4xx, and the server goes on."""

import http.client
import io
import json
import logging
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import synthood
from servers import FORM, HERE, Running, exported, form, noise, png, running
from synthood.deploy.predictor import Predictor

GOOD = png(noise(1)[0])
HEAD = b"POST /v1/image HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("served") / "detector"
    exported(folder)
    return synthood.load(folder)


@pytest.fixture(scope="module")
def server(predictor: Predictor) -> Iterator[Running]:
    limits = {"max_bytes": 100_000, "max_held_bytes": 150_000, "max_pixels": 1_000_000, "max_images": 8}
    with running(predictor, **limits) as found:
        yield found
        assert found.ask("POST", "/v1/image", GOOD).status == 200
        assert found.metric("synthood_held_bytes") == 0
        assert found.metric("synthood_images_waiting") == 0


@pytest.fixture(scope="module")
def hasty(predictor: Predictor) -> Iterator[Running]:
    """A server that does not wait for slow clients."""
    with running(predictor, read_timeout=0.3) as found:
        yield found


def bomb(width: int, height: int) -> bytes:
    """A PNG file of a few bytes whose header promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animation() -> bytes:
    """A GIF file of many frames."""
    stream = io.BytesIO()
    first, *others = map(Image.fromarray, noise(20))
    first.save(stream, "GIF", save_all=True, append_images=others)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"text", "image: not an image file"),
        (GOOD[:100], "image: truncated or damaged"),
        (GOOD[:30] + b"\0" * 50, "image: not an image file"),
        (bomb(1001, 1000), "image: 1001x1000 px, more than 1000000 pixels; shrink it"),
        (bomb(60000, 60000), "image: more than 89 megapixels; shrink it"),
        (png(noise(1, 4)[0]), "image: 4x4 px, less than 8 a side"),
        (b"%PDF-1.7 /etc/passwd", "image: not an image file"),
        (animation(), "image: several frames; give one of them as an image"),
    ],
    ids=["text", "cut", "header", "large", "bomb", "small", "pdf", "animation"],
)
def test_no_usable_image(server: Running, content: bytes, why: str) -> None:
    found = server.ask("POST", "/v1/image", content)
    assert found.status == 422
    assert found.json["error"].startswith(why)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "image", "\xff"])
def test_wrong_types(server: Running, kind: str) -> None:
    found = server.ask("POST", "/v1/image", GOOD, kind)
    assert found.status == 415
    assert "expected image/..., application/octet-stream or multipart/form-data" in found.json["error"]
    assert server.ask("POST", "/v1/images", GOOD).status == 415
    assert server.ask("POST", "/v1/image", GOOD, Content_Encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "why"),
    [
        ("/v1/image", b"", "image/png", 400, "an empty body"),
        ("/v1/images", GOOD, "multipart/form-data", 400, "without a boundary"),
        ("/v1/images", GOOD, f"multipart/form-data; boundary={'x' * 300}", 400, "is no multipart"),
        ("/v1/images", GOOD, FORM, 400, "is no multipart"),
        ("/v1/images", b"", FORM, 400, "ends before its last boundary"),
        ("/v1/images", b"--limit--\r\n", FORM, 400, ""),
        ("/v1/images", form(GOOD)[:-20], FORM, 400, "ends before its last boundary"),
        ("/v1/images", b"--limit\r\n" + b"A: b\r\n" * 100 + b"\r\n\r\n--limit--\r\n", FORM, 400, "is no multipart"),
        ("/v1/images", form(*[GOOD] * 9), FORM, 413, "more than 8 parts"),
        ("/v1/images", form(*[b""] * 10_000)[:99_000], FORM, 413, "more than 8 parts"),
        ("/v1/image", form(GOOD, GOOD), FORM, 413, "more than 1 parts"),
        ("/v1/image", bytes(100_001), "image/png", 413, "a body of more than 100000 bytes"),
    ],
)
def test_wrong_bodies(server: Running, path: str, body: bytes, kind: str, status: int, why: str) -> None:
    found = server.ask("POST", path, body, kind)
    assert found.status == status
    assert why in found.json["error"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_wrong_methods(server: Running, method: str) -> None:
    found = server.ask(method, "/v1/image")
    assert found.status == 405
    assert found.headers["allow"] == "POST"
    assert server.ask("POST", "/healthz", b"a").status == 405


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "%2e%2e/x", "a\\b", "x" * 3000, "CON"])
def test_names_are_never_used(
    server: Running, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()
    inner = Path.open
    monkeypatch.setattr("builtins.open", lambda file, *a, **b: opened.append(str(file)))
    monkeypatch.setattr(Path, "open", lambda self, *a, **b: (opened.append(str(self)), inner(self, *a, **b))[1])
    with caplog.at_level(logging.INFO):
        found = server.ask("POST", "/v1/images", form(GOOD, name=name), FORM)
    assert found.status == 200
    assert opened == []
    assert name not in caplog.text
    assert name not in "".join(str(getattr(one, "facts", "")) for one in caplog.records)


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/page/app.js", "/%2e%2e/%2e%2e/etc/passwd", "/app.js/..", "//", "/\x7f"]
)
def test_paths_that_are_none(server: Running, path: str) -> None:
    found = server.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1"))
    status = int(found.split()[1])
    assert status in (400, 404)
    if status == 404:
        assert json.loads(found.partition(b"\r\n\r\n")[2]) == {"error": "Not Found"}


def test_slow_clients_are_let_go(hasty: Running) -> None:
    for sent in (b"", b"POST /v1/im", HEAD + b"A: "):
        assert hasty.raw(sent).startswith(b"HTTP/1.1 408 ")
    slow = HEAD + b"Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
    head, _, body = hasty.raw(slow).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head
    assert json.loads(body) == {"error": "the body took more than 0.3 s"}
    # The second request of a connection
    with socket.create_connection((HERE, hasty.port), timeout=120) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        found = client.recv(1 << 16)
        assert found.startswith(b"HTTP/1.1 200 ")
        while not found.endswith(b"}"):
            found += client.recv(1 << 16)
        client.sendall(b"GET /heal")
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 408 ")


def test_an_endless_body_has_an_answer(server: Running) -> None:
    head = HEAD + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((HERE, server.port), timeout=120) as client:
        client.sendall(head)
        client.setblocking(False)
        found, sent = b"", 0
        while not found and sent < 1 << 30:
            try:
                sent += client.send(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            except BlockingIOError:
                time.sleep(0.001)
            try:
                found = client.recv(1 << 16)
            except BlockingIOError:
                continue
    assert found.startswith(b"HTTP/1.1 413 ")
    assert b"a body of more than 100000 bytes" in found


def test_a_body_that_is_announced_too_long_is_not_read(server: Running) -> None:
    head = HEAD + b"Content-Type: image/png\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
    found = server.raw(head)
    assert found.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\r\n\r\n",
        b"GET\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\nzz\r\n",
        HEAD + b"A: " + b"b" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_is_no_http(hasty: Running, sent: bytes) -> None:
    assert hasty.raw(sent)[9:12] in (b"400", b"408", b"431", b"415")


def test_bytes_of_all_requests_are_limited(server: Running) -> None:
    head = HEAD + b"Content-Type: image/png\r\nContent-Length: 90000\r\n\r\n"
    with socket.create_connection((HERE, server.port)) as one:
        one.sendall(head + bytes(80_000))
        while server.metric("synthood_held_bytes") < 80_000:
            time.sleep(0.01)
        found = server.ask("POST", "/v1/image", bytes(90_000))
    assert found.status == 503
    assert found.json == {"error": "too many bytes of other requests are held; try again"}
    while server.metric("synthood_held_bytes"):
        time.sleep(0.01)


def test_a_client_that_goes_away(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        with socket.create_connection((HERE, server.port)) as client:
            client.sendall(HEAD + b"Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
        deadline = time.monotonic() + 10
        while "499" not in str([getattr(one, "facts", "") for one in caplog.records]):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_answers_are_for_this_origin_alone(server: Running) -> None:
    for path in ("/", "/v1/detector", "/nothing"):
        headers = {name.lower(): value for name, value in server.ask("GET", path).headers.items()}
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_a_refused_connection_may_be_used_again(server: Running) -> None:
    """Where the body was read, a refusal does not end the connection."""
    connection = http.client.HTTPConnection(HERE, server.port, timeout=120)
    for content, status in ((b"text", 422), (GOOD, 200), (b"", 400), (GOOD, 200)):
        connection.request("POST", "/v1/image", content, {"Content-Type": "image/png"})
        answer = connection.getresponse()
        assert answer.status == status
        assert not answer.will_close
        answer.read()
    connection.close()
