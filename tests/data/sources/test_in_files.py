"""Classes that lose all their images, names of classes, and labels by number."""

import pytest
from pydantic import ValidationError

from synthood.data.selection import Selection
from synthood.data.sources.arrays import IdArrays
from synthood.data.sources.folders import IdFolders
from synthood.errors import SynthoodError


@pytest.fixture
def source(draw, tmp_path):
    """Two classes of which one has nothing but a damaged image, in training, val or test."""

    def made(split, **more):
        for part in ("train", "val", "test"):
            for name in ("ant", "bee"):
                draw(f"{part}/{name}/1.png")
        (tmp_path / split / "bee/1.png").write_bytes(b"no")
        return IdFolders(kind="folders", path=str(tmp_path), on_bad_image="skip", **more)

    return made


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_class_that_skipping_empties_is_an_error_that_names_it(source, split, tmp_path):
    settings = source(split)
    message = rf"{split}: no readable image of class bee is left; the first that was skipped: .*bee/1.png: not an image"
    with pytest.raises(SynthoodError, match=message):
        settings.read(Selection(part=split, ood=False))
    large = settings.model_copy(update={"size": 128})
    with pytest.raises(SynthoodError, match=message):
        large.write(tmp_path / "made.safetensors", Selection(part=split), threads=1)
    other = "test" if split == "train" else "train"
    assert settings.read(Selection(part=other, ood=False)).labels.tolist() == [0, 1]


def test_a_held_out_class_that_skipping_empties_is_an_error_too(source, tmp_path):
    settings = source("train")
    assert len(settings.read(Selection(part="near", ood=True, held_out=["bee"]))) == 2
    for part in ("val", "test"):
        (tmp_path / part / "bee/1.png").write_bytes(b"no")
    with pytest.raises(SynthoodError, match="none of 3 images is readable"):
        settings.read(Selection(part="near", ood=True, held_out=["bee"]))
    with pytest.raises(SynthoodError, match="no readable image of class bee is left"):
        settings.read(Selection(part="near", ood=True, held_out=["ant", "bee"]))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["ant", "ant"], "'ant' is named twice"),
        (["caf\u00e9", "cafe\u0301"], "is named twice"),
        (["ant", " "], "a class needs a name"),
        (["ant", ""], "at least 1 character"),
        (["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"], "number 10 is not at its own place"),
    ],
)
def test_names_of_classes_are_distinct_and_in_the_order_of_their_numbers(classes, message):
    with pytest.raises(ValidationError, match=message):
        IdFolders(kind="folders", path=".", classes=classes)
    with pytest.raises(ValidationError, match=message):
        IdArrays(kind="arrays", train="a.npz", test="b.npz", classes=classes, val_per_class=1)


def test_names_of_classes_are_composed():
    settings = IdFolders(kind="folders", path=".", classes=["cafe\u0301", "2", "1"])
    assert settings.classes == ["caf\u00e9", "2", "1"]
