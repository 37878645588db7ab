"""The discriminator, its augmentation and its spectral norms."""

import math

import pytest
import torch
from torch import Tensor

from synthood.generators.biggan.discriminator import Discriminator, augmented, group_deviation


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, side: int = 32) -> Tensor:
    return torch.rand((count, 3, side, side), generator=random(9)) * 2 - 1


def test_augmentation_is_differentiable() -> None:
    """Exactly so: it moves pixels and erases them, so that it is affine in the images."""
    small = images(3, side=5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmented(x, random(1), shift=1, hole=2), small)


def test_gradient_reaches_the_pixels_that_are_seen_alone() -> None:
    small = images(8).requires_grad_()
    augmented(small, random(1)).sum().backward()
    assert small.grad is not None
    assert set(small.grad.unique().tolist()) == {0.0, 1.0}
    seen = small.grad.flatten(1).mean(1)
    assert (seen > 0.4).all()
    assert (seen < 1.0).all()


def test_hole_and_padding_are_black_and_the_rest_is_moved() -> None:
    picture = torch.arange(1.0, 1 + 3 * 32 * 32).view(1, 3, 32, 32).repeat(40, 1, 1, 1)
    result = augmented(picture, random(2), shift=4, hole=12)
    black = (result == -1).all(1)
    for image, dark in zip(result, black, strict=True):
        where = (~dark).nonzero()
        values = image[0][~dark].long() - 1
        moves = torch.stack([values // 32, values % 32], 1) - where
        assert (moves == moves[0]).all()  # one shift of the whole image
        assert moves.abs().max() <= 4
        down, right = (int(v) for v in moves[0].abs())
        framed = 32 * 32 - (32 - down) * (32 - right)
        assert framed < int(dark.sum()) <= framed + 12 * 12
    assert len({int(dark.sum()) for dark in black}) > 5


def test_augmentation_follows_the_generator() -> None:
    assert torch.equal(augmented(images(4), random(1)), augmented(images(4), random(1)))
    assert not torch.equal(augmented(images(4), random(1)), augmented(images(4), random(2)))


def test_group_deviation_by_brute_force() -> None:
    """Image i is grouped with those a quarter of the batch apart."""
    x = torch.randn((8, 3, 2, 5), dtype=torch.float64, generator=random())
    plane = group_deviation(x)
    assert plane.shape == (8, 1, 2, 5)
    for index in range(8):
        group = x[index % 2 :: 2]
        deviations = [math.sqrt(float(v) + 1e-8) for v in group.var(0, correction=0).flatten()]
        expected = torch.full((2, 5), sum(deviations) / len(deviations), dtype=torch.float64)
        torch.testing.assert_close(plane[index, 0], expected)


@pytest.mark.parametrize("count", [1, 6])
def test_batches_that_do_not_divide_have_no_deviation(count: int) -> None:
    plane = group_deviation(torch.randn((count, 3, 4, 4), generator=random()))
    assert plane.flatten().tolist() == pytest.approx([1e-4] * count * 16)


def test_spectral_norms_are_at_most_one() -> None:
    torch.manual_seed(0)
    network = Discriminator(classes=3, width=8)
    layers = [*network.convolutions, network.last, network.linear, network.embedding]
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.mul_(7.0)
        for _ in range(40):
            network(images(2), torch.tensor([0, 1]))
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
        assert 0.99 < largest < 1.02


def test_realness_per_image_depends_on_its_label() -> None:
    torch.manual_seed(0)
    network = Discriminator(classes=3, width=8).eval()
    labels = torch.tensor([0, 1, 2, 0])
    realness = network(images(4), labels)
    assert realness.shape == (4,)
    changed = network(images(4), torch.tensor([0, 1, 2, 1]))
    torch.testing.assert_close(changed[:3], realness[:3])
    assert (changed[3] - realness[3]).abs() > 1e-4


def test_label_enters_by_projection() -> None:
    """Realness is linear in the label's embedding: what two labels differ by has one direction per image."""
    torch.manual_seed(0)
    network = Discriminator(classes=2, width=8).eval()
    seen: list[Tensor] = []
    network.linear.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    zero, one = (network(images(4), torch.full((4,), label)) for label in (0, 1))
    difference = network.embedding.weight[1] - network.embedding.weight[0]
    torch.testing.assert_close(one - zero, seen[0] @ difference, rtol=1e-4, atol=1e-4)


def test_the_deviation_of_a_collapsed_batch_is_seen() -> None:
    """Real and made images are judged apart, so that sameness within a batch shows."""
    varied = torch.randn(8, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    same = varied[:1].expand(8, -1, -1, -1)
    assert group_deviation(varied).min() > 0.5
    assert group_deviation(same).max() < 1e-3
