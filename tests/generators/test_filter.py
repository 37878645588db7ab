"""The filter of synthetic images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from command_lines import writing
from synthood.common.images import ImageSet, read_images, write_images
from synthood.common.names import Names
from synthood.errors import SynthoodError
from synthood.generators import filter as filtering
from synthood.generators.filter_settings import Filter
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

CLASSES = ["cat", "dog"]


def image_set(count: int, seed: int) -> ImageSet:
    images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % 2, CLASSES)


@pytest.fixture
def classifier() -> Classifier:
    network = Network(name="resnet8", width=8)
    return Classifier(network, CLASSES, [0.5] * 3, [0.25] * 3, build(network, 2, seed=0).eval())


def settings_of(**changes: object) -> Filter:
    return Filter.model_validate({"classifier": "plain", "attempts_per_class": 10} | changes)


def test_verdicts_by_hand(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Posteriors of three images of classes 0, 1, 0: sure, wrong, and right by a hair."""
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.1, 0.0]])
    monkeypatch.setattr(filtering, "logits_and_features", lambda *_: (logits, None))
    made = image_set(3, 0)
    verdicts = filtering.judged(
        made, image_set(4, 1), image_set(4, 2), classifier, settings_of(copy_percentile=0.0), torch.device("cpu")
    )
    assert verdicts.posterior == pytest.approx([0.8808, 0.2689, 0.5250], abs=1e-4)
    assert verdicts.likeliest.tolist() == [True, False, True]
    assert not verdicts.copy.any()
    assert verdicts.accepted(0.5).tolist() == [True, False, True]
    assert verdicts.accepted(0.6).tolist() == [True, False, False]
    assert verdicts.accepted(0.0).tolist() == [True, False, True]


def test_near_copies_of_training_images_of_the_class_are_told(classifier: Classifier) -> None:
    train, made = image_set(40, 0), image_set(6, 7)
    made.images[2] = np.roll(train.images[4], 1, axis=1)  # of the same class, moved
    made.images[2, :, 0] = train.images[4, :, 0]
    made.images[3] = train.images[4]  # of the other class
    verdicts = filtering.judged(made, train, image_set(200, 2), classifier, settings_of(), torch.device("cpu"))
    assert verdicts.copy[[0, 1, 2, 3]].tolist() == [False, False, True, False]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=40), st.integers(1, 6))
def test_kept_images_are_the_first_accepted_of_each_class_in_turn(
    images: list[tuple[bool, int]], per_class: int
) -> None:
    accepted = np.array([passed for passed, _ in images])
    labels = np.array([label for _, label in images])
    order = filtering.kept(accepted, labels, 3, per_class)
    for label in range(3):
        own = np.flatnonzero(accepted & (labels == label))
        assert order[labels[order] == label].tolist() == own[:per_class].tolist()
    if all((accepted & (labels == label)).sum() >= per_class for label in range(3)):
        assert labels[order].tolist() == [0, 1, 2] * per_class


def files(folder: Path, classifier: Classifier, attempts: int, per_class: int, **changes: object) -> list[str]:
    made = image_set(attempts * 2, 1)
    blocks = []
    for number in range(2):
        part = slice(number * attempts, (number + 1) * attempts)
        blocks.append(folder / f"block{number}.safetensors")
        names = Names.of([f"{index}.png" for index in range(part.start, part.stop)])
        write_images(blocks[-1], ImageSet(made.images[part], made.labels[part], CLASSES, names=names))
    for name, seed in (("train", 2), ("val", 3)):
        write_images(folder / f"{name}.safetensors", image_set(20, seed))
    classifier.save(folder / "model.safetensors")
    chosen = settings_of(attempts_per_class=attempts, **changes)
    text = json.dumps({"filter": json.loads(chosen.canonical()), "images_per_class": per_class})
    paths = {name: str(folder / f"{name}.safetensors") for name in ("train", "val", "model", "kept")}
    return [
        *("--settings", text, "--synthetic", *map(str, blocks)),
        *("--train", paths["train"], "--val", paths["val"], "--classifier", paths["model"]),
        *writing(filtering.main, [paths["kept"], folder / "kept.json"]),
    ]


def test_the_stage_keeps_balanced_images_and_counts(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier confirms every second cat and every dog: cats come from both blocks."""
    logits = torch.tensor([[2.0, 0.0] if i % 4 == 0 else [0.0, 2.0] for i in range(20)])
    monkeypatch.setattr(filtering, "logits_and_features", lambda *_: (logits, None))
    filtering.main(files(tmp_path, classifier, 10, 4, copy_percentile=0))
    kept = read_images(tmp_path / "kept.safetensors")
    assert kept.labels.tolist() == [0, 1] * 4
    assert kept.columns["attempt"].tolist() == [0, 1, 4, 3, 8, 5, 12, 7]
    assert kept.names is not None
    assert kept.names.texts() == [f"{index}.png" for index in (0, 1, 4, 3, 8, 5, 12, 7)]
    assert np.array_equal(kept.images, image_set(20, 1).images[kept.columns["attempt"]])
    assert kept.columns["posterior"] == pytest.approx(np.full(8, 0.8808), abs=1e-4)
    found = json.loads((tmp_path / "kept.json").read_text())
    assert found["cat"] == {
        "made": 10, "likeliest": 5, "copies": 0, "accepted": 5, "kept": 4, "acceptance": 0.5,
    }  # fmt: skip
    assert found["dog"]["acceptance"] == 1.0


def test_too_few_accepted_images_are_an_error_with_every_rate(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No cat at all."""
    monkeypatch.setattr(filtering, "logits_and_features", lambda *_: (torch.tensor([[0.0, 1.0]] * 20), None))
    with pytest.raises(SystemExit):
        filtering.main(files(tmp_path, classifier, 10, 4, copy_percentile=0))
    told = capsys.readouterr().err
    assert "filter: 4 images of each class are wanted, but too few were accepted: cat 0 of 10 (0.0%); raise" in told
    assert not (tmp_path / "kept.safetensors").exists()
    assert not (tmp_path / "kept.json").exists()


def test_the_error_lists_twelve_classes_at_most() -> None:
    figures = {f"class{i}": {"accepted": 1.0, "made": 4.0, "acceptance": 0.25} for i in range(15)}
    with pytest.raises(SynthoodError, match=r"class11 1 of 4 \(25\.0%\) and 3 more; raise"):
        filtering.require(figures, 2)
    filtering.require(figures, 1)
