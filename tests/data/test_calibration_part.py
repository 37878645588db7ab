"""The calibration part: validation images apart from all that something else looks at, of every kind of ID images."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from checkouts import PROJECT
from synthood.common.encoded import is_encoded
from synthood.common.images import ImageSet, open_set, pixel_sha256, read_images, stored
from synthood.config.load import load
from synthood.data.calibration_part import taken_for_calibration
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import main, prepare
from synthood.data.settings import DatasetSettings
from synthood.data.show import show
from synthood.errors import SynthoodError
from synthood.workflow.data_check import check_data, look
from synthood.workflow.plan import Plan

FAR = {"f": {"kind": "noise", "images": 3}}
QUADRANTS = {"kind": "shuffled-quadrants", "images": 40}


def dataset(source: dict[str, Any], **more: Any) -> DatasetSettings:
    given = {"id": source, "far": FAR, "ood_validation": QUADRANTS, "calibration": 0.25} | more
    return DatasetSettings.model_validate_json(json.dumps(given))


def made(settings: DatasetSettings, part: str) -> ImageSet:
    return prepare(settings.part(part))


def digests(images: ImageSet) -> set[bytes]:
    return {row.tobytes() for row in pixel_sha256(images.images)}


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 3), np.uint8)


def test_the_part_follows_the_images_and_the_seed_alone() -> None:
    sums = pixel_sha256(pixels(200))
    taken = taken_for_calibration(sums, 60, seed=0)
    assert taken.sum() == 60
    order = np.random.default_rng(1).permutation(200)
    assert (taken_for_calibration(sums[order], 60, seed=0) == taken[order]).all()
    assert (taken_for_calibration(sums, 80, seed=0) >= taken).all()
    assert (taken_for_calibration(sums, 60, seed=1) != taken).any()


def test_equal_images_stay_together() -> None:
    images = pixels(40)
    images[20:] = images[:20]
    sums = pixel_sha256(images)
    for count in range(1, 39):
        taken = taken_for_calibration(sums, count, seed=0)
        assert (taken[:20] == taken[20:]).all()
        assert taken.sum() in (count, count + 1)
    with pytest.raises(SynthoodError, match="all 2 images would be taken"):
        taken_for_calibration(sums[[0, 20]], 1, seed=0)


@pytest.mark.parametrize("count", [0, 5, 6])
def test_some_images_must_be_left(count: int) -> None:
    with pytest.raises(SynthoodError, match=f"calibration: {count} of 5 images"):
        taken_for_calibration(pixel_sha256(pixels(5)), count, seed=0)


def picture(path: Path, seed: int, side: int = 12) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return path.name


def folders(place: Path) -> dict[str, Any]:
    for number, name in enumerate(("a", "b")):
        for index in range(30):
            picture(place / name / f"{index} ü.png", 100 * number + index)
    return {"kind": "folders", "path": str(place), "train_per_class": 6, "val_per_class": 16}


def large(place: Path) -> dict[str, Any]:
    return folders(place) | {"size": 72}


def manifest(place: Path) -> dict[str, Any]:
    rows = [[picture(place / f"{i}.png", i), "ab"[i % 2], ("train", "val", "test")[i % 3]] for i in range(96)]
    with (place / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path", "label", "split"], *rows])
    return {"kind": "manifest", "path": str(place / "table.csv")}


def imglist(place: Path) -> dict[str, Any]:
    for part, first in (("train", 0), ("val", 20), ("test", 52)):
        names = [picture(place / f"{i}.png", i) for i in range(first, first + (32 if part == "val" else 12))]
        (place / f"{part}.txt").write_text("".join(f"{name} {i % 2}\n" for i, name in enumerate(names)))
    lists = {part: str(place / f"{part}.txt") for part in ("train", "val", "test")}
    return {"kind": "imglist", "path": str(place), "classes": ["a", "b"], **lists}


def arrays(place: Path) -> dict[str, Any]:
    place.mkdir()
    random = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 60)):
        images = random.integers(0, 256, (count, 12, 12, 3), np.uint8)
        np.savez(place / f"{part}.npz", images=images, labels=np.arange(count) % 2)
    files = {part: str(place / f"{part}.npz") for part in ("train", "test")}
    return {"kind": "arrays", "classes": ["a", "b"], "val_per_class": 16, **files}


def custom(place: Path) -> dict[str, Any]:
    place.mkdir()
    (place / "mine.py").write_text(
        "import numpy as np\n"
        "def images(split):\n"
        "    seed = ('train', 'val', 'test').index(split)\n"
        "    found = np.random.default_rng(seed).integers(0, 256, (32, 12, 12, 3), np.uint8)\n"
        "    return found, np.arange(32) % 2, ['a', 'b']\n"
    )
    return {"kind": "custom", "file": str(place / "mine.py"), "classes": ["a", "b"]}


def digits(place: Path) -> dict[str, Any]:
    return {"kind": "digits", "classes": [0, 4], "train_per_class": 6, "val_per_class": 16}


@pytest.mark.parametrize("source", [folders, large, manifest, imglist, arrays, custom, digits])
def test_validation_is_divided_whatever_the_kind(source: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    given = source(tmp_path / "data")
    settings, before = dataset(given), dataset(given, calibration=None)
    assert settings.evaluated_parts == ["train", "val", "calibration", "test", "ood_validation", "f"]
    whole, val, own = made(before, "val"), made(settings, "val"), made(settings, "calibration")
    assert (len(val), len(own)) == (len(whole) * 3 // 4, len(whole) // 4)
    assert not digests(val) & digests(own)
    assert digests(val) | digests(own) == digests(whole)
    labels = {row.tobytes(): int(y) for row, y in zip(pixel_sha256(whole.images), whole.labels, strict=True)}
    assert [labels[row.tobytes()] for row in pixel_sha256(own.images)] == own.labels.tolist()
    assert all("calibration" not in before.part(part).canonical() for part in before.evaluated_parts)
    for part in ("train", "test"):
        assert (made(settings, part).images == made(before, part).images).all()
        assert settings.part(part).canonical() == before.part(part).canonical()
    assert before.part("val").canonical() == settings.part("val").model_copy(update={"calibration": None}).canonical()
    files = {}
    for part in ("val", "calibration"):
        files[part] = tmp_path / "out" / f"{part}.safetensors"
        main(["--settings", settings.part(part).canonical(), "--output", str(files[part])])
        found = read_images(files[part])
        assert (found.images == made(settings, part).images).all()
        assert (found.labels == made(settings, part).labels).all()
        assert is_encoded(files[part]) == (source is large)
        text = f"{len(found)} of {len(whole)} validation images"
        assert any(note.startswith(text) for note in open_set(files[part]).notes)
        seen = look(settings.part(part))
        assert {row.tobytes() for row in seen.digests} == digests(found)
        assert seen.labels.tolist() == found.labels.tolist()
    if source in (folders, large):
        names = [stored(path)[1] for path in files.values()]
        both = [name for one in names if one is not None for name in one.texts()]
        assert len(set(both)) == len(whole)
    assert "share" not in show(tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").glob("*.safetensors"))] == [
        "calibration.safetensors",
        "val.safetensors",
    ]


def test_nothing_is_made_of_calibration_images(tmp_path: Path) -> None:
    settings = dataset(digits(tmp_path))
    before = dataset(digits(tmp_path), calibration=None)

    def sorted_pixels(images: ImageSet) -> set[bytes]:
        """What stays where quadrants change places."""
        return {np.sort(image.reshape(-1, 3), axis=0).tobytes() for image in images.images}

    shuffled = sorted_pixels(made(settings, "ood_validation"))
    assert shuffled <= sorted_pixels(made(settings, "val"))
    assert not shuffled & sorted_pixels(made(settings, "calibration"))
    assert sorted_pixels(made(before, "ood_validation")) & sorted_pixels(made(settings, "calibration"))


def test_held_out_classes_are_no_calibration_images(tmp_path: Path) -> None:
    near = {"n": {"kind": "held-out-classes", "classes": ["c"]}}
    for index in range(30):
        picture(tmp_path / "data" / "c" / f"{index}.png", 900 + index)
    settings = dataset(folders(tmp_path / "data"), near=near)
    own = made(settings, "calibration")
    assert own.classes == ["a", "b"]
    assert not digests(own) & digests(made(settings, "n"))
    assert len(made(settings, "n")) == 30


@pytest.fixture
def raw() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "tests" / "config.yaml").read_text())
    found["datasets"]["digits"]["calibration"] = 0.4
    return found


def test_the_plan_compares_extracts_and_drops_the_part(raw: dict[str, Any]) -> None:
    from types import SimpleNamespace

    plan = Plan(load(raw))

    def of(part: str) -> Any:
        return SimpleNamespace(dataset="digits", part=part)

    def names(paths: list[str]) -> list[str]:
        return [path.removeprefix("results/digits/images/").removesuffix(".safetensors") for path in paths]

    assert names(plan.id_parts(of(""))) == ["train", "val", "calibration", "test"]
    assert names(plan.evaluated(of("")))[:4] == ["train", "val", "calibration", "test"]
    assert "calibration" in plan.parts()
    raw["leaks"] = {"drop": True}
    plan = Plan(load(raw))
    assert names(plan.evaluated(of("")))[:4] == ["train", "val", "without_leaks/calibration", "without_leaks/test"]
    assert names(plan.kept_parts(of("calibration"))) == ["train", "val"]
    assert names(plan.kept_parts(of("test"))) == ["train", "val", "calibration"]
    assert names(plan.kept_parts(of("textures"))) == ["train", "val", "calibration", "test"]
    settings = plan.overlap_settings_of("digits")
    assert settings.dropped("calibration", "train")
    assert settings.dropped("test", "calibration")
    assert not settings.dropped("train", "val")


def test_the_check_of_the_data_sees_the_part(raw: dict[str, Any]) -> None:
    findings = check_data(Plan(load(raw)))
    row = next(line.split() for line in findings.lines if line.strip().startswith("calibration "))
    assert row[:3] == ["calibration", "ID", "12"]
    assert any("calibration has 12 images" in text for text in findings.warnings)


def test_shares_and_names_are_checked(raw: dict[str, Any]) -> None:
    raw["datasets"]["digits"]["calibration"] = 1.0
    with pytest.raises(SynthoodError, match=r"datasets\.digits\.calibration"):
        load(raw)
    raw["datasets"]["digits"] |= {"calibration": 0.5, "far": {"calibration": {"kind": "noise", "images": 3}}}
    with pytest.raises(SynthoodError, match="a set's name may stand once"):
        load(raw)
    few = PartSettings.parse(
        '{"part":"calibration","calibration":0.01,'
        '"source":{"kind":"digits","classes":[0,1],"train_per_class":5,"val_per_class":2}}'
    )
    with pytest.raises(SynthoodError, match="calibration: 0 of 4 images"):
        prepare(few)
