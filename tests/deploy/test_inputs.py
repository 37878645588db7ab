"""Whatever stands for an image becomes pixels of the model's size, or a reason; nothing is skipped."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from synthood.deploy.inputs import Input, Preprocessing, processed, processed_by_threads
from synthood.errors import SynthoodError

SIZE = Preprocessing(16, 16)


def pixels(seed: int = 0, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape or (16, 16, 3), np.uint8)


def given(images: Any, preprocessing: Preprocessing = SIZE, batch: int = 3) -> list[Input]:
    return [one for some in processed(images, preprocessing, list, batch, threads=2) for one in some]


def given_by_threads(images: Any) -> list[Input]:
    return [one for some in processed_by_threads(images, SIZE, list, 3, threads=2) for one in some]


def png(array: np.ndarray, path: Path) -> Path:
    Image.fromarray(array).save(path, "PNG")
    return path


def test_all_kinds_give_the_same_pixels(tmp_path: Path) -> None:
    image = pixels()
    file = png(image, tmp_path / "a.png")
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    for kind in (file, str(file), image, tensor, tensor.float() / 255, image / 255, Image.fromarray(image), tmp_path):
        (one,) = given(kind)
        assert one.pixels is not None
        assert (one.pixels == image).all()


def test_batches_sequences_and_iterators_in_their_order(tmp_path: Path) -> None:
    images = pixels(1, 7, 16, 16, 3)
    files = [png(image, tmp_path / f"{index}.png") for index, image in enumerate(images)]
    mixed = [files[0], images[1], Image.fromarray(images[2]), torch.from_numpy(images[3]).permute(2, 0, 1), *files[4:]]
    for kind in (images, torch.from_numpy(images).permute(0, 3, 1, 2), files, iter(files), tmp_path, mixed):
        found = given(kind)
        assert (np.stack([one.pixels for one in found if one.pixels is not None]) == images).all()
    assert [one.name for one in given(mixed)][:4] == [str(files[0]), "image 1", "image 2", "image 3"]
    assert [one.name for one in given(images)] == [f"image {index}" for index in range(7)]
    assert given([]) == []


def test_threads_that_do_the_work_as_well_keep_the_order(tmp_path: Path) -> None:
    images = pixels(1, 20, 16, 16, 3)
    files: list[Any] = [png(image, tmp_path / f"{index}.png") for index, image in enumerate(images)]
    (tmp_path / "bomb.png").write_bytes(bomb())
    found = given_by_threads(iter([*files, tmp_path / "bomb.png"]))
    assert (np.stack([one.pixels for one in found[:20] if one.pixels is not None]) == images).all()
    assert found[20].note == given(tmp_path / "bomb.png")[0].note
    assert given_by_threads([]) == []


def test_an_endless_iterator_is_read_as_far_as_it_is_asked() -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield pixels()

    stream = processed(endless(), SIZE, len, 4, threads=2)
    assert [next(stream) for _ in range(3)] == [4, 4, 4]


def test_conversions_are_named() -> None:
    notes = [
        one.note
        for one in given(
            [
                pixels(0, 20, 40, 3),
                pixels(0, 16, 16),
                Image.fromarray(pixels(0, 16, 16, 4)),
                Image.fromarray(pixels()).convert("CMYK"),
                Image.fromarray((pixels(0, 16, 16).astype(np.uint16)) * 257),
                pixels() / 255,
                pixels(),
            ]
        )
    ]
    assert notes == [
        "40x20 px resized",
        "grey to RGB",
        "alpha dropped",
        "CMYK to RGB",
        "grey to RGB; 16 bits to 8",
        "floats to 8 bits",
        "",
    ]


def bomb() -> bytes:
    """The head of a PNG that says 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b"")
    )


def test_bad_files_become_reasons_and_good_ones_go_on(tmp_path: Path) -> None:
    good = png(pixels(), tmp_path / "z good.png")
    stream = io.BytesIO()
    frames = [Image.fromarray(pixels(seed)) for seed in (1, 2)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    contents = {
        "empty.png": b"",
        "text.jpg": b"no image",
        "cut.png": good.read_bytes()[:200],
        "bomb.png": bomb(),
        "moving.gif": stream.getvalue(),
        "; rm -rf ~ \u202e.png": b"x",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = {Path(one.name).name: one for one in given(tmp_path)}
    assert set(found) == {*contents, good.name}
    assert {name for name, one in found.items() if one.pixels is not None} == {good.name}
    reasons = {
        "empty.png": "an empty file",
        "text.jpg": "not an image file",
        "cut.png": "truncated or damaged",
        "bomb.png": "more than 89 megapixels",
        "moving.gif": "2 frames; give one of them as an image",
    }
    assert all(found[name].note.startswith(reason) for name, reason in reasons.items())
    assert given(tmp_path / "nothing.png") == [Input(str(tmp_path / "nothing.png"), None, "not found")]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (pixels().astype(np.int64), "pixels of type int64; give uint8"),
        (pixels() / 1.0, "floating-point pixels outside 0 to 1"),
        (np.full((16, 16, 3), np.nan), "floating-point pixels outside 0 to 1"),
        (pixels(0, 16, 16, 5), "expected [H,W,3] or [3,H,W] of a tensor, got [16, 16, 5]"),
        (pixels(0, 4, 4, 3), "4x4 px, less than 8 a side"),
        (Image.fromarray(np.zeros((16, 16), np.float32)), "floating-point pixels"),
    ],
)
def test_arrays_that_are_no_images(image: Any, reason: str) -> None:
    (one,) = given([image])
    assert one.pixels is None
    assert one.note.startswith(reason)


@pytest.mark.parametrize("wrong", [3, None, {"a": 1}, b"x", pixels(0, 2, 2, 16, 16, 3), [3]])
def test_what_is_no_image_at_all_is_an_error(wrong: Any) -> None:
    with pytest.raises(SynthoodError, match=r"expected paths, arrays|expected arrays"):
        given(wrong)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SynthoodError, match=r"no images below it \(1 other files\)"):
        given(tmp_path)


def test_a_model_of_oblong_images_takes_no_others() -> None:
    oblong = Preprocessing(16, 24)
    good, bad = given([pixels(0, 16, 24, 3), pixels()], oblong)
    assert good.pixels is not None
    assert bad.note == "16x16 px; the model takes 24x16 px alone"
    assert Preprocessing.read(oblong.header()) == oblong


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(0, 16, 16, 3))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    turned, as_it_is = (
        given(tmp_path, Preprocessing(16, 16, apply_exif_rotation=turn))[0].pixels for turn in (True, False)
    )
    assert turned is not None
    assert (np.rot90(as_it_is, -1) == turned).all()
    with Image.open(tmp_path / "a.png") as opened:
        (one,) = given([opened])
    assert one.pixels is not None
    assert (one.pixels == turned).all()
