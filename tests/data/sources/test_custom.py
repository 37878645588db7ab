"""Images of a user's file: what they become, and every answer that is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkouts import PROJECT
from synthood.common.images import ImageSet, read_images
from synthood.config.load import load, load_file
from synthood.data.evidence import evidence
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import main as prepare_stage
from synthood.data.raw import missing, raw_paths
from synthood.data.selection import Selection
from synthood.data.settings import DatasetSettings
from synthood.data.sources.custom import Custom, IdCustom
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan
from synthood.workflow.plausible import failing_code, wrong_files

SOURCE = """
import numpy as np

CLASSES = ["ant", "bee", "cat"]


def images(split, seed=0, side=8):
    start = {"train": 0, "val": 60, "test": 120}[split]
    levels = np.arange(start, start + 6, dtype=np.uint8) + np.uint8(seed)
    return np.broadcast_to(levels[:, None, None, None], (6, side, side, 3)), [0, 1, 2, 0, 1, 2], CLASSES
"""
KEYS: dict[str, Any] = {"classes": ["ant", "bee", "cat"]}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file and gives its path."""

    def written(text: str = SOURCE, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


def levels(images: ImageSet) -> list[int]:
    """Each image's one value."""
    assert (images.images == images.images[:, :1, :1, :1]).all()
    return images.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(("part", "start"), [("train", 0), ("val", 60), ("test", 120)])
def test_id_images_are_the_splits_of_the_function(write, part, start):
    found = IdCustom(file=write(), **KEYS).read(Selection(part=part))
    assert levels(found) == list(range(start, start + 6))
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.labels.dtype == np.int64
    assert found.classes == ["ant", "bee", "cat"]
    assert found.facts.native == {8: 6}
    assert found.facts.formats == {"array": 6}


def test_values_a_class_and_an_iterator_give_the_same(write):
    text = SOURCE.replace("def images(split", "def pictures(split") + (
        "\nclass Pictures:\n    def __init__(self, **values):\n        self.values = values\n\n"
        "    def images(self, split):\n        found, labels, classes = pictures(split, **self.values)\n"
        "        buffer = np.empty_like(found[0])\n"
        "        def one_by_one():\n            for image in found:\n                buffer[:] = image\n"
        "                yield buffer\n"
        "        return one_by_one(), np.array(labels), tuple(classes)\n"
    )
    file, part = write(text), Selection(part="train")
    first = IdCustom(file=file, function="pictures", values={"seed": 3, "side": 9}, **KEYS).read(part)
    keys = {"file": file, "class": "Pictures", "values": {"seed": 3, "side": 9}, **KEYS}
    other = IdCustom.model_validate(keys).read(part)
    assert levels(first) == levels(other) == list(range(3, 9))
    assert first.images.shape == other.images.shape == (6, 9, 9, 3)
    assert other.labels.tolist() == first.labels.tolist()


def test_classes_are_held_out_left_out_and_limited(write):
    source = IdCustom(file=write(), except_classes=["ant"], train_per_class=1, **KEYS)
    train, test = (source.read(Selection(part=part)) for part in ("train", "test"))
    assert train.classes == ["bee", "cat"]
    assert train.labels.tolist() == [0, 1]
    assert levels(test) == [121, 122, 124, 125]
    held = source.read(Selection(part="far", ood=True, held_out=["ant"], held_out_splits=["val", "test"]))
    assert levels(held) == [60, 63, 120, 123]
    assert set(held.labels.tolist()) == {-1}
    assert source.class_count == 2


def test_sets_are_ood_whatever_they_return(write):
    alone = write(SOURCE.replace(", [0, 1, 2, 0, 1, 2], CLASSES", ""), "alone.py")
    for file in (write(), alone):
        found = Custom(file=file).read(Selection(part="far", ood=True))
        assert levels(found) == list(range(120, 126))
        assert set(found.labels.tolist()) == {-1}
    assert levels(Custom(file=alone, split="train").read(Selection(part="far", ood=True))) == list(range(6))
    with pytest.raises(SynthoodError, match=r"alone.py: images: gives images alone; .* needs labels"):
        Custom(file=alone).read(Selection(part="extra"))


def test_a_shifted_set_has_the_classes_that_are_taught_by_name(write):
    taught = IdCustom(file=write(), except_classes=["ant"], **KEYS)
    text = SOURCE.replace('["ant", "bee", "cat"]', '["cat", "bee"]').replace("[0, 1, 2, 0, 1, 2]", "[0, 1, 1, 0, 1, 1]")
    shifted = Custom(file=write(text, "shifted.py"))
    found = shifted.read(Selection(part="shifted", taught=taught))
    assert found.labels.tolist() == [1, 0, 0, 1, 0, 0]
    assert found.classes == ["bee", "cat"]
    with pytest.raises(SynthoodError, match=r"images of ant, .* taught \(bee, cat\)"):
        Custom(file=write()).read(Selection(part="shifted", taught=taught))


def test_images_are_resized_and_cut(write):
    text = SOURCE.replace("(6, side, side, 3)", "(6, side, 2 * side, 3)")
    found = Custom(file=write(text), size=16).read(Selection(part="far", ood=True))
    assert found.images.shape == (6, 16, 16, 3)
    assert found.notes == ["images of 16x8 px became 16x16: resized, and the centre cut"]
    assert found.facts.native == {8: 6}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("5", "must return images, or images, labels and classes (a tuple of three), got int"),
        ("{}", "must return images, or images, labels and classes (a tuple of three), got dict"),
        ("(pixels, labels)", "must return images, or images, labels and classes (a tuple of three), got tuple"),
        ("([], [], names)", "no images of split train"),
        ("(pixels / 255, labels, names)", "image 0 must be uint8 [H,W,3] from 0 to 255, got float64 (8, 8, 3)"),
        ("(pixels * np.nan, labels, names)", "image 0 must be uint8 [H,W,3] from 0 to 255, got float64 (8, 8, 3)"),
        ("(pixels[..., 0], labels, names)", "image 0 must be uint8 [H,W,3] from 0 to 255, got uint8 (8, 8)"),
        ("(pixels[..., :2], labels, names)", "image 0 must be uint8 [H,W,3] from 0 to 255, got uint8 (8, 8, 2)"),
        ("(pixels.tolist(), labels, names)", "image 0 must be uint8 [H,W,3] from 0 to 255, got list"),
        ("(pixels[:, :7], labels, names)", "image 0 has 8x7 px, but at least 8 a side are needed"),
        ("([pixels[0], pixels[1].repeat(2, 0)], [0, 1], names)", "image 1 has 8x16 px, but the first has 8x8 px"),
        ("(pixels, labels[1:], names)", "split train: 40 images and labels of shape (39,)"),
        ("(pixels, [*labels[1:], 2], names)", "split train: label 2, but labels of 2 classes run from 0 to 1"),
        ("(pixels, [*labels[1:], -1], names)", "split train: label -1, but labels of 2 classes run from 0 to 1"),
        ("(pixels, [*labels[1:], 0.5], names)", "label 0.5 of image 39 is not a whole number that a class can have"),
        ("(pixels, [*labels[1:], np.nan], names)", "label nan of image 39 is not a whole number that a class can have"),
        ("(pixels, ['a', 'b'] * 20, names)", "split train: labels of type <U1; store them as whole numbers"),
        ("(pixels, labels, 2)", "split train: classes must be a list of names, got 2"),
        ("(pixels, labels, ['a', ' '])", "split train: classes must be a list of names, got ['a', ' ']"),
        ("(pixels, labels, ['a', 'a'])", "split train: classes name 'a' twice"),
        ("(pixels, labels, ['b', 'a'])", "its classes are b, a, but the configuration says a, b"),
        ("pixels", "its classes are none, but the configuration says a, b"),
        ("(pixels, [0] * 40, names)", "no training image of class b"),
        ("(draw.integers(256, size=pixels.shape, dtype=np.uint8), labels, names)", "gives different images"),
        ("(pixels, draw.permutation(labels), names)", "gives different labels"),
        ("1 / 0", "ZeroDivisionError: division by zero (line 8)"),
        ("missing", "NameError: name 'missing' is not defined (line 8)"),
        ("((_ for _ in range(1 // 0)), labels, names)", "ZeroDivisionError"),
        ("exit(0)", "SystemExit: 0 (line 8)"),
    ],
)  # fmt: skip
def test_wrong_answers_are_refused(write, returned, message):
    text = (
        "import numpy as np\n\nSTATE = np.random.default_rng()\n\n\n"
        "def images(split, draw=STATE):\n"
        "    pixels, labels, names = np.zeros((40, 8, 8, 3), np.uint8), [0, 1] * 20, ['a', 'b']\n"
        f"    return {returned}\n"
    )
    source = IdCustom(file=write(text), classes=["a", "b"])
    with pytest.raises(SynthoodError) as caught:
        source.read(Selection(part="train"))
    assert message in str(caught.value)
    assert "mine.py: images" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_cannot_be_changed_by_the_function(write):
    text = "import numpy as np\n\ndef images(split, levels):\n    levels.append(levels[0])\n"
    text += "    return np.full((len(levels), 8, 8, 3), levels[0], np.uint8)\n"
    source = Custom(file=write(text), values={"levels": [7]})
    assert levels(source.read(Selection(part="far", ood=True))) == [7, 7]
    assert source.values == {"levels": [7]}


def dataset(file: str, **more: Any) -> dict[str, Any]:
    """Keys of a dataset from a file."""
    source = {"kind": "custom", "file": file, "split": "val", **more}
    return {
        "id": {"kind": "custom", "file": file, **KEYS},
        "near": {"others": source},
        "ood_validation": {"kind": "noise", "images": 4},
    }


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        (None, {}, "absent.py: No such file or directory; such paths start where snakemake runs"),
        ("def images(split:\n", {}, "mine.py: line 1: '(' was never closed"),
        (SOURCE, {"function": "image"}, "mine.py has no function 'image'; did you mean 'images'?"),
        (SOURCE, {"class": "Images"}, "mine.py has no class 'Images'; did you mean 'images'?"),
        ("import nowhere\n\ndef images(split):\n    pass\n", {}, "No module named 'nowhere' (line 1)"),
        ("class A:\n    def __init__(self):\n        1 / 0\n", {"class": "A"}, "division by zero (line 3)"),
        ("class A:\n    pass\n", {"class": "A"}, "has no method `images`, which gives the images of a split"),
    ],
)  # fmt: skip
def test_wrong_files_are_found_before_a_run(write, demo, tmp_path, text, more, message):
    file = write(text) if text else str(tmp_path / "absent.py")
    demo["datasets"]["digits"]["far"] = {"mine": {"kind": "custom", "file": file, **more}}
    config = load(demo)
    (found,) = [*wrong_files(config), *failing_code(config)]
    assert message in str(found)
    assert str(found).startswith("datasets.digits.far.mine")


def test_parts_that_ask_for_the_same_split_share_images(write):
    file = write()
    with pytest.raises(ValueError, match="val and others share images, since both are made from"):
        DatasetSettings.model_validate(dataset(file))
    DatasetSettings.model_validate(dataset(file, values={"seed": 100}))
    with pytest.raises(ValueError, match="name a function or a class, not both"):
        Custom.model_validate({"file": "a.py", "function": "f", "class": "C"})


def test_files_that_it_reads_are_raw_data_and_the_table_says_where_images_are_from(write, tmp_path):
    made = DatasetSettings.model_validate(dataset(write(), values={"seed": 9}, reads=[str(tmp_path / "photos")]))
    part = made.part("others")
    assert raw_paths(part) == missing(part) == [tmp_path / "photos"]
    (tmp_path / "photos").mkdir()
    assert missing(part) == []
    assert f"others (images of {tmp_path / 'mine.py'})" in evidence(made)
    noise = made.part("ood_validation")
    assert noise.source.read(noise).images.shape == (4, 8, 8, 3)


def test_the_example_is_prepared_as_its_function_draws_it(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    config = load_file(Path("examples/custom_source/config.yaml"))
    assert [*wrong_files(config), *failing_code(config)] == []
    plan = Plan(config)
    for part, classes in (("train", 3), ("crosses", 0)):
        output = tmp_path / f"{part}.safetensors"
        prepare_stage(["--settings", plan.settings_of_part("shapes", part).canonical(), "--output", str(output)])
        found = read_images(output)
        assert found.images.shape == ((120 if classes else 60), 32, 32, 3)
        assert len(found.classes) == classes
    assert PartSettings.parse(plan.settings_of_part("shapes", "noise").canonical()).source.side == 32
