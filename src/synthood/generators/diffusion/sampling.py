"""Sampling Stable Diffusion: images of prompts, latents of encoded prompts, and the way between them."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from synthood.common.finite import Named, after, check_rows, finite_rows, numbered, to_uint8
from synthood.common.pixels import resized, signed
from synthood.errors import SynthoodError
from synthood.generators.diffusion.conditions import Conditions, encoded_prompts
from synthood.generators.diffusion.guidance import Guidance, Step, alpha_bars_of, in_bounds, predicted_clean
from synthood.generators.diffusion.memory import filled_batches, halving
from synthood.generators.diffusion.precision import prepare, remedy
from synthood.generators.diffusion.samplers.base import Sampler

DECODED_PIXELS = 256 * 32 * 32
"""Pixels that the autoencoder decodes or encodes at once, in batches of its own."""


def sample(
    pipeline: StableDiffusionPipeline,
    prompts: list[str],
    seeds: list[int],
    settings: Sampler,
    image_size: Sequence[int] | None = None,
    named: Named = numbered,
) -> Tensor:
    """Images uint8 [N,H,W,3], one per prompt and seed; resized to the height and width `image_size` where given.

    Raises SynthoodError where an image is not finite at any stage; `named` says what it is called.
    """
    prepare(pipeline, settings)
    conditions = encoded_prompts(pipeline, prompts, settings.negative_prompt)
    return decoded(pipeline, denoised(pipeline, conditions, seeds, settings, named), image_size, named)


def sample_latents(
    pipeline: StableDiffusionPipeline,
    encoded: Tensor,
    seeds: list[int],
    settings: Sampler,
    named: Named = numbered,
) -> Tensor:
    """Scaled latents z_0 float32 [N,4,h,w] of encoded prompts [N,L,W]; SynthoodError where one is not finite."""
    if isinstance(pipeline, StableDiffusionXLPipeline):
        raise SynthoodError("outliers need a Stable Diffusion 1.x or 2.x; XL reads its prompts by two text encoders")
    prepare(pipeline, settings)
    plain = encoded_prompts(pipeline, [""], settings.negative_prompt)
    check_rows(encoded, named, "its encoded prompt's numbers", remedy(pipeline.text_encoder))
    return denoised(pipeline, plain.with_encoded(encoded), seeds, settings, named)


@torch.no_grad()
def denoised(
    pipeline: StableDiffusionPipeline,
    conditions: Conditions,
    seeds: list[int],
    settings: Sampler,
    named: Named = numbered,
    guidance: Guidance | None = None,
) -> Tensor:
    """Scaled latents z_0 float32 [N,4,h,w] on the CPU; all batches have one size, whatever N is."""
    side = latent_side(pipeline, settings.size)

    def every_batch(size: int) -> Tensor:
        made = []
        for batch in filled_batches(len(seeds), size):
            chosen = [seeds[index] for index in batch]
            names = [named(index) for index in batch]
            rows = conditions.rows(batch)
            made.append(one_batch(pipeline, rows, chosen, side, settings, names, guidance).cpu())
            print(f"sampled {min(len(made) * size, len(seeds))}/{len(seeds)} images", flush=True)
        return torch.cat(made)[: len(seeds)]

    return halving("sampling", settings.batch_size, every_batch)


def latent_side(pipeline: StableDiffusionPipeline, size: int | None) -> int:
    """Side of the latents; raises SynthoodError where the checkpoint cannot make images of `size` pixels."""
    own: int = pipeline.unet.config.sample_size
    factor: int = pipeline.vae_scale_factor
    if size is None:
        return own
    step = factor * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    if size % step:
        raise SynthoodError(f"sample.size {size}: this checkpoint makes images whose side is a multiple of {step}")
    if size != own * factor:
        print(f"sampling at {size} px with a checkpoint trained at {own * factor} px", flush=True)
    return size // factor


def one_batch(
    pipeline: StableDiffusionPipeline,
    conditions: Conditions,
    seeds: list[int],
    side: int,
    settings: Sampler,
    names: list[str],
    guidance: Guidance | None = None,
) -> Tensor:
    """Latents float32 [B,4,side,side] on the device, each from the noise of its own seed.

    Raises SynthoodError, after the last step, with the name of the first image whose latents were not always finite,
    or, with a guidance term, within its bounds.
    """
    unet, device = pipeline.unet, pipeline.device
    random = [torch.Generator().manual_seed(seed) for seed in seeds]
    scheduler = settings.scheduler(pipeline)
    scheduler.set_timesteps(settings.steps, device=device)
    shape = (1, unet.config.in_channels, side, side)
    latents = torch.cat([torch.randn(shape, generator=one) for one in random]).to(device) * scheduler.init_noise_sigma
    embedded = unet.config.time_cond_proj_dim is not None
    guided = settings.guidance > 1 and not embedded
    told = conditions.inputs(unet.dtype, guided, side * pipeline.vae_scale_factor)
    if embedded:
        strength = torch.full((len(seeds),), settings.guidance - 1.0)
        width = unet.config.time_cond_proj_dim
        told["timestep_cond"] = pipeline.get_guidance_scale_embedding(strength, width).to(device, unet.dtype)
    pipeline.scheduler, own = scheduler, pipeline.scheduler
    extra = pipeline.prepare_extra_step_kwargs(random, 0.0)
    pipeline.scheduler = own
    finite = torch.zeros(len(seeds), dtype=torch.int64, device=device)
    good = torch.ones(len(seeds), dtype=torch.bool, device=device)
    total, alpha_bars = len(scheduler.timesteps), alpha_bars_of(scheduler) if guidance else []
    for number, time in enumerate(scheduler.timesteps):
        acting = guidance if guidance is not None and guidance.acts(number, total) else None
        with torch.set_grad_enabled(acting is not None):
            noisy = latents.detach().requires_grad_(acting is not None)
            inputs = scheduler.scale_model_input(noisy, time).to(unet.dtype)
            predicted = unet(torch.cat([inputs, inputs]) if guided else inputs, time, **told).sample.float()
            if guided:
                without, towards = predicted.chunk(2)
                predicted = without + settings.guidance * (towards - without)
        following = scheduler.step(predicted.detach(), time, latents, **extra).prev_sample
        if acting is not None:
            with torch.enable_grad():
                clean = predicted_clean(scheduler.config.prediction_type, noisy, predicted, alpha_bars[number])
                following = following + acting.shift(Step(noisy, clean, number, alpha_bars)).detach()
        latents = following
        good &= finite_rows(latents) if guidance is None else in_bounds(latents, guidance.longest)
        finite += good
    for name, steps in zip(names, finite.tolist(), strict=True):  # the one wait for the device
        if steps < total:
            raise SynthoodError(f"{name}: {fault(steps + 1, total, guidance, remedy(unet))}")
    return latents


def fault(step: int, steps: int, guidance: Guidance | None, unguided: str) -> str:
    """What is wrong with latents from a step on, and what to do."""
    if guidance is None:
        return f"its latents are not finite from denoising step {step} of {steps} on; {unguided}"
    return (
        f"its latents diverge at denoising step {step} of {steps}: under {guidance} they are not finite or more than "
        f"{guidance.longest:g} times as long as noise; lower the scale"
    )


@torch.no_grad()
def decoded(
    pipeline: StableDiffusionPipeline,
    latents: Tensor,
    image_size: Sequence[int] | None = None,
    named: Named = numbered,
) -> Tensor:
    """Images uint8 [N,H,W,3] of scaled latents [N,4,h,w], on the device resized to `image_size` (height, width).

    Raises SynthoodError at the first image whose latents or pixels are not finite.
    """
    vae = pipeline.vae
    check_rows(latents, named, "its latents", "make them again")
    side = latents.shape[-1] * pipeline.vae_scale_factor

    def every_batch(size: int) -> Tensor:
        made: list[Tensor] = []
        for first, part in zip(range(0, len(latents), size), latents.split(size), strict=True):
            images = vae.decode((part.to(pipeline.device) / vae.config.scaling_factor).to(vae.dtype)).sample.float()
            if image_size is not None:
                images = fitted(images, *image_size)
            pixels = to_uint8((images + 1) * 127.5, after(first, named), remedy(vae))
            made.append(pixels.permute(0, 2, 3, 1).cpu())
        return torch.cat(made)

    return halving("decoding", max(1, DECODED_PIXELS // side**2), every_batch)


def fitted(images: Tensor, height: int, width: int) -> Tensor:
    """The middle of images [N,3,H,W] with the wanted aspect, at the wanted size, without aliasing."""
    scale = min(images.shape[2] / height, images.shape[3] / width)
    kept = [min(full, round(wanted * scale)) for full, wanted in zip(images.shape[2:], (height, width), strict=True)]
    top, left = ((full - part) // 2 for full, part in zip(images.shape[2:], kept, strict=True))
    middle = images[:, :, top : top + kept[0], left : left + kept[1]]
    return resized(middle, height, width)


@torch.no_grad()
def image_latents(pipeline: StableDiffusionPipeline, images: np.ndarray, named: Named = numbered) -> Tensor:
    """Scaled latents float32 [N,4,h,w] of images uint8 [N,H,W,3]: the means of the autoencoder's posterior.

    Raises SynthoodError at the first image whose latents are not finite.
    """
    vae = pipeline.vae
    size = max(1, DECODED_PIXELS // (images.shape[1] * images.shape[2]))
    parts = torch.from_numpy(images).split(size)
    points = (signed(part.to(pipeline.device)) for part in parts)
    means = torch.cat([vae.encode(part.to(vae.dtype)).latent_dist.mean.float().cpu() for part in points])
    check_rows(means, named, "the latents that it is encoded to", remedy(vae))
    return means * vae.config.scaling_factor
