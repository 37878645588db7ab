"""Loss terms against their formulas, with gradients."""

import math

import pytest
import torch
from torch import Tensor

from synthood.training.terms.losses import cross_entropy, logit_distillation


def logits(seed: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn((5, 4), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_distillation_is_its_formula(temperature: float) -> None:
    student, teacher = logits(0), logits(1)
    total = 0.0
    for own, other in zip(student.tolist(), teacher.tolist(), strict=True):
        weights, targets = ([math.exp(v / temperature) for v in row] for row in (own, other))
        for weight, target in zip(weights, targets, strict=True):
            p, q = target / sum(targets), weight / sum(weights)
            total += temperature**2 * p * math.log(p / q) / 5
    found = logit_distillation(student.float(), teacher.float(), temperature)
    assert found.item() == pytest.approx(total, rel=1e-6, abs=1e-6)


def test_distillation_of_equal_logits_is_zero_and_flat() -> None:
    student = logits(0).float().requires_grad_()
    loss = logit_distillation(student, student.detach() + 3.0, 2.0)  # a constant cancels in the softmax
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_distillation_is_positive_otherwise() -> None:
    assert logit_distillation(logits(0), logits(1), 1.0) > 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_gradient_of_distillation_by_its_formula(temperature: float) -> None:
    """d/dl T^2 KL / N = T (q - p) / N."""
    student, teacher = logits(0).float().requires_grad_(), logits(1).float()
    logit_distillation(student, teacher, temperature).backward()
    expected = temperature * ((student / temperature).softmax(1) - (teacher / temperature).softmax(1)) / 5
    torch.testing.assert_close(student.grad, expected.detach(), rtol=1e-5, atol=1e-6)


def test_gradients_by_finite_differences() -> None:
    """Inputs in float64, steps wide enough for the float32 that losses are computed in."""
    student, teacher, labels = logits(0).requires_grad_(), logits(1), torch.tensor([0, 1, 2, 3, 0])
    wide = {"eps": 1e-2, "atol": 1e-3, "rtol": 1e-3}
    assert torch.autograd.gradcheck(lambda x: logit_distillation(x, teacher, 2.0).double(), student, **wide)
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels, 0.1).double(), student, **wide)


def test_teacher_gets_no_gradient() -> None:
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    logit_distillation(student, teacher, 1.0).backward()
    assert student.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_its_formula(smoothing: float) -> None:
    x, labels = logits(2), torch.tensor([0, 3, 1, 2, 2])
    target = torch.full((5, 4), smoothing / 4, dtype=torch.float64)
    target[torch.arange(5), labels] += 1 - smoothing
    expected = -(target * x.log_softmax(1)).sum(1).mean()
    assert cross_entropy(x.float(), labels, smoothing).item() == pytest.approx(expected.item(), abs=1e-6)


def test_losses_of_bfloat16_logits_are_float32() -> None:
    x = logits(0).bfloat16()
    assert cross_entropy(x, torch.zeros(5, dtype=torch.int64), 0.0).dtype == torch.float32
    assert logit_distillation(x, x, 1.0).dtype == torch.float32
