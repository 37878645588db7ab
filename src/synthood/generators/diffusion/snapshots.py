"""What a fitted denoiser's U-Net makes inside of images with a little noise: two maps of one pass, pooled."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor, nn

from synthood.common.finite import check_rows
from synthood.common.images import pixel_sha256
from synthood.common.seeds import generator
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines
from synthood.generators.diffusion.conditions import encoded_prompts
from synthood.generators.diffusion.precision import remedy
from synthood.generators.diffusion.sampling import image_latents

LEAST_VARIANCE = 1e-6
"""Of a map over its places, before the root."""


class Snapshots:
    """A generator's U-Net and its autoencoder, on a device, in single precision and without a prompt."""

    def __init__(self, pipeline: StableDiffusionPipeline, where: Path | str) -> None:
        """Raises SynthoodError for one with two text encoders."""
        if isinstance(pipeline, StableDiffusionXLPipeline):
            raise SynthoodError(
                f"{where}: an XL, which reads two prompts; cfs takes a Stable Diffusion fitted by `fit:`"
            )
        self.where, self.pipeline = where, pipeline
        self.side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        self.nothing = encoded_prompts(pipeline, [""], "")
        noising = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.kept = noising.alphas_cumprod.double()
        self.ratios = self.kept.log() - (-self.kept).log1p()

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "Snapshots":
        """Of a generator's folder; raises SynthoodError for a folder without a Stable Diffusion."""
        return cls(pipelines.load(folder).to(device), folder)

    def level(self, log_snr: float) -> int:
        """The step of training whose log signal-to-noise ratio is nearest."""
        return int((self.ratios - log_snr).abs().argmin())

    @torch.no_grad()
    def of(self, images: np.ndarray, log_snr: float, seed: int) -> dict[str, Tensor]:
        """Means and deviations float32 [N,2c] over the places of a map [N,c,h,w] of each region, on the CPU.

        Of images uint8 [N,H,W,3]; the noise of an image follows from its pixels and the seed, so that neither order nor
        batch has a part in it. Raises SynthoodError at other sizes, and where something is not finite.
        """
        if images.shape[1:3] != (self.side, self.side):
            height, width = images.shape[1:3]
            raise SynthoodError(
                f"{self.where}: fitted on images of {self.side} px, got {height} x {width}; fit it again"
            )
        clean, step = image_latents(self.pipeline, images), self.level(log_snr)
        each = (generator(seed, "snapshots", digest.tobytes().hex()) for digest in pixel_sha256(images))
        noise = torch.stack([torch.randn(clean.shape[1:], generator=random) for random in each])
        share = float(self.kept[step])
        noisy = (share**0.5 * clean + (1 - share) ** 0.5 * noise).to(self.pipeline.device)
        unet, found = self.pipeline.unet, dict[str, Tensor]()
        hooks = [
            block.register_forward_hook(lambda module, given, output, region=region: found.update({region: output}))
            for region, block in blocks(unet).items()
        ]
        try:
            unet(noisy, step, **self.nothing.rows([0] * len(images)).inputs(torch.float32, False, self.side))
        finally:
            for hook in hooks:
                hook.remove()
        pooled_maps = {region: pooled(found[region].float()).cpu() for region in blocks(unet)}
        for region, values in pooled_maps.items():
            check_rows(values, lambda index: f"image {index}", f"the {region}'s map", remedy(unet))
        return pooled_maps


def blocks(unet: Any) -> dict[str, nn.Module]:
    """The residual blocks whose outputs are the maps.

    Of the encoder the last one before the coarsest stage, of the decoder the last one before the finest: CFS' rule. Its
    release then ranks four such blocks of each region by how much 32 images differ in them, which is not done here.
    """
    return {"encoder": unet.down_blocks[-2].resnets[-1], "decoder": unet.up_blocks[-2].resnets[-1]}


def pooled(maps: Tensor) -> Tensor:
    """Mean and deviation [N,2c] of maps [N,c,h,w] over their places."""
    deviation = maps.var(dim=(2, 3), correction=0).clamp(min=LEAST_VARIANCE).sqrt()
    return torch.cat([maps.mean(dim=(2, 3)), deviation], 1)
