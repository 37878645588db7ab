"""Outlier exposure: outlier images that the network sees beside the ID images of a batch, in one pass."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common.images import read_images
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.training.terms.exposure_settings import EnergyExposure, UniformExposure
from synthood.training.terms.heads import Batch, Companions, Term
from synthood.training.terms.losses import mean

Prepared = Callable[[Tensor, torch.Generator], Tensor]
"""Images uint8 [N,H,W,3] augmented and normalised, float32 [N,3,H,W]."""
NO_IMAGES = np.empty((0, 1, 1, 3), np.uint8)


def as_they_are(images: Tensor, random: torch.Generator) -> Tensor:
    """Images float32 [N,3,H,W] without augmentation, from 0 to 255."""
    return images.permute(0, 3, 1, 2).float()


class OutlierImages(Term):
    """Outlier images uint8 [M,H,W,3] and how many of them go beside each ID image of a batch.

    `name` is the term's.
    """

    name = "exposure"

    def __init__(self, images: np.ndarray, prepared: Prepared, per_image: float = 1.0) -> None:
        super().__init__()
        self.prepared, self.per_image = prepared, per_image
        self.register_buffer("images", torch.from_numpy(images), persistent=False)

    def drawn(self, beside: int, random: torch.Generator) -> Tensor:
        """Outliers for so many ID images, drawn with replacement, through the same augmentation."""
        images = self.get_buffer("images")
        count = max(1, round(self.per_image * beside))
        chosen = torch.randint(len(images), (count,), generator=random).to(images.device, non_blocking=True)
        return self.prepared(images[chosen], random)

    def companions(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> Companions:
        return Companions(self.drawn(len(inputs), random))


class OutlierExposure(OutlierImages):
    """Uniform posteriors on outliers (OE, arXiv 1812.04606) or bounded energies (arXiv 2010.03759)."""

    def __init__(self, settings: UniformExposure | EnergyExposure, images: np.ndarray, prepared: Prepared) -> None:
        super().__init__(images, prepared, settings.per_image)
        self.settings = settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings, outliers = self.settings, batch.beside["exposure"].logits
        if isinstance(settings, EnergyExposure):
            bounds = settings.id_at_most, settings.outliers_at_least
            loss = bounded_energy(batch.logits, outliers, *bounds, batch.weights)
        else:
            loss = uniformity(outliers)
        return {"exposure": settings.weight * loss}


def uniformity(logits: Tensor) -> Tensor:
    """Mean cross-entropy of logits [M,C] to the uniform distribution (arXiv 1812.04606, section 4.3)."""
    return (logits.logsumexp(1) - logits.mean(1)).mean()


def bounded_energy(
    known: Tensor, outliers: Tensor, id_at_most: float, outliers_at_least: float, weights: Tensor | None = None
) -> Tensor:
    """Mean squared hinges of the energies -logsumexp of logits [N,C] and [M,C] (arXiv 2010.03759, eq. 7 and 8)."""
    above = F.relu(-known.logsumexp(1) - id_at_most)
    below = F.relu(outliers_at_least + outliers.logsumexp(1))
    return mean(above**2, weights) + (below**2).mean()


def exposed_images(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The images uint8 [M,H,W,3] that a gate kept, or all of an image set.

    Raises SynthoodError unless they are of `shape` [H,W,3].
    """
    arrays, _ = read_tensors(path)
    images = arrays["images"][arrays["kept"]] if "kept" in arrays else read_images(path).images
    if images.shape[1:] != shape:
        raise SynthoodError(f"{path}: outliers are {images.shape[1:]}, the training images {shape}")
    return np.ascontiguousarray(images)
