"""What the stage hands to the fits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.generators import biggan, latent_diffusion
from synthood.generators.biggan_settings import BigGANFit
from synthood.generators.diffusion_settings import StableDiffusionFit
from synthood.generators.fit_generator import fit_biggan, fit_stable_diffusion, network_inputs
from synthood.generators.folder import Description

NO_RESUME = ResumeFile(None, "")


def image_set(classes: list[str], side: int, count: int = 6) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % len(classes), classes)


def test_network_inputs_by_hand() -> None:
    one = image_set(["cat"], 4, count=2)
    found = network_inputs(one)
    assert found.shape == (2, 3, 4, 4)
    assert found[1, 2, 3, 0].item() == pytest.approx(one.images[1, 3, 0, 2] / 127.5 - 1, abs=1e-6)
    assert (found.min() >= -1, found.max() <= 1) == (True, True)


def test_biggan_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biggan, "STATISTICS_BATCH", 4)
    settings = BigGANFit(steps=1, batch_size=4, latent_size=4, channel_width=8)
    fit_biggan(image_set(["cat", "dog"], 32), settings, torch.device("cpu"), NO_RESUME, tmp_path / "model")
    assert Description.read(tmp_path / "model") == Description("biggan", ["cat", "dog"])
    assert biggan.load(tmp_path / "model").config.num_classes == 2


def test_extra_sets_are_described_by_their_own_words(
    tmp_path: Path, diffusion_settings: StableDiffusionFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words join the ID classes, known ones once; each image's prompt names its class."""
    seen: dict[str, Any] = {}

    def spy(pipeline: Any, images: torch.Tensor, index: torch.Tensor, prompts: list[str], *_: Any) -> None:
        seen.update(images=images, index=index, prompts=prompts)

    monkeypatch.setattr(latent_diffusion, "fit_denoiser", spy)
    train, also = image_set(["cat", "dog"], 16), image_set(["owl", "dog", "fox"], 16)
    settings = diffusion_settings.model_copy(update={"prompt": "a {word}", "autoencoder_steps": 1})
    fit_stable_diffusion(train, [also], settings, torch.float32, torch.device("cpu"), NO_RESUME, tmp_path / "model")
    assert seen["prompts"] == ["a cat", "a dog", "a owl", "a fox"]
    words = [seen["prompts"][i].removeprefix("a ") for i in seen["index"]]
    assert words == ["cat", "dog"] * 3 + ["owl", "dog", "fox"] * 2
    assert torch.equal(seen["images"], torch.cat([network_inputs(train), network_inputs(also)]))
    assert Description.read(tmp_path / "model") == Description("stable-diffusion", ["cat", "dog"], "a {word}")
