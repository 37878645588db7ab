"""The residual projection discriminator."""

import pytest
import torch

from synthood.generators.biggan.residual_discriminator import Block, ResidualDiscriminator


@pytest.mark.parametrize(("side", "halvings"), [(32, 2), (64, 3), (128, 4)])
def test_blocks_halve_down_to_8(side: int, halvings: int) -> None:
    torch.manual_seed(0)
    network = ResidualDiscriminator(side, 3, 8)
    images = torch.randn((4, 3, side, side), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert network.blocks(images).shape == (4, 8 * 2 ** (halvings - 1), 8, 8)
        assert network(images, torch.tensor([0, 1, 2, 0])).shape == (4,)


def test_projection_tells_classes_apart() -> None:
    """The difference between two labels is the inner product of their embeddings' difference with the features."""
    torch.manual_seed(0)
    network = ResidualDiscriminator(32, 2, 8).eval()
    image = torch.randn((1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    seen = []
    network.linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        zero, one = network(image, torch.tensor([0, 1]))
        difference = (network.embedding.weight[0] - network.embedding.weight[1]) @ seen[0][0]
    torch.testing.assert_close(zero - one, difference)
    assert (zero - one).abs() > 1e-4


def test_block_by_hand() -> None:
    torch.manual_seed(0)
    block = Block(4, 4, halve=True).eval()
    x = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        inner = block.convolution2(block.convolution1(x.relu()).relu())
        expected = (inner + x).unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
        torch.testing.assert_close(block(x), expected)
        first = Block(4, 4, halve=False, first=True).eval()
        torch.testing.assert_close(first(x), first.convolution2(first.convolution1(x).relu()) + x)
