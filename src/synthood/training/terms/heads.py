"""Small networks that terms train with the classifier."""

from torch import nn

ADAPTER_WIDTH = 32


class EnergyLogOdds(nn.Linear):
    """Log odds [N,1] that a sample of energy [N,1] is ID; they rise with it at first.

    From a random sign a short training goes on in its direction, and half of the seeds would rank OOD above ID.
    """

    def __init__(self) -> None:
        super().__init__(1, 1)

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)


class LatentAdapter(nn.Sequential):
    """Latents float32 [N,c,h,w] to the student's feature space [N,D]."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(
            nn.Conv2d(channels, ADAPTER_WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(ADAPTER_WIDTH, 2 * ADAPTER_WIDTH, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * ADAPTER_WIDTH, 2 * ADAPTER_WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * ADAPTER_WIDTH, features),
        )
