"""Tokens of ID images: each as if it were alone, with a lower denoising loss on noise that it was not found by."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common.images import ImageSet, write_images
from synthood.common.iterate import ResumeFile
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import prompt_tokens
from synthood.generators.folder import Description
from synthood.outliers import invert
from synthood.outliers.class_words import anchors_of, text_encoder_digest
from synthood.outliers.invert import Denoising, Inverted, chosen_rows, inverted
from synthood.outliers.inverted_settings import InversionSettings
from synthood.outliers.latent_images import id_latents

NOTHING = ResumeFile(None, "")
LABELS = torch.tensor([0, 1, 0, 1, 0])


def settings(**changes: Any) -> InversionSettings:
    return InversionSettings.model_validate({"steps": 2, "draws": 4, "batch_size": 8, "learning_rate": 0.5} | changes)


@pytest.fixture(scope="module")
def latents(pipeline: StableDiffusionPipeline, train_images: ImageSet) -> Tensor:
    return id_latents(pipeline, train_images.images[:5])


def found_of(
    pipeline: StableDiffusionPipeline,
    description: Description,
    latents: Tensor,
    resume: ResumeFile = NOTHING,
    rows: Tensor | None = None,
    labels: Tensor = LABELS,
    **changes: Any,
) -> Inverted:
    denoising = Denoising.of(pipeline, description, settings(**changes))
    return inverted(denoising, latents, labels, "training", torch.arange(5) if rows is None else rows, resume)


def test_the_loss_on_new_noise_falls(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    """Of every image, under draws of another seed than those that its token was found with."""
    found = found_of(pipeline, description, latents, steps=20, draws=16, batch_size=80)
    assert bool((found.token_loss < found.word_loss).all())
    other = Denoising.of(pipeline, description, settings(draws=64, batch_size=64, seed=7))
    words = anchors_of(pipeline, description.class_words, "token")
    for row, label in enumerate(LABELS.tolist()):
        one, names = latents[row : row + 1], ["another name"]
        before = other.new_loss(one, words[label][None], label, names)
        assert float(other.new_loss(one, found.tokens[row : row + 1], label, names)) < float(before)


def test_the_loss_is_that_of_the_plain_prompt_at_the_word(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    """The word's own token gives the error of the U-Net under the prompt itself, draw by draw."""
    denoising = Denoising.of(pipeline, description, settings())
    ((noise, time, share),) = denoising.draws(latents[:1], ["image"], 0)
    assert share == 1
    word = anchors_of(pipeline, ["cat"], "token")
    with torch.no_grad():
        found = denoising.loss(latents[:1], word, 0, noise, time)
        states = pipeline.text_encoder(prompt_tokens.token_ids(pipeline, ["a photo of a cat"])).last_hidden_state
        errors = []
        for draw, when in zip(noise[0], time[0], strict=True):
            noisy = denoising.noising.add_noise(latents[:1], draw[None], when[None])
            velocity = denoising.noising.get_velocity(latents[:1], draw[None], when[None])
            errors.append((pipeline.unet(noisy, when, states).sample - velocity).square().mean())
    torch.testing.assert_close(found, torch.stack(errors).mean()[None])


def test_the_gradient_is_that_of_finite_differences(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    denoising = Denoising.of(pipeline, description, settings())
    ((noise, time, _),) = denoising.draws(latents[:1], ["image"], 0)
    for network in (pipeline.unet, pipeline.text_encoder):
        network.double()
    try:
        token = anchors_of(pipeline, ["cat"], "token").double().requires_grad_()

        def loss(at: Tensor) -> Tensor:
            return denoising.loss(latents[:1].double(), at, 0, noise.double(), time).sum()

        (gradient,) = torch.autograd.grad(loss(token), token)
        direction = torch.randn(token.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with torch.no_grad():
            step = 1e-5 * direction
            slope = (loss(token + step) - loss(token - step)) / 2e-5
    finally:
        for network in (pipeline.unet, pipeline.text_encoder):
            network.float()
    assert float(slope) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_an_image_s_token_does_not_depend_on_the_others(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    """Nor on how many latents the U-Net takes at once, also where an image's own draws are parted."""
    together = found_of(pipeline, description, latents, batch_size=64)
    for changes in ({"batch_size": 4}, {"batch_size": 3}):
        parted = found_of(pipeline, description, latents, **changes)
        for name in ("tokens", "word_loss", "token_loss"):
            torch.testing.assert_close(getattr(parted, name), getattr(together, name), rtol=1e-4, atol=1e-5)
    rows = torch.tensor([3, 4])
    few = found_of(pipeline, description, latents[rows], rows=rows, labels=LABELS[rows])
    torch.testing.assert_close(few.tokens, together.tokens[rows], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found_of(pipeline, description, latents, seed=1).tokens, together.tokens)


def test_a_first_step_of_adam_is_the_rate_in_the_word_s_unit(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    found = found_of(pipeline, description, latents, steps=1, learning_rate=0.3)
    words = anchors_of(pipeline, description.class_words, "token")[LABELS]
    moved = (found.tokens - words).abs()
    expected = 0.3 * words.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(moved, expected.expand_as(moved), rtol=1e-2, atol=1e-5)


def test_a_stopped_inversion_goes_on(
    pipeline: StableDiffusionPipeline,
    description: Description,
    latents: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One chunk after the other is saved; the last losses are those of an undisturbed run."""
    expected = found_of(pipeline, description, latents, batch_size=4)
    original, seen = Denoising.fitted, []

    def stopping(self: Denoising, latents: Tensor, word: Tensor, label: int, names: list[str]) -> Tensor:
        seen.append(names)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(self, latents, word, label, names)

    monkeypatch.setattr(Denoising, "fitted", stopping)
    with pytest.raises(KeyboardInterrupt):
        found_of(pipeline, description, latents, ResumeFile(tmp_path, "job", 0.0), batch_size=4)
    found = found_of(pipeline, description, latents, ResumeFile(tmp_path, "job", 0.0), batch_size=4)
    assert seen == [[f"training image {row}"] for row in (0, 2, 4, 4, 1, 3)]
    for name in ("tokens", "word_loss", "token_loss"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_some_images_of_each_class() -> None:
    labels = torch.tensor([0] * 10 + [1] * 3 + [2] * 10)
    rows = chosen_rows(labels, settings(per_class=4), "training")
    assert torch.bincount(labels[rows]).tolist() == [4, 3, 4]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows.tolist() != chosen_rows(labels, settings(per_class=4, seed=1), "training").tolist()
    assert chosen_rows(labels, settings(), "training").tolist() == list(range(23))


def test_numbers_that_are_not_finite_have_image_and_class(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    spoilt = latents.clone()
    spoilt[3, 0, 0, 0] = torch.nan
    with pytest.raises(
        SynthoodError, match=r"training image 3 \(class 'dog'\): the numbers of its token are not finite; lower inv"
    ):
        found_of(pipeline, description, spoilt)


def test_words_without_a_token_or_outside_the_prompt_are_refused(
    pipeline: StableDiffusionPipeline, description: Description, latents: Tensor
) -> None:
    unknown = Description("stable-diffusion", ["cat", "catfish"], description.prompt)
    with pytest.raises(SynthoodError, match=r"the class word 'catfish' has letters that the tokenizer does not know"):
        found_of(pipeline, unknown, latents)
    wordless = Description("stable-diffusion", ["cat", "dog"], "a photo of a")
    with pytest.raises(SynthoodError, match=r"the class word 'cat' does not stand in the prompt 'a photo of a'"):
        found_of(pipeline, wordless, latents)


def options(folder: Path, train: Path, val: Path, output: Path) -> list[str]:
    line = {"generator": folder, "train": train, "val": val, "output": output, "settings": settings().canonical()}
    return [part for key, value in line.items() for part in (f"--{key}", str(value))]


def test_the_stage_writes_tokens_of_both_parts(
    folder: Path,
    pipeline: StableDiffusionPipeline,
    description: Description,
    train_images: ImageSet,
    train_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = ImageSet(train_images.images[:5], LABELS.numpy(), description.classes)
    write_images(tmp_path / "val.safetensors", few)
    invert.main(options(folder, train_file, tmp_path / "val.safetensors", tmp_path / "inverted"))
    arrays, header = read_tensors(tmp_path / "inverted")
    denoising = Denoising.of(pipeline, description, settings())
    labels = torch.from_numpy(train_images.labels)
    found = inverted(
        denoising, id_latents(pipeline, train_images.images), labels, "training", torch.arange(14), NOTHING
    )
    np.testing.assert_allclose(arrays["embeddings"], found.tokens, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(arrays["token_loss"], found.token_loss, rtol=1e-4)
    assert arrays["labels"].tolist() == train_images.labels.tolist()
    assert arrays["held_out_labels"].tolist() == LABELS.tolist()
    assert arrays["held_out_embeddings"].shape == (5, 16)
    assert arrays["held_out_rows"].tolist() == [0, 1, 2, 3, 4]
    space = {"encoder": "inversion", "anchors": "token", "text_encoder": text_encoder_digest(pipeline)}
    assert header == {"classes": ["cat", "dog"], "space": space}
    assert f"under the class word, {found.token_loss.mean():.4f} under the image's own" in capsys.readouterr().out


def test_images_of_other_classes_are_refused(
    folder: Path, train_images: ImageSet, train_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ImageSet(train_images.images, train_images.labels, ["cat", "fox"])
    write_images(tmp_path / "val.safetensors", other)
    with pytest.raises(SystemExit):
        invert.main(options(folder, train_file, tmp_path / "val.safetensors", tmp_path / "inverted"))
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/val.safetensors: its classes are cat, fox, the generator's cat, dog; fit the generator to "
        f"this dataset\n"
    )
    assert not (tmp_path / "inverted").exists()


def test_a_class_of_one_image_is_refused(description: Description, train_images: ImageSet, tmp_path: Path) -> None:
    write_images(tmp_path / "train.safetensors", ImageSet(train_images.images[:3], np.array([0, 1, 0]), ["cat", "dog"]))
    with pytest.raises(SynthoodError, match=r"class 'dog' has 1 image, and a manifold needs 2; give it more, or"):
        invert.opened(tmp_path / "train.safetensors", description, fewest=2)
    assert len(invert.opened(tmp_path / "train.safetensors", description)) == 3
