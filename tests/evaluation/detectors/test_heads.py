"""Scores that use the head, by autograd and by brute force."""

import pytest
import torch
import torch.nn.functional as F

from synthood.evaluation.detectors.base import class_means
from synthood.evaluation.detectors.heads import Ctm, Fdbd, GradNorm, GradUncertainty, Nci, She
from synthood.evaluation.features import Features, Reference
from toy_features import CLASSES, chosen


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradnorm_is_the_gradients_norm(temperature: float, reference: Reference, near: Features) -> None:
    """Of the mean over classes of the cross-entropy to each, in W, by backward passes."""
    found = GradNorm(temperature=temperature).fit(reference)(near)
    for index in (0, 7, 333):
        weight = reference.weight.clone().requires_grad_()
        logits = F.linear(near.features[index], weight, reference.bias)
        loss = -(logits / temperature).log_softmax(0).mean() * CLASSES * temperature
        (gradient,) = torch.autograd.grad(loss, weight)
        assert found[index].item() == pytest.approx(gradient.abs().sum().item(), rel=1e-4)


def test_she_and_nci_by_hand() -> None:
    """Two units, two classes; the fourth training sample is wrong and counts for the global mean alone."""
    features = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    train = Features(
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), features, torch.tensor([0, 0, 1, 1])
    )
    reference = Reference(train, train, torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2))
    x = Features(
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[5.25, 5.0], [2.25, 5.0]]), torch.zeros(2).long()
    )
    assert She().fit(reference)(x).tolist() == pytest.approx([3 * 5.25, 5.0])
    # mean (2.25, 1): centred (3, 4) and (0, 4)
    assert Nci(alpha=0.1).fit(reference)(x).tolist() == pytest.approx([3 / 5 + 1.025, 2.0 + 0.725])
    assert (
        Nci(alpha=0.0).fit(reference)(Features(x.logits[:1], torch.tensor([[2.25, 1.0]]), x.labels[:1])).item() == 0.0
    )


def test_class_means_fall_back_to_all_samples_where_none_is_right() -> None:
    values = torch.tensor([[1.0], [3.0], [5.0], [9.0]])
    labels, predictions = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 0])
    assert class_means(values, labels, predictions, 2).tolist() == [[1.0], [7.0]]


@pytest.mark.parametrize("centred", [True, False])
def test_fdbd_by_brute_force(centred: bool, reference: Reference, near: Features) -> None:
    found = Fdbd(centred=centred).fit(reference)(near)
    mean = reference.train.features.mean(0) if centred else 0.0
    for index in range(0, 400, 57):
        h, logits = near.features[index], near.logits[index]
        own = int(logits.argmax())
        others = [c for c in range(CLASSES) if c != own]
        distances = [(logits[own] - logits[c]) / (reference.weight[own] - reference.weight[c]).norm() for c in others]
        expected = torch.stack(distances).mean() / (h - mean).norm()
        assert found[index].item() == pytest.approx(expected.item(), rel=1e-4)


def test_fdbd_of_classes_with_equal_weights_is_finite(reference: Reference, near: Features) -> None:
    weight = reference.weight.clone()
    weight[1] = weight[0]
    twins = Reference(reference.train, reference.val, weight, reference.bias)
    assert Fdbd().fit(twins)(chosen(near, torch.arange(20))).isfinite().all()


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_scaled_features_scale_or_leave_the_scores(factor: float, reference: Reference, near: Features) -> None:
    """Of a head without bias: fDBD without a mean stays, SHE and GradNorm at a scaled temperature grow alike."""
    unbiased = Reference(reference.train, reference.val, reference.weight, torch.zeros(CLASSES))
    larger = Features(near.logits * factor, near.features * factor, near.labels)
    torch.testing.assert_close(Fdbd(centred=False).fit(unbiased)(larger), Fdbd(centred=False).fit(unbiased)(near))
    torch.testing.assert_close(She().fit(unbiased)(larger), factor * She().fit(unbiased)(near))
    at = GradNorm(temperature=factor).fit(unbiased)
    torch.testing.assert_close(at(larger), factor * GradNorm().fit(unbiased)(near), rtol=1e-4, atol=1e-4)


def test_grad_uncertainty_is_the_gradients_squared_norm(reference: Reference, near: Features) -> None:
    """Of the binary cross-entropy of p to all ones, in W and b, by backward passes."""
    found = GradUncertainty().fit(reference)(near)
    for index in (0, 7, 333):
        weight, bias = reference.weight.double().requires_grad_(), reference.bias.double().requires_grad_()
        p = F.linear(near.features[index].double(), weight, bias).softmax(0)
        gradients = torch.autograd.grad(-p.log().sum(), (weight, bias))
        expected = sum(float(one.square().sum()) for one in gradients)
        assert found[index].item() == pytest.approx(expected, rel=1e-6)


def test_ctm_is_the_largest_cosine_to_a_class_mean(reference: Reference, near: Features) -> None:
    train = reference.train
    means = torch.stack([train.features[train.labels == c].double().mean(0) for c in range(CLASSES)])
    expected = F.cosine_similarity(near.features.double()[:, None], means, dim=2).amax(1)
    found = Ctm().fit(reference)(near)
    torch.testing.assert_close(found.double() + 1, expected, rtol=0, atol=1e-6)


def test_ctm_of_features_with_much_in_common(reference: Reference, near: Features) -> None:
    """Cosines between 1 - 1e-5 and 1, whose order single precision would not hold."""
    train, x = (Features(one.logits, one.features + 500, one.labels) for one in (reference.train, near))
    means = torch.stack([train.features[train.labels == c].double().mean(0) for c in range(CLASSES)])
    expected = F.cosine_similarity(x.features.double()[:, None], means, dim=2).amax(1) - 1
    found = Ctm().fit(Reference(train, train, reference.weight, reference.bias))(x).double()
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-11)
