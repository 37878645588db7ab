"""What every classifier's network is: penultimate features, and the last Linear of them."""

from torch import Tensor, nn

from synthood.common.pixels import resized


class ImageNetwork(nn.Module):
    """Images float32 [N,3,H,W] to logits [N,C]: `head`, a Linear, of `features`, the penultimate [N,D]."""

    head: nn.Linear
    draws = False
    """Whether layers draw from torch's global random numbers in training, which each step seeds."""

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features [N,D]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


class Resize(nn.Module):
    """Images [N,C,H,W] bilinearly to [N,C,side,side], with Pillow's filter where they shrink."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        return resized(images, self.side, self.side, "bilinear")
