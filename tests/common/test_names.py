"""Names of files: what goes in comes out, in any order, through image sets of both forms."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthood.common.encoded import is_encoded, open_encoded
from synthood.common.images import ImageSet, concatenate, read_images, stored, write_images
from synthood.common.names import BYTES, OFFSETS, Names, joined, take_names
from synthood.data.prepare import main as prepare
from synthood.errors import SynthoodError

TEXTS = ["a.png", "", "ß/ü b.png", "日本/🐈.png", 'x"<b>&,\n.png', "a.png"]
ODD = ["a b.png", "bad.png", "cat\"<i>&'x.png", "dög, 1.png", "日本.png"]
"""As files of a folder; the second is damaged."""


def test_texts_come_back_one_by_one_and_together():
    names = Names.of(TEXTS)
    assert names.texts() == TEXTS
    assert [names[index] for index in range(len(names))] == TEXTS
    assert names.chosen(np.array([4, 0, 4, 1])).texts() == [TEXTS[4], TEXTS[0], TEXTS[4], ""]
    assert names.chosen(np.zeros(0, np.int64)).texts() == []


def test_bytes_that_are_no_text_are_shown_and_stay_as_they_are():
    names = Names.of([os.fsdecode(b"a\xff.png"), "b"])
    assert names.texts() == ["a\\xff.png", "b"]
    assert names.chosen(np.array([1, 0])).arrays()[BYTES].tobytes() == b"ba\xff.png"


def test_many_names_are_chosen_within_a_second():
    names = Names.of(f"n0{index % 1000}/{index}.JPEG" for index in range(10**5))
    order = np.random.default_rng(0).permutation(10**5)
    began = time.process_time()
    chosen = names.chosen(order)
    assert time.process_time() - began < 1
    assert chosen[7] == f"n0{order[7] % 1000}/{order[7]}.JPEG"


def test_sets_without_files_have_empty_names_between_those_with_files():
    assert joined([(None, 2), (None, 1)]) is None
    both = joined([(Names.of(["a", "b"]), 2), (None, 2), (Names.of(["c"]), 1)])
    assert both is not None
    assert both.texts() == ["a", "b", "", "", "c"]


@pytest.mark.parametrize(
    "arrays",
    [
        {BYTES: np.zeros(3, np.uint8)},
        {OFFSETS: np.array([0, 1, 3])},
        {BYTES: np.zeros(3, np.uint8), OFFSETS: np.array([0, 3])},
        {BYTES: np.zeros(3, np.uint8), OFFSETS: np.array([0, 1, 2])},
        {BYTES: np.zeros(3, np.uint8), OFFSETS: np.array([0, 4, 3])},
        {BYTES: np.zeros(3, np.uint8), OFFSETS: np.array([1, 2, 3])},
    ],
)
def test_names_that_do_not_fit_are_refused(arrays):
    with pytest.raises(SynthoodError, match="x: its file names do not fit its 2 images"):
        take_names(arrays, 2, "x")


def test_an_image_set_keeps_them(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    made = ImageSet.out_of_distribution(pixels)
    write_images(tmp_path / "without", made)
    assert (read_images(tmp_path / "without").names, stored(tmp_path / "without")[1]) == (None, None)
    made.names = Names.of(TEXTS[2:4])
    write_images(tmp_path / "with", made)
    back = read_images(tmp_path / "with")
    assert back.names is not None
    assert back.names.texts() == TEXTS[2:4]
    assert back.columns.keys() == {"pixel_sha256"}
    digests, names = stored(tmp_path / "with")
    assert digests.tobytes() == back.columns["pixel_sha256"].tobytes()
    assert names is not None
    assert names[1] == TEXTS[3]
    both = concatenate([back, read_images(tmp_path / "without")]).names
    assert both is not None
    assert both.texts() == [*TEXTS[2:4], "", ""]
    made.names = Names.of(["one"])
    with pytest.raises(SynthoodError, match="1 file names for 2 images"):
        write_images(tmp_path / "wrong", made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with odd names, and a damaged one."""
    place = tmp_path / "photos" / "sub"
    place.mkdir(parents=True)
    for number, name in enumerate(ODD):
        Image.new("RGB", (80, 80), (number, 90, 10)).save(place / name)
    (place / "bad.png").write_bytes(b"no")
    return place.parent


@pytest.mark.parametrize("size", [32, 72])
def test_names_follow_the_images_that_were_read(folder, tmp_path, size):
    source = {"kind": "folders", "path": f"{folder}/", "size": size, "on_bad_image": "skip"}
    path = tmp_path / "far.safetensors"
    prepare(["--settings", json.dumps({"part": "far", "ood": True, "source": source}), "--output", str(path)])
    made = read_images(path)
    assert is_encoded(path) == (size > 64)
    assert made.names is not None
    found = dict(zip(made.images[:, 0, 0, 0].tolist(), made.names.texts(), strict=True))
    assert found == {number: f"sub/{name}" for number, name in enumerate(ODD) if name != "bad.png"}
    if size > 64:
        assert {BYTES, OFFSETS} <= open_encoded(path)[1].keys()


@pytest.mark.parametrize("where", ["", "photos", "./photos/"])
def test_names_begin_below_the_source(folder, tmp_path, monkeypatch, where):
    monkeypatch.chdir(folder if not where else tmp_path)
    (folder / "sub" / "bad.png").unlink()
    source = {"kind": "folders", "path": where or ".", "size": 8}
    path = tmp_path / "far.safetensors"
    prepare(["--settings", json.dumps({"part": "far", "ood": True, "source": source}), "--output", str(path)])
    names = read_images(path).names
    assert names is not None
    assert sorted(names.texts()) == sorted(f"sub/{name}" for name in ODD if name != "bad.png")


@pytest.mark.parametrize("kind", ["manifest", "imglist"])
def test_names_of_tables_and_lists_are_their_entries(folder, tmp_path, kind):
    entries = [f"sub/{name}" for name in ("日本.png", "a b.png")]
    if kind == "manifest":
        (folder / "table.csv").write_text("path\n" + "".join(f'"{entry}"\n' for entry in entries))
        source = {"kind": kind, "path": str(folder / "table.csv"), "size": 8}
    else:
        (tmp_path / "list.txt").write_text("".join(f"{entry} -1\n" for entry in entries))
        source = {"kind": kind, "path": str(folder), "list": str(tmp_path / "list.txt"), "size": 8}
    path = tmp_path / "far.safetensors"
    prepare(["--settings", json.dumps({"part": "far", "ood": True, "source": source}), "--output", str(path)])
    names = read_images(path).names
    assert names is not None
    assert names.texts() == entries
