"""What is not finite, at any stage of Stable Diffusion, is an error with the image, the stage and what to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from synthood.errors import SynthoodError
from synthood.generators.block_settings import BlockSettings
from synthood.generators.diffusion import pipelines, sampling
from synthood.generators.diffusion.samplers.base import Sampler
from synthood.generators.diffusion.samplers.dpm_solver import FastSample
from synthood.generators.diffusion.samplers.few_step import FewStepSample
from synthood.generators.diffusion.samplers.plms import PaperSample
from synthood.generators.folder import Description
from synthood.generators.kinds.stable_diffusion import StableDiffusionSampling
from synthood.generators.synthesise import synthesise
from synthood.outliers import latent_images
from synthood.outliers.latent_images import id_latents, images_of
from toy_checkpoints import stable_diffusion_1, stable_diffusion_xl

PROMPTS = ["a photo of the cat", "a photo of the dog", "a sketch of the cat"]
SEEDS = [4, 5, 6]
FAST = FastSample(sampler="fast", steps=3, batch_size=2)
HALF = FAST.model_copy(update={"precision": "float16"})
SAMPLERS = [FAST, PaperSample(sampler="paper", steps=3, batch_size=2), FewStepSample(sampler="few-step", steps=3)]
OVERFLOWS = "float16 ends at 65504: set `sample.precision: float32`"


@contextmanager
def breaking(network: nn.Module, call: int, row: int = 0) -> Iterator[None]:
    """From a call of the network on, one number of a row of its output is NaN."""
    calls = 0

    def spoil(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal calls
        if calls >= call:
            output.sample[row, 0, 0, 0] = float("nan")  # type: ignore[attr-defined]  # of diffusers' outputs
        calls += 1

    hook = network.register_forward_hook(spoil)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("settings", SAMPLERS, ids=lambda settings: settings.sampler)
def test_the_first_step_that_is_not_finite(settings: Sampler) -> None:
    """One number of one image; the step is that of the call."""
    pipeline = stable_diffusion_1()
    with breaking(pipeline.unet, 2, row=1), pytest.raises(SynthoodError) as caught:
        sampling.sample(pipeline, PROMPTS, SEEDS, settings, named=lambda index: f"seed {SEEDS[index]}")
    assert str(caught.value).startswith("seed 5: its latents are not finite from denoising step 3 of ")
    assert str(caught.value).endswith("on; check the checkpoint, its variant, and `sample.guidance`")


def test_the_second_batch_has_its_own_names() -> None:
    pipeline = stable_diffusion_1()
    with (
        breaking(pipeline.unet, 4),
        pytest.raises(SynthoodError, match=r"image 2: its latents are not finite from denoising step 2 of 3 on"),
    ):
        sampling.sample(pipeline, PROMPTS, SEEDS, FAST)


def test_xl_is_checked_as_well() -> None:
    pipeline = stable_diffusion_xl()
    with breaking(pipeline.unet, 0), pytest.raises(SynthoodError, match=r"image 0: its latents .* step 1 of 3"):
        sampling.sample(pipeline, PROMPTS, SEEDS, FAST)
    pipeline.text_encoder_2.text_projection.weight.data.fill_(float("inf"))
    with pytest.raises(SynthoodError, match="prompt 'a photo of the cat': its encodings are not finite"):
        sampling.sample(pipeline, PROMPTS, SEEDS, FAST)


def test_one_bad_pixel_is_no_black_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = stable_diffusion_1()
    monkeypatch.setattr(sampling, "DECODED_PIXELS", 2 * 16 * 16)
    monkeypatch.setattr(latent_images, "PIXELS_AT_ONCE", 2 * 16 * 16)
    latents = torch.zeros(3, 4, 8, 8)
    hook = pipeline.vae.decoder.register_forward_hook(spoiled_at(call=1))
    with pytest.raises(SynthoodError, match="image 2: decoded pixels are not finite; check the checkpoint"):
        sampling.decoded(pipeline, latents)
    with pytest.raises(SynthoodError, match="image 2: decoded pixels are not finite"):
        images_of(pipeline, latents, 8, 8)
    hook.remove()
    latents[1, 0, 0, 0] = float("inf")
    with pytest.raises(SynthoodError, match="image 1: its latents are not finite"):
        images_of(pipeline, latents, 8, 8)
    hook = pipeline.vae.encoder.register_forward_hook(spoiled_at(call=1))
    with pytest.raises(SynthoodError, match="training image 2: the latents that it is encoded to are not finite"):
        id_latents(pipeline, np.zeros((3, 16, 16, 3), np.uint8))
    hook.remove()


def spoiled_at(call: int) -> Callable[[nn.Module, object, Tensor], None]:
    """A hook that makes one pixel infinite in every second call."""
    calls = 0

    def spoil(module: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal calls
        if calls % 2 == call:
            output[0, 0, 3, 3] = float("inf")
        calls += 1

    return spoil


def loud(pipeline: StableDiffusionPipeline) -> StableDiffusionPipeline:
    """The same, whose autoencoder has activations beyond 65504, as XL's has; what it decodes to stays the same."""
    decoder, encoder = pipeline.vae.decoder, pipeline.vae.encoder
    decoder.conv_in.weight.data *= 2e5  # group normalisation takes the scale away
    decoder.conv_in.bias.data *= 2e5
    encoder.conv_in.weight.data *= 2e5
    return pipeline


def test_an_autoencoder_that_overflows_float16_computes_in_float32(capsys: pytest.CaptureFixture[str]) -> None:
    """As its configuration asks, which is said; the images are those of float32, up to the U-Net's rounding."""
    exact = sampling.sample(loud(stable_diffusion_1()), PROMPTS, SEEDS, FAST).int()
    pipeline = loud(stable_diffusion_1())
    assert pipeline.vae.config.force_upcast
    half = sampling.sample(pipeline, PROMPTS, SEEDS, HALF).int()
    assert (pipeline.unet.dtype, pipeline.vae.dtype) == (torch.float16, torch.float32)
    assert "sampling in float16, the autoencoder in float32" in capsys.readouterr().out
    assert (half - exact).abs().max() <= 3
    assert half.float().std() > 5


def test_an_autoencoder_that_overflows_all_the_same_is_told() -> None:
    """Where the checkpoint says that it need not compute in float32; before, these images were black."""
    pipeline = loud(stable_diffusion_1())
    pipeline.vae.register_to_config(force_upcast=False)
    with pytest.raises(SynthoodError, match=f"image 0: decoded pixels are not finite; {OVERFLOWS}"):
        sampling.sample(pipeline, PROMPTS, SEEDS, HALF)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    with pytest.raises(SynthoodError, match=f"training image 0: the latents that it is encoded to .*; {OVERFLOWS}"):
        id_latents(pipeline, images)


def test_weights_that_overflow_float16_are_told() -> None:
    pipeline = stable_diffusion_1()
    pipeline.unet.conv_out.weight.data[0, 0, 0, 0] = 1e5
    with pytest.raises(SynthoodError, match=rf"unet: conv_out\.weight is not finite; {OVERFLOWS}"):
        sampling.sample(pipeline, PROMPTS, SEEDS, HALF)


def test_latents_of_outliers_are_checked() -> None:
    pipeline = stable_diffusion_1()
    encoded = torch.zeros(2, 10, 16)
    with breaking(pipeline.unet, 1), pytest.raises(SynthoodError, match=r"image 0: its latents .* step 2 of 3"):
        sampling.sample_latents(pipeline, encoded, [1, 2], FAST)
    encoded[1, 3, 3] = float("nan")
    with pytest.raises(SynthoodError, match="image 1: its encoded prompt's numbers are not finite"):
        sampling.sample_latents(pipeline, encoded, [1, 2], FAST)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_are_checked_when_read(tmp_path: Path, part: str) -> None:
    stable_diffusion_1().save_pretrained(tmp_path / "sd")
    (file,) = (tmp_path / "sd" / part).glob("*.safetensors")
    tensors = load_file(file)
    name = next(key for key in tensors if key.endswith("weight"))
    tensors[name].view(-1)[3] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(SynthoodError, match=rf"sd/{part}: .*weight is not finite; fetch the checkpoint again"):
        pipelines.load(tmp_path / "sd")


def test_weights_are_checked_when_written(tmp_path: Path) -> None:
    pipeline = stable_diffusion_1()
    pipeline.vae.decoder.conv_out.bias.data[0] = float("inf")
    with pytest.raises(SynthoodError, match=r"vae: decoder\.conv_out\.bias is not finite; lower `fit\.learning_rate`"):
        pipelines.save(pipeline, tmp_path / "sd")
    with pytest.raises(SynthoodError, match="the learned tokens: embeddings is not finite"):
        pipelines.save_tokens(torch.tensor([[float("nan")]]), tmp_path)


def test_an_image_of_a_block_has_number_class_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the whole set, not of the block."""
    stable_diffusion_1().save_pretrained(tmp_path / "sd")
    Description("stable-diffusion", ["cat", "dog"], "a photo of the {word}").write(tmp_path / "sd")
    block = BlockSettings(
        generator=StableDiffusionSampling(kind="stable-diffusion", sample=FAST), block=2, block_size=4, count=4
    )
    seeds = synthesise(tmp_path / "sd", block).columns["seed"].tolist()
    real, one = pipelines.load, torch.tensor([1])

    def spoiled(folder: Path) -> StableDiffusionPipeline:
        pipeline = real(folder)
        pipeline.vae.decoder.register_forward_hook(lambda m, i, output: output.index_fill(0, one, float("nan")))
        return pipeline

    monkeypatch.setattr(pipelines, "load", spoiled)
    with pytest.raises(SynthoodError, match=rf"^image 9 \(class 'dog', seed {seeds[1]}\): decoded pixels are not"):
        synthesise(tmp_path / "sd", block)
