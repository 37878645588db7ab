"""What generators repeat: steps of fitting, images that are drawn, latents that are decoded or encoded."""

from __future__ import annotations

import functools
import itertools
import string
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthood.common.arithmetic import resolved_precision
from synthood.common.iterate import ResumeFile
from synthood.common.precision import Precision
from synthood.forecast import flops
from synthood.forecast.flops import Size
from synthood.forecast.of_training import digest, noise
from synthood.forecast.operation import LARGEST, Operation, Trial
from synthood.forecast.sizes import Images
from synthood.generators.biggan.settings import BigGANFit, HingeFit
from synthood.generators.diffusion.samplers.base import Sampler
from synthood.generators.diffusion.settings import Adaptation, Pretrained, StableDiffusionFit

NOTHING = ResumeFile(None, "")
VAE_GAN = 3 * 1.5 + 2.0, 2.0
"""Passes through the generator, and through a discriminator of half its operations, of a VAE-GAN's average step."""


@functools.cache
def biggan_size(latent_size: int, channel_width: int, classes: int, side: int) -> Size:
    """Of a BigGAN that is fitted here."""
    from synthood.generators.biggan import network

    made = network.build(classes, latent_size, channel_width, 0, side)
    return flops.counted_biggan(made, latent_size, classes)


def biggan_step(settings: BigGANFit | HingeFit, images: Images, precision: Precision) -> Operation:
    """A step of fitting a BigGAN, of either objective."""
    one = biggan_size(settings.latent_size, settings.channel_width, images.classes, images.side).flops
    hinge = isinstance(settings, HingeFit)
    per_image = one * (4 + 3 * settings.discriminator_steps if isinstance(settings, HingeFit) else sum(VAE_GAN))
    batch = int(min(settings.batch_size, max(8, LARGEST // per_image)))
    tried = settings.model_copy(update={"batch_size": batch})

    def trial(device: torch.device) -> Trial:
        train = noise(images, max(images.classes, batch))
        pixels, labels = (torch.from_numpy(array).to(device) for array in (train.images, train.labels))
        by = _vae_gan if isinstance(tried, BigGANFit) else _hinge
        return by(pixels, labels, images.classes, tried, resolved_precision(precision, device))

    name = f"a step of a BigGAN by {'the hinge loss' if hinge else 'VAE-GAN'} {digest(settings.canonical())}"
    return Operation(name, settings.batch_size * per_image, trial, settings.batch_size / batch)


def _vae_gan(pixels: Tensor, labels: Tensor, classes: int, settings: Any, dtype: torch.dtype) -> Trial:
    from synthood.common.averages import MovingAverage
    from synthood.common.pixels import signed
    from synthood.generators.biggan import network, vae
    from synthood.training.augmentation.geometry import shifted

    parts = vae.build_parts(settings, classes, pixels.device)
    average, random = MovingAverage(parts.network, vae.AVERAGE_DECAY), torch.Generator().manual_seed(0)
    real, few = signed(pixels.cpu().numpy()).to(pixels.device), settings.batch_size

    def run(steps: int) -> None:
        for number in range(steps):
            # Every tenth of the whole fit in turn, since later steps have a discriminator
            step = number % 10 * settings.steps // 10
            shown = shifted(real[:few], settings.shift, "replicate", random)
            with network.batch_statistics(parts.network):
                vae.one_step(parts, shown, labels[:few], settings, step, random)
            average.update(parts.network, step)

    return run


def _hinge(pixels: Tensor, labels: Tensor, classes: int, settings: Any, dtype: torch.dtype) -> Trial:
    from synthood.common.averages import MovingAverage
    from synthood.generators.biggan import hinge

    parts = hinge.build_parts(settings, classes, pixels.shape[1], pixels.device)
    average, random = MovingAverage(parts.network, settings.average_decay), torch.Generator().manual_seed(0)
    steps_of = hinge.Steps(parts, pixels.permute(0, 3, 1, 2).contiguous(), labels, settings, dtype)

    def run(steps: int) -> None:
        for step in range(steps):
            for _ in range(settings.discriminator_steps):
                steps_of.discriminate(random)
            steps_of.generate(random)
            average.update(parts.network, step)

    return run


def biggan_image(size: Size, name: str, settings: BigGANFit | HingeFit | None, images: Images) -> Operation:
    """An image of a BigGAN; tried where it is fitted here."""
    at_once = int(min(64, max(1, LARGEST // (16 * size.flops))))

    def trial(device: torch.device) -> Trial:
        from synthood.generators.biggan import network

        assert settings is not None
        made = network.build(images.classes, settings.latent_size, settings.channel_width, 0, images.side).eval()
        labels = torch.arange(at_once) % images.classes
        # The statistics of a network that was never fitted are no numbers to multiply with
        network.store_truncation_statistics(made, 0, [network.TRUNCATION_ROWS - 1])

        def run(count: int) -> None:
            for _ in range(count):
                network.sample(made, labels, list(range(at_once)), 1.0)

        return run

    return Operation(f"an image of BigGAN {name}", size.flops, trial if settings else None, 1 / at_once)


@dataclass(frozen=True)
class Diffusion:
    """A Stable Diffusion: fitted here, or a checkpoint; the side of the ID images, and what its parts cost."""

    fit: StableDiffusionFit | None
    name: str
    classes: int
    side: int
    denoising: Size
    decoding: Size
    encoding: Size
    known: bool

    @property
    def token_width(self) -> int:
        """Dimensions of a word's embedding."""
        return self.fit.text_width if self.fit else 768

    def built(self) -> Any:
        """The miniature, not yet fitted."""
        from synthood.generators.diffusion import miniature

        assert self.fit is not None
        return miniature.build(self.prompts(), self.side, self.fit)

    def prompts(self) -> list[str]:
        """One for each class, of words as long as words are."""
        assert self.fit is not None
        letters = itertools.product(string.ascii_lowercase, repeat=3)
        words = ["".join(each) for each in itertools.islice(letters, self.classes)]
        return [self.fit.prompt.format(word=word) for word in words]


@functools.cache
def _diffusion(fit: str, source: str, side: int, classes: int, sampled: int | None) -> Diffusion:
    settings = StableDiffusionFit.parse(fit) if fit else None
    if settings is None:
        denoising, decoding, encoding, known = flops.of_checkpoint(source, sampled)
        return Diffusion(None, source, classes, side, denoising, decoding, encoding, known)
    empty = Size(0, 0, 0)
    made = Diffusion(settings, f"miniature {digest(fit)}", classes, side, empty, empty, empty, known=True)
    pipeline = made.built()
    unet, vae = pipeline.unet.eval(), pipeline.vae.eval()
    latent = side // pipeline.vae_scale_factor
    latents, images = torch.zeros(1, 4, latent, latent), torch.zeros(1, 3, side, side)
    states = torch.zeros(1, pipeline.tokenizer.model_max_length, settings.text_width)
    denoising = flops.counted(unet, lambda: unet(latents, torch.ones(1), states))
    decoding = flops.counted(vae.decoder, lambda: vae.decode(latents))
    encoding = flops.counted(vae.encoder, lambda: vae.encode(images))
    return Diffusion(settings, made.name, classes, side, denoising, decoding, encoding, known=True)


def diffusion(
    fit: StableDiffusionFit | None, pretrained: Pretrained | None, images: Images, sample: Sampler
) -> Diffusion:
    """A generator of Stable Diffusion, as it samples."""
    source = pretrained.source if pretrained else ""
    size = sample.size if pretrained else None
    return _diffusion(fit.canonical() if fit else "", source, images.side, images.classes, size)


def autoencoder_step(made: Diffusion) -> Operation:
    """A step of fitting a miniature's autoencoder."""
    from synthood.generators.diffusion.miniature_fit import AUTOENCODER_BATCH

    def trial(device: torch.device) -> Trial:
        from synthood.common.pixels import signed
        from synthood.generators.diffusion import miniature_fit

        points = signed(noise(Images(0, made.side, made.classes), 32).images).to(device)
        pipeline = made.built().to(device)

        def run(steps: int) -> None:
            assert made.fit is not None
            few = made.fit.model_copy(update={"autoencoder_steps": steps})
            miniature_fit.fit_autoencoder(pipeline.vae, points, few, NOTHING)

        return run

    per_image = 3 * (made.encoding.flops + made.decoding.flops)
    return Operation(f"a step of the autoencoder of the {made.name}", AUTOENCODER_BATCH * per_image, trial)


def denoiser_step(made: Diffusion, precision: Precision) -> Operation:
    """A step of fitting a miniature's U-Net and text encoder."""
    assert made.fit is not None
    fit = made.fit

    def trial(device: torch.device) -> Trial:
        from synthood.common.pixels import signed
        from synthood.generators.diffusion import miniature_fit

        train = noise(Images(0, made.side, made.classes), 16)
        points, pipeline = signed(train.images).to(device), made.built().to(device)
        labels, dtype = torch.from_numpy(train.labels).to(device), resolved_precision(precision, device)

        def run(steps: int) -> None:
            few = fit.model_copy(update={"denoiser_steps": steps})
            miniature_fit.fit_denoiser(pipeline, points, labels, made.prompts(), few, dtype, NOTHING)

        return run

    return Operation(f"a step of the denoiser of the {made.name}", 3 * fit.batch_size * made.denoising.flops, trial)


def adaptation_step(made: Diffusion, settings: Adaptation) -> Operation:
    """A step of adapting a checkpoint, whose frozen weights need no gradient of their own."""
    name = f"a step of adapting {made.name} by {settings.kind}"
    return Operation(name, 2 * settings.batch_size * made.denoising.flops)


def latent(made: Diffusion, sample: Sampler) -> Operation:
    """A latent that is drawn."""
    guided = 2 if sample.guidance > 1 else 1
    at_once = min(sample.batch_size, int(max(1, LARGEST // (guided * made.denoising.flops))))

    def trial(device: torch.device) -> Trial:
        from synthood.generators.diffusion import conditions, precision, sampling

        pipeline = made.built().to(device)
        told = conditions.encoded_prompts(pipeline, made.prompts()[:1] * at_once, sample.negative_prompt)
        precision.prepare(pipeline, sample)

        def run(steps: int) -> None:
            few = sample.model_copy(update={"batch_size": at_once, "steps": steps})
            sampling.denoised(pipeline, told, list(range(at_once)), few)

        return run

    name = f"a latent of {made.name}, {sample.sampler}, {sample.steps} steps, guidance {sample.guidance:g}"
    scaled = sample.steps / at_once
    return Operation(name, sample.steps * guided * made.denoising.flops, trial if made.fit else None, scaled)


def noised(made: Diffusion) -> Operation:
    """A noisy latent that goes through the U-Net once."""
    return Operation(f"a noisy latent through {made.name}", made.denoising.flops)


def decoded(made: Diffusion) -> Operation:
    """A latent that becomes an image."""
    return _coded(made, "decoded by", made.decoding.flops, encoding=False)


def encoded(made: Diffusion) -> Operation:
    """An image that becomes a latent."""
    return _coded(made, "encoded by", made.encoding.flops, encoding=True)


def snapshot(made: Diffusion) -> Operation:
    """An image that becomes a latent and goes through the U-Net once."""
    operations = made.encoding.flops + made.denoising.flops
    at_once = int(min(64, max(1, LARGEST // (4 * operations))))

    def trial(device: torch.device) -> Trial:
        from synthood.generators.diffusion.snapshots import Snapshots

        inside = Snapshots(made.built().to(device), made.name)
        images = noise(Images(0, made.side, 1), at_once).images

        def run(count: int) -> None:
            for seed in range(count):
                inside.of(images, 5.0, seed)

        return run

    return Operation(f"a snapshot inside {made.name}", operations, trial if made.fit else None, 1 / at_once)


def _coded(made: Diffusion, name: str, operations: float, encoding: bool) -> Operation:
    at_once = int(min(64, max(1, LARGEST // (8 * operations))))

    def trial(device: torch.device) -> Trial:
        from synthood.generators.diffusion import sampling

        pipeline = made.built().to(device)
        images = noise(Images(0, made.side, 1), at_once).images
        side = made.side // pipeline.vae_scale_factor
        latents = torch.zeros(at_once, 4, side, side)

        def run(count: int) -> None:
            for _ in range(count):
                sampling.image_latents(pipeline, images) if encoding else sampling.decoded(pipeline, latents)

        return run

    return Operation(f"an image {name} {made.name}", operations, trial if made.fit else None, 1 / at_once)
