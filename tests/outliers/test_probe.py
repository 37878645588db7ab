"""The second classifier of embeddings: the optimum of its loss, a closed form, and judges that saw no parent."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from synthood.outliers.probe import DECAY, SCALE, fitted, halves, objective, probed, with_one


def clusters(seed: int, each: int = 14, spread: float = 0.2) -> tuple[Tensor, Tensor]:
    """Unit embeddings float32 [3 * each,6] around three axes, with labels."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(each)
    return F.normalize(torch.eye(6)[labels] + spread * torch.randn(len(labels), 6, generator=random)), labels


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_the_optimum(seed: int) -> None:
    """The loss is strictly convex, so its gradient is zero at the optimum alone."""
    points, labels = clusters(seed)
    weights = fitted(points, labels, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(objective(weights, with_one(points), labels), weights)
    assert float(gradient.abs().max()) < 1e-5


def test_two_opposite_points_have_the_weights_of_closed_form() -> None:
    """By symmetry w = (a, -a) along the axis, no bias, where 2 DECAY a = SCALE / (1 + exp(2 SCALE a))."""
    weights = fitted(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]), 2)
    a = float(weights[0, 0])
    assert weights[0, 1].item() == pytest.approx(-a, rel=1e-4)
    assert weights[1].abs().max() < 1e-6
    slope = SCALE / (1 + torch.tensor(2 * SCALE * a).exp().item())
    assert 2 * DECAY * a == pytest.approx(slope, rel=1e-2)


def test_gradient_of_the_objective() -> None:
    points, labels = clusters(0, each=3)
    weights = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    inputs = with_one(points)
    assert torch.autograd.gradcheck(lambda w: objective(w, inputs, labels), weights)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_halves_split_every_class_evenly(values: list[int]) -> None:
    labels = torch.tensor(values)
    half = halves(labels)
    for label in labels.unique():
        counts = [int(((labels == label) & (half == part)).sum()) for part in (0, 1)]
        assert 0 <= counts[0] - counts[1] <= 1


def test_judges_saw_neither_the_image_nor_an_outlier_s_parent() -> None:
    points, labels = clusters(5)
    parents = torch.tensor([0, 1, 20, 41])
    own, made = probed(points, labels, points[parents], parents, 3)
    assert torch.equal(made, own[parents])
    for index in (0, 1, 20, 41):
        others = halves(labels) != halves(labels)[index]
        weights = fitted(points[others], labels[others], 3)
        assert int((with_one(points[index : index + 1]) @ weights).argmax()) == int(own[index])
    assert float((own == labels).float().mean()) > 0.9


def test_a_point_of_another_class_is_seen_as_that() -> None:
    points, labels = clusters(6, spread=0.05)
    moved = torch.eye(6)[[2, 0]]
    assert probed(points, labels, moved, torch.tensor([0, 30]), 3)[1].tolist() == [2, 0]
