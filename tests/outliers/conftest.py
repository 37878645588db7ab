"""A tiny Stable Diffusion over two class words, untrained but genuine."""

from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline

from synthood.common.images import ImageSet, write_images
from synthood.generators.diffusion import miniature, pipelines
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.generators.folder import Description
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

WORDS = ["cat", "dog"]
PROMPT = "a photo of a {word}"


@pytest.fixture(scope="session")
def description() -> Description:
    return Description("stable-diffusion", WORDS, PROMPT)


@pytest.fixture(scope="session")
def pipeline() -> StableDiffusionPipeline:
    settings = StableDiffusionFit(
        autoencoder_steps=1, denoiser_steps=1, autoencoder_channels=[8, 8], denoiser_channels=[8, 16], text_width=16
    )
    return miniature.build([PROMPT.format(word=word) for word in WORDS], 16, settings)


@pytest.fixture(scope="session")
def folder(
    pipeline: StableDiffusionPipeline, description: Description, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same as a folder, as `fit_generator` leaves it."""
    place = tmp_path_factory.mktemp("generator") / "sd"
    pipelines.save(pipeline, place)
    description.write(place)
    return place


@pytest.fixture(scope="session")
def train_images() -> ImageSet:
    """Noise around a grey level of each class, as large as the pipeline's images."""
    labels = np.arange(14, dtype=np.int64) % 2
    noise = np.random.default_rng(0).integers(0, 120, (14, 16, 16, 3))
    return ImageSet((noise + 130 * labels[:, None, None, None]).astype(np.uint8), labels, WORDS)


@pytest.fixture(scope="session")
def train_file(train_images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "train.safetensors"
    write_images(path, train_images)
    return path


@pytest.fixture(scope="session")
def judge() -> Classifier:
    settings = Network(name="resnet8", width=8)
    return Classifier(settings, WORDS, [0.5] * 3, [0.25] * 3, build(settings, 2, seed=0).eval())


@pytest.fixture(scope="session")
def judge_file(judge: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judge") / "model.safetensors"
    judge.save(path)
    return path
