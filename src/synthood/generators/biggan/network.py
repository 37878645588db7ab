"""The BigGAN generator: building it small, its batch statistics, loading and sampling."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_pretrained_biggan import BigGAN, BigGANConfig
from pytorch_pretrained_biggan.model import CONFIG_NAME, WEIGHTS_NAME, BigGANBatchNorm
from torch import Tensor, nn

from synthood.common.finite import Named, after, check_state, numbered, to_uint8
from synthood.common.pixels import resized
from synthood.common.seeds import generator
from synthood.common.states import read_state
from synthood.errors import SynthoodError

LAYERS = {
    32: [(False, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1)],
    64: [(True, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1)],
    128: [(True, 16, 16), (True, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1)],
}
"""By side of the images: whether a block doubles the side, its channels before and after, in channel widths."""
ATTENTION_BEFORE = 3
TRUNCATION_ROWS = 17
"""Statistics are stored for truncations i/16, exact in binary, so none falls off the package's grid by rounding."""
STATISTICS_BATCH = 240
REMEDY = "check the generator's weights, and `sample.truncation`"
PIXELS_AT_ONCE = 500 * 32 * 32
"""Of images sampled at a time; part of the result's last bits."""


def build(classes: int, latent_size: int, channel_width: int, seed: int, side: int = 32) -> BigGAN:
    """A BigGAN of side 32, 64 or 128, every parameter initialised; the package leaves batch norm's to chance."""
    config = BigGANConfig(
        output_dim=side,
        z_dim=latent_size,
        class_embed_dim=latent_size,
        channel_width=channel_width,
        num_classes=classes,
        layers=LAYERS[side],
        attention_layer_position=ATTENTION_BEFORE,
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
def store_truncation_statistics(network: BigGAN, seed: int, rows: Sequence[int] = range(TRUNCATION_ROWS)) -> None:
    """Fills the stored statistics of truncation rows, from one batch each, classes balanced."""
    classes, device = network.config.num_classes, network.embeddings.weight.device
    labels = F.one_hot(torch.arange(STATISTICS_BATCH) % classes, classes).float().to(device)
    for row in rows:
        noise = truncated_normal((STATISTICS_BATCH, network.config.z_dim), generator(seed, "statistics", row))
        with batch_statistics(network, row):
            network(noise.to(device) * row / (TRUNCATION_ROWS - 1), labels, 1.0)


@contextmanager
def at_truncation(network: nn.Module, truncation: float) -> Iterator[None]:
    """Inside, a forward pass with truncation 1 uses the statistics stored for `truncation`.

    Between two rows they are interpolated here, since the package swaps the two rows' weights and lets truncations such
    as 0.14 fall off their row by rounding.
    """
    layers = batch_norms(network)
    stored = [(layer.running_means, layer.running_vars, layer.step_size) for layer in layers]
    for layer in layers:
        layer.running_means, layer.running_vars = (
            interpolated(rows, truncation).repeat(2, 1) for rows in (layer.running_means, layer.running_vars)
        )
        layer.step_size = 1.0
    try:
        yield
    finally:
        for layer, (means, variances, step_size) in zip(layers, stored, strict=True):
            layer.running_means, layer.running_vars, layer.step_size = means, variances, step_size


def interpolated(rows: Tensor, truncation: float) -> Tensor:
    """Statistics [C] at a truncation in [0,1], of rows [R,C] for truncations 0, 1/(R-1), ..., 1."""
    position = round(truncation * (len(rows) - 1), 6)
    low, share = int(position), position - int(position)
    return rows[low] if share == 0 else torch.lerp(rows[low], rows[low + 1], share)


@torch.no_grad()
def sample(
    network: BigGAN,
    labels: Tensor,
    seeds: list[int],
    truncation: float,
    image_size: Sequence[int] = (),
    named: Named = numbered,
) -> Tensor:
    """Images uint8 [N,H,W,3] on the CPU, of `labels` [N]; image i comes from seed i alone.

    Resized to the height and width `image_size` where these are others than the network's: bilinear with antialiasing.
    Raises SynthoodError at the first image that is not finite; `named` says what it is called.
    """
    device, first = network.embeddings.weight.device, 0
    noise = torch.cat([truncated_normal((1, network.config.z_dim), torch.Generator().manual_seed(s)) for s in seeds])
    one_hot = F.one_hot(labels, network.config.num_classes).float()
    at_once = max(1, PIXELS_AT_ONCE // network.config.output_dim**2)
    images = []
    with at_truncation(network, truncation):
        for z, y in zip(noise.split(at_once), one_hot.split(at_once), strict=True):
            made = network(z.to(device) * truncation, y.to(device), 1.0)
            if image_size:
                made = resized(made, image_size[0], image_size[1], "bilinear")
            images.append(to_uint8((made + 1) * 127.5, after(first, named), REMEDY).cpu())
            first += len(made)
    return torch.cat(images).permute(0, 2, 3, 1)


def save(network: BigGAN, folder: Path) -> None:
    """Writes the package's own format, which `BigGAN.from_pretrained` reads; SynthoodError at a weight not finite."""
    check_state(network.state_dict(), "biggan", "lower `fit.learning_rate`, or fit with `precision: float32`")
    (folder / CONFIG_NAME).write_text(network.config.to_json_string() + "\n")
    torch.save({key: value.cpu() for key, value in network.state_dict().items()}, folder / WEIGHTS_NAME)


def load(folder: Path) -> BigGAN:
    """Reads a folder in the package's format."""
    return read(folder / CONFIG_NAME, folder / WEIGHTS_NAME)


def read(config: Path, weights: Path) -> BigGAN:
    """A network of the package's two files, strictly: the package itself lets missing keys pass.

    Files of old versions of torch hold the normalised `weight` besides and may lack `weight_v`, which follows from it.
    """
    network = BigGAN(BigGANConfig.from_dict(read_config(config)))
    state, expected = read_state(weights), network.state_dict()
    missing = {k for k in expected.keys() - state.keys() if not (k.endswith("weight_v") and k[:-2] in state)}
    unknown = {k for k in state.keys() - expected.keys() if f"{k}_orig" not in expected}
    if wrong := sorted(missing | unknown):
        raise SynthoodError(f"{weights}: keys missing or unknown, e.g. {wrong[0]} ({len(wrong)} in all)")
    for key in expected.keys() & state.keys():
        if state[key].shape != expected[key].shape:
            raise SynthoodError(
                f"{weights}: {key} has shape {list(state[key].shape)}, {config.name} says "
                f"{list(expected[key].shape)}; the two belong to networks of different resolution or width"
            )
    check_state({key: state[key] for key in expected.keys() & state.keys()}, str(weights), "the file is broken")
    network.load_state_dict(state, strict=False)
    return network.eval()


def read_config(path: Path) -> dict[str, Any]:
    """The package's JSON, checked as far as building needs it."""
    try:
        config = dict(json.loads(path.read_text()))
        side = 4 * 2 ** sum(bool(layer[0]) for layer in config["layers"])
        if side != config["output_dim"]:
            raise SynthoodError(f"{path}: output_dim is {config['output_dim']}, but its layers make {side} pixels")
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise SynthoodError(f"{path}: not a configuration of pytorch-pretrained-biggan ({error})") from error
    return config
