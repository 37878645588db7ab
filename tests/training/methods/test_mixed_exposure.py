"""MixOE: images and labels between ID and outliers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.training.methods.mixed_exposure import MixedExposure, OutlierMixing
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from toy_training import batch_of, normal, random, reaches

CLASSES = 4
LABELS = torch.arange(60) % CLASSES
LEVEL = 200.0


def term_of(side: int = 12, **more: Any) -> OutlierMixing:
    """A term whose outliers are all of one level."""
    settings = MixedExposure.model_validate({"kind": "mixed", "from": "o"} | more)
    images = np.full((5, side, side, 3), LEVEL, np.uint8)
    return OutlierMixing(settings, Context(1, CLASSES, exposed=images))


@pytest.mark.parametrize("operation", ["cutmix", "mixup"])
def test_labels_follow_the_share_of_the_outlier(operation: str) -> None:
    """The outlier's share of pixels or of brightness is spread evenly over all classes."""
    inputs = torch.zeros((60, 3, 12, 12))
    found = term_of(operation=operation).auxiliary_inputs(inputs, LABELS, random())
    outlier = found.inputs.mean((1, 2, 3)) / LEVEL
    expected = torch.full((60, CLASSES), 0.0) + outlier[:, None] / CLASSES
    expected[torch.arange(60), LABELS] += 1 - outlier
    torch.testing.assert_close(found.targets, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.targets.sum(1), torch.ones(60))
    assert 20 < len(outlier.unique()) <= 60  # a share for each image
    assert 0.2 < float(outlier.mean()) < 0.65  # boxes are cut at the edges
    if operation == "cutmix":
        assert set(found.inputs.unique().tolist()) == {0.0, LEVEL}


@pytest.mark.parametrize("weights", [None, [0.5, 0.2, 0.3]])
def test_loss_is_cross_entropy_to_the_targets(weights: list[float] | None) -> None:
    network = build(Network(name="resnet8", width=8), CLASSES, seed=0)
    own = batch_of(network, LABELS[:3], weights=None if weights is None else torch.tensor(weights))
    term = term_of(8, weight=0.7)
    asked = term.auxiliary_inputs(own.inputs, LABELS[:3], random())
    logits = network(asked.inputs / LEVEL)
    batch = Batch(**(vars(own) | {"auxiliary": {"exposure": AuxiliaryInputs(asked.inputs, asked.targets, logits)}}))
    (loss,) = term(batch).values()
    each = [
        -sum(float(t * z) for t, z in zip(row, line.double().log_softmax(0), strict=True))
        for row, line in zip(asked.targets.tolist(), logits.detach(), strict=True)
    ]
    share = weights or [1 / 3] * 3
    assert float(loss.detach()) == pytest.approx(0.7 * sum(a * b for a, b in zip(share, each, strict=True)), abs=1e-6)
    assert reaches(network, loss)


def test_gradient_of_logits() -> None:
    """Of the mean over samples: (softmax(z) - t) / N, here against finite differences too."""
    term, nothing = term_of(), torch.zeros(3)
    targets = torch.rand((3, CLASSES), generator=random()).softmax(1)

    def loss(logits: Tensor) -> Tensor:
        auxiliary = {"exposure": AuxiliaryInputs(nothing, targets, logits)}
        last = torch.nn.Linear(1, 1)
        (found,) = term(
            Batch(nothing, LABELS[:3], LABELS[:3], nothing, nothing, last, random(), auxiliary=auxiliary)
        ).values()
        return found.double()

    logits = normal(3, CLASSES)
    loss(logits).backward()
    expected = (logits.detach().softmax(1) - targets.double()) / 3
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=0)
    # The loss computes in float32, hence the wide steps.
    assert torch.autograd.gradcheck(loss, logits, eps=1e-2, atol=1e-3)
