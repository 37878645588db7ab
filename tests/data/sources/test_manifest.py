"""CSV tables of images."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.data.files.settings import SplitNames
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.selection import Selection
from synthood.data.sources.manifest import IdManifest, Manifest, read_manifest
from synthood.errors import SynthoodError


@pytest.fixture
def table(draw, tmp_path):
    """Writes a table beside ten pictures 0.png to 9.png."""
    for i in range(10):
        draw(f"{i}.png")

    def written(text):
        (tmp_path / "own.csv").write_text(text, encoding="utf-8")
        return str(tmp_path / "own.csv")

    return written


def divided(splits, labels="xy"):
    rows = [f"{i}.png,{labels[i % len(labels)]},{splits[i]}" for i in range(10)]
    return "\n".join(["path,label,split", *rows])


def names(listing):
    return [file.name for file in listing.images]


def test_parts_are_the_splits(table):
    path = table(divided(["train"] * 4 + ["test"] * 4 + ["val"] * 2))
    made = {part: IdManifest(path=path).listed(Selection(part=part)) for part in ("train", "val", "test")}
    assert names(made["train"]) == ["0.png", "1.png", "2.png", "3.png"]
    assert made["train"].labels.tolist() == [0, 1, 0, 1]
    assert names(made["val"]) == ["8.png", "9.png"]
    assert (made["test"].classes, made["test"].labels.tolist()) == (["x", "y"], [0, 1, 0, 1])


def test_without_splits_images_are_shared_out(table):
    path = table("\n".join(["label,path", *(f"{i % 2},{i}.png" for i in range(10))]))
    made = [IdManifest(path=path).listed(Selection(part=part)) for part in ("train", "val", "test")]
    assert [np.bincount(listing.labels).tolist() for listing in made] == [
        [3, 3],
        [1, 1],
        [1, 1],
    ]
    assert sorted(name for listing in made for name in names(listing)) == [f"{i}.png" for i in range(10)]


def test_numbers_are_classes_in_their_order(table):
    path = table("path,label,split\n0.png,10,train\n1.png,9,train\n2.png,9,test\n3.png,9,test")
    train = IdManifest(kind="manifest", path=path).listed(Selection(part="train"))
    assert (train.classes, train.labels.tolist()) == (["9", "10"], [1, 0])


def test_a_set_may_be_one_split_and_needs_no_label(table):
    path = table("path,split\n1.png,far\n2.png,near\n3.png,far")
    far = Manifest(kind="manifest", path=path, split="far", count=2).listed(Selection(part="far"))
    assert (names(far), far.labels.tolist()) == (["1.png", "3.png"], [-1, -1])
    with pytest.raises(SynthoodError, match=r"no row has the split 'odd' \(splits: far, near\)"):
        Manifest(kind="manifest", path=path, split="odd").listed(Selection(part="far"))
    made = prepare(PartSettings(part="far", ood=True, source=Manifest(kind="manifest", path=path)))
    assert len(made) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.csv: no column `path` (it has none)"),
        ("file,label\n0.png,x", "own.csv: no column `path` (it has file, label)"),
        ("path,label,split\n0.png,x", "own.csv, line 2: expected 3 columns"),
        ("path,label\n0.png,x,y", "own.csv, line 2: expected 2 columns"),
        ("path,label\n0.png,x\n../1.png,y", "own.csv, line 3: '../1.png' is no path below"),
        ("path,label\n/0.png,x", "own.csv, line 2: '/0.png' is no path below"),
        ("path,label\n,x", "own.csv, line 2: '' is no path below"),
        ("path,label\n0.png,x\n0.png,y", "own.csv, line 3: '0.png' stands on line 2 already"),
        ("path,label\n0.png, ", "own.csv, line 2: the label is empty"),
        ("path,label\n", "own.csv: names no image"),
        ('path,label\n"0.png,x', ": not CSV"),
        ("path,label\nnone.png,x", "none.png: not found, but named by"),
        ("path,split\n0.png,train", "own.csv: no column `label`"),
        (divided(["train"] * 10), "own.csv: train without test; give both"),
        (divided(["train"] * 9 + ["exam"]), "own.csv: splits exam, train; expected train and test"),
        (divided(["train"] * 8 + ["val", "Valid"]), "own.csv: Valid, val are names of one split"),
        (divided(["train"] * 9 + ["test"], "x" * 9 + "z"), "own.csv: class 'z' has no row of split train"),
    ],
)
def test_a_wrong_table_is_named(table, text, message):
    with pytest.raises(SynthoodError, match=re.escape(message)):
        IdManifest(kind="manifest", path=table(text)).listed(Selection(part="train"))


def test_a_label_outside_the_named_classes_is_told(table):
    source = IdManifest(kind="manifest", path=table(divided(["train", "test"] * 5)), classes=["x", "w"])
    with pytest.raises(SynthoodError, match="label 'y' is not one of the classes x, w"):
        source.listed(Selection(part="train"))


def test_splits_are_known_by_their_synonyms_or_named(table):
    parts = ("train", "val", "test")
    path = table(divided(["Training"] * 4 + ["Testing"] * 4 + ["validation"] * 2))
    made = [names(IdManifest(kind="manifest", path=path).listed(Selection(part=part))) for part in parts]
    assert made == [[f"{i}.png" for i in numbers] for numbers in (range(4), range(8, 10), range(4, 8))]
    path = table(divided(["1"] * 2 + ["2"] * 2 + ["3"] * 3 + ["4"] * 3))
    source = IdManifest(kind="manifest", path=path, splits={"train": ["1", "2"], "test": "4"})
    listing = source.listed(Selection(part="train"))
    notes = listing.notes
    assert (names(listing), notes) == ([f"{i}.png" for i in range(4)], [f"{path}: 3 rows of split 3 not read"])
    with pytest.raises(SynthoodError, match=r"no row has the split '5', which `splits` names \(1, 2, 3, 4\)"):
        source.model_copy(update={"splits": SplitNames(train="5", test="4")}).listed(Selection(part="train"))


def test_names_are_equal_in_any_unicode_form(draw, tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for i in range(6):
        draw(f"{decomposed}/{i}.png")
    rows = [f"{composed}/{i}.png,{composed if i < 3 else decomposed}\n{composed}/{i}.png,b" for i in range(6)]
    text = "\n".join(["path,label", *(row.split("\n")[i % 2] for i, row in enumerate(rows))])
    (tmp_path / "own.csv").write_text(text, encoding="utf-8")
    listing = Manifest(kind="manifest", path=str(tmp_path / "own.csv")).listed(Selection(part="far"))
    assert (listing.classes, listing.labels.tolist()) == (["b", composed], [1, 0, 1, 0, 1, 0])
    assert [file.parent.name for file in listing.images] == [decomposed] * 6
    (tmp_path / "own.csv").write_text(f"path\n{composed}/1.png\n{decomposed}/1.png", encoding="utf-8")
    with pytest.raises(SynthoodError, match=r"line 3: .* stands on line 2 already"):
        Manifest(kind="manifest", path=str(tmp_path / "own.csv")).listed(Selection(part="far"))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet=st.sampled_from('path,label\n\r"x/.\0é')))
def test_any_text_is_refused_with_its_name(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_text(f"path,label\n{text}", encoding="utf-8", newline="")
    with pytest.raises(SynthoodError, match=re.escape(str(path))):
        read_manifest(path)
