"""What stands between features and the classification loss: LogitNorm, T2FNorm, dropout."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.training.method_settings import LogitNorm, Normalisation, T2FNorm

SMALLEST = 1e-7


def training_logits(
    head: nn.Linear, features: Tensor, normalisation: Normalisation | None, dropout: float, random: torch.Generator
) -> Tensor:
    """Logits [N,C] of features [N,D] as training sees them; inference takes `head(features)`.

    T2FNorm (arXiv 2305.17797) trains on features of length 1 / temperature and scores features as they are. Dropout
    before the last layer (arXiv 1506.02142) zeroes a share of the features and lets the others grow by as much.
    """
    if dropout:
        kept = torch.rand(features.shape, generator=random).to(features.device, non_blocking=True) >= dropout
        features = features * kept / (1 - dropout)
    if isinstance(normalisation, T2FNorm):
        features = F.normalize(features, eps=SMALLEST) / normalisation.temperature
    logits: Tensor = head(features)
    return logits


def compared(logits: Tensor, normalisation: Normalisation | None) -> Tensor:
    """Logits [N,C] that cross-entropy sees: under LogitNorm (arXiv 2205.09310, eq. 5) z / (temperature |z|)."""
    if isinstance(normalisation, LogitNorm):
        return logits / (logits.norm(dim=1, keepdim=True) + SMALLEST) / normalisation.temperature
    return logits
