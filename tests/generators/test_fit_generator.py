"""What the stage hands to the fits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.encoded import write_encoded
from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.pixels import signed
from synthood.errors import SynthoodError
from synthood.generators import fit_generator
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.fit import fit_biggan
from synthood.generators.biggan.settings import BigGANFit
from synthood.generators.block_settings import BlockSettings
from synthood.generators.diffusion import miniature_fit
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.generators.folder import Description
from synthood.generators.kinds.fitting import FitTask
from synthood.generators.kinds.stable_diffusion import StableDiffusionFitting
from synthood.generators.synthesise import synthesise

NO_RESUME = ResumeFile(None, "")


def image_set(classes: list[str], side: int, count: int = 6) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % len(classes), classes)


def task(train: ImageSet, folder: Path, *also: ImageSet) -> FitTask:
    return FitTask(train, folder, torch.float32, torch.device("cpu"), NO_RESUME, also)


def test_signed_pixels_by_hand() -> None:
    one = image_set(["cat"], 4, count=2)
    found = signed(one.images)
    assert found.shape == (2, 3, 4, 4)
    assert found[1, 2, 3, 0].item() == pytest.approx(one.images[1, 3, 0, 2] / 127.5 - 1, abs=1e-6)
    assert (found.min() >= -1, found.max() <= 1) == (True, True)


def test_biggan_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biggan, "STATISTICS_BATCH", 4)
    settings = BigGANFit(steps=1, batch_size=4, latent_size=4, channel_width=8)
    train, folder = image_set(["cat", "dog"], 32), tmp_path / "model"
    fit_biggan(train, settings, None, torch.float32, torch.device("cpu"), NO_RESUME, folder)
    assert Description.read(tmp_path / "model") == Description("biggan", ["cat", "dog"])
    assert biggan.load(tmp_path / "model").config.num_classes == 2


@pytest.mark.parametrize("side", [32, 64])
def test_a_miniature_of_any_set(side: int, diffusion_settings: StableDiffusionFit, tmp_path: Path) -> None:
    """RGB images of 32 or 64 px, class names of several words or of capitals with a word of their own."""
    train = image_set(["aquarium_fish", "ice cream", "N02"], side)
    fit = diffusion_settings.model_copy(update={"autoencoder_steps": 1, "denoiser_steps": 1})
    fitting = StableDiffusionFitting(kind="stable-diffusion", fit=fit, words={"N02": "tench"})
    fitting.fit_generator(task(train, tmp_path / "model"))
    description = Description.read(tmp_path / "model")
    assert description.classes == train.classes
    assert description.class_words == ["aquarium fish", "ice cream", "tench"]
    block = {"generator": {"kind": "stable-diffusion", "sample": {"steps": 1, "batch_size": 3}}, "block": 0}
    made = synthesise(tmp_path / "model", BlockSettings.model_validate(block | {"block_size": 3, "count": 3}))
    assert made.check("block").images.shape == (3, side, side, 3)


def test_a_side_that_a_miniature_cannot_halve_is_told(diffusion_settings: StableDiffusionFit, tmp_path: Path) -> None:
    fitting = StableDiffusionFitting(kind="stable-diffusion", fit=diffusion_settings)
    with pytest.raises(SynthoodError, match=r"images of 30 px: .* a multiple of 4; set `size`"):
        fitting.fit_generator(task(image_set(["cat"], 30), tmp_path / "model"))


def test_a_glimpse_of_large_images(tmp_path: Path) -> None:
    """Stored encoded, only the first is decoded."""
    large = image_set(["cat", "dog"], 80)
    rest = large.labels, {"classes": large.classes}
    write_encoded(tmp_path / "large", large.images, 1, lambda: rest)
    seen = fit_generator.glimpse(tmp_path / "large")
    assert seen.classes == large.classes
    assert np.array_equal(seen.images, large.images[:1])


def test_extra_sets_are_described_by_their_own_words(
    tmp_path: Path, diffusion_settings: StableDiffusionFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words join the ID classes, known ones once; each image's prompt names its class."""
    seen: dict[str, Any] = {}

    def spy(pipeline: Any, images: torch.Tensor, index: torch.Tensor, prompts: list[str], *_: Any) -> None:
        seen.update(images=images, index=index, prompts=prompts)

    monkeypatch.setattr(miniature_fit, "fit_denoiser", spy)
    train, also = image_set(["cat", "dog"], 16), image_set(["owl", "dog", "fox"], 16)
    settings = diffusion_settings.model_copy(update={"prompt": "a {word}", "autoencoder_steps": 1})
    fitting = StableDiffusionFitting(kind="stable-diffusion", fit=settings)
    fitting.fit_generator(task(train, tmp_path / "model", also))
    assert seen["prompts"] == ["a cat", "a dog", "a owl", "a fox"]
    words = [seen["prompts"][i].removeprefix("a ") for i in seen["index"]]
    assert words == ["cat", "dog"] * 3 + ["owl", "dog", "fox"] * 2
    assert torch.equal(seen["images"], torch.cat([signed(train.images), signed(also.images)]))
    assert Description.read(tmp_path / "model") == Description("stable-diffusion", ["cat", "dog"], "a {word}")
