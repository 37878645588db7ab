"""Sampling Stable Diffusion: images of prompts, latents of encoded prompts, and the way between them."""

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.generators.diffusion_settings import StableDiffusionSample
from synthood.generators.prompt_tokens import token_ids

DECODED_AT_ONCE = 256


@torch.no_grad()
def sample(
    pipeline: StableDiffusionPipeline, prompts: list[str], seeds: list[int], settings: StableDiffusionSample
) -> Tensor:
    """Images uint8 [N,H,W,3], one per prompt and seed, sampled by DPM-Solver++ in batches of a fixed size.

    The last batch is filled up with the first prompts, since the batch size shows in an image's last bits.
    """
    made = []
    size = settings.batch_size
    wanted = len(prompts)
    missing = -wanted % size
    filled = [*range(wanted), *(index % wanted for index in range(missing))]
    for first in range(0, len(filled), size):
        batch = filled[first : first + size]
        random = [torch.Generator().manual_seed(seeds[index]) for index in batch]
        images = pipeline(
            [prompts[index] for index in batch],
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            generator=random,
            output_type="pt",
        ).images
        made.append((images.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu())
        print(f"sampled {min(first + size, wanted)}/{wanted} images", flush=True)
    return torch.cat(made)[:wanted]


@torch.no_grad()
def sample_latents(
    pipeline: StableDiffusionPipeline, encoded: Tensor, seeds: list[int], settings: StableDiffusionSample
) -> Tensor:
    """Scaled latents z_0 float32 [N,4,h,w] of encoded prompts [N,L,W], in batches of a fixed size."""
    count, size = len(encoded), settings.batch_size
    filled = [*range(count), *(index % count for index in range(-count % size))]
    empty = pipeline.text_encoder(token_ids(pipeline, [""]).to(pipeline.device)).last_hidden_state
    made = []
    for first in range(0, len(filled), size):
        batch = filled[first : first + size]
        latents = pipeline(
            prompt_embeds=encoded[batch],
            negative_prompt_embeds=empty.expand(size, -1, -1),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            generator=[torch.Generator().manual_seed(seeds[index]) for index in batch],
            output_type="latent",
        ).images
        made.append(latents.float().cpu())
        print(f"sampled {min(first + size, count)}/{count} latents", flush=True)
    return torch.cat(made)[:count]


@torch.no_grad()
def decoded(pipeline: StableDiffusionPipeline, latents: Tensor) -> Tensor:
    """Images uint8 [N,H,W,3] of scaled latents [N,4,h,w]."""
    scale = pipeline.vae.config.scaling_factor
    parts = latents.to(pipeline.device).split(DECODED_AT_ONCE)
    images = torch.cat([pipeline.vae.decode(part / scale).sample for part in parts])
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


@torch.no_grad()
def image_latents(pipeline: StableDiffusionPipeline, images: np.ndarray) -> Tensor:
    """Scaled latents float32 [N,4,h,w] of images uint8 [N,H,W,3]: the means of the autoencoder's posterior."""
    parts = torch.from_numpy(images).split(DECODED_AT_ONCE)
    points = (part.to(pipeline.device).permute(0, 3, 1, 2).float() / 127.5 - 1 for part in parts)
    means = torch.cat([pipeline.vae.encode(part).latent_dist.mean for part in points])
    return (means * pipeline.vae.config.scaling_factor).float().cpu()
