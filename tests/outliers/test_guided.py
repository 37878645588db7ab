"""Guidance by a classifier: values and gradients in closed form, and what it does to images of a fitted generator."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from sklearn.datasets import load_digits
from torch import Tensor

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.pixels import signed
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import miniature, miniature_fit, sampling
from synthood.generators.diffusion.guidance import Step
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.generators.folder import Description
from synthood.outliers import guided
from synthood.outliers.guidance_settings import GuidanceSettings, GuidedJob
from synthood.outliers.guided import ClassifierGuidance, bank_of, guided_latents, neighbour_distance
from synthood.outliers.latent_images import images_of
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, logits_and_features

WORDS, PROMPT = ["zero", "one"], "a photo of the digit {word}"
SAMPLE = StableDiffusionSample(steps=4, batch_size=6, guidance=1.0)
CPU = torch.device("cpu")
SIZE = 4
LINEAR = torch.randn((3, 3 * SIZE**2), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
"""Logits of a classifier whose features are the pixels."""


def settings_of(**values: Any) -> GuidanceSettings:
    return GuidanceSettings.model_validate({"classifier": "ce", "attempts_per_class": 3, "sample": SAMPLE} | values)


class Pixels(torch.nn.Module):
    """A linear classifier; it takes images of one size alone."""

    def features(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(-1, 3 * SIZE**2)

    def head(self, features: Tensor) -> Tensor:
        return features.double() @ LINEAR.T


class FirstChannels(torch.nn.Module):
    """A decoder that shows three of four channels, each pixel as two by two."""

    dtype, config = torch.float64, SimpleNamespace(scaling_factor=0.5)

    def decode(self, latents: Tensor) -> Any:
        return SimpleNamespace(sample=latents[:, :3].repeat_interleave(2, 2).repeat_interleave(2, 3))


def linear(bank: Tensor | None = None, side: int = SIZE, **values: Any) -> ClassifierGuidance:
    """Guidance by the linear classifier with mean 1/2 and deviation 1/4, so that its inputs are twice the images."""
    classifier = SimpleNamespace(mean=[0.5] * 3, deviation=[0.25] * 3, network=Pixels())
    pipeline = SimpleNamespace(vae=FirstChannels())
    bank = torch.zeros(1, 3 * SIZE**2, dtype=torch.float64) if bank is None else bank
    return ClassifierGuidance(
        cast(StableDiffusionPipeline, pipeline), cast(Classifier, classifier), bank, (side, side), settings_of(**values)
    )


def inside(count: int, seed: int = 0) -> Tensor:
    """Images within (-0.9, 0.9)."""
    random = torch.Generator().manual_seed(seed)
    return 1.8 * torch.rand((count, 3, SIZE, SIZE), generator=random, dtype=torch.float64) - 0.9


def test_the_log_partition_of_a_linear_classifier_and_its_gradient() -> None:
    """-e log sum_c exp(2 w_c.x) has the gradient -2 e sum_c p_c w_c."""
    images = inside(5).requires_grad_()
    found = linear(energy=0.7).of_images(images)
    logits = 2 * images.flatten(1) @ LINEAR.T
    torch.testing.assert_close(found, -0.7 * logits.exp().sum(1).log())
    (gradient,) = torch.autograd.grad(found.sum(), images)
    torch.testing.assert_close(gradient.flatten(1), -1.4 * logits.softmax(1) @ LINEAR)


def test_the_distance_of_neighbours_by_brute_force_and_its_gradient() -> None:
    """d = ||u - b||, u = h / ||h||: the gradient in h is that of the angle, (u (u.b) - b) / (||h|| d)."""
    features, bank = (torch.randn((n, 6), dtype=torch.float64) for n in (7, 20))
    bank, features = F.normalize(bank), features.requires_grad_()
    found = neighbour_distance(features, bank, 3)
    units = features / features.norm(dim=1, keepdim=True)
    nearest = (units[:, None] - bank).norm(dim=2).sort(dim=1)
    torch.testing.assert_close(found, nearest.values[:, 2])
    (gradient,) = torch.autograd.grad(found.sum(), features)
    with torch.no_grad():
        b, d = bank[nearest.indices[:, 2]], nearest.values[:, 2, None]
        along = (units * b).sum(1, keepdim=True)
        torch.testing.assert_close(gradient, (units * along - b) / features.norm(dim=1, keepdim=True) / d)


def test_features_without_direction_and_features_of_the_bank_have_a_finite_gradient() -> None:
    bank = F.normalize(torch.randn(3, 6))
    features = torch.cat([torch.zeros(1, 6), 2 * bank[:1]]).requires_grad_()
    distance = neighbour_distance(features, bank, 1)
    assert distance.tolist() == pytest.approx([1, 0], abs=1e-3)
    (gradient,) = torch.autograd.grad(distance.sum(), features)
    assert gradient.isfinite().all()
    assert not gradient[0].any()


def test_both_objectives_add_up() -> None:
    bank, images = F.normalize(torch.randn(9, 3 * SIZE**2, dtype=torch.float64)), inside(4)
    both = linear(bank, energy=0.7, distance=2.0, k=2).of_images(images)
    alone = linear(bank, energy=0.7).of_images(images) + linear(bank, distance=2.0, k=2).of_images(images)
    torch.testing.assert_close(both, alone)


def test_one_step_under_a_linear_classifier_by_hand() -> None:
    """x_0 = 0.3 x; a latent is half of four pixels: dF/dx_0 is twice the sum of their dF/dpixel.

    The step from a = 0.2 to 0.6 is r (0.3 / sqrt(r) + sqrt(0.6)) times that, r its ratio over the mean ratio.
    """
    noisy = torch.randn((2, 4, SIZE // 2, SIZE // 2), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noisy = (0.5 * noisy).clamp(-0.9, 0.9).requires_grad_()
    guidance = linear(energy=0.7)
    moved = guidance.shift(Step(noisy, 0.3 * noisy, 0, [0.2, 0.6, 1.0]))
    pixels = (0.6 * noisy.detach()[:, :3]).repeat_interleave(2, 2).repeat_interleave(2, 3)
    of_pixels = (-1.4 * (2 * pixels.flatten(1) @ LINEAR.T).softmax(1) @ LINEAR).view(pixels.shape)
    of_clean = 2 * 4 * F.avg_pool2d(of_pixels, 2)
    ratio = 0.2 / 0.6
    expected = 2 * ratio / (ratio + 0.6) * (0.3 / ratio**0.5 + 0.6**0.5) * of_clean
    torch.testing.assert_close(moved[:, :3], expected, rtol=1e-5, atol=1e-6)
    assert not moved[:, 3].any()


def test_the_classifier_sees_images_of_the_data_sets_size() -> None:
    """The generator draws 8 px; `Pixels` would refuse anything but 4."""
    latents = torch.rand((2, 4, 4, 4), dtype=torch.float64)
    assert linear(energy=1.0).of_latents(latents).shape == (2,)


def test_widths_that_differ_are_refused() -> None:
    with pytest.raises(
        SynthoodError, match="features are 6 wide, those of ID training images 5; take both from the sa"
    ):
        neighbour_distance(torch.ones(2, 6), torch.ones(3, 5), 1)


def test_too_few_and_constant_features_are_refused() -> None:
    with pytest.raises(SynthoodError, match=r"guidance\.k is 4, but there are only 3 training images"):
        bank_of(torch.eye(3), 4)
    with pytest.raises(SynthoodError, match=r"of all 3 training images have one direction.*set guidance\.distance to"):
        bank_of(torch.tensor([[1.0, 2.0], [2.0, 4.0], [4.0, 8.0]]), 1)


def of(pipeline: StableDiffusionPipeline, judge: Classifier, train: ImageSet, **values: Any) -> ClassifierGuidance:
    height, width = train.images.shape[1:3]
    features = logits_and_features(judge, train.images, CPU)[1]
    return ClassifierGuidance(pipeline, judge, F.normalize(features), (height, width), settings_of(**values))


def test_without_scales_the_latents_are_the_samplers_bit_for_bit(
    pipeline: StableDiffusionPipeline, description: Description, judge: Classifier, train_images: ImageSet
) -> None:
    guidance = of(pipeline, judge, train_images)
    made, labels, seeds = guided_latents(description, guidance, guidance.settings)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    prompts = [description.prompt.format(word=description.class_words[label]) for label in labels.tolist()]
    conditions = sampling.encoded_prompts(pipeline, prompts, SAMPLE.negative_prompt)
    assert torch.equal(made, sampling.denoised(pipeline, conditions, seeds, SAMPLE))
    more = replace(guidance, settings=settings_of(energy=0.1))
    assert not torch.equal(guided_latents(description, more, more.settings)[0], made)


@pytest.mark.parametrize("scales", [{"energy": 1e6}, {"distance": 1e8, "k": 2}])
def test_diverging_guidance_names_the_outlier_the_step_and_the_scales(
    pipeline: StableDiffusionPipeline,
    description: Description,
    judge: Classifier,
    train_images: ImageSet,
    scales: dict[str, float],
) -> None:
    guidance = of(pipeline, judge, train_images, **scales)
    energy, distance = scales.get("energy", 0), scales.get("distance", 0)
    message = r"^outlier 0 of class 'cat' \(seed \d+\): its latents diverge at denoising step \d of 4: " + re.escape(
        f"under guidance.energy {energy:g} and guidance.distance {distance:g} they are not finite or more than 3 times "
        f"as long as noise; lower the scale"
    )
    with pytest.raises(SynthoodError, match=message):
        guided_latents(description, guidance, guidance.settings)


def test_the_stage_writes_latents_labels_seeds_and_the_log_partition(
    folder: Path,
    pipeline: StableDiffusionPipeline,
    description: Description,
    judge: Classifier,
    judge_file: Path,
    train_images: ImageSet,
    train_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = settings_of(energy=0.05, distance=0.1, k=2)
    output = tmp_path / "guided.safetensors"
    guided.main(arguments(chosen, output, folder, judge_file, train_file))
    arrays, header = read_tensors(output)
    guidance = of(pipeline, judge, train_images, energy=0.05, distance=0.1, k=2)
    made, labels, seeds = guided_latents(description, guidance, chosen)
    np.testing.assert_allclose(arrays["latents"], made, atol=2e-3, rtol=1e-2)
    assert arrays["labels"].tolist() == labels.tolist()
    assert arrays["seeds"].tolist() == seeds
    images = images_of(pipeline, torch.from_numpy(arrays["latents"]).float(), 16, 16)
    logits, _ = logits_and_features(judge, images.numpy(), CPU)
    np.testing.assert_allclose(arrays["log_partition"], logits.logsumexp(1), rtol=1e-4)
    assert header == {"classes": ["cat", "dog"]}
    assert (
        "6 latents under guidance.energy 0.05 and guidance.distance 0.1; mean log partition" in capsys.readouterr().out
    )


def arguments(settings: GuidanceSettings, output: Path, folder: Path, classifier: Path, train: Path) -> list[str]:
    given = {
        "settings": GuidedJob(guidance=settings).canonical(),
        "output": output,
        "generator": folder,
        "classifier": classifier,
        "train": train,
    }
    return [part for key, value in given.items() for part in (f"--{key}", str(value))]


def test_a_classifier_that_is_not_finite_is_refused_before_anything_is_sampled(
    folder: Path, judge: Classifier, train_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = build(judge.settings, 2, seed=0)
    with torch.no_grad():
        broken.head.weight.fill_(3e38)
    Classifier(judge.settings, judge.classes, judge.mean, judge.deviation, broken.eval()).save(tmp_path / "broken")
    given = arguments(settings_of(energy=0.1), tmp_path / "guided", folder, tmp_path / "broken", train_file)
    with pytest.raises(SystemExit):
        guided.main(given)
    assert "logits or features are not finite; the classifier is broken, train it again" in capsys.readouterr().err
    assert not (tmp_path / "guided").exists()


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    """scikit-learn's zeros and ones at 16 px."""
    found = load_digits(n_class=2)
    pixels = (found.images * 255 / 16).round().astype(np.uint8).repeat(2, 1).repeat(2, 2)
    return ImageSet(np.repeat(pixels[..., None], 3, axis=3), found.target.astype(np.int64), WORDS)


@pytest.fixture(scope="session")
def fitted(digits: ImageSet) -> StableDiffusionPipeline:
    settings = StableDiffusionFit(
        autoencoder_steps=40,
        denoiser_steps=60,
        batch_size=16,
        autoencoder_channels=[8, 16],
        denoiser_channels=[16, 16],
        text_width=16,
    )
    prompts, images = [PROMPT.format(word=word) for word in WORDS], signed(digits.images)
    pipeline, nothing = miniature.build(prompts, 16, settings), ResumeFile(None, "")
    miniature_fit.fit_autoencoder(pipeline.vae, images, settings, nothing)
    labels = torch.from_numpy(digits.labels)
    miniature_fit.fit_denoiser(pipeline, images, labels, prompts, settings, torch.float32, nothing)
    return pipeline


@pytest.fixture(scope="session")
def taught(digits: ImageSet) -> Classifier:
    """A small ResNet that separates the two digits."""
    settings = Network(name="resnet8", width=8)
    found = Classifier(settings, WORDS, [0.3] * 3, [0.4] * 3, build(settings, 2, seed=0))
    optimizer = torch.optim.Adam(found.network.parameters(), 0.01)
    inputs, labels = found.normalised(torch.from_numpy(digits.images)), torch.from_numpy(digits.labels)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(found.network(inputs), labels).backward()
        optimizer.step()
    found.network.eval().requires_grad_(False)
    return found


@pytest.mark.parametrize(("objective", "falls"), [("energy", True), ("distance", False)])
def test_with_the_scale_the_log_partition_falls_and_the_distance_grows(
    fitted: StableDiffusionPipeline, taught: Classifier, digits: ImageSet, objective: str, falls: bool
) -> None:
    """Means of finished images of the same seeds, at 0, s, 2s and 4s."""
    description, means = Description("stable-diffusion", WORDS, PROMPT), []
    for scale in (0.0, 0.1, 0.2, 0.4):
        guidance = of(fitted, taught, digits, **{objective: scale, "k": 5})
        made, _, _ = guided_latents(description, guidance, guidance.settings)
        logits, features = logits_and_features(taught, images_of(fitted, made, 16, 16).numpy(), CPU)
        found = logits.logsumexp(1) if objective == "energy" else neighbour_distance(features, guidance.bank, 5)
        means.append(float(found.mean()))
    assert means == sorted(means, reverse=falls)
    assert len(set(means)) == 4
