"""Fitting a BigGAN."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from synthood.common.averages import MovingAverage
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan import vae
from synthood.generators.biggan.settings import BigGANFit

Pictures = Callable[[int, int], Tensor]
NO_RESUME = ResumeFile(None, "")


@pytest.fixture(autouse=True)
def small_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biggan, "STATISTICS_BATCH", 4)


def fit(pictures: Pictures, resume: ResumeFile = NO_RESUME, **changes: Any) -> dict[str, Tensor]:
    """The state after four steps, the last two with the discriminator."""
    values = {"steps": 4, "batch_size": 4, "latent_size": 4, "channel_width": 8, "adversarial_from": 0.5}
    settings = BigGANFit(**(values | changes))
    network = vae.fit(pictures(12, 32), torch.arange(12) % 2, 2, settings, resume)
    assert not network.training
    return dict(network.state_dict())


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def test_negative_elbo_by_its_formula() -> None:
    random = torch.Generator().manual_seed(0)
    images, made = (torch.randn((5, 3, 4, 4), dtype=torch.float64, generator=random) for _ in range(2))
    mean, log_variance = (torch.randn((5, 6), dtype=torch.float64, generator=random) for _ in range(2))
    posterior = Normal(mean, (0.5 * log_variance).exp())
    divergence = kl_divergence(posterior, Normal(torch.zeros(6).double(), torch.ones(6).double())).sum(1)
    likelihood = Normal(made, 3.0**0.5).log_prob(images).sum((1, 2, 3))
    constant = Normal(made, 3.0**0.5).log_prob(made).sum((1, 2, 3))
    expected = (divergence - likelihood + constant).mean()
    torch.testing.assert_close(vae.negative_elbo(images, made, mean, log_variance, 3.0), expected)


def test_encoder_sees_image_and_label() -> None:
    torch.manual_seed(0)
    encoder = vae.Encoder(classes=2, latent_size=5).eval()
    images = torch.randn((3, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    mean, log_variance = encoder(images, torch.eye(2)[[0, 1, 0]])
    assert mean.shape == log_variance.shape == (3, 5)
    other, _ = encoder(images, torch.eye(2)[[0, 0, 0]])
    torch.testing.assert_close(other[0], mean[0])
    assert (other[1] - mean[1]).abs().max() > 1e-4


def test_fit_learns_and_stores_statistics(pictures: Pictures, capsys: pytest.CaptureFixture[str]) -> None:
    state = fit(pictures)
    assert all(bool(value.isfinite().all()) for value in state.values())
    start = biggan.build(2, 4, 8, seed=0).state_dict()
    moved = {key for key in state if not torch.equal(state[key], start[key])}
    assert {key for key in state if "running_means" in key} <= moved
    means = state["generator.layers.0.bn_0.running_means"]
    assert len(torch.unique(means, dim=0)) == 17
    told = capsys.readouterr().out
    assert "hinge" in told
    assert "elbo" in told


def test_fit_depends_on_its_settings_alone(pictures: Pictures) -> None:
    torch.manual_seed(1)
    first = fit(pictures)
    torch.manual_seed(2)
    assert equal(first, fit(pictures))
    assert not equal(first, fit(pictures, seed=1))


def test_resumed_equals_undisturbed(
    pictures: Pictures, tmp_path: Path, interrupted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Broken off once the discriminator has learned a step."""
    with pytest.raises(KeyboardInterrupt):
        fit(pictures, interrupted(tmp_path, "biggan", 3))
    resumed = fit(pictures, ResumeFile(tmp_path, "job"))
    assert "biggan: resumed at step 3 of 4" in capsys.readouterr().out
    assert equal(resumed, fit(pictures))


def test_a_loss_that_is_not_finite_is_named(pictures: Pictures) -> None:
    with pytest.raises(SynthoodError, match=r"biggan: \w+ became -?(nan|inf) at step \d with learning rate 1e\+30"):
        fit(pictures, learning_rate=1e30)


def test_discriminator_starts_at_its_share(pictures: Pictures) -> None:
    """Before, there is no adversarial term; from then on, there is."""
    settings = BigGANFit(steps=10, batch_size=4, latent_size=4, channel_width=8, adversarial_from=0.6)
    real, labels = pictures(4, 32), torch.arange(4) % 2
    parts = vae.build_parts(settings, 2, torch.device("cpu"))
    start = [p.detach().clone() for p in parts.discriminator.parameters()]
    for step, expected in ((5, {"elbo", "loss"}), (6, {"elbo", "loss", "hinge"})):
        with biggan.batch_statistics(parts.network):
            losses = vae.one_step(parts, real, labels, settings, step, torch.Generator().manual_seed(step))
        assert losses.keys() == expected
        same = all(torch.equal(a, b) for a, b in zip(start, parts.discriminator.parameters(), strict=True))
        assert same == ("hinge" not in expected)


def test_the_vae_learns_to_reconstruct(pictures: Pictures) -> None:
    settings = BigGANFit(
        steps=100, batch_size=8, latent_size=4, channel_width=8, adversarial_from=1.0, reconstruction_variance=0.5
    )
    real, labels = pictures(8, 32), torch.arange(8) % 2
    parts = vae.build_parts(settings, 2, torch.device("cpu"))
    with biggan.batch_statistics(parts.network):
        elbos = [
            vae.one_step(parts, real, labels, settings, step, torch.Generator().manual_seed(step))["elbo"]
            for step in range(25)
        ]
    assert elbos[-1] > 0.7 * elbos[0]  # both are below zero


def test_fit_settles_the_averaged_weights(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """An average far from the last weights, of which alone the layers know the norms."""
    copy = MovingAverage.copy_to

    def far(self: MovingAverage, network: nn.Module) -> None:
        self.state_dict()["generator.conv_to_rgb.weight_orig"][2] += 1.0
        copy(self, network)

    monkeypatch.setattr(MovingAverage, "copy_to", far)
    settings = BigGANFit(steps=1, batch_size=4, latent_size=4, channel_width=8)
    network = vae.fit(pictures(8, 32), torch.arange(8) % 2, 2, settings, NO_RESUME)
    weight = network.generator.conv_to_rgb.weight.detach()
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_spectral_norms_settle_without_a_change_of_weights() -> None:
    network = biggan.build(2, 4, 8, seed=0)
    layer = network.generator.conv_to_rgb
    with torch.no_grad():
        layer.weight_orig[2] += 1.0  # one direction stands out, and is not the one that the layer knows
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    vae.settle_spectral_norms(network, 2)
    network.eval()
    with torch.no_grad(), biggan.batch_statistics(network):
        network(torch.zeros(2, 4), torch.eye(2), 1.0)
    assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    assert all(torch.equal(value, before[key]) for key, value in network.named_parameters())
