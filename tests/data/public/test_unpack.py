"""Archives: what is unpacked, and what is refused without a trace."""

import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.data.public.unpack import unpack
from synthood.errors import SynthoodError

GOOD = {"set/a/1.txt": b"one", "set/b c/ü.txt": b"two" * 50_000}


def tar(path: Path, members: dict[str, bytes], kind: bytes | None = None, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if kind and content == b"->":
                info.type, info.linkname = kind, "../../outside"
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if content == b"->":
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_a_tar_is_unpacked(tmp_path, mode):
    path = tar(tmp_path / "x.tar", GOOD, mode=mode)
    unpack(path, tmp_path / "to", "set", 10**6)
    assert files(tmp_path / "to") == GOOD
    assert [entry.name for entry in (tmp_path / "to").iterdir()] == ["set"]


def test_a_tar_of_a_folder_is_unpacked(tmp_path):
    (tmp_path / "set/deep").mkdir(parents=True)
    (tmp_path / "set/deep/1.txt").write_bytes(b"one")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "set", "./set")
    unpack(tmp_path / "x.tar", tmp_path / "to", "set", 10)
    assert files(tmp_path / "to") == {"set/deep/1.txt": b"one"}


def test_a_zip_is_unpacked(tmp_path):
    unpack(zipped(tmp_path / "x.zip", {"set/": b"", **GOOD}), tmp_path / "to", "set", 10**6)
    assert files(tmp_path / "to") == GOOD


REFUSED = {
    "../evil.txt": (b"x", "leaves the folder it is unpacked into"),
    "/evil.txt": (b"x", "leaves the folder"),
    "set/../../evil.txt": (b"x", "leaves the folder"),
    "other/evil.txt": (b"x", "lies outside of set/"),
    "set/link": (b"->", "is a link or a device"),
    "set/large": (b"x" * 200_000, "unpacks to more bytes than were announced"),
    "set/a/1.txt": (b"again", "stands in it twice"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_what_an_archive_may_not_hold_leaves_nothing(tmp_path, name, kind):
    content, message = REFUSED[name]
    path = tmp_path / "in" / "x.archive"
    path.parent.mkdir()
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            for member, data in [*GOOD.items(), (name, content)]:
                info = tarfile.TarInfo(member)
                if data == b"->":
                    info.type, info.linkname = tarfile.SYMTYPE, "../.."
                info.size = 0 if data == b"->" else len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in [*GOOD.items(), (name, content)]:
                entry = zipfile.ZipInfo(member)
                entry.external_attr = (stat.S_IFLNK << 16) if data == b"->" else 0
                archive.writestr(entry, data)
    with pytest.raises(SynthoodError, match=message) as caught:
        unpack(path, tmp_path / "to", "set", 200_000)
    assert "x.archive: " in str(caught.value)
    assert list((tmp_path / "to").iterdir()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "to"]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    path = tar(tmp_path / "x.tar.gz", {"set/odd": b"->"}, kind)
    with pytest.raises(SynthoodError, match="'set/odd' is a link or a device"):
        unpack(path, tmp_path / "to", "set", 10)


NAMELESS = {
    "": "member 3 has no usable name",
    ".": "member 3 has no usable name",
    "set/a\nb": r"member 3 has no usable name \('set/a\\\\nb'\)",
    "set/\x1b[31mred": "member 3 has no usable name",
    f"set/{'x' * 300}": "is too long for this file system",
    f"set/{'y/' * 3000}z": "is too long for this file system",
    "set/a/1.txt/2": "'set/a/1.txt/2' stands in it twice",
    "set/a": "'set/a' stands in it twice",
}


@pytest.mark.parametrize("name", NAMELESS, ids=lambda name: repr(name[:12]))
@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name, make):
    path = make(tmp_path / "x.archive", {**GOOD, name: b"x"})
    with pytest.raises(SynthoodError, match=NAMELESS[name]) as caught:
        unpack(path, tmp_path / "to", "set", 10**6)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_compressed_tar_that_breaks_off_or_is_altered_is_damaged(tmp_path, mode):
    content = tar(tmp_path / "x.tar", {"set/1": random.Random(0).randbytes(50_000)}, mode=mode).read_bytes()
    middle = len(content) // 2
    altered = content[:middle] + bytes(64) + content[middle + 64 :]  # of gzip, the digest of the archive notices it
    for number, wrong in enumerate([content[:middle], *([altered] if mode != "w:gz" else [])]):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(wrong)
        with pytest.raises(SynthoodError, match=r"^\S+: damaged \("):
            unpack(path, tmp_path / "to", "set", 10**6)


def test_the_known_folder_must_be_there(tmp_path):
    with pytest.raises(SynthoodError, match=r"holds no set/"):
        unpack(tar(tmp_path / "x.tar", {}), tmp_path / "to", "set", 10)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_archives_are_unpacked_or_refused(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("damaged")
    make = data.draw(st.sampled_from([tar, zipped]))
    path = make(place / "x", {"set/1": b"one", "set/2": b"two" * 500})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    try:
        unpack(path, place / "to", "set", 10**5)
    except SynthoodError:
        assert list((place / "to").iterdir()) == []
    else:
        assert [entry.name for entry in (place / "to").iterdir()] == ["set"]
    assert sorted(entry.name for entry in place.iterdir()) == ["to", "x"]
