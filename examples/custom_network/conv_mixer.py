"""ConvMixer (arXiv 2201.09792, figure 2): patches, then convolutions within channels and across them, in turns."""

from torch import Tensor, nn


class Mixing(nn.Module):
    """A convolution within each channel, added to its input, and one across channels."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.within = nn.Sequential(
            nn.Conv2d(width, width, kernel, groups=width, padding="same"), nn.GELU(), nn.BatchNorm2d(width)
        )
        self.across = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.across(x + self.within(x))


class ConvMixer(nn.Module):
    """Images float32 [N,3,H,W] to logits [N,C]; its last Linear is found, and that layer's input are the features."""

    def __init__(self, classes: int, width: int = 32, depth: int = 3, kernel: int = 5, patch: int = 4) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, width, patch, stride=patch), nn.GELU(), nn.BatchNorm2d(width))
        self.stages = nn.Sequential(*(Mixing(width, kernel) for _ in range(depth)))
        self.last = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.stages(self.patches(images)).mean((2, 3)))
