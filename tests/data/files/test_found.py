"""What lies below a folder: nothing is lost silently, whatever its suffix."""

import io

import pytest
from PIL import Image

from synthood.data.files.found import look, notes_on, subfolders
from synthood.data.selection import Selection
from synthood.data.sources.folders import Folders, IdFolders
from synthood.errors import SynthoodError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def encoded(kind):
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), (10, 200, 30)).save(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.JPG", "JPEG"),
        ("a.Tga", "TGA"),
        ("a.avif", "AVIF"),
        ("a.ras", None),
        ("a.pcx", "PCX"),
        ("a.mpo", "MPO"),
        ("a.apng", "PNG"),
        ("plain", "PNG"),
        ("subject01.happy", "GIF"),
        ("no-suffix", "PPM"),
        ("page.bak", "BMP"),
        ("scan.2", "TIFF"),
    ],
)
def test_whatever_pillow_reads_is_read(tmp_path, name, kind):
    if kind is None:
        header = b"\x59\xa6\x6a\x95" + b"".join(v.to_bytes(4, "big") for v in (9, 9, 24, 0, 1, 0, 0))
        (tmp_path / name).write_bytes(header + bytes(28 * 9))  # rows are padded to two bytes
    else:
        (tmp_path / name).write_bytes(encoded(kind))
    made = Folders(kind="folders", path=str(tmp_path)).read(Selection(part="far", ood=True))
    assert made.images.shape == (1, 9, 9, 3)
    assert kind is None or abs(made.images.astype(int) - [10, 200, 30]).max() < 12


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "no-suffix", "raw.dng", "layers.psd", "new.jxl", "drawing.svg"])
def test_an_image_that_cannot_be_read_does_not_vanish(draw, tmp_path, name):
    draw("set/x/1.png")
    (tmp_path / "set" / name).write_bytes(HEIC if "." not in name else b"MM\0*whatever")
    source = Folders(kind="folders", path=str(tmp_path / "set"))
    with pytest.raises(SynthoodError, match=rf"{name}: an image that cannot be read .*convert it to JPEG or PNG"):
        source.listed(Selection(part="far"))
    listing = source.model_copy(update={"on_bad_image": "skip"}).listed(Selection(part="far"))
    notes = listing.notes
    assert [file.name for file in listing.images] == ["1.png"]
    assert notes == [f"{tmp_path / 'set'}: 1 files left out, images that cannot be read: {name}"]


def test_every_other_file_is_counted_and_named(draw, tmp_path):
    draw("a/1.png")
    for name in ("Thumbs.db", "BMW.txt", "P3 notes", "x", ".DS_Store", "._1.png"):
        (tmp_path / "a" / name).write_text(name.removeprefix("."))
    (tmp_path / "a/__MACOSX").mkdir()
    (tmp_path / "a/bad\x1b\n.csv").write_text("path")
    (tmp_path / "a/picture").write_bytes(encoded("PNG"))
    found = look(tmp_path / "a")
    assert [file.name for file in found.images] == ["1.png", "picture"]
    assert notes_on([found], tmp_path) == [
        f"{tmp_path}: 5 files not read, no images: a/BMW.txt, a/P3 notes, a/Thumbs.db, a/bad\\x1b\\n.csv, a/x",
        f"{tmp_path}: 1 files read, known as images by their content alone: a/picture",
        f"{tmp_path}: 3 hidden files or folders not read",
    ]


def test_notes_reach_the_image_set(draw, tmp_path):
    for name in ("a", "b"):
        for part in ("train", "test"):
            for i in range(3):
                draw(f"{part}/{name}/{i}.png")
    draw("train/loose.png")
    (tmp_path / "train/a/labels.json").write_text("{}")
    (tmp_path / "README").write_text("x")
    made = IdFolders(kind="folders", path=str(tmp_path)).read(Selection(part="train", ood=False))
    assert len(made) == 6
    assert made.notes == [
        f"{tmp_path}: 1 files not read, no images: README",
        f"{tmp_path / 'train'}: 1 images not read, in no folder of a class: loose.png",
        f"{tmp_path / 'train'}: 1 files not read, no images: a/labels.json",
    ]
    assert IdFolders(kind="folders", path=str(tmp_path)).read(Selection(part="test", ood=False)).notes == []


def test_two_folders_of_one_name_are_an_error(draw, tmp_path):
    draw("caf\u00e9/1.png"), draw("cafe\u0301/1.png")
    with pytest.raises(SynthoodError, match="another folder there has this name in another Unicode form"):
        subfolders(tmp_path)
    with pytest.raises(SynthoodError, match="another Unicode form"):
        Folders(kind="folders", path=str(tmp_path)).listed(Selection(part="far"))
