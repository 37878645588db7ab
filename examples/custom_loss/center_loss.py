"""Center loss (Wen et al., ECCV 2016): features near the center of their class, beside cross-entropy."""

import torch
from torch import Tensor, nn

from synthood.training.methods.term import Batch


class CenterLoss(nn.Module):
    """Half the mean squared distance of features to their class's center, which is trained along (eq. 2)."""

    def __init__(self, features: int, classes: int, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight
        self.centers = nn.Parameter(torch.zeros(classes, features))

    def forward(self, batch: Batch) -> Tensor:
        apart = batch.features - self.centers[batch.labels]
        return self.weight * apart.square().sum(1).mean() / 2
