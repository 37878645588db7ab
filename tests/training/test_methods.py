"""Every method in the training loop: it learns, changes the result, resumes to the same bytes, and can be loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.training.fit import History, train
from synthood.training.model import Classifier, logits_and_features
from synthood.training.settings import RecipeSettings, TrainSettings

CPU = torch.device("cpu")
SYNTHETIC = {"synthetic": {"from": "g", "alpha": 0.5}}
METHODS: dict[str, dict[str, Any]] = {
    "randaugment": {"augmentation": {"randaugment": {}}},
    "augmix": {"augmentation": {"augmix": {}}},
    "pixmix": {"augmentation": {"pixmix": {"fractals": 4}}},
    "cutmix": {"mixing": {"kind": "cutmix"}},
    "mixup": {"mixing": {"kind": "mixup", "probability": 0.5}},
    "regmixup": {"mixing": {"kind": "regmixup"}},
}
BASE = {
    "network": {"name": "resnet8", "width": 8},
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.05,
    "augmentation": {"shift": 1, "flip": True},
}


class Interrupted(ResumeFile):
    """Saves after every step, and breaks off once `last` steps are saved."""

    def __init__(self, path: Path, last: int) -> None:
        super().__init__(path, "job", save_seconds=0)
        self.last = last

    def save(self, name: str, state: dict[str, Any]) -> None:
        super().save(name, state)
        if state["step"] == self.last:
            raise KeyboardInterrupt


def recipe(name: str | None, **more: Any) -> RecipeSettings:
    method = METHODS[name] if name else {}
    augmentation = {"augmentation": BASE["augmentation"] | method.get("augmentation", {})}  # type: ignore[operator]
    return RecipeSettings.model_validate(BASE | method | augmentation | more)


class Trainer:
    def __init__(self, make_images: Any) -> None:
        self.real, self.validation, self.synthetic = make_images(20, 0), make_images(9, 1), make_images(7, 2)

    def __call__(self, settings: RecipeSettings, resume: ResumeFile | None = None) -> tuple[Classifier, History]:
        synthetic: ImageSet | None = self.synthetic if settings.synthetic else None
        whole = TrainSettings(recipe=settings, precision="float32")
        resume = resume or ResumeFile(None, "")
        classifier, _, history = train(whole, 0, self.real, self.validation, synthetic, CPU, resume)
        return classifier, history


@pytest.fixture
def trainer(make_images: Any) -> Trainer:
    return Trainer(make_images)


def state_bytes(classifier: Classifier) -> list[bytes]:
    return [value.contiguous().numpy().tobytes() for value in classifier.network.state_dict().values()]


@pytest.mark.parametrize("name", list(METHODS))
def test_method_changes_the_result_and_resumes_to_the_same_bytes(trainer: Trainer, name: str, tmp_path: Path) -> None:
    whole, history = trainer(recipe(name, **SYNTHETIC))
    plain, _ = trainer(recipe(None, **SYNTHETIC))
    assert state_bytes(whole) != state_bytes(plain)
    with pytest.raises(KeyboardInterrupt):
        trainer(recipe(name, **SYNTHETIC), Interrupted(tmp_path, 4))
    resumed, same = trainer(recipe(name, **SYNTHETIC), ResumeFile(tmp_path, "job"))
    assert state_bytes(resumed) == state_bytes(whole)
    assert same == history


@pytest.mark.parametrize("name", list(METHODS))
def test_method_learns_and_its_file_gives_the_same_logits(trainer: Trainer, name: str, tmp_path: Path) -> None:
    classifier, history = trainer(recipe(name, epochs=10, learning_rate=0.1))
    assert history[-1]["cross_entropy"] < 0.9 * history[0]["cross_entropy"]
    assert history[-1]["val_accuracy"] > 0.55
    classifier.save(tmp_path / "model")
    images = trainer.validation.images
    expected = logits_and_features(classifier, images, CPU)
    found = logits_and_features(Classifier.load(tmp_path / "model"), images, CPU)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert np.isfinite(expected[0].numpy()).all()


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_blended_labels_refuse_terms_of_whole_ones(kind: str) -> None:
    with pytest.raises(ValidationError, match="blends labels, which `outliers` needs whole"):
        recipe(None, mixing={"kind": kind}, outliers={"from": "oal"})
    recipe(None, mixing={"kind": "regmixup"}, outliers={"from": "oal"})
