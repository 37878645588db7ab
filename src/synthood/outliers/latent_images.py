"""Between images of the data set's size and latents of the generator's."""

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common.encoded import EncodedImages
from synthood.common.finite import Named, after, numbered, to_uint8
from synthood.common.pixels import resized
from synthood.generators.diffusion import sampling

PIXELS_AT_ONCE = 1 << 20


def id_latents(pipeline: StableDiffusionPipeline, images: np.ndarray | EncodedImages) -> Tensor:
    """Scaled latents float32 [N,4,h,w] of training images uint8 [N,H,W,3], enlarged to what the generator draws."""
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    parts = []
    for first in range(0, len(images), at_once(side)):
        part = torch.from_numpy(images[first : first + at_once(side)])
        named = after(first, "training image {}".format)
        parts.append(sampling.image_latents(pipeline, resized_bytes(part, side, side).numpy(), named))
    return torch.cat(parts)


def images_of(
    pipeline: StableDiffusionPipeline, latents: Tensor, height: int, width: int, named: Named = numbered
) -> Tensor:
    """Images uint8 [N,height,width,3] of scaled latents float32 [N,4,h,w]."""
    each = at_once(latents.shape[-1] * pipeline.vae_scale_factor)
    parts = (
        sampling.decoded(pipeline, part, named=after(first, named))
        for first, part in zip(range(0, len(latents), each), latents.split(each), strict=True)
    )
    return torch.cat([resized_bytes(part, height, width) for part in parts])


def at_once(side: int) -> int:
    return max(1, PIXELS_AT_ONCE // side**2)


def resized_bytes(images: Tensor, height: int, width: int) -> Tensor:
    """Images uint8 [N,H,W,3] in another size, by cubic interpolation."""
    found = resized(images.permute(0, 3, 1, 2).float(), height, width)
    return to_uint8(found).permute(0, 2, 3, 1)
