"""Small networks that tests of detectors of the model share, and images for them."""

import numpy as np
import torch
from torch import Tensor, nn

from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.model_search import Images
from synthood.evaluation.probe import Probe
from synthood.plugins import plugins
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

CLASSES = ["a", "b", "c"]
NETWORK = Network(name="resnet8", width=8)
SMALL = {"gram": {"powers": 3}}
"""Hyperparameters by kind where the defaults take long."""
OF_MODEL: list[Detector] = [
    one(**SMALL.get(kind, {}))
    for kind, one in plugins(Detector, "synthood.evaluation.detectors").items()
    if issubclass(one, ModelDetector)
]


class Flat(nn.Module):
    """Pixels are features: no maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, len(CLASSES))

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def classifier(network: nn.Module | None = None) -> Classifier:
    """An untrained ResNet-8 whose normalisation has seen images, or another network, in evaluation mode."""
    if network is None:
        network = build(NETWORK, len(CLASSES), seed=3)
        with torch.no_grad():
            for step in range(5):
                network.train()(torch.randn((16, 3, 16, 16), generator=torch.Generator().manual_seed(step)))
    return Classifier(NETWORK, CLASSES, [0.5, 0.4, 0.3], [0.2, 0.25, 0.3], network.eval())


def pictures(count: int, seed: int, contrast: float = 1.0) -> Images:
    """Images of 16 pixels whose mean colour is their class's."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    base = 255 * (0.3 + 0.4 * np.eye(3)[labels])[:, None, None]
    pixels = base + contrast * random.normal(0, 40, (count, 16, 16, 3))
    return Images(pixels.clip(0, 255).astype(np.uint8), labels.astype(np.int64))


def probe_of(model: Classifier) -> Probe:
    return Probe.of(model, torch.device("cpu"))
