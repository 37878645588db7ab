"""Prediction of rotations: which way images turn, and the loss of its layer."""

import pytest
import torch
import torch.nn.functional as F

from synthood.training.methods.rotation import Rotation, RotationPrediction
from synthood.training.methods.term import AuxiliaryInputs, Batch
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from toy_training import batch_of, random, reaches

LABELS = torch.tensor([0, 1, 2])


def test_three_turns_bring_back_the_image() -> None:
    inputs = torch.randn((2, 3, 4, 4), generator=random())
    found = RotationPrediction(Rotation(), 5).auxiliary_inputs(inputs, LABELS[:2], random()).inputs.view(3, 2, 3, 4, 4)
    assert torch.equal(found[0, :, :, 0, 0], inputs[:, :, 0, 3])  # a quarter turn to the left
    assert torch.equal(found[1], inputs.flip(2, 3))
    assert torch.equal(found[2].rot90(1, (2, 3)), inputs)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 0.2, 0.3])])
def test_loss_is_the_mean_cross_entropy_of_all_turns(weights: torch.Tensor | None) -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = RotationPrediction(Rotation(weight=0.7), network.head.in_features)
    own = batch_of(network, LABELS, weights=weights)
    asked = term.auxiliary_inputs(own.inputs, LABELS, random())
    turned = network.features(asked.inputs)
    batch = Batch(**(vars(own) | {"auxiliary": {"rotation": AuxiliaryInputs(asked.inputs, features=turned)}}))
    loss = term(batch)["rotation"]
    features = torch.cat([own.features, turned]).detach().double()
    logits = features @ term.layer.weight.double().T + term.layer.bias.double()
    each = [F.cross_entropy(logits[i : i + 1], torch.tensor([i // 3])) for i in range(12)]
    share = [1 / 3] * 3 if weights is None else weights.tolist()
    expected = 0.7 * sum(share[i % 3] * each[i] / 4 for i in range(12))
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    assert reaches(network, loss)
    assert term.layer.weight.grad is not None


def test_gradient_of_features() -> None:
    term = RotationPrediction(Rotation(), 5).double()

    def loss(own: torch.Tensor, turned: torch.Tensor) -> torch.Tensor:
        auxiliary = {"rotation": AuxiliaryInputs(own, features=turned)}
        result: torch.Tensor = term(
            Batch(own, LABELS, LABELS, own, own, torch.nn.Linear(1, 1), random(), auxiliary=auxiliary)
        )["rotation"]
        return result

    given = [torch.randn((n, 5), generator=random(n), dtype=torch.float64, requires_grad=True) for n in (3, 9)]
    assert torch.autograd.gradcheck(loss, given)
