"""What is measured of a generator during its fit, and the best of its states."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthood.common.images import ImageSet
from synthood.errors import SynthoodError
from synthood.generators.biggan.settings import Watch
from synthood.generators.quality.diversity import class_distances
from synthood.generators.quality.frechet import frechet, moments
from synthood.training.networks.model import Classifier, logits_and_features

REFERENCE = 10_000
"""Real images whose features the made ones are compared with."""


class Watcher:
    """Real training images, as what a generator makes of their classes is measured against."""

    def __init__(self, settings: Watch, train: ImageSet, classifier: Classifier | None, device: torch.device) -> None:
        self.settings, self.classes, self.classifier, self.device = settings, train.classes, classifier, device
        per_class = settings.images // len(train.classes)
        if per_class < 2:
            raise SynthoodError(
                f"watch.images: {settings.images} are not two of each of {len(train.classes)} classes; ask for more"
            )
        self.made_labels = torch.arange(per_class * len(train.classes)) % len(train.classes)
        order = np.random.default_rng(0).permutation(len(train))
        labels = train.labels[order]
        chosen = np.concatenate([order[labels == label][:per_class] for label in range(len(train.classes))])
        self.real_diversity = class_distances(train.images[chosen], train.labels[chosen], len(train.classes))
        self.floor = math.nan
        if classifier is not None:
            classifier.network.to(device)
            half = len(order) // 2
            first, second = order[: min(half, len(self.made_labels))], order[half : half + REFERENCE]
            self.reference = moments(self._features(train.images[np.sort(second)])[1])
            self.floor = frechet(moments(self._features(train.images[np.sort(first)])[1]), self.reference)

    def measure(self, made: np.ndarray) -> dict[str, float]:
        """Figures of made images uint8 [N,H,W,3] of classes 0, 1, ..., 0, 1, ...: least diversity and, with a
        classifier, FID beside that of as many real images, and agreement."""
        diversity = self.diversity(made)
        figures = {
            "diversity": float(diversity.mean()),
            "least_diversity": float(diversity.min()),
            "collapsed_classes": float((diversity < self.settings.min_diversity).sum()),
        }
        if self.classifier is not None:
            logits, features = self._features(made)
            figures["fid"] = frechet(moments(features), self.reference)
            figures["fid_floor"] = self.floor
            figures["agreement"] = float((logits.argmax(1) == self.made_labels.numpy()).mean())
        return figures

    def diversity(self, made: np.ndarray) -> np.ndarray:
        """Mean distance of two made images of a class over that of two real ones, pixels, for each class [C]."""
        return class_distances(made, self.made_labels.numpy(), len(self.classes)) / self.real_diversity

    def _features(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.classifier is not None
        logits, features = logits_and_features(self.classifier, images, self.device)
        return logits.numpy(), features.numpy()


class Best:
    """The state of least FID among those without a collapsed class; without a classifier, the latest such."""

    def __init__(self) -> None:
        self.score, self.step = math.inf, -1
        self.state: dict[str, Tensor] = {}

    def offer(self, step: int, figures: dict[str, float], state: dict[str, Tensor]) -> None:
        """Takes the state where it is better."""
        if figures["collapsed_classes"] == 0 and (score := figures.get("fid", -step)) < self.score:
            self.score, self.step = score, step
            self.state = {key: value.detach().clone() for key, value in state.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "step": self.step, "state": self.state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.score, self.step, self.state = saved["score"], saved["step"], dict(saved["state"])
