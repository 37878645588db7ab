"""What classifiers and encoders repeat: training steps, and images on their way through a network."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.precision import Precision
from synthood.forecast.flops import Size, of_network
from synthood.forecast.operation import LARGEST, Operation, Trial
from synthood.forecast.sizes import Images
from synthood.outliers.encoders.text_aligned import TextAlignedEncoder
from synthood.training.networks.architectures.base import NetworkSettings, build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.settings import pretrained_file
from synthood.training.settings import RecipeSettings, TrainSettings

FEWEST = 8
"""Images of a step that is tried."""
NO_FILES = {"teacher": None, "outliers": None, "exposure": None, "warm_start": None, "synthetic": None}
PLAIN: dict[str, Any] = NO_FILES | {
    "epochs": 1,
    "class_weights": "none",
    "sampling": "uniform",
    "label_smoothing": 0.0,
    "learning_rate": 1e-3,
    "last_layer_learning_rate": None,
    "final_learning_rate": 1e-6,
    "warmup": 0.0,
    "restarts": 0,
    "on_nan": "stop",
}
"""A recipe that needs no files but images, without what takes no time."""
CPU = torch.device("cpu")


def noise(images: Images, count: int) -> ImageSet:
    """So many images of their size, with labels of each class in turn."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, images.side, images.side, 3), np.uint8)
    names = [f"class-{index}" for index in range(images.classes)]
    return ImageSet(pixels, np.arange(count) % images.classes, names)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def size_of(network: NetworkSettings, images: Images) -> Size:
    """Of one of the images through a network."""
    return of_network(network.architecture, images.classes, images.side)


def image_pass(network: NetworkSettings, images: Images) -> Operation:
    """An image on its way through a trained network, as in `extract`."""
    architecture, flops = network.architecture, size_of(network, images).flops
    at_once = int(min(128, max(1, LARGEST / (2 * flops + 1))))

    def trial(device: torch.device) -> Trial:
        from synthood.training.networks.model import Classifier, logits_and_features

        module = build(architecture, images.classes, 0).to(device)
        pixels = noise(images, at_once)
        classifier = Classifier(architecture, pixels.classes, [0.5] * 3, [0.25] * 3, module)

        def run(count: int) -> None:
            for _ in range(count):
                logits_and_features(classifier, pixels.images, device, finite=False)

        return run

    name = f"an image of {images.side} px through {name_of(network)} {digest(str(architecture.described()))}"
    return Operation(name, flops, trial, 1 / at_once)


def name_of(network: NetworkSettings) -> str:
    return str(getattr(network, "name", network.kind))


def training_step(recipe: RecipeSettings, images: Images, precision: Precision) -> Operation:
    """A step of training on real images, without teacher and exposed images."""
    plain = recipe.model_copy(update=PLAIN | {"augmentation": without_files(recipe)})
    per_image = passes(plain) * size_of(recipe.network, images).flops
    batch = int(min(recipe.batch_size, max(FEWEST, LARGEST // per_image)))

    def trial(device: torch.device) -> Trial:
        from synthood.training import fit

        def run(steps: int) -> None:
            with weights_for(plain.network, images.classes) as network:
                settings = plain.model_copy(update={"batch_size": batch, "network": network})
                sets = noise(images, steps * batch), noise(images, images.classes)
                nothing = ResumeFile(None, "")
                fit.train(TrainSettings(recipe=settings, precision=precision), 0, *sets, None, device, nothing)

        return run

    text = f"{plain.canonical()} {precision} {images.classes}"
    name = f"a step of {name_of(recipe.network)}, {recipe.batch_size} images of {images.side} px {digest(text)}"
    return Operation(name, recipe.batch_size * per_image, trial, recipe.batch_size / batch)


def exposed(recipe: RecipeSettings) -> float:
    """Outlier images that go through the network, for each image of a batch."""
    return float(getattr(recipe.exposure, "outliers_per_image", 1.0)) if recipe.exposure else 0.0


def without_files(recipe: RecipeSettings) -> Any:
    """Its augmentation, with fractals in the place of a folder of pictures."""
    augmentation = recipe.augmentation
    if not recipe.outside(0):
        return augmentation
    return augmentation.model_copy(update={"pixmix": augmentation.pixmix.model_copy(update={"pictures": None})})


@contextmanager
def weights_for(network: NetworkSettings, classes: int) -> Iterator[NetworkSettings]:
    """The network with random weights in the place of a file that is not there."""
    named = getattr(network, "pretrained", None)
    if not named or (isinstance(named, str) and Path(named).exists()):
        yield network
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.safetensors")
        state = build(network.architecture, classes, 0).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, file)
        yield network.model_copy(update={"pretrained": str(file), "sha256": None})


def passes(plain: RecipeSettings) -> float:
    """Forward passes that a step's operations are worth, per image: 3 with the gradient, more with further views.

    Counted in a step of a small network in the place of the recipe's; 3 where that cannot be done.
    """
    if not plain.methods:
        return 3.0
    small = Network(name="resnet8", width=8)
    update = {"augmentation": type(plain.augmentation)(), "network": small, "batch_size": FEWEST, "views": 0}
    return _passes(plain.model_copy(update=update).canonical())


@functools.cache
def _passes(recipe: str) -> float:
    from synthood.training import fit

    settings, images = RecipeSettings.parse(recipe), Images(0, 16, 4)
    counter = FlopCounterMode(display=False)
    try:
        with counter, contextlib.redirect_stdout(io.StringIO()):
            sets = noise(images, FEWEST), noise(images, 1)
            fit.train(TrainSettings(recipe=settings, precision="float32"), 0, *sets, None, CPU, ResumeFile(None, ""))
    except Exception:  # a method that needs more than noise
        return 3.0
    one = size_of(settings.network, images).flops
    return max(3.0, (counter.get_total_flops() - one) / one / FEWEST)


def encoder_step(settings: TextAlignedEncoder, images: Images, width: int) -> Operation:
    """A step of fitting an encoder to class words of so many dimensions."""
    one = of_network(settings.network.architecture, width, images.side).flops
    batch = int(min(settings.batch_size, max(FEWEST, LARGEST // (3 * one))))

    def trial(device: torch.device) -> Trial:
        from synthood.outliers.encoder import fit_encoder

        anchors = torch.nn.functional.normalize(torch.randn(images.classes, width))

        def run(steps: int) -> None:
            tried = settings.model_copy(update={"epochs": 1, "batch_size": batch})
            fit_encoder(noise(images, steps * batch), anchors, tried, ResumeFile(None, ""), "", device)

        return run

    name = f"a step of the encoder {name_of(settings.network)} {digest(settings.canonical())}"
    return Operation(name, 3 * one * settings.batch_size, trial, settings.batch_size / batch)


def weights_missing(network: NetworkSettings) -> bool:
    """Whether weights that it starts from are not there."""
    file = pretrained_file(network)
    return bool(file) and not Path(str(file)).exists()
