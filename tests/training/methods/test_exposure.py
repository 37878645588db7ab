"""Outlier exposure: both losses, what is drawn, what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.common.images import ImageSet, write_images
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.training.methods.exposure import (
    EnergyExposure,
    OutlierImages,
    UniformExposure,
    bounded_energy,
    uniformity,
)
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.outlier_set import exposed_images
from toy_training import batch_of, normal, random, reaches

UNIFORM = UniformExposure.model_validate({"kind": "uniform", "from": "o"})
ENERGY = EnergyExposure.model_validate({"kind": "energy", "from": "o", "m_in": -3.0, "m_out": -1.0})
LABELS = torch.tensor([0, 1, 2, 0])


def shown(images: Tensor, random: torch.Generator) -> Tensor:
    return images.permute(0, 3, 1, 2).float()


def levels(count: int = 30) -> np.ndarray:
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3)).copy()


def of(settings: UniformExposure | EnergyExposure) -> OutlierImages:
    (term,) = settings.terms(Context(32, 3, exposed=levels(), prepared=shown)).values()
    assert isinstance(term, OutlierImages)
    return term


def test_uniformity_is_cross_entropy_to_the_uniform_distribution() -> None:
    logits = normal(6, 4)
    expected = -logits.log_softmax(1).sum(1).div(4).mean()
    torch.testing.assert_close(uniformity(logits), expected, atol=1e-6, rtol=0)
    assert float(uniformity(torch.zeros(2, 4))) == pytest.approx(math.log(4))
    assert torch.autograd.gradcheck(uniformity, logits)


def test_bounded_energy_by_hand() -> None:
    """Energies of two equal logits z are -(z + log 2)."""
    known = torch.tensor([[5.0, 5.0], [1.0, 1.0]]) - math.log(2)
    outliers = torch.tensor([[0.5, 0.5], [3.0, 3.0], [2.0, 2.0]]) - math.log(2)
    found = bounded_energy(known, outliers, -3.0, -1.0)
    assert float(found) == pytest.approx((0 + 2**2) / 2 + (0 + 2**2 + 1**2) / 3, abs=1e-6)
    weights = torch.tensor([0.25, 0.75])
    assert float(bounded_energy(known, outliers, -3.0, -1.0, weights)) == pytest.approx(3 + 5 / 3, abs=1e-6)


def test_bounded_energy_gradient() -> None:
    assert torch.autograd.gradcheck(lambda a, b: bounded_energy(a, b, -4.0, -0.5), (normal(5, 3), normal(4, 3, seed=1)))


def test_outliers_are_drawn_from_all_of_them() -> None:
    settings = UNIFORM.model_copy(update={"outliers_per_image": 2.5})
    term = of(settings)
    found = term.auxiliary_inputs(torch.zeros((80, 3, 8, 8)), torch.zeros(80, dtype=torch.long), random())
    assert found.inputs.shape == (200, 3, 8, 8)
    assert set(found.inputs[:, 0, 0, 0].tolist()) == set(range(30))
    assert not term.state_dict()


@pytest.mark.parametrize("settings", [UNIFORM, ENERGY])
def test_the_loss_reaches_the_network(settings: UniformExposure | EnergyExposure) -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = of(settings)
    own = batch_of(network, LABELS)
    asked = term.auxiliary_inputs(own.inputs, LABELS, random())
    logits = network(asked.inputs / 30)
    batch = Batch(**(vars(own) | {"auxiliary": {"exposure": AuxiliaryInputs(asked.inputs, logits=logits)}}))
    (loss,) = term(batch).values()
    whole = uniformity(logits) if settings is UNIFORM else bounded_energy(batch.logits, logits, -3.0, -1.0)
    torch.testing.assert_close(loss, settings.weight * whole)
    assert reaches(network, loss)


def test_only_kept_images_of_the_right_shape_are_exposed(tmp_path: Path) -> None:
    write_tensors(tmp_path / "gate.safetensors", {"images": levels(5), "kept": np.array([1, 4])}, {})
    assert exposed_images(tmp_path / "gate.safetensors", (8, 8, 3))[:, 0, 0, 0].tolist() == [1, 4]
    with pytest.raises(
        SynthoodError, match=r"gate\.safetensors: outliers are \(8, 8, 3\), the training images \(16, 16, 3\)"
    ):
        exposed_images(tmp_path / "gate.safetensors", (16, 16, 3))


def test_an_image_set_is_shown_whole(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    write_images(tmp_path / "tin.safetensors", ImageSet.out_of_distribution(images))
    assert np.array_equal(exposed_images(tmp_path / "tin.safetensors", (8, 8, 3)), images)
    with pytest.raises(SynthoodError, match=r"tin\.safetensors: outliers are \(8, 8, 3\), the training images"):
        exposed_images(tmp_path / "tin.safetensors", (16, 16, 3))
