"""Downloads, from a server on this machine that breaks off, lies, or is not there."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from synthood.cli import main
from synthood.data.public.fetch import Download, fetch, registry
from synthood.errors import SynthoodError

CONTENT = np.random.default_rng(0).bytes(300_000)


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        info = tarfile.TarInfo("set/a.txt")
        info.size = 3
        packed.addfile(info, io.BytesIO(b"one"))
    return stream.getvalue()


ARCHIVE = archive()


class Site(ThreadingHTTPServer):
    """Serves files by name; keeps the ranges that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {"/whole": CONTENT, "/broken": CONTENT, "/other": CONTENT[::-1], "/set.tar.gz": ARCHIVE}
        self.asked: list[tuple[str, str]] = []
        self.breaks_off = {"/broken": 2}
        self.ranges = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site, asked = self.server, self.headers.get("Range", "")
        site.asked.append((self.path, asked))
        content = site.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if site.breaks_off.get(self.path, 0) > 0:
            site.breaks_off[self.path] -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def one(site: Site, *names: str, content: bytes = CONTENT, **more: object) -> dict[str, Download]:
    file = {
        "name": "own.bin",
        "urls": [f"{site.address}/{name}" for name in names],
        "md5": hashlib.md5(content).hexdigest(),
        "largest_mb": 1,
        **more,
    }
    return {"own": Download.model_validate({"use": "{kind: own, path: PATH}", "files": [file]})}


def test_a_file_is_fetched_checked_and_left_alone(site, tmp_path):
    told = fetch("own", tmp_path / "data", one(site, "whole", folder="deep/er"))
    assert (tmp_path / "data/deep/er/own.bin").read_bytes() == CONTENT
    expected = f"own: ready below {tmp_path / 'data'}; in a configuration: {{kind: own, path: {tmp_path / 'data'}}}"
    assert told == expected
    assert fetch("own", tmp_path / "data", one(site, "whole", folder="deep/er")) == told
    assert site.asked == [("/whole", "")]


def test_what_broke_off_goes_on(site, tmp_path, capsys):
    fetch("own", tmp_path, one(site, "broken"))
    assert (tmp_path / "own.bin").read_bytes() == CONTENT
    assert site.asked == [("/broken", ""), ("/broken", "bytes=150000-"), ("/broken", "bytes=225000-")]
    assert "broke off at 150000 of 300000 bytes" in capsys.readouterr().out
    assert sorted(file.name for file in tmp_path.iterdir() if file.suffix != ".lock") == ["own.bin"]


def test_what_was_left_over_goes_on_even_where_the_server_cannot(site, tmp_path):
    (tmp_path / "own.bin.part").write_bytes(CONTENT[:1000])
    fetch("own", tmp_path, one(site, "whole"))
    assert site.asked == [("/whole", "bytes=1000-")]
    (tmp_path / "own.bin").unlink()
    (tmp_path / "own.bin.part").write_bytes(CONTENT[:1000])
    site.ranges = False
    fetch("own", tmp_path, one(site, "whole"))
    assert (tmp_path / "own.bin").read_bytes() == CONTENT
    (tmp_path / "own.bin").rename(tmp_path / "own.bin.part")
    fetch("own", tmp_path, one(site, "whole"))
    assert len(site.asked) == 2


def test_a_part_that_is_too_long_is_fetched_anew(site, tmp_path):
    (tmp_path / "own.bin.part").write_bytes(CONTENT + b"more")
    fetch("own", tmp_path, one(site, "whole"))
    assert (tmp_path / "own.bin").read_bytes() == CONTENT


def test_it_gives_up_after_three_breaks_and_goes_on_next_time(site, tmp_path):
    site.breaks_off["/broken"] = 5
    with pytest.raises(SynthoodError, match="broke off 3 times; the same command goes on from there"):
        fetch("own", tmp_path, one(site, "broken"))
    fetch("own", tmp_path, one(site, "broken"))
    assert (tmp_path / "own.bin").read_bytes() == CONTENT
    assert len(site.asked) == 6


def test_the_next_source_is_asked_after_a_wrong_or_missing_one(site, tmp_path):
    fetch("own", tmp_path, one(site, "none", "other", "whole"))
    assert (tmp_path / "own.bin").read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == ["/none", "/other", "/whole"]
    assert all(asked == "" for _, asked in site.asked)


def test_a_wrong_checksum_is_told_and_not_kept(site, tmp_path):
    found, recorded = hashlib.md5(CONTENT[::-1]).hexdigest(), hashlib.md5(CONTENT).hexdigest()
    with pytest.raises(SynthoodError, match=rf"own.bin .*wrong checksum \({found}, recorded {recorded}\)"):
        fetch("own", tmp_path, one(site, "other"))
    assert sorted(file.name for file in tmp_path.iterdir() if file.suffix != ".lock") == []
    (tmp_path / "own.bin").write_bytes(b"mine")
    with pytest.raises(SynthoodError, match=r"the file that is there has another digest"):
        fetch("own", tmp_path, one(site, "whole"))
    assert (tmp_path / "own.bin").read_bytes() == b"mine"


def test_sha256_is_checked_as_well(site, tmp_path):
    fetch("own", tmp_path, one(site, "whole", md5=None, sha256=hashlib.sha256(CONTENT).hexdigest()))
    assert (tmp_path / "own.bin").read_bytes() == CONTENT
    with pytest.raises(SynthoodError, match="wrong checksum"):
        fetch("own", tmp_path / "b", one(site, "whole", md5=None, sha256="0" * 64))


def test_more_bytes_than_announced_are_refused(site, tmp_path):
    site.files["/large"] = b"x" * (3 << 20)
    with pytest.raises(SynthoodError, match="sends more than 1048576 bytes"):
        fetch("own", tmp_path, one(site, "large"))
    assert sorted(file.name for file in tmp_path.iterdir() if file.suffix != ".lock") == []


def test_an_archive_is_unpacked_once(site, tmp_path):
    known = one(site, "set.tar.gz", content=ARCHIVE, gives="set", folder="in")
    fetch("own", tmp_path, known)
    assert (tmp_path / "in/set/a.txt").read_bytes() == b"one"
    assert [entry.name for entry in (tmp_path / "in").iterdir()] == ["set"]
    fetch("own", tmp_path, known)
    assert len(site.asked) == 1


def test_without_network_everything_that_is_missing_is_told_at_once(tmp_path):
    files = [
        {
            "name": f"{i}.gz",
            "urls": [f"http://127.0.0.1:9/{i}.gz", "http://127.0.0.1:9/b"],
            "md5": str(i) * 32,
            "largest_mb": 1,
        }
        for i in range(3)
    ]
    content = {"use": "x", "files": files, "by_hand": {"lists": "https://example.org, after registration"}}
    known = {"own": Download.model_validate(content)}
    (tmp_path / "1.gz").write_bytes(b"")
    with pytest.raises(SynthoodError) as caught:
        fetch("own", tmp_path, known)
    head, *lines = str(caught.value).splitlines()
    assert head == "own: 4 files are missing; put them there by hand:"
    for i in (0, 2):
        start = f"  {tmp_path}/{i}.gz (MD5 {str(i) * 32}) from http://127.0.0.1:9/{i}.gz or http://127.0.0.1:9/b ("
        assert lines[i].startswith(start)
    assert "another digest" in lines[1]
    assert lines[3] == f"  {tmp_path / 'lists'}: https://example.org, after registration"
    (tmp_path / "lists").mkdir()
    with pytest.raises(SynthoodError, match="own: 4 files are missing"):
        fetch("own", tmp_path, known)
    (tmp_path / "lists" / "train.txt").touch()
    with pytest.raises(SynthoodError, match="own: 3 files are missing"):
        fetch("own", tmp_path, known)


def test_the_command_tells_names_and_mistakes(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["fetch", "--dataset", "cifar1", "--to", str(tmp_path)])
    assert "nothing is known of data set 'cifar1'; did you mean 'cifar10" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fetch", "--dataset", "openood", "--to", str(tmp_path)])
    assert f"error: openood: 8 files are missing; put them there by hand:\n  {tmp_path}" in capsys.readouterr().err
    sets = ["cifar10", "cifar100", "tin", "mnist"]
    for name in ("benchmark_imglist", *(f"images_classic/{one}" for one in sets)):
        (tmp_path / name / "some").mkdir(parents=True)
    with pytest.raises(SystemExit):
        main(["fetch", "--dataset", "openood", "--to", str(tmp_path)])
    missing = capsys.readouterr().err
    assert "openood: 3 files are missing" in missing
    for name in ("svhn", "texture", "places365"):
        assert f"{tmp_path}/images_classic/{name}: https://github.com/Jingkang50/OpenOOD" in missing
        (tmp_path / "images_classic" / name / "some").mkdir(parents=True)
    main(["fetch", "--dataset", "openood", "--to", str(tmp_path)])
    assert capsys.readouterr().out.startswith(f"openood: ready below {tmp_path}")


def test_what_a_benchmark_reads_is_what_fetch_asks_for(tmp_path):
    """The first folder of each set of the shipped lists, below the bundle's own."""
    lists = Path(__file__).parents[4] / "shared" / "data" / "imglists" / "cifar10"
    if not lists.is_dir():
        pytest.skip("no lists of OpenOOD beside the project")
    asked = registry()["openood"].by_hand.keys()
    for file in lists.glob("*.txt"):
        for line in file.read_text().splitlines():
            assert f"images_classic/{line.partition('/')[0]}" in asked


def test_every_known_file_has_a_digest_and_a_place():
    known = registry()
    assert {"cifar10", "cifar100", "svhn", "mnist", "fashion-mnist", "dtd", "imagenet", "openood"} <= known.keys()
    for download in known.values():
        assert download.files or download.by_hand
        assert "PATH" in download.use
        for file in download.files:
            assert file.md5 or file.sha256
            assert all("NAME" not in url for url in file.sources)
    assert known["mnist"].files[0].sources[1] == "http://yann.lecun.com/exdb/mnist/train-images-idx3-ubyte.gz"


def test_a_place_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SystemExit):
        main(["fetch", "--dataset", "openood", "--to", str(tmp_path / "file" / "data")])
    assert capsys.readouterr().err.startswith("error: ")
