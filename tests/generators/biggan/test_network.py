"""The BigGAN generator: statistics per truncation, sampling, files."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_pretrained_biggan import BigGAN
from pytorch_pretrained_biggan.model import CONFIG_NAME, WEIGHTS_NAME
from scipy.stats import kstest, truncnorm

from synthood.common.seeds import generator
from synthood.errors import SynthoodError
from synthood.generators.biggan import network as biggan

CLASSES, LATENT, BATCH = 2, 4, 12


def make() -> BigGAN:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(biggan, "STATISTICS_BATCH", BATCH)
        network = biggan.build(CLASSES, LATENT, channel_width=8, seed=3).eval()
        biggan.store_truncation_statistics(network, seed=5)
    return network


@pytest.fixture(scope="module")
def network() -> BigGAN:
    """With statistics of every row, and not to be changed."""
    return make()


@pytest.fixture
def changeable(network: BigGAN) -> Iterator[BigGAN]:
    """The same network; its state is put back after the test."""
    state = {key: value.clone() for key, value in network.state_dict().items()}
    yield network
    network.load_state_dict(state)


def statistics_inputs(row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch that the statistics of a row come from."""
    noise = biggan.truncated_normal((BATCH, LATENT), generator(5, "statistics", row)) * row / 16
    return noise, F.one_hot(torch.arange(BATCH) % CLASSES, CLASSES).float()


def test_build_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = biggan.build(2, 4, 8, seed=0).state_dict()
    torch.manual_seed(2)
    second, other = biggan.build(2, 4, 8, seed=0).state_dict(), biggan.build(2, 4, 8, seed=1).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["embeddings.weight"], other["embeddings.weight"])
    assert all(bool(value.isfinite().all()) for value in first.values())
    assert (first["generator.bn.weight"] == 1).all()
    assert (first["generator.bn.bias"] == 0).all()


def test_images_are_32_by_32(network: BigGAN) -> None:
    noise, labels = statistics_inputs(16)
    with torch.no_grad():
        assert network(noise[:2], labels[:2], 1.0).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("row", [1, 8, 16])
@torch.no_grad()
def test_stored_statistics_are_those_of_the_rows_batch(network: BigGAN, row: int) -> None:
    """With them, the batch comes out as it does with its own statistics."""
    noise, labels = statistics_inputs(row)
    with biggan.batch_statistics(network):
        expected = network(noise, labels, 1.0)
    torch.testing.assert_close(network(noise, labels, row / 16), expected, rtol=1e-3, atol=1e-3)
    assert (network(noise, labels, (row + 5) % 16 / 16) - expected).abs().max() > 0.02


@pytest.mark.parametrize("row", [1, 5, 8, 15, 16])
@torch.no_grad()
def test_truncation_uses_its_own_row_alone(changeable: BigGAN, row: int) -> None:
    """Every other row made NaN: not a bit of the images changes at row/16, and all is lost beside it."""
    noise, labels = (x[:2] for x in statistics_inputs(16))
    before = changeable(noise, labels, row / 16)
    others = [other for other in range(biggan.TRUNCATION_ROWS) if other != row]
    for layer in biggan.batch_norms(changeable):
        layer.running_means[others] = torch.nan
        layer.running_vars[others] = torch.nan
    assert torch.equal(changeable(noise, labels, row / 16), before)
    beside = row - 1 if row > 1 else 2
    assert changeable(noise, labels, beside / 16).isnan().all()


@torch.no_grad()
def test_batch_statistics_by_hand() -> None:
    """One conditional layer: mean and variance of each channel, then scale and offset of each image."""
    network = biggan.build(CLASSES, LATENT, channel_width=8, seed=3).eval()
    layer = biggan.batch_norms(network)[0]
    x = torch.randn((6, layer.running_means.shape[1], 3, 3), generator=torch.Generator().manual_seed(0)) * 3 + 1
    condition = torch.randn((6, 2 * LATENT), generator=torch.Generator().manual_seed(1))
    with biggan.batch_statistics(network, row=4):
        found = layer(x, 0.9, condition)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    torch.testing.assert_close(layer.running_means[4], mean)
    torch.testing.assert_close(layer.running_vars[4], variance)
    normal = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-4).sqrt()
    scale, offset = layer.scale(condition)[:, :, None, None], layer.offset(condition)[:, :, None, None]
    torch.testing.assert_close(found, normal * (1 + scale) + offset, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer(x, 4 / 16, condition), found, rtol=1e-4, atol=1e-4)  # the package's own forward
    assert (layer.running_means[5] == 0).all()


def test_batch_statistics_end_with_the_block() -> None:
    network = biggan.build(CLASSES, LATENT, channel_width=8, seed=3)
    with pytest.raises(KeyboardInterrupt), biggan.batch_statistics(network):
        raise KeyboardInterrupt
    assert not any("forward" in vars(layer) for layer in biggan.batch_norms(network))


def test_each_image_comes_from_its_seed_alone(network: BigGAN) -> None:
    labels = torch.tensor([0, 1, 1])
    every = biggan.sample(network, labels, [11, 22, 33], 1.0).int()
    assert every.shape == (3, 32, 32, 3)
    alone = biggan.sample(network, labels[1:2], [22], 1.0).int()
    backwards = biggan.sample(network, labels.flip(0), [33, 22, 11], 1.0).int().flip(0)
    assert (every[1:2] - alone).abs().max() <= 1
    assert (every - backwards).abs().max() <= 1
    assert (every[1] - every[2]).abs().max() > 1  # one class, two seeds
    other = biggan.sample(network, torch.tensor([0]), [22], 1.0).int()
    assert (other - alone).abs().max() > 1  # one seed, two classes


@torch.no_grad()
def test_sample_by_hand(network: BigGAN) -> None:
    noise = biggan.truncated_normal((1, LATENT), torch.Generator().manual_seed(7)) * 0.5
    image = network(noise, torch.tensor([[0.0, 1.0]]), 0.5)[0].permute(1, 2, 0)
    found = biggan.sample(network, torch.tensor([1]), [7], 0.5)[0]
    assert found.dtype == torch.uint8
    assert np.abs(found.numpy() - (image.numpy() + 1) * 127.5).max() <= 0.501


def test_an_image_that_is_not_finite_is_told(changeable: BigGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of a later batch; before, its pixels were black."""

    def spoil(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        output[inputs[1][:, 1] == 1] = float("nan")

    monkeypatch.setattr(biggan, "PIXELS_AT_ONCE", 2 * 32 * 32)
    hook = changeable.register_forward_hook(spoil)
    labels = torch.tensor([0, 0, 0, 1])
    with pytest.raises(SynthoodError, match=r"^seed 14: decoded pixels are not finite; check the generator's weights"):
        biggan.sample(changeable, labels, [11, 12, 13, 14], 1.0, named=lambda index: f"seed {11 + index}")
    hook.remove()


def test_weights_that_are_not_finite_are_not_written(changeable: BigGAN, tmp_path: Path) -> None:
    """Statistics of a truncation among them, which no loss sees."""
    layer = biggan.batch_norms(changeable)[0]
    layer.running_means[16, 0] = float("inf")
    with pytest.raises(SynthoodError, match=r"biggan: .*running_means is not finite; lower `fit\.learning_rate`"):
        biggan.save(changeable, tmp_path)
    assert not (tmp_path / WEIGHTS_NAME).exists()


def test_truncated_normal_is_one() -> None:
    values = biggan.truncated_normal((200, 100), torch.Generator().manual_seed(0))
    assert values.dtype == torch.float32
    assert values.abs().max() <= 2
    assert values.abs().max() > 1.99
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    variance = 1 - 4 * density / math.erf(math.sqrt(2))
    assert variance == pytest.approx(truncnorm(-2, 2).var())
    assert values.var().item() == pytest.approx(variance, abs=0.02)
    assert values.mean().item() == pytest.approx(0, abs=0.02)
    assert kstest(values.flatten().numpy(), truncnorm(-2, 2).cdf).statistic < 0.012


def test_saved_and_loaded_is_the_same(network: BigGAN, tmp_path: Path) -> None:
    biggan.save(network, tmp_path)
    other = biggan.load(tmp_path)
    state = network.state_dict()
    assert not other.training
    assert state.keys() == other.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    images = [biggan.sample(one, torch.tensor([0, 1]), [1, 2], 0.75) for one in (network, other)]
    assert torch.equal(*images)
    assert json.loads((tmp_path / CONFIG_NAME).read_text())["n_stats"] == 17


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_keys_that_do_not_fit_are_an_error(network: BigGAN, tmp_path: Path, change: str) -> None:
    biggan.save(network, tmp_path)
    state = torch.load(tmp_path / WEIGHTS_NAME, weights_only=True)
    if change == "missing":
        del state["embeddings.weight"]
    else:
        state["extra"] = torch.zeros(1)
    torch.save(state, tmp_path / WEIGHTS_NAME)
    name = "embeddings.weight" if change == "missing" else "extra"
    with pytest.raises(SynthoodError, match=rf"{WEIGHTS_NAME}: keys missing or unknown, e\.g\. {name} \(1 in all\)"):
        biggan.load(tmp_path)
