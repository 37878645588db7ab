"""A tiny Stable Diffusion over two class words, untrained but genuine."""

from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline

from synthood.generators import stable_diffusion
from synthood.generators.folder import Description
from synthood.generators.settings import StableDiffusionFit

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
    return stable_diffusion.build([PROMPT.format(word=word) for word in WORDS], 16, settings)


@pytest.fixture(scope="session")
def folder(
    pipeline: StableDiffusionPipeline, description: Description, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same as a folder, as `fit_generator` leaves it."""
    place = tmp_path_factory.mktemp("generator") / "sd"
    stable_diffusion.save(pipeline, place)
    description.write(place)
    return place
