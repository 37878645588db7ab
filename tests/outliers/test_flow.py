"""The volume-preserving network: its volume, its inverse, and the manifolds that it finds."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from synthood.common.iterate import ResumeFile
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.outliers import flow as module
from synthood.outliers.flow import Flow, Rotation, VolumePreserving, check_tokens, fit_flow, invariant_count, losses
from synthood.outliers.inverted_settings import FlowSettings

NOTHING = ResumeFile(None, "")
CLASSES = ["cat", "dog"]
SPACE = {"encoder": "inversion", "anchors": "token", "text_encoder": "f00d"}


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network(size: int, layers: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> VolumePreserving:
    """With weights far from those of the start, so that it bends space."""
    made = VolumePreserving(size, len(CLASSES), FlowSettings(layers=layers)).to(dtype)
    random = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=random, dtype=dtype)
    return made.requires_grad_(False)


@given(st.integers(2, 9), st.integers(1, 3), st.integers(0, 1), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_volumes_are_preserved(size: int, layers: int, label: int, seed: int) -> None:
    """det df/dx = 1, by the Jacobian of autograd."""
    made, point = network(size, layers, seed), drawn(size, seed=seed, dtype=torch.float64)
    of = torch.tensor([label])
    jacobian = torch.autograd.functional.jacobian(lambda x: made(x[None], of)[0], point)
    sign, log = torch.linalg.slogdet(jacobian)
    assert sign == 1
    assert abs(float(log)) < 1e-6
    assert float((jacobian - torch.eye(size)).abs().max()) > 1e-3  # it does something


@given(st.integers(2, 9), st.integers(1, 3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_inverse_is_exact(size: int, layers: int, seed: int) -> None:
    made, points = network(size, layers, seed), drawn(6, size, seed=seed, dtype=torch.float64)
    labels = torch.arange(6) % 2
    torch.testing.assert_close(made.inverse(made(points, labels), labels), points, rtol=0, atol=1e-9)
    torch.testing.assert_close(made(made.inverse(points, labels), labels), points, rtol=0, atol=1e-9)


def test_a_rotation_is_one_and_classes_are_told_apart() -> None:
    rotation = Rotation(5).double()
    rotation.angles.data = drawn(5, 5, dtype=torch.float64)
    matrix = rotation.matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(5, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.det(matrix), torch.tensor(1.0, dtype=torch.float64))
    made, point = network(4), drawn(1, 4, dtype=torch.float64)
    assert not torch.allclose(made(point, torch.tensor([0])), made(point, torch.tensor([1])))


def test_losses_of_the_identity_by_hand() -> None:
    """With z = x the invariants are x's last dimensions, and all that is lost: K / D of their mean square."""
    made = VolumePreserving(4, 2, FlowSettings(layers=2))
    for parameter in made.parameters():
        parameter.data.zero_()
    points = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 0.0, 2.0]])
    with torch.no_grad():
        invariant, lost = losses(made, points, torch.tensor([0, 1]), invariants=2)
    assert float(invariant) == pytest.approx((9 + 16 + 0 + 4) / 4)
    assert float(lost) == pytest.approx((9 + 16 + 0 + 4) / 8)


@pytest.mark.parametrize(("variance", "expected"), [(0.0, 2), (0.005, 3), (0.05, 4), (0.25, 5), (0.999, 5)])
def test_invariants_are_the_last_principal_directions(variance: float, expected: int) -> None:
    """Of variances 64, 16, 1, 1e-2 and 0 twice in six dimensions; from the last on they hold 0, 0, .0001, .012, .21."""
    axes = torch.linalg.qr(drawn(6, 6)).Q
    deviations = torch.tensor([8.0, 4.0, 1.0, 0.1, 0.0, 0.0])
    corners = torch.cat([torch.eye(6), -torch.eye(6)])  # whose covariance is a multiple of the identity
    points = torch.cat([corners * deviations @ axes.T + shift for shift in (0, 3)])
    labels = torch.arange(2).repeat_interleave(12)
    if variance == 0:  # rounding alone is left of the two last ones
        variance = 1e-9
    assert invariant_count(points, labels, variance) == expected


def test_fewer_points_than_dimensions_leave_the_others_invariant() -> None:
    """Three points lie in a plane, whose two directions alone have variance."""
    assert invariant_count(drawn(3, 7), torch.zeros(3, dtype=torch.int64), 1e-6) == 5


def planes(count: int = 200, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Cats and dogs on parallel planes in five dimensions, a length of 2 apart along a direction across them."""
    labels = torch.arange(count) % 2
    axes = torch.linalg.qr(drawn(5, 5)).Q
    return drawn(count, 2, seed=seed) @ axes[:2] + (2.0 * labels[:, None]) * axes[2], labels


@pytest.fixture(scope="module")
def fitted() -> Flow:
    chosen = FlowSettings(layers=2, epochs=60, batch_size=50, learning_rate=1e-2)
    return fit_flow(*planes(), CLASSES, chosen, NOTHING)


def test_manifolds_of_classes_are_found(fitted: Flow) -> None:
    """New points of the own class's plane have invariants near 0; as of the other class they do not."""
    assert fitted.invariants == 3
    points, labels = planes(100, seed=2)
    own, other = (fitted.to_latent(points, of)[:, -3:].square().mean() for of in (labels, 1 - labels))
    assert float(own) < 0.03
    assert float(other) > 5 * float(own)


def test_tokens_come_back(fitted: Flow) -> None:
    tokens, labels = planes(20)
    torch.testing.assert_close(fitted.to_tokens(fitted.to_latent(tokens, labels), labels), tokens, rtol=0, atol=1e-4)


def test_saved_and_loaded_it_is_the_same(fitted: Flow, tmp_path: Path) -> None:
    fitted.save(tmp_path / "flow.safetensors", SPACE)
    loaded = Flow.load(tmp_path / "flow.safetensors")
    tokens, labels = planes(20)
    assert torch.equal(loaded.to_latent(tokens, labels), fitted.to_latent(tokens, labels))
    assert (loaded.invariants, loaded.scale, loaded.classes) == (fitted.invariants, fitted.scale, CLASSES)
    assert read_tensors(tmp_path / "flow.safetensors")[1]["space"] == SPACE


def test_the_tokens_unit_does_not_matter() -> None:
    """One scale and the centre are taken off first."""
    tokens, labels = planes(40)
    chosen = FlowSettings(layers=1, epochs=2, batch_size=20)
    one, two = (
        fit_flow(factor * tokens + shift, labels, CLASSES, chosen, NOTHING) for factor, shift in ((1, 0), (64, 8))
    )
    torch.testing.assert_close(
        one.to_latent(tokens, labels), two.to_latent(64 * tokens + 8, labels), rtol=1e-3, atol=1e-4
    )


def test_a_stopped_fit_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tokens, labels = planes(40)
    chosen = FlowSettings(layers=1, epochs=4, batch_size=20)
    expected = fit_flow(tokens, labels, CLASSES, chosen, NOTHING).network.state_dict()
    calls = iter(range(100))

    def stopping(*arguments: Any) -> Any:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return losses(*arguments)

    monkeypatch.setattr(module, "losses", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit_flow(tokens, labels, CLASSES, chosen, ResumeFile(tmp_path, "job", 0.0))
    found = fit_flow(tokens, labels, CLASSES, chosen, ResumeFile(tmp_path, "job", 0.0)).network.state_dict()
    assert next(calls) == 9  # eight steps, the stopped one twice
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_tokens_without_a_manifold_are_refused() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    good = drawn(4, 3)
    check_tokens(good, labels, CLASSES)
    with pytest.raises(SynthoodError, match=r"class 'dog' has 1 inverted image, and a manifold needs at least 2; give"):
        check_tokens(good[:3], labels[:3], CLASSES)
    with pytest.raises(SynthoodError, match=r"class 'dog' has 0 inverted images"):
        check_tokens(good[:2], labels[:2], CLASSES)
    equal = good.clone()
    equal[3] = equal[2]
    with pytest.raises(SynthoodError, match=r"all 2 tokens of class 'dog' are equal; its images are one image, or"):
        check_tokens(equal, labels, CLASSES)
    for bad in (math.nan, math.inf):
        spoilt = good.clone()
        spoilt[2, 1] = bad
        with pytest.raises(
            SynthoodError, match=r"the token of image 2 \(class 'dog'\): its numbers are not finite; run invert again"
        ):
            fit_flow(spoilt, labels, CLASSES, FlowSettings(), NOTHING)
