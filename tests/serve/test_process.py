"""`synthood serve` as a process: JSON lines, loopback alone, and accepted requests answered after SIGTERM."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from servers import FORM, HERE, exported, form, noise, png

IMAGE = png(noise(1)[0])


def test_a_process_from_start_to_sigterm(tmp_path: Path) -> None:
    exported(tmp_path / "detector")
    command = [sys.executable, "-m", "synthood.cli", "serve", str(tmp_path / "detector"), "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "nothing"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    first, line = (json.loads(process.stderr.readline()) for _ in range(2))
    assert (first["event"], line["event"]) == ("loaded", "listening")
    assert first["library"].startswith("torch ")
    assert line["address"].startswith(f"http://{HERE}:")
    port = int(line["address"].rpartition(":")[2])
    # No other address of this machine
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", port)) != 0
    # A large form, with no folder for temporary files
    big = IMAGE + bytes(3_000_000)
    body = form(big, IMAGE, name="secret.png")
    with closing(http.client.HTTPConnection(HERE, port, timeout=120)) as client:
        client.request("POST", "/v1/images", body, {"Content-Type": FORM})
        assert client.getresponse().read().count(b'"decision"') == 2
    # SIGTERM while a body is half read
    with socket.create_connection((HERE, port), timeout=120) as late:
        head = f"POST /v1/image HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
        late.sendall(head.encode() + IMAGE[:50])
        while "synthood_held_bytes 50.0" not in text(port):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        while accepts(port):
            time.sleep(0.01)
        late.sendall(IMAGE[50:])
        found = b""
        while piece := late.recv(1 << 16):
            found += piece
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b'"decision"' in found
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert output == ""
    lines = [json.loads(line) for line in errors.splitlines()]
    assert lines[-1]["event"] == "ended"
    images = [one for one in lines if one["event"] == "request" and one["route"] == "/v1/images"]
    assert images[0]["images"] == 2
    assert images[0]["status"] == 200
    assert "secret" not in errors


def text(port: int) -> str:
    with closing(http.client.HTTPConnection(HERE, port, timeout=120)) as client:
        client.request("GET", "/metrics")
        return client.getresponse().read().decode()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HERE, port)) == 0


def test_mistakes_end_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synthood.cli", "serve", str(tmp_path), "--batch", "0"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "error: serve: --batch 0: expected at least 1\n"
