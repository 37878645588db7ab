"""Files from elsewhere: which kind each is, in one sentence without torch's advice or the file's codes."""

import os
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from synthood.common.foreign import read_content
from synthood.common.states import read_state, read_states
from synthood.errors import SynthoodError, first_line, printable, visible

STATE = {"fc.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.zeros(2)}


class Settings:
    """A class of the user's, which no other machine has."""


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


def saved(content: Any, path: Path, **more: Any) -> bytes:
    torch.save(content, path, **more)
    return path.read_bytes()


def zipped(path: Path, *names: str) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path.read_bytes()


def scripted(path: Path) -> bytes:
    torch.jit.save(torch.jit.trace(nn.Linear(3, 2), torch.ones(1, 3)), path)
    return path.read_bytes()


DEEP = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
LONG = b"\x80\x02}" + b"X\x01\x00\x00\x00a}" * 50_000 + b"s" * 50_000 + b"."
KINDS: dict[str, tuple[Any, str]] = {
    "empty.pt": (lambda _: b"", "is empty; get the file again"),
    "cut.pt": (lambda path: saved(STATE, path)[:-300], "is cut short or damaged; get the file again"),
    "cut-old.pt": (
        lambda path: saved(STATE, path, _use_new_zipfile_serialization=False)[:-20],
        "(is cut short or damaged|not a readable checkpoint)",
    ),
    "cut.safetensors": (lambda _: save(STATE)[:-4], "is cut short or damaged; get the file again"),
    "cut-early.safetensors": (lambda _: save(STATE)[:40], "is cut short; get the file again"),
    "script.pt": (scripted, "is a TorchScript archive, whose code is not run; save `network.state_dict"),
    "module.pt": (
        lambda path: saved(nn.Linear(3, 2), path),
        r"holds more than weights \(torch\.nn\.modules\.linear\.Linear, perhaps a network pickled as a Python object\)",
    ),
    "own.pt": (lambda path: saved(STATE | {"config": Settings()}, path), r"holds more than weights \(\S*Settings, per"),
    "command.pt": (lambda path: saved(STATE | {"x": Command()}, path), r"holds more than weights \(posix\.system, per"),
    "net.onnx": (lambda _: b"\x08\x07\x12\x07pytorch\x1a\x05", "is an ONNX graph, whose weights bear no names"),
    "net.pt": (lambda _: b"\x08\x07\x12\x07pytorch\x1a\x05", "is an ONNX graph, whose weights bear no names"),
    "others.pt": (
        lambda path: zipped(path, "a\n\x1b[1mb.txt", "c.txt"),
        r"is a zip archive of other files \(a\\n\\x1b\[1mb\.txt, c\.txt\), not a checkpoint; unpack it first",
    ),
    "pointer.pt": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not the file"),
    "page.pt": (lambda _: b"\n<!DOCTYPE html>", "is a web page, not a checkpoint; download the file itself"),
    "packed.pt.gz": (lambda _: b"\x1f\x8b\x08", "is compressed; unpack it first"),
    "keras.h5": (lambda _: b"\x89HDF\r\n", "is an HDF5 file"),
    "text.pt": (lambda _: b"no checkpoint", "save `network.state_dict"),
    "text.safetensors": (lambda _: b"no checkpoint", "is named .safetensors and is none"),
    "deep-lists.pt": (lambda _: DEEP, "save `network.state_dict"),
    "deep.pt": (lambda _: LONG, "save `network.state_dict"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")  # but files of it are there
@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_checkpoint_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = KINDS[name]
    (tmp_path / name).write_bytes(make(tmp_path / "other"))
    with pytest.raises(SynthoodError, match=message) as caught:
        read_states(tmp_path / name)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 400
    assert "weights_only" not in text
    assert "trust" not in text
    assert not Path("executed").exists()


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match="is a folder, not a checkpoint; name the file in it"):
        read_content(tmp_path)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "fc.weight is quantised; save the float",
        ),
        (lambda: torch.ones(2, 2).to_sparse(), r"fc.weight is no plain tensor \(sparse\)"),
        (lambda: torch.ones(2, device="meta"), "fc.weight has a shape but no values"),
    ],
    ids=["quantised", "sparse", "meta"],
)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")  # but files of such tensors are there
def test_tensors_without_plain_values_are_named(
    tensor: Callable[[], torch.Tensor], message: str, tmp_path: Path
) -> None:
    torch.save({"fc.weight": tensor()}, tmp_path / "a.pt")
    with pytest.raises(SynthoodError, match=message):
        read_states(tmp_path / "a.pt")


def test_settings_beside_the_weights_are_not_built(tmp_path: Path) -> None:
    content = {"state_dict": STATE, "out": pathlib.PosixPath("a"), "best": np.float32(0.5), "when": np.int64(3)}
    torch.save(content, tmp_path / "a.pt")
    found = read_content(tmp_path / "a.pt")
    assert [type(found[key]).__name__ for key in ("out", "best")] == ["PosixPath", "scalar"]
    assert not isinstance(found["out"], pathlib.PurePath)
    assert torch.equal(read_states(tmp_path / "a.pt")["state_dict"]["fc.weight"], STATE["fc.weight"])


def test_weights_of_a_gpu_are_read_without_one(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "cpu.pt")
    with zipfile.ZipFile(tmp_path / "cpu.pt") as source, zipfile.ZipFile(tmp_path / "gpu.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:3"))
    assert b"cuda:3" in (tmp_path / "gpu.pt").read_bytes()
    assert torch.equal(read_state(tmp_path / "gpu.pt")["fc.weight"], STATE["fc.weight"])


def test_averages_come_first_and_are_reported(tmp_path: Path) -> None:
    """For files that are read without a network to fit, such as an encoder's."""
    averaged = {key: value + 1 for key, value in STATE.items()}
    torch.save({"state_dict": STATE, "state_dict_ema": averaged, "optimizer": {"state": STATE}}, tmp_path / "a.pt")
    notes: list[str] = []
    found = read_state(tmp_path / "a.pt", report=notes.append)
    assert torch.equal(found["fc.bias"], torch.ones(2))
    assert notes == [f"{tmp_path / 'a.pt'}: weights of state_dict_ema, not of state_dict"]
    torch.save({"a": STATE, "b": averaged}, tmp_path / "b.pt")
    with pytest.raises(SynthoodError, match=r"several state dicts \(a, b\); save one of them alone"):
        read_state(tmp_path / "b.pt")


def test_what_breaks_or_reverses_a_line_is_made_visible() -> None:
    text = "\u05e9\u05dc\u05d5\u05dd \u0645\u06cc\u200c\u062e <b> \U0001f469\u200d\U0001f52c"
    assert visible(text) == text  # also with the joiners of Persian and of emoji
    assert visible("a\n\u202eb\x07\udc80") == "a\\n\\u202eb\\x07\\udc80"


def test_text_is_made_printable() -> None:
    assert printable("layer1.0\x1b]0;x\x07\r\n\u202e") == "layer1.0\\x1b]0;x\\x07\\r\\n\\u202e"
    assert printable("é" * 300, 200) == "é" * 200 + "..."
    assert first_line(ValueError("\nno \x1b[1mfile.\nTraceback")) == "no \\x1b[1mfile"


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps([1], protocol=2))
    with pytest.raises(SynthoodError):
        read_states(tmp_path / "a.pt")
