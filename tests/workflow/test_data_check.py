"""`synthood check --data`: what the files hold, and each fault in one sentence, before any job runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from checkouts import PROJECT
from pictures import smooth
from synthood.cli import main

CONFIG = (PROJECT / "configs" / "own-images.yaml").read_text()
CLASSES = ("bag", "coat", "hat", "shoe")
SPLITS = {"train": 6, "validation": 3, "test": 3}
CHECKPOINT = """
  public: {kind: checkpoint, path: net.pt, network: {name: resnet8}, mean: [0.5, 0.5, 0.5], std: [1.0, 1.0, 1.0]}
"""


@pytest.fixture
def photographs(tmp_path, monkeypatch) -> Path:
    """Four classes of JPEG files in three splits, below the folder that the configuration names."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "my-images"
    pictures = iter(smooth(len(CLASSES) * sum(SPLITS.values()), side=40))
    for split, count in SPLITS.items():
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(next(pictures)).save(folder / split / name / f"{index}.jpg")
    return folder


def written(*edits: tuple[str, str]) -> None:
    text = CONFIG.replace("classes: [other]", "classes: [hat]")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    Path("own.yaml").write_text(text)


def faults(capsys) -> list[str]:
    """The lines of the error; nothing may be written."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(SystemExit) as caught:
        main(["check", "--data", "own.yaml"])
    assert caught.value.code == 1
    assert sorted(Path().rglob("*")) == before
    return capsys.readouterr().err.removeprefix("error: ").splitlines()


def test_parts_are_counted_and_compared(photographs, capsys):
    (photographs / "train" / "coat" / "notes.txt").write_text("mine")
    written()
    main(["check", "--data", "own.yaml"])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ") and ":" not in line}
    assert rows["train"] == ["ID", "18", "3", "6", "to", "6", "32x32", "32", "px"]
    assert rows["val"][:3] == ["ID", "9", "3"]
    assert rows["other"][:2] == ["near", "12"]
    assert rows["noise"][:2] == ["far", "200"]
    assert "  classes (training images): bag (6), coat (6), shoe (6)" in lines
    assert any(line.startswith("  train: ") and "notes.txt" in line for line in lines)
    few = "a threshold that rejects 5% of them has a standard error of 7.3 points on new ones; take 100 or more"
    assert f"warning: datasets.own: val has 9 images: {few}" in lines
    differs = "warning: datasets.own: noise differs from the ID images in format (computed against JPEG)"
    assert any(line.startswith(differs) for line in lines)
    assert lines[-1] == "own.yaml: valid; tables own, recipes ce, randaugment"


def test_a_large_part_is_sampled_and_says_so(photographs, monkeypatch, capsys):
    monkeypatch.setattr("synthood.workflow.data_check.check_data.__defaults__", (5,))
    written()
    main(["check", "--data", "own.yaml"])
    assert "  train: 5 of 18 images decoded" in capsys.readouterr().out.splitlines()


def emptied(photographs: Path) -> None:
    for file in (photographs / "train" / "coat").iterdir():
        file.unlink()
    written()


def unreadable(photographs: Path) -> None:
    for file in (photographs / "train" / "coat").iterdir():
        file.write_bytes(b"no image")
    written(("on_bad_image: error", "on_bad_image: skip"))


def truncated(photographs: Path) -> None:
    file = photographs / "test" / "bag" / "1.jpg"
    file.write_bytes(file.read_bytes()[:300])
    written()


def heic(photographs: Path) -> None:
    (photographs / "train" / "bag" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    written()


def unknown_folder(photographs: Path) -> None:
    (photographs / "old" / "bag").mkdir(parents=True)
    written()


def level_too_high(photographs: Path) -> None:
    written(("path: data/my-images", "path: data"))


def missing(photographs: Path) -> None:
    written(("path: data/my-images", "path: data/images"))


def misspelt(photographs: Path) -> None:
    written(("classes: [hat]", "classes: [hats]"))


def copied(photographs: Path) -> None:
    shutil.copy(photographs / "train" / "bag" / "0.jpg", photographs / "test" / "bag" / "0.jpg")
    written()


def other_size(photographs: Path) -> None:
    np.savez("far.npz", images=smooth(8, seed=1, side=48))
    written(("noise: {kind: noise, images: 200}", "noise: {kind: arrays, path: far.npz}"))


def deep(photographs: Path) -> None:
    Path("far").mkdir()
    for index in range(3):
        values = np.random.default_rng(index).integers(0, 4096, (40, 40), dtype=np.uint16)
        Image.fromarray(values).save(f"far/{index}.tiff")
    written(("noise: {kind: noise, images: 200}", "noise: {kind: folders, path: far, size: 32}"))


def no_checkpoint(photographs: Path) -> None:
    torch.save({"state_dict": {"fc.weight": torch.zeros(3, 64), "fc.bias": torch.zeros(3)}}, "net.pt")
    written(("\nrecipes:", "\nrecipes:" + CHECKPOINT), ("recipes: [ce, randaugment]", "recipes: [ce, public]"))


def no_function(photographs: Path) -> None:
    Path("mine.py").write_text("def score(reference): ...\n")
    written(("  msp: {kind: msp}", "  msp: {kind: custom, file: mine.py}"))


def twice(photographs: Path) -> None:
    written(("  msp: {kind: msp}", "  msp: {kind: msp}\n  msp: {kind: energy}"))


def few_for_the_bank(photographs: Path) -> None:
    written(("  knn: {kind: knn, k: 5}", "  knn: {kind: knn, k: [19, 50]}"))


FAULTS = {
    emptied: "datasets.own.id: data/my-images/train/coat: no image in this class",
    unreadable: "datasets.own.id: data/my-images/train: no readable image of class coat is left",
    truncated: "datasets.own.id: data/my-images/test/bag/1.jpg: truncated or damaged",
    heic: "IMG_1.HEIC",
    unknown_folder: "folders old next to test, train, validation",
    level_too_high: "it holds the folders test, train, validation: is the path one level too high? Give data/my-images",
    missing: "datasets.own.id: data/images is not there",
    misspelt: "near.other.classes.0: no class is named 'hats'; did you mean 'hat'? (known: bag, coat, hat, shoe)",
    copied: "train and test share 1 images with identical pixels",
    other_size: "noise has images of 48x48 px, train of 32x32 px",
    deep: "set `bits: 12`",
    no_checkpoint: "recipes.public: net.pt: ",
    no_function: "detectors.msp.function: mine.py has no function 'fit'",
    few_for_the_bank: "detectors.knn.k: 19 must be at most 18, the training images of own",
    twice: "detectors.msp: given on lines",
}


@pytest.mark.parametrize("broken", FAULTS, ids=lambda broken: broken.__name__)
def test_each_fault_is_named_in_one_sentence(broken, photographs, capsys):
    broken(photographs)
    found = faults(capsys)
    assert len(found) == 1, found
    assert FAULTS[broken] in found[0]
