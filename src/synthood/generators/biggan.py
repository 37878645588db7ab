"""The BigGAN generator: building it small, its batch statistics, loading and sampling."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_pretrained_biggan import BigGAN, BigGANConfig
from pytorch_pretrained_biggan.model import CONFIG_NAME, WEIGHTS_NAME, BigGANBatchNorm
from torch import Tensor, nn

from synthood.common.seeds import generator
from synthood.errors import SynthoodError

IMAGE_SIZE = 32
TRUNCATION_ROWS = 17
"""Statistics are stored for truncations i/16, exact in binary, so none falls off the package's grid by rounding."""
STATISTICS_BATCH = 240
SAMPLED_AT_ONCE = 500


def build(classes: int, latent_size: int, channel_width: int, seed: int) -> BigGAN:
    """A 32x32 BigGAN with every parameter initialised (the package leaves batch norm's weights to chance)."""
    config = BigGANConfig(
        output_dim=IMAGE_SIZE,
        z_dim=latent_size,
        class_embed_dim=latent_size,
        channel_width=channel_width,
        num_classes=classes,
        layers=[(False, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1)],
        attention_layer_position=3,
        eps=1e-4,
        n_stats=TRUNCATION_ROWS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BigGAN(config)
        nn.init.normal_(network.embeddings.weight)
    nn.init.ones_(network.generator.bn.weight)
    nn.init.zeros_(network.generator.bn.bias)
    return network


def batch_norms(network: nn.Module) -> list[BigGANBatchNorm]:
    """The layers whose statistics depend on the truncation."""
    return [module for module in network.modules() if isinstance(module, BigGANBatchNorm)]


@contextmanager
def batch_statistics(network: nn.Module, row: int | None = None) -> Iterator[None]:
    """Inside, batch norm uses the batch's own statistics; with `row`, it also writes them into that row."""

    def forward(self: Any, x: Tensor, truncation: float, condition: Tensor | None = None) -> Tensor:
        if row is not None:
            self.running_vars[row], self.running_means[row] = torch.var_mean(x, (0, 2, 3), correction=0)
        normal = F.batch_norm(x, None, None, None, None, True, 0.0, self.eps)
        if condition is None:
            return normal * self.weight[:, None, None] + self.bias[:, None, None]
        scale, offset = self.scale(condition)[..., None, None], self.offset(condition)[..., None, None]
        return torch.addcmul(offset, normal, 1 + scale)

    layers = batch_norms(network)
    for layer in layers:
        layer.forward = MethodType(forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def truncated_normal(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Standard normal cut at +-2, float32, by the inverse of its distribution function."""
    low, high = (0.5 * (1 + math.erf(bound / math.sqrt(2))) for bound in (-2.0, 2.0))
    uniform = torch.rand(shape, generator=random, dtype=torch.float64)
    return torch.special.ndtri(low + (high - low) * uniform).float()


@torch.no_grad()
def store_truncation_statistics(network: BigGAN, seed: int) -> None:
    """Fills the stored statistics of every truncation row, from one batch each, classes balanced."""
    classes, device = network.config.num_classes, network.embeddings.weight.device
    labels = F.one_hot(torch.arange(STATISTICS_BATCH) % classes, classes).float().to(device)
    for row in range(TRUNCATION_ROWS):
        noise = truncated_normal((STATISTICS_BATCH, network.config.z_dim), generator(seed, "statistics", row))
        with batch_statistics(network, row):
            network(noise.to(device) * row / (TRUNCATION_ROWS - 1), labels, 1.0)


@torch.no_grad()
def sample(network: BigGAN, labels: Tensor, seeds: list[int], truncation: float) -> Tensor:
    """Images uint8 [N,H,W,3] on the CPU, of `labels` [N]; image i comes from seed i alone."""
    device = network.embeddings.weight.device
    noise = torch.cat([truncated_normal((1, network.config.z_dim), torch.Generator().manual_seed(s)) for s in seeds])
    one_hot = F.one_hot(labels, network.config.num_classes).float()
    batches = zip(noise.split(SAMPLED_AT_ONCE), one_hot.split(SAMPLED_AT_ONCE), strict=True)
    images = torch.cat([network(z.to(device) * truncation, y.to(device), truncation).cpu() for z, y in batches])
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


def save(network: BigGAN, folder: Path) -> None:
    """Writes the package's own format, which `BigGAN.from_pretrained` reads."""
    (folder / CONFIG_NAME).write_text(network.config.to_json_string() + "\n")
    torch.save({key: value.cpu() for key, value in network.state_dict().items()}, folder / WEIGHTS_NAME)


def load(folder: Path) -> BigGAN:
    """Reads a folder in the package's format, strictly: the package itself lets missing keys pass."""
    network = BigGAN(BigGANConfig.from_json_file(str(folder / CONFIG_NAME)))
    state = torch.load(folder / WEIGHTS_NAME, weights_only=True, map_location="cpu")
    wrong = sorted(set(state) ^ set(network.state_dict()))
    if wrong:
        raise SynthoodError(f"{folder / WEIGHTS_NAME}: keys missing or unknown, e.g. {wrong[0]} ({len(wrong)} in all)")
    network.load_state_dict(state)
    return network.eval()
