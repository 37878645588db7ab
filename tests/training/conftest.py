"""Tiny image sets and recipes that the tests of training share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.images import ImageSet
from synthood.training.augmentation.settings import Augmentation
from synthood.training.networks.architectures.residual import Network
from synthood.training.outlier_set import OutlierSet, Space
from synthood.training.settings import RecipeSettings, TrainSettings

CLASSES = ["cat", "dog", "owl"]
MakeImages = Callable[..., ImageSet]
MakeSettings = Callable[..., TrainSettings]
MakeOutliers = Callable[..., OutlierSet]


@pytest.fixture(scope="session")
def make_images() -> MakeImages:
    """Noise around a grey level of each class."""

    def make(count: int, seed: int, side: int = 8, classes: list[str] = CLASSES) -> ImageSet:
        random = np.random.default_rng(seed)
        labels = np.arange(count, dtype=np.int64) % len(classes)
        noise = random.integers(0, 120, (count, side, side, 3))
        return ImageSet((noise + 50 * labels[:, None, None, None]).astype(np.uint8), labels, classes)

    return make


@pytest.fixture
def make_settings() -> MakeSettings:
    """A recipe of six steps on 20 images: two epochs of batches of 8, 8 and 4.

    Below a width of 8, torch 2.15 writes out of bounds in the backward pass of the shortcuts on AVX2 processors.
    """

    def make(**changes: Any) -> TrainSettings:
        recipe = {
            "network": Network(name="resnet8", width=8),
            "epochs": 2,
            "batch_size": 8,
            "learning_rate": 0.05,
            "augmentation": Augmentation(shift=1, flip=True, cutout=3),
        }
        return TrainSettings(recipe=RecipeSettings(**(recipe | changes)), precision="float32")

    return make


@pytest.fixture(scope="session")
def make_outliers() -> MakeOutliers:
    """Embeddings [N,6] around a direction of each class, latents [N,4,4,6] around a level of each, and outliers."""

    def make(labels: np.ndarray, seed: int = 0, per_class: tuple[int, ...] = (2, 5, 3)) -> OutlierSet:
        random = torch.Generator().manual_seed(seed)
        id_labels = torch.from_numpy(labels)
        outlier_labels = torch.cat([torch.full((count,), label) for label, count in enumerate(per_class)])
        outlier_labels = outlier_labels[torch.randperm(len(outlier_labels), generator=random)]

        def embeddings(classes: torch.Tensor, noise: float) -> torch.Tensor:
            return torch.eye(6)[classes] + noise * torch.randn((len(classes), 6), generator=random)

        def latents(classes: torch.Tensor, noise: float) -> torch.Tensor:
            levels = classes[:, None, None, None] - 1.0
            return levels + noise * torch.randn((len(classes), 4, 4, 6), generator=random)

        return OutlierSet(
            Space(embeddings(id_labels, 0.3), id_labels, embeddings(outlier_labels, 0.6), outlier_labels),
            Space(latents(id_labels, 0.3), id_labels, latents(outlier_labels, 0.6), outlier_labels),
        )

    return make
