"""GROOD by automatic differentiation and an exhaustive search."""

import pytest
import torch
import torch.nn.functional as F

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.of_model.grood import Grood, GroodMethod, gradients
from synthood.evaluation.model_search import ImageValidation, fitted
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import CLASSES, classifier, pictures, probe_of

MODEL = classifier()
PROBE = probe_of(MODEL)
VALIDATION = ImageValidation(pictures(60, 1), pictures(30, 2), pictures(30, 3, contrast=2.5))


def look(images: object) -> BatchView:
    return BatchView(PROBE, next(inputs_of(MODEL, images.images, torch.device("cpu"), len(images))))


def by_autograd(features: torch.Tensor, predicted: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """Of the cross-entropy of the prediction, in the last prototype, sample by sample."""
    found = []
    for h, label in zip(features, predicted, strict=True):
        last = prototypes[-1].clone().requires_grad_()
        logits = -(h - torch.cat([prototypes[:-1], last[None]])).norm(dim=1)
        found.append(torch.autograd.grad(F.cross_entropy(logits[None], label[None]), last)[0])
    return torch.stack(found)


def test_the_score_is_the_distance_to_the_nearest_gradient() -> None:
    train, ood, test = (look(images).plain for images in (VALIDATION.train, VALIDATION.ood, pictures(15, 5)))
    labels = torch.from_numpy(VALIDATION.train.labels)
    h = train.features.double()
    means = [h[labels == c].mean(0) for c in range(len(CLASSES))]
    prototypes = torch.stack([*means, ood.features.double().mean(0)])
    right = train.logits.argmax(1) == labels
    assert 0 < int(right.sum()) < len(labels)
    known = by_autograd(h[right], labels[right], prototypes)
    own = by_autograd(test.features.double(), test.logits.argmax(1), prototypes)
    expected = -(own[:, None] - known).square().sum(2).amin(1)
    score = fitted(PROBE, MODEL, {"it": Grood()}, VALIDATION)[0]["it"]
    torch.testing.assert_close(score(look(pictures(15, 5))).double(), expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(gradients(test.features.double(), prototypes).abs(), own.abs(), rtol=1e-6, atol=1e-9)


def test_a_model_that_is_never_right_has_no_gradients_to_compare_with() -> None:
    method = GroodMethod(PROBE, [{}])
    batch = look(VALIDATION.train)
    method.observe(batch, (batch.plain.logits.argmax(1) + 1) % len(CLASSES))
    with pytest.raises(SynthoodError, match="grood: the model classifies no training image rightly"):
        method.observed()
