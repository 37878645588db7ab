"""What networks cost, counted without their weights: floating-point operations, parameters, activations."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import NetworkSettings
from synthood.training.networks.settings import network_described

UNKNOWN = 35e9, 86_000_000, 60_000_000, 768
"""Of a network that this machine cannot build: about those of ViT-B/16 at 224 pixels."""
SIDE = 32
SD_UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
"""Of Stable Diffusion 1.x, where a checkpoint's own config.json is not there; diffusers' defaults are its channels."""
SD_CHANNELS = (128, 256, 512, 512)
TOKENS = 77


@dataclass(frozen=True)
class Size:
    """Of one image: operations of a forward pass; of the network: parameters; numbers that a pass keeps for a step."""

    flops: float
    parameters: int
    activations: int
    features: int = 0
    """Penultimate features of a classifier."""
    known: bool = True
    """Whether they were counted, not assumed."""


def counted(network: nn.Module, run: Callable[[], Any]) -> Size:
    """Of what `run` does with a network, on whatever device."""
    kept = 0

    def note(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal kept
        kept += output.numel() if isinstance(output, Tensor) else 0

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(note) for module in leaves]
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return Size(counter.get_total_flops(), sum(p.numel() for p in network.parameters()), kept)


def of_network(settings: NetworkSettings, classes: int, side: int | None) -> Size:
    """Of one image through a classifier; that of `UNKNOWN` where the network cannot be built here."""
    return _of_network(json.dumps(settings.described()), classes, side or SIDE)


@functools.cache
def _of_network(described: str, classes: int, side: int) -> Size:
    for device in ("meta", "cpu"):  # not every operation has a form without numbers
        try:
            with torch.random.fork_rng(devices=[]), torch.device(device):
                network = network_described(json.loads(described)).build(classes).eval()
                images = torch.empty(1, 3, side, side)
            size = counted(network, lambda: network(images))  # noqa: B023  runs at once
            return replace(size, features=network.head.in_features)
        except (SynthoodError, RuntimeError, NotImplementedError, ImportError, OSError, ValueError):
            continue
    return Size(*UNKNOWN, known=False)


def config_of(place: Path, part: str) -> dict[str, Any]:
    """A checkpoint's own description of a part; empty where it is not there."""
    try:
        found = json.loads((place / part / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if not key.startswith("_")} if isinstance(found, dict) else {}


@functools.cache
def of_checkpoint(place: str, size: int | None) -> tuple[Size, Size, Size, bool]:
    """Of a pretrained Stable Diffusion: a pass of the U-Net for one latent, decoding, encoding of one image.

    `size` is the side of the images, the checkpoint's own where None. False where the U-Net is assumed to be that of
    Stable Diffusion 1.x.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel

    unet_config, vae_config = config_of(Path(place), "unet"), config_of(Path(place), "vae")
    blocks = len(SD_CHANNELS)
    plain = {
        "block_out_channels": SD_CHANNELS,
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel(**(unet_config or SD_UNET))
        vae = AutoencoderKL(**(vae_config or plain))
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        side = size // factor if size else unet.config.sample_size
        latents = torch.empty(1, unet.config.in_channels, side, side)
        told: dict[str, Any] = {"encoder_hidden_states": torch.empty(1, TOKENS, unet.config.cross_attention_dim)}
        if unet.config.addition_embed_type:
            added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
            told["added_cond_kwargs"] = added
        time = torch.ones(1)
        images = torch.empty(1, 3, side * factor, side * factor)
        denoising = counted(unet, lambda: unet(latents, time, **told))
        decoding = counted(vae.decoder, lambda: vae.decode(latents))
        encoding = counted(vae.encoder, lambda: vae.encode(images))
    return denoising, decoding, encoding, bool(unet_config)


BIGGAN = {
    128: Size(22_637_045_760, 50_388_609, 34_660_736),
    256: Size(77_669_984_256, 55_880_833, 119_651_712),
    512: Size(151_490_193_408, 56_163_905, 304_791_808),
}
"""Of the published BigGAN-deep (arXiv 1809.11096) by the side of its images, as `counted` finds them."""


def of_biggan(source: str) -> tuple[Size, int, bool]:
    """Of one image of a pretrained BigGAN, its side, and whether that is known: by its config.json, or its name."""
    side = config_of(Path(source), ".").get("output_dim") or source.rpartition("-")[2]
    known = str(side).isdigit() and int(side) in BIGGAN
    return BIGGAN[int(side) if known else 256], int(side) if known else 256, known


def counted_biggan(network: nn.Module, latent_size: int, classes: int) -> Size:
    """Of one image of a BigGAN."""
    noise, labels = torch.zeros(1, latent_size), torch.zeros(1, classes)
    return counted(network.eval(), lambda: network(noise, labels, 1.0))
